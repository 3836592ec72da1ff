"""Corrections of EtcdMembers, of which some are forbidden."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.etcdmember_repairs import note_held_back, to_member_resource
from activities.etcdmembers import EtcdMemberActivities
from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.config import Config
from etcd_handoff.errors import (
    AdmissionError,
    ApiUnavailableError,
    KubernetesError,
    KubernetesPermissionError,
    RejectedError,
)
from etcd_handoff.etcdmember_messages import old_annotation
from etcd_handoff.reconciler.drift import Hold
from etcd_handoff.reconciler.member_resources import (
    StandingMessage,
    SyncMembersInput,
    SyncMembersResult,
    WatchMembersInput,
    WatchMembersResult,
)
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes
from tests.unit.builders import A, B, C, cluster, doubt, etcdmember, member

FORBIDDEN = [AdmissionError("403: freeze"), KubernetesPermissionError("403: x"), RejectedError("422: x")]


def all_wrong(error: KubernetesError) -> FakeKubernetes:
    """EtcdMembers of all members that say they have left; the first one may not be written."""
    resources = (
        etcdmember(f"node{n}", member_id, "False", metadata={"resourceVersion": "1"})
        for n, member_id in enumerate((A, B, C))
    )
    return FakeKubernetes(*resources, write_errors={"node0": error})


def gateways_to(fake: FakeKubernetes) -> FakeGateways:
    """Gateways to the one fake."""
    profile = {"etcd": {"endpoints": ["http://etcd:2379"]}}
    return FakeGateways(Config.model_validate({"clusters": {"prod": profile}}), "node0", {"prod": fake})


async def sync(fake: FakeKubernetes) -> SyncMembersResult:
    """What `sync_members` answers for the cluster of all three."""
    answer: SyncMembersResult = await ActivityEnvironment().run(
        EtcdMemberActivities(gateways_to(fake)).sync_members, input_of(fake)
    )
    return answer


def input_of(fake: FakeKubernetes) -> SyncMembersInput:
    """The request: all three are members, and nothing has been said since."""
    digests = {r["metadata"]["name"]: to_member_resource(r).status_digest for r in fake.resources.values()}
    view = cluster(member(A), member(B), member(C))
    return SyncMembersInput(cluster="prod", status_digests=digests, view=view)


@pytest.mark.parametrize("error", FORBIDDEN)
async def test_one_that_is_forbidden_does_not_stop_the_others(error: KubernetesError) -> None:
    """It is told why."""
    fake = all_wrong(error)
    synced = await sync(fake)
    assert fake.patched == ["node1", "node2"]
    assert synced.note == f"EtcdMember node0 could not be corrected: {error}"
    assert len(synced.repairs) == 2
    assert not synced.retry_soon


@pytest.mark.parametrize(
    ("members", "written"), [(frozenset({A, B}), []), (frozenset({A, B, C}), ["node1", "node2"]), (None, [])]
)
async def test_list_that_has_waited_for_a_worker_is_read_again(
    members: frozenset[str] | None, written: list[str]
) -> None:
    """All workers may have been away, and the cluster may have been restored meanwhile: the next round comes soon."""
    fake = all_wrong(KubernetesPermissionError("403: x"))

    async def listed(*_: str) -> tuple[frozenset[str] | None, str]:
        return members, "no quorum"

    run = ActivityEnvironment().run(EtcdMemberActivities(gateways_to(fake), listed).sync_members, input_of(fake))
    if members is None:
        with pytest.raises(ApplicationError, match="could not be read again: no quorum") as raised:
            await run
        assert not raised.value.non_retryable
    else:
        assert (await run).retry_soon == (not written)
    assert fake.patched == written


async def test_no_answer_is_tried_again() -> None:
    """By Temporal, from the beginning."""
    with pytest.raises(ApiUnavailableError):
        await sync(all_wrong(ApiUnavailableError("no API server answered")))


@pytest.mark.parametrize("error", FORBIDDEN)
async def test_message_that_is_forbidden_does_not_stop_the_others(error: KubernetesError) -> None:
    """The doubt is told by the watcher anyway."""
    fake, held = all_wrong(error), Hold(doubt("TooManyAbsent")[0], ("node0",))
    for resource in fake.resources.values():
        resource["status"] = {**resource["status"], "conditions": [{"type": "Joined", "status": "True"}]}
    request = input_of(fake)
    for resource in fake.resources.values():
        await note_held_back(fake, resource, request, held)
    assert fake.patched == ["node1", "node2"]
    fake.write_errors["node0"] = ApiUnavailableError("no API server answered")
    with pytest.raises(ApiUnavailableError):
        await note_held_back(fake, fake.resources["node0"], request, held)


@pytest.mark.parametrize(
    ("value", "is_shown"),
    [("true", True), ("false", False), (A, False), ("", False)],
)
async def test_message_on_a_request_is_about_the_annotation_that_was_seen(value: str, *, is_shown: bool) -> None:
    """One that was taken away or changed since gets no message; the next round knows better."""
    metadata = {"resourceVersion": "1", "annotations": {LEAVE_ANNOTATION: value}}
    fake = FakeKubernetes(etcdmember("node0", A, metadata=metadata))
    standing = {"node0": StandingMessage(generation=1, annotation="true", message=old_annotation("b2"))}
    request = input_of(fake).model_copy(update={"standing": standing})
    await ActivityEnvironment().run(EtcdMemberActivities(gateways_to(fake)).sync_members, request)
    assert (fake.resources["node0"]["status"].get("message") == old_annotation("b2")) is is_shown


async def test_question_without_time_to_watch_is_answered_at_once() -> None:
    """So a removal that starts asks whether it is wanted still."""
    fake = all_wrong(KubernetesError("unused"))
    watch = EtcdMemberActivities(gateways_to(fake)).watch_members
    seen: WatchMembersResult = await ActivityEnvironment().run(watch, WatchMembersInput(cluster="prod", seconds=0))
    again = WatchMembersInput(cluster="prod", known_digest=seen.digest, seconds=0)
    async with asyncio.timeout(5):
        assert (await ActivityEnvironment().run(watch, again)).unchanged
    fake.resources["node1"]["spec"] = {"leave": True}
    changed: WatchMembersResult = await ActivityEnvironment().run(watch, again)
    assert [resource.leave for resource in changed.resources] == [False, True, False]

"""Corrections of EtcdMembers, of which some are forbidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcdmember_repairs import note_held_back, to_member_resource
from activities.etcdmembers import EtcdMemberActivities
from activities.kubernetes import Gateways
from etcd_handoff.config import Config
from etcd_handoff.errors import (
    AdmissionError,
    ApiUnavailableError,
    KubernetesError,
    KubernetesPermissionError,
    RejectedError,
)
from etcd_handoff.operation.drift import Hold
from etcd_handoff.operation.member_resources import SyncMembersInput, SyncMembersResult
from tests.unit.views import A, B, C, cluster, doubt, member

if TYPE_CHECKING:
    from etcd_handoff.kubernetes_gateway import KubernetesGateway

WRONG = {"conditions": [{"type": "Joined", "status": "False"}]}
FORBIDDEN = [AdmissionError("403: freeze"), KubernetesPermissionError("403: x"), RejectedError("422: x")]


class Fake:
    """EtcdMembers of all members that say they are out; one of them may not be written.

    Attributes:
        error: What a patch of the first one is answered with.
        patched: Names of the others that were patched.
    """

    def __init__(self, error: KubernetesError) -> None:
        self.error = error
        self.patched: list[str] = []
        self.resources: list[dict[str, Any]] = [
            {
                "metadata": {"name": f"node{n}", "uid": f"u{n}", "resourceVersion": "1", "generation": 1},
                "status": {"memberID": member_id, "peerAddress": "h", **WRONG},
            }
            for n, member_id in enumerate((A, B, C))
        ]

    async def list(self) -> list[dict[str, Any]]:
        """All of them."""
        return self.resources

    async def patch_status(self, read: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """One is written."""
        if read["metadata"]["name"] == "node0":
            raise self.error
        self.patched.append(read["metadata"]["name"])
        return {**read, "status": {**read["status"], **status}}

    async def record_event(self, event: dict[str, Any]) -> None:
        """One Event, which nobody reads."""


class FakeGateways(Gateways):
    """Gateways to the one fake."""

    def __init__(self, fake: Fake) -> None:
        profile = {"etcd": {"endpoints": ["http://etcd:2379"]}}
        super().__init__(Config.model_validate({"clusters": {"prod": profile}}), "node0")
        self.fake = fake

    def get(self, cluster: str) -> KubernetesGateway | None:  # noqa: ARG002
        """The fake."""
        return cast("KubernetesGateway", self.fake)


async def sync(fake: Fake) -> SyncMembersResult:
    """What `sync_members` answers for the cluster of all three."""
    answer: SyncMembersResult = await ActivityEnvironment().run(
        EtcdMemberActivities(FakeGateways(fake)).sync_members, asked(fake)
    )
    return answer


def asked(fake: Fake) -> SyncMembersInput:
    """The request: all three are members, and nothing has been said since."""
    digests = {r["metadata"]["name"]: to_member_resource(r).status_digest for r in fake.resources}
    view = cluster(member(A), member(B), member(C))
    return SyncMembersInput(cluster="prod", status_digests=digests, view=view)


@pytest.mark.parametrize("error", FORBIDDEN)
async def test_one_that_is_forbidden_does_not_stop_the_others(error: KubernetesError) -> None:
    """It is told why."""
    fake = Fake(error)
    synced = await sync(fake)
    assert fake.patched == ["node1", "node2"]
    assert synced.note == f"EtcdMember node0 could not be corrected: {error}"
    assert len(synced.repairs) == 2
    assert not synced.retry_soon


async def test_no_answer_is_tried_again() -> None:
    """By Temporal, from the beginning."""
    with pytest.raises(ApiUnavailableError):
        await sync(Fake(ApiUnavailableError("no API server answered")))


@pytest.mark.parametrize("error", FORBIDDEN)
async def test_message_that_is_forbidden_does_not_stop_the_others(error: KubernetesError) -> None:
    """The doubt is told by the watcher anyway."""
    fake, held = Fake(error), Hold(doubt("TooManyAbsent")[0], ("node0",))
    gateway = cast("KubernetesGateway", fake)
    for resource in fake.resources:
        resource["status"] = {**resource["status"], "conditions": [{"type": "Joined", "status": "True"}]}
    request = asked(fake)
    for resource in fake.resources:
        await note_held_back(gateway, resource, request, held)
    assert fake.patched == ["node1", "node2"]
    fake.error = ApiUnavailableError("no API server answered")
    with pytest.raises(ApiUnavailableError):
        await note_held_back(gateway, fake.resources[0], request, held)

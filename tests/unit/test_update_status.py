"""Which EtcdMember a removal writes, what is no last word, and what it reads there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.member_resource import reason_to_skip
from activities.member_status import KubernetesActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import (
    FindResourceInput,
    FindResourceResult,
    LeaveInput,
    ReadLeaveResult,
    UpdateStatusInput,
    UpdateStatusResult,
)
from etcd_handoff.config import Config
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.errors import (
    AdmissionError,
    ApiUnavailableError,
    ConflictError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    RejectedError,
    UnauthenticatedError,
)
from etcd_handoff.managed_fields import SPEC_LEAVE, Write, last_write
from etcd_handoff.temporal.failure_converter import NOT_RECORDED
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes
from tests.unit.builders import etcdmember

OURS, NEXT = "c1", "d1"
RECORD = UpdateStatusInput(
    cluster="prod",
    member_name="node2",
    member_id=OURS,
    joined=False,
    present_names=("node0", "Node1"),
    since="2026-05-01T10:00:00.250000+00:00",
    message="Member removed from cluster",
)


def resource(name: str = "node2", member_id: str = OURS, **metadata: Any) -> dict[str, Any]:
    """An EtcdMember that says Joined=True, or has no status."""
    return etcdmember(name, member_id, metadata={"generation": 3, **metadata})


def gateways_to(fake: FakeKubernetes, **kubernetes: Any) -> FakeGateways:
    """Gateways to the one fake, with such a profile."""
    profile: dict[str, Any] = {"etcd": {"endpoints": ["http://etcd:2379"]}, "kubernetes": kubernetes}
    return FakeGateways(Config.model_validate({"clusters": {"prod": profile}}), "node0", {"prod": fake})


async def update(
    fake: FakeKubernetes, record: UpdateStatusInput = RECORD, attempt: int = 1, **kubernetes: Any
) -> UpdateStatusResult:
    """What `update_status` answers in this attempt."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    gateways = gateways_to(fake, **kubernetes)
    answer: UpdateStatusResult = await environment.run(KubernetesActivities(gateways, "node0").update_status, record)
    fake.events_pass.set()
    await gateways.close()
    return answer


# --- whose EtcdMember -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (resource(member_id=NEXT), "describes member d1"),
        (resource(name="node1", member_id=""), "a member of that name is in the cluster"),
        (resource(member_id="", creationTimestamp="2026-05-01T10:00:01Z"), "created after the removal began"),
    ],
)
async def test_another_members_resource_is_never_written(found: dict[str, Any], words: str) -> None:
    """Its node has joined again: the removal ends with a note, at the first attempt, and nothing is patched."""
    record = RECORD.model_copy(update={"member_name": found["metadata"]["name"]})
    fake = FakeKubernetes(found)
    recorded = await update(fake, record)
    assert (recorded.recorded, fake.patched, fake.events) == (False, [], [])
    assert words in recorded.note
    assert recorded.note.endswith("was not changed")
    gateways = gateways_to(fake)
    gateways.prefetch("prod", record.member_name)  # nor is one that was read ahead
    answer: UpdateStatusResult = await ActivityEnvironment().run(
        KubernetesActivities(gateways, "node0").update_status, record
    )
    assert (answer.recorded, fake.patched) == (False, [])


@pytest.mark.parametrize(
    "metadata", [{}, {"creationTimestamp": "2026-05-01T10:00:00Z"}, {"creationTimestamp": "nonsense"}]
)
async def test_resource_without_an_id_is_the_members(metadata: dict[str, Any]) -> None:
    """When it is as old as the removal, or older, and no member in the cluster has the name."""
    fake = FakeKubernetes(resource(member_id="", **metadata))
    assert (await update(fake)).recorded
    assert fake.patched == ["node2"]


def test_failed_removal_writes_its_own_member_though_it_is_in_the_cluster() -> None:
    """The names in the cluster matter only for a member that has left."""
    record = RECORD.model_copy(update={"joined": True, "failed": True, "present_names": ("node2",)})
    assert reason_to_skip(resource(member_id=""), record) == ""
    assert reason_to_skip(resource(member_id=NEXT), record) != ""


async def test_third_resource_that_carries_the_id_is_written() -> None:
    """The one that is named like the member describes another, and stays as it is."""
    fake = FakeKubernetes(resource(member_id=NEXT), resource("old-node2"))
    assert (await update(fake)).recorded
    assert fake.patched == ["old-node2"]


# --- what is not true any more ---------------------------------------------------------------------------------

JOINED = RECORD.model_copy(
    update={"joined": True, "members": ("a1", OURS), "present_names": (), "message": "Member joined"}
)
OUT = {"conditions": [{"type": "Joined", "status": "False"}]}


async def update_where(
    fake: FakeKubernetes, listed: frozenset[str] | None, record: UpdateStatusInput = JOINED, *, ahead: bool = False
) -> UpdateStatusResult:
    """What `update_status` answers while etcd has these members; the EtcdMember may have been read ahead."""

    async def members(*_: str) -> tuple[frozenset[str] | None, str]:
        return listed, "" if listed else "no quorum"

    gateways = gateways_to(fake)
    if ahead:
        gateways.prefetch("prod", record.member_name)
    activities = KubernetesActivities(gateways, "node0", members)
    answer: UpdateStatusResult = await ActivityEnvironment().run(activities.update_status, record)
    return answer


@pytest.mark.parametrize(
    "found", [resource(), resource() | {"status": {"memberID": OURS, **OUT}}, resource(member_id=NEXT)]
)
@pytest.mark.parametrize(("failed", "ahead"), [(False, False), (True, False), (True, True)])
async def test_member_that_has_left_since_is_not_called_joined(
    found: dict[str, Any], *, failed: bool, ahead: bool
) -> None:
    """The record has waited for API servers, while others removed the member, and perhaps its node joined again."""
    fake = FakeKubernetes(found)
    record = JOINED.model_copy(update={"failed": failed})
    recorded = await update_where(fake, frozenset({"a1", NEXT}), record, ahead=ahead)
    assert (recorded.recorded, fake.patched) == (False, [])
    assert recorded.note.endswith("was not changed")


async def test_member_that_is_still_there_is_called_joined() -> None:
    """Also on the EtcdMember of its node's former member; a removed member stays so, and nobody is asked."""
    fake = FakeKubernetes(resource(member_id="c0"))
    assert (await update_where(fake, frozenset({"a1", OURS}))).recorded
    assert fake.resources["node2"]["status"]["memberID"] == OURS
    fake = FakeKubernetes(resource())
    assert (await update_where(fake, None, RECORD)).recorded


@pytest.mark.parametrize("late", [False, True])
async def test_late_record_does_not_write_over_a_member_that_has_joined_under_the_name_since(*, late: bool) -> None:
    """As one that is to replace it: both are members, and the EtcdMember describes the next one by now."""
    record = JOINED.model_copy(update={"late": late})
    fake = FakeKubernetes(resource(member_id=NEXT))
    recorded = await update_where(fake, frozenset({"a1", OURS, NEXT}), record)
    assert (recorded.recorded, fake.patched, fake.resources["node2"]["status"]["memberID"]) == (False, [], NEXT)
    assert recorded.note == f"EtcdMember node2 describes member {NEXT}, which is in the cluster; it was not changed"
    assert (await update_where(fake, frozenset({"a1", OURS}), record)).recorded, "that one has left"
    assert fake.resources["node2"]["status"]["memberID"] == OURS


async def test_late_record_leaves_alone_what_says_already_that_the_member_is_there() -> None:
    """Others have written about the member since, such as that its removal is blocked."""
    there = resource()
    there["status"]["message"] = "Blocked: another voter is down"
    fake = FakeKubernetes(there)
    record = JOINED.model_copy(update={"late": True})
    assert (await update_where(fake, frozenset({"a1", OURS}), record)).recorded
    assert fake.patched == []


async def test_nothing_is_written_while_nobody_knows_who_is_a_member() -> None:
    """It is tried again, and says why."""
    fake = FakeKubernetes(resource())
    for record in (JOINED, RECORD.model_copy(update={"late": True})):
        with pytest.raises(ApplicationError, match="is not known: no quorum") as raised:
            await update_where(fake, None, record)
        assert (raised.value.type, raised.value.non_retryable, fake.patched) == (NOT_RECORDED, False, [])


async def test_member_that_a_restore_has_brought_back_is_not_called_out() -> None:
    """The record has waited for API servers; the restored cluster has the IDs of then. Nor does it get the flag."""
    record = RECORD.model_copy(update={"late": True, "leave": True})
    fake = FakeKubernetes(resource())
    recorded = await update_where(fake, frozenset({"a1", OURS}), record)
    assert (recorded.recorded, fake.patched) == (False, [])
    assert "is in the cluster again" in recorded.note
    assert (await update_where(fake, frozenset({"a1"}), record)).recorded


async def test_removal_that_ends_after_the_list_was_read_has_the_last_word() -> None:
    """The EtcdMember is read before the list: what is written in between makes this write a conflict."""
    fake, listed = FakeKubernetes(resource(member_id="c0")), frozenset({"a1", OURS})

    async def members(*_: str) -> tuple[frozenset[str] | None, str]:
        nonlocal listed
        before, listed = listed, frozenset({"a1"})
        if before != listed:
            fake.resources["node2"] = resource() | {"status": {"memberID": OURS, **OUT}}
            fake.conflicts = 1
        return before, ""

    activities = KubernetesActivities(gateways_to(fake), "node0", members)
    recorded = await ActivityEnvironment().run(activities.update_status, JOINED)
    assert (recorded.recorded, fake.patched) == (False, [])


UNSURE = JOINED.model_copy(
    update={"joined": None, "failed": True, "made": "2026-05-01T10:00:00.500+00:00", "message": "Removal was proposed"}
)


def written(at: str, **status: Any) -> dict[str, Any]:
    """The member's EtcdMember, whose status somebody wrote then."""
    fields = [{"manager": "kubectl", "time": at, "fieldsV1": {"f:status": {"f:message": {}}}}]
    found = resource(managedFields=fields)
    return {**found, "status": {**found["status"], **status}}


@pytest.mark.parametrize(
    ("listed", "joined", "message"),
    [
        (frozenset({"a1"}), "False", "Member removed from cluster"),
        (frozenset({"a1", OURS}), "True", "Removal was proposed"),
        (None, "Unknown", "Removal was proposed"),
    ],
)
async def test_what_was_not_known_is_asked_again_when_it_can_be_written(
    listed: frozenset[str] | None, joined: str, message: str
) -> None:
    """The record has waited; what etcd says by then counts, and Unknown is written where it says nothing."""
    fake = FakeKubernetes(resource())
    recorded = await update_where(fake, listed, UNSURE.model_copy(update={"late": True}))
    status = fake.resources["node2"]["status"]
    assert (recorded.recorded, status["conditions"][0]["status"], status["message"]) == (True, joined, message)
    assert status["reconcileStatus"] == ("Success" if joined == "False" else "Failed")


async def test_list_with_a_new_member_follows_on_the_one_of_then() -> None:
    """Whoever was forced into a cluster of its own lists nobody new: one of three was replaced meanwhile."""
    record = UNSURE.model_copy(update={"late": True, "members": ("a1", "b1", OURS)})
    fake = FakeKubernetes(resource())
    assert (await update_where(fake, frozenset({"a1", "d1", OURS}), record)).recorded
    assert fake.resources["node2"]["status"]["conditions"][0]["status"] == "True"


@pytest.mark.parametrize("joined", [None, True])
async def test_list_that_may_be_another_clusters_says_nothing_of_a_late_record(*, joined: bool | None) -> None:
    """A node that was wiped, or forced to be a cluster of its own, lists itself; and the list has to be of the ID."""
    record = UNSURE.model_copy(
        update={"late": True, "joined": joined, "cluster_id": "c1", "members": ("a1", "b1", OURS)}
    )
    queried = list[tuple[str, str]]()

    async def members(cluster: str, cluster_id: str) -> tuple[frozenset[str] | None, str]:
        queried.append((cluster, cluster_id))
        return frozenset({"a1"}), ""

    fake = FakeKubernetes(resource())
    activities = KubernetesActivities(gateways_to(fake), "node0", members)
    run = ActivityEnvironment().run(activities.update_status, record)
    if joined:
        with pytest.raises(ApplicationError, match="this may be another cluster's list"):
            await run
    else:
        assert (await run).recorded
        assert fake.resources["node2"]["status"]["conditions"][0]["status"] == "Unknown"
    assert set(queried) == {("prod", "c1")}


@pytest.mark.parametrize("late", [False, True])
async def test_member_that_somebody_called_out_is_not_called_unknown(*, late: bool) -> None:
    """Another removal, or k0s, knew it."""
    fake = FakeKubernetes(resource() | {"status": {"memberID": OURS, **OUT}})
    recorded = await update_where(fake, None, UNSURE.model_copy(update={"late": late}))
    assert (recorded.recorded, fake.patched) == (False, [])
    assert "has left; it was not changed" in recorded.note


@pytest.mark.parametrize(("at", "newer"), [("2026-05-01T10:00:00Z", False), ("2026-05-01T10:00:01Z", True)])
@pytest.mark.parametrize(("joined", "listed"), [(None, None), (None, {"a1", OURS}), (True, {"a1", OURS})])
async def test_failed_removal_does_not_overwrite_what_is_newer(
    at: str, listed: set[str] | None, *, joined: bool | None, newer: bool
) -> None:
    """A resync, or a removal that was started again, has written the status since."""
    fake = FakeKubernetes(written(at))
    record = UNSURE.model_copy(update={"late": True, "joined": joined})
    recorded = await update_where(fake, frozenset(listed) if listed else None, record)
    assert recorded.recorded is not newer
    assert fake.patched == ([] if newer else ["node2"])
    assert recorded.note.endswith("was written after the removal ended; it was not changed") is newer


async def test_member_that_left_after_its_removal_had_failed_is_called_out() -> None:
    """Whatever was written since: etcd's list is the last word."""
    fake = FakeKubernetes(written("2026-05-01T11:00:00Z"))
    assert (await update_where(fake, frozenset({"a1"}), UNSURE.model_copy(update={"late": True}))).recorded
    assert fake.resources["node2"]["status"]["conditions"][0]["status"] == "False"


# --- last words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            KubernetesPermissionError("403: x"),
            "Kubernetes does not allow it: 403: x; grant what deploy/rbac.yaml lists",
        ),
        (UnauthenticatedError("401: x"), "Kubernetes does not allow it: 401: x; renew the credentials"),
        (AdmissionError("403: freeze"), "an admission webhook or policy denies it: 403: freeze; change that webhook"),
        (ApiUnavailableError("no API server answered"), "no API server answered"),
        (ConflictError("409: x"), "409: x"),
    ],
)
async def test_what_may_be_otherwise_later_is_tried_again(error: KubernetesError, words: str) -> None:
    """However often it was tried: the failure says why, and Temporal repeats it, here or on another worker."""
    for attempt in (1, 1000):
        with pytest.raises(ApplicationError) as caught:
            await update(FakeKubernetes(resource(), read_error=error), attempt=attempt)
        assert (caught.value.type, caught.value.non_retryable) == (NOT_RECORDED, False)
        assert caught.value.message.startswith(words)


async def test_rejected_content_is_final() -> None:
    """No repetition changes what the schema does not allow."""
    recorded = await update(FakeKubernetes(read_error=RejectedError("422: x")))
    assert (recorded.recorded, recorded.note) == (False, "the API server does not accept it: 422: x")


async def test_absence_that_all_confirm_is_believed_at_once() -> None:
    """There is nothing to write."""
    assert (await update(FakeKubernetes())).note == "there is no EtcdMember for node2"


async def test_missing_kind_is_believed_when_all_api_servers_say_so() -> None:
    """One that has just been started serves no EtcdMembers yet, and the others may have been silent."""
    error = KindGoneError("404: page not found")
    find = KubernetesActivities(gateways_to(FakeKubernetes(read_error=error)), "node0").find_resource
    query = FindResourceInput(cluster="prod", member="node2")
    found: FindResourceResult = await ActivityEnvironment().run(find, query)
    assert (found.name, found.step.note) == ("", "EtcdMembers are not installed")
    error.certain = False
    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(find, query)
    assert (caught.value.type, caught.value.non_retryable) == (NOT_RECORDED, False)


@pytest.mark.parametrize("ahead", [-58.0, 0.0, 58.0])
@pytest.mark.parametrize(("waited", "final"), [(0.0, False), (5.0, False), (8.0, True)])
async def test_refusal_in_a_dry_run_is_told_before_its_time_is_up(waited: float, ahead: float, *, final: bool) -> None:
    """It would end as one that was blocked otherwise. The server's clock and this machine's may differ."""
    find = KubernetesActivities(
        gateways_to(FakeKubernetes(read_error=KubernetesPermissionError("403: x"))), "node0"
    ).find_resource
    environment, started = ActivityEnvironment(), datetime.now(UTC) - timedelta(seconds=ahead)
    environment.info = replace(
        environment.info,
        schedule_to_close_timeout=timedelta(seconds=time_limits.OPERATION.dry_run_seconds),
        scheduled_time=started - timedelta(seconds=waited),
        started_time=started,
    )
    with pytest.raises(ApplicationError) as caught:
        await environment.run(find, FindResourceInput(cluster="prod", member="node2"))
    assert (caught.value.type, caught.value.non_retryable) == ("PermissionDenied", final)


# --- the order to leave ---------------------------------------------------------------------------------------


def managed(*entries: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """An EtcdMember with these field managers: who, when, which fields."""
    fields = [{"manager": who, "time": when, "fieldsV1": what} for who, when, what in entries]
    return {**resource(managedFields=fields), "spec": {"leave": True}}


LEAVE: dict[str, Any] = {"f:spec": {"f:leave": {}}}


@pytest.mark.parametrize(
    ("entries", "who"),
    [
        ([("kubectl", "2026-05-01T10:00:00Z", LEAVE)], ("kubectl", "2026-05-01T10:00:00Z")),
        ([("k0s", "2026-05-01T09:00:00Z", LEAVE), ("etcd-handoff", "2026-05-01T10:00:00Z", LEAVE)],
         ("etcd-handoff", "2026-05-01T10:00:00Z")),
        ([("k0s", "2026-05-01T10:00:00Z", {"f:status": {"f:message": {}}})], ("", "")),
        ([("k0s", "2026-05-01T10:00:00Z", {"f:spec": {}})], ("", "")),
        ([], ("", "")),
    ],
)  # fmt: skip
async def test_who_wrote_the_order_last_is_read(entries: list[Any], who: tuple[str, str]) -> None:
    """From what the API server keeps of each field manager."""
    assert last_write(managed(*entries), SPEC_LEAVE) == Write(time=who[1], manager=who[0])
    read = KubernetesActivities(gateways_to(FakeKubernetes(managed(*entries))), "n").read_leave
    ask = LeaveInput(cluster="prod", member_name="node2", member_id=OURS)
    state: ReadLeaveResult = await ActivityEnvironment().run(read, ask)
    assert (state.present, state.leave, state.generation, state.manager, state.since) == (True, True, 3, *who)
    other: ReadLeaveResult = await ActivityEnvironment().run(read, ask.model_copy(update={"member_id": NEXT}))
    assert (other.present, other.leave) == (False, False)


@pytest.mark.parametrize("fields", [None, "text", [None], [{"fieldsV1": 5}], [{"fieldsV1": {"f:spec": None}}]])
def test_field_managers_of_another_shape_are_nobody(fields: object) -> None:
    """Whatever stands there."""
    assert last_write(resource(managedFields=fields), SPEC_LEAVE) == Write("", "")


# --- what EtcdMembers claim -----------------------------------------------------------------------------------


async def test_claims_are_what_all_resources_say() -> None:
    """None when they cannot be read: no witness is not a witness of nothing."""
    fake = FakeKubernetes(resource(), resource("node0", "a1"), resource("new", ""))
    assert await gateways_to(fake).claims("prod") == (
        ResourceClaim(name="new"),
        ResourceClaim(name="node0", member_id="a1", joined="True"),
        ResourceClaim(name="node2", member_id=OURS, joined="True"),
    )
    assert await gateways_to(FakeKubernetes()).claims("prod") == ()
    fake.read_error = ApiUnavailableError("nobody")
    assert await gateways_to(fake).claims("prod") is None

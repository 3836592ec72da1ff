"""`spec.leave` of a member that has left, what is left to do on its node, and k0s's own words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcdmembers import EtcdMemberActivities
from activities.member_status import KubernetesActivities
from activities.worker_info import WorkerActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import LeaveInput, ReadLeaveResult, UpdateStatusInput, UpdateStatusResult
from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.config import Config
from etcd_handoff.contract import Step, StepOutcome
from etcd_handoff.errors import ConflictError, KubernetesError, RejectedError
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import StepFailure
from etcd_handoff.operation.texts import awaiting_k0s
from etcd_handoff.reconciler.removal_progress import NoteProgressInput, waits_for_k0s
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes
from tests.unit.builders import etcdmember, step
from tests.unit.test_removal_loop import LED_BY_A, LED_BY_B, REMOVED, RISKY, begin, report

OURS, NEXT = "c1", "d1"
RECORD = UpdateStatusInput(
    cluster="prod",
    member_name="node2",
    member_id=OURS,
    joined=False,
    present_names=("node0", "node1"),
    message="Member removed from cluster",
    leave=True,
    next_steps=("run this", "run that"),
)
PROFILE: dict[str, Any] = {"etcd": {"endpoints": ["http://etcd:2379"]}}


def resource(member_id: str = OURS, joined: str = "True", **annotations: str) -> dict[str, Any]:
    """The EtcdMember of node2."""
    return etcdmember("node2", member_id, joined, metadata={"annotations": annotations})


def gateways_to(fake: FakeKubernetes) -> FakeGateways:
    """Gateways to the one fake."""
    return FakeGateways(Config.model_validate({"clusters": {"prod": PROFILE}}), "node0", {"prod": fake})


async def update(fake: FakeKubernetes, record: UpdateStatusInput = RECORD, attempt: int = 1) -> UpdateStatusResult:
    """What `update_status` answers in this attempt."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    gateways = gateways_to(fake)
    answer: UpdateStatusResult = await environment.run(KubernetesActivities(gateways, "node0").update_status, record)
    await gateways.close()
    return answer


class Spec(FakeKubernetes):
    """API servers on which something happens when the spec is written.

    Attributes:
        error: What the write raises.
        meanwhile: What the EtcdMember is by then; each only once.
    """

    def __init__(self, one: dict[str, Any], error: KubernetesError | None = None, *meanwhile: dict[str, Any]) -> None:
        super().__init__(one)
        self.error, self.meanwhile = error, list(meanwhile)

    async def patch_spec(
        self, resource: dict[str, Any], spec: dict[str, Any], departing: str = "", *, without: str = ""
    ) -> dict[str, Any]:
        """It happens."""
        if self.meanwhile:
            self.resources["node2"] = self.meanwhile.pop(0)
            msg = "it has changed"
            raise ConflictError(msg)
        if self.error is not None:
            raise self.error
        return await super().patch_spec(resource, spec, departing, without=without)


def leaves(fake: FakeKubernetes) -> bool:
    """Whether the EtcdMember asks to leave."""
    return bool(fake.resources["node2"]["spec"]["leave"])


async def test_member_that_is_out_has_the_flag_set_and_the_operator_is_told_the_rest() -> None:
    """After the status; once more it changes nothing."""
    fake = FakeKubernetes(resource())
    recorded = await update(fake)
    assert (recorded.recorded, recorded.note, leaves(fake), fake.patched) == (True, "", True, ["node2", "node2"])
    assert [(e["reason"], e["note"]) for e in fake.events][-1] == ("LeftToDo", "run this; run that")
    assert (await update(fake)).recorded
    assert fake.patched == ["node2", "node2"]


@pytest.mark.parametrize("changes", [{"leave": False}, {"joined": None, "failed": True}, {"joined": True}])
async def test_member_that_is_not_out_never_has_the_flag_set(changes: dict[str, Any]) -> None:
    """Nor one of a profile that does not want it."""
    fake = FakeKubernetes(resource())
    await update(fake, RECORD.model_copy(update=changes))
    assert not leaves(fake)


@pytest.mark.parametrize("later", [resource(NEXT), resource(OURS, "True")])
async def test_member_that_has_the_name_by_then_is_left_alone(later: dict[str, Any]) -> None:
    """The node has joined again between the status and the flag."""
    fake = Spec(resource(), None, later)
    recorded = await update(fake)
    assert (recorded.recorded, leaves(fake)) == (True, False)
    assert "has changed since" in recorded.note


async def test_namesake_in_the_member_list_is_left_alone() -> None:
    """Though its EtcdMember has not been written yet."""
    fake = FakeKubernetes(resource())
    recorded = await update(fake, RECORD.model_copy(update={"present_names": ("Node2",)}))
    assert (recorded.recorded, leaves(fake)) == (True, False)
    assert "a member of the name node2 is in the cluster" in recorded.note


async def test_flag_is_set_though_somebody_else_writes_meanwhile() -> None:
    """It is read again."""
    fake = Spec(resource(), None, *[resource(OURS, "False")] * 3)
    assert (await update(fake)).note == ""
    assert leaves(fake)


@pytest.mark.parametrize(("value", "stays"), [("true", False), (OURS, False), (NEXT, True), ("nonsense", True)])
async def test_annotation_that_was_followed_goes(value: str, *, stays: bool) -> None:
    """With the flag, or if the flag is there already; one about another member stays."""
    for flagged in (False, True):
        one = {**resource(**{LEAVE_ANNOTATION: value}), "spec": {"leave": flagged}}
        fake = FakeKubernetes(one)
        await update(fake)
        assert leaves(fake)
        assert (LEAVE_ANNOTATION in fake.resources["node2"]["metadata"]["annotations"]) is stays


async def test_flag_that_the_schema_does_not_allow_is_told_at_once() -> None:
    """No repetition changes that."""
    assert "spec.leave was not set" in (await update(Spec(resource(), RejectedError("422: x")))).note


@pytest.mark.parametrize(
    ("kubernetes", "extra", "sets_leave"),
    [({"sets_leave": True}, {}, True), ({}, {}, False), ({}, {"remover": "k0s"}, False), (None, {}, False)],
)
def test_profile_says_whether_the_flag_is_set(
    kubernetes: dict[str, Any] | None, extra: dict[str, Any], *, sets_leave: bool
) -> None:
    """And k0s's profile makes no EtcdMembers, since k0s does."""
    tables = {"kubernetes": kubernetes} if kubernetes is not None else {}
    config = Config.model_validate({"clusters": {"prod": {**PROFILE, **tables, **extra}}})
    assert WorkerActivities(config, search_attributes=True).worker_info("prod").sets_leave is sets_leave
    is_k0s = sets_leave or bool(extra)
    assert config.clusters["prod"].is_k0s is is_k0s
    assert config.clusters["prod"].manages_resources is (kubernetes is not None and not is_k0s)


@pytest.mark.parametrize(
    ("info", "leave", "steps"),
    [({"sets_leave": True}, True, True), ({}, False, False), ({"remover": "k0s", "sets_leave": True}, True, True)],
)
def test_result_says_what_is_left_to_do_on_a_node_of_k0s(info: dict[str, Any], *, leave: bool, steps: bool) -> None:
    """And the record asks for the flag where the profile wants it."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, worker_info=info)).turn()
    if info.get("remover") == "k0s":
        removal.do(to.RequestLeave, step("request_leave", StepOutcome.REQUESTED)).do(to.Wait, after=0.25)
        removal.do(to.Observe, report(StepOutcome.OBSERVED, REMOVED.view))
    else:
        removal.do(to.RemoveTarget, REMOVED)
    record = removal.next(to.WriteStatus).ask
    assert (record.leave, bool(record.next_steps)) == (leave, steps)
    removal.result(UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True))
    result = removal.next(to.Finish).result
    assert result.next_steps == record.next_steps
    assert ("`k0s stop`" in "; ".join(result.next_steps)) is steps


# --- k0s is asked, and not waited for ------------------------------------------------------------------------------

SHUTDOWN, START = "k0s.k0sproject.io/shutdown", "k0s.k0sproject.io/shutdown-on-leave"


def test_k0s_is_asked_once_and_the_member_is_removed_next() -> None:
    """After the hand-over, with a fresh look between; whether k0s was quicker shows in that look."""
    info = {"remover": "both"}
    led = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_A, worker_info=info)).turn()
    led.do(to.TransferLeadership, report(StepOutcome.MOVED, None))
    led.do(to.AwaitNewLeader, report(StepOutcome.ELECTED, LED_BY_B))
    order = led.next(to.RequestLeave)
    assert (order.ask.leave, order.ask.until_marked) == (True, True)
    led.result(step("request_leave", StepOutcome.REQUESTED))
    assert not led.state.point_of_no_return
    led.do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B)).do(to.RemoveTarget, REMOVED)
    assert "v1.36 stops its API server and etcd by itself" in led.next(to.WriteStatus).ask.next_steps[0]


@pytest.mark.parametrize(
    "end", [step("request_leave", StepOutcome.FAILED, "none"), StepFailure("request_leave", "NotRecorded", "503")]
)
def test_k0s_that_cannot_be_asked_does_not_hold_the_removal_up(end: Any) -> None:
    """The node has to be stopped by hand then, and the operator is told so."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, worker_info={"remover": "both"})).turn()
    removal.do(to.RequestLeave, end)
    if isinstance(end, Step):
        removal.do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B))
    removal.do(to.RemoveTarget, REMOVED)
    assert "until then k0s starts etcd again" in removal.next(to.WriteStatus).ask.next_steps[0]


def test_order_is_revoked_when_the_removal_is_not_safe_any_more() -> None:
    """As where k0s removes: it would follow it without asking who takes part."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, worker_info={"remover": "both"})).turn()
    removal.do(to.RequestLeave, step("request_leave", StepOutcome.REQUESTED))
    removal.do(to.Observe, report(StepOutcome.OBSERVED, RISKY)).next(to.ReadLeave)


def test_flag_is_set_where_k0s_had_begun_before_its_order_was_revoked() -> None:
    """What k0s leaves behind is the same, whether or not a look meanwhile found the removal unsafe."""
    info = {"remover": "k0s", "sets_leave": True}
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, worker_info=info)).turn()
    removal.do(to.RequestLeave, step("request_leave", StepOutcome.REQUESTED)).do(to.Wait, after=0.25)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, RISKY))
    stands = step("read_leave", StepOutcome.OBSERVED)
    removal.do(to.ReadLeave, ReadLeaveResult(step=stands, present=True, leave=True, manager="etcd-handoff"))
    assert removal.next(to.RequestLeave).ask.leave is False
    removal.result(step("request_leave", StepOutcome.REQUESTED)).do(to.Wait, after=1.0)
    removal.do(to.Observe, report(StepOutcome.OBSERVED, REMOVED.view))
    assert removal.next(to.WriteStatus).ask.leave


class Marking(FakeKubernetes):
    """API servers on which k0s marks the node, after so many reads."""

    def __init__(self, one: dict[str, Any], after: int) -> None:
        super().__init__(one)
        self.reads, self.after = 0, after

    async def get(self, name: str, departing: str = "") -> dict[str, Any]:
        """One EtcdMember."""
        one = await super().get(name, departing)
        self.reads += 1
        if self.reads > self.after:
            one["metadata"]["labels"][SHUTDOWN] = "7"
        return one


@pytest.mark.parametrize(
    ("labels", "after", "words", "reads"),
    [
        ({START: "7"}, 3, "k0s has told the node to stop", 4),
        ({START: "7", SHUTDOWN: "6"}, 2, "k0s has told the node to stop", 3),
        ({START: "7", SHUTDOWN: "7"}, 9, "k0s has told the node to stop", 1),
        ({}, 9, "does not stop when asked", 1),
        (None, 9, "does not stop when asked", 1),
    ],
)
async def test_mark_of_k0s_is_waited_for(labels: dict[str, str] | None, after: int, words: str, reads: int) -> None:
    """It is that of the node's present k0s; one of an earlier start is none, and an older release has none."""
    one = resource()
    one["metadata"]["labels"] = labels
    fake = Marking(one, after)
    ask = LeaveInput(cluster="prod", member_name="node2", member_id=OURS, until_marked=True)
    ended: Step = await ActivityEnvironment().run(KubernetesActivities(gateways_to(fake), "n").request_leave, ask)
    assert (ended.outcome, words in ended.note, leaves(fake), fake.reads) == (StepOutcome.REQUESTED, True, True, reads)


async def test_mark_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody waits for it where the removal is left to k0s."""
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, marked_seconds=0.05))
    one = resource()
    one["metadata"]["labels"] = {START: "7"}
    fake = Marking(one, 1000)
    ask = LeaveInput(cluster="prod", member_name="node2", member_id=OURS, until_marked=True)
    run = KubernetesActivities(gateways_to(fake), "n").request_leave
    ended: Step = await ActivityEnvironment().run(run, ask)
    assert "has not told the node to stop in time" in ended.note
    ended = await ActivityEnvironment().run(run, ask.model_copy(update={"until_marked": False}))
    assert ended.note.endswith("to leave already")


# --- k0s's own words --------------------------------------------------------------------------------------------------


WAITS = f"Blocked: {awaiting_k0s('node2').reason}: k0s was asked to remove node2; what unblocks it: k0s has done it"
FLAG: dict[str, Any] = {"f:spec": {"f:leave": {}}}
MESSAGE: dict[str, Any] = {"f:status": {"f:message": {}}}


@pytest.mark.parametrize(
    ("message", "hour", "by", "ours", "written"),
    [
        ("Waiting for another controller to take over", "11", "k0s", WAITS, False),
        ("Waiting for another controller to take over", "09", "k0s", WAITS, True),
        ("Waiting for another controller to take over", "11", "kubectl", WAITS, True),
        ("Member joined", "11", "k0s", WAITS, True),
        ("Waiting for another controller to take over", "11", "k0s", "Blocked: QuorumAtRisk: x", True),
    ],
)
async def test_k0s_own_words_on_the_request_stay(message: str, hour: str, by: str, ours: str, *, written: bool) -> None:
    """That we wait for it is told as an Event; why it waits itself is worth more."""
    one = resource()
    one["status"]["message"] = message
    fields = [("kubectl", "10", FLAG), (by, hour, MESSAGE)]
    one["metadata"]["managedFields"] = [
        {"manager": who, "time": f"2026-01-01T{at}:00:00Z", "fieldsV1": what} for who, at, what in fields
    ]
    fake = FakeKubernetes(one)
    note = NoteProgressInput(cluster="prod", resource="node2", member_id=OURS, message=ours)
    why_not: str = await ActivityEnvironment().run(EtcdMemberActivities(gateways_to(fake)).note_progress, note)
    assert (fake.resources["node2"]["status"]["message"] == ours) is written
    assert bool(why_not) is not written
    assert [event["note"] for event in fake.events] == [ours]


def test_only_the_wait_for_k0s_gives_way() -> None:
    """What forbids the removal is told."""
    assert waits_for_k0s(WAITS)
    assert waits_for_k0s("Asking k0s to remove node2")
    assert not waits_for_k0s("Blocked: QuorumAtRisk: node1 is down")

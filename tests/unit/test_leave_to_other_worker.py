"""A worker whose own member is gone leaves steps to others, in place of answering that it sees nothing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.etcd_looks import Looks
from activities.hash_and_snapshot import HashAndSnapshotActivities
from activities.leave_to_other_worker import leave_to_another_if_elsewhere
from etcd_handoff import time_limits
from etcd_handoff.activity_io import (
    AdditionInput,
    AwaitElectionInput,
    AwaitSyncInput,
    CheckHashInput,
    CheckLeaderInput,
    StepInput,
    StepResult,
)
from etcd_handoff.cluster_view import MemberSelfReport
from etcd_handoff.config import Config
from etcd_handoff.errors import UnreachableError
from tests.fakes.etcd import FakeEtcd

if TYPE_CHECKING:
    from collections.abc import Callable

OWN: Final = "https://127.0.0.1:2379"
REMOTE: Final = "https://10.0.0.1:2379"
ACT: Final = StepInput(cluster="prod", cluster_id="c", target_id="3", holder="run-1", holder_label="removal")
ASK: Final = AdditionInput(
    cluster="prod", cluster_id="c", name="n4", peer_urls=("https://n4:2380",), holder="run-1", holder_label="addition"
)
ELECTION: Final = AwaitElectionInput(cluster="prod", cluster_id="c", target_id="3", term_before=2)
STEPS: Final[dict[str, Any]] = {
    "move_leader": ACT,
    "remove_member": ACT,
    "await_election": ELECTION,
    "add_learner": ASK,
    "promote_member": ASK,
    "await_sync": AwaitSyncInput(**dict(ASK), waits_for="", seconds=0.05),
    "check_hash": CheckHashInput(**dict(ACT)),
    "take_snapshot": ACT,
}


class Blind(FakeEtcd):
    """A cluster that gives no list; its member answers for itself where `speaks`, as a learner where `learner`."""

    def __init__(self, *, speaks: bool, learner: bool = False) -> None:
        gone = [UnreachableError("connection refused")] * 1000
        super().__init__({"1": "n1", "3": "n3"}, failures={"observe": gone, "status_of": gone})
        self._speaks, self._learner = speaks, learner

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """What the member says."""
        return (
            (MemberSelfReport(id="1", cluster_id="c", leader_id="1", term=2, is_learner=self._learner),)
            if self._speaks
            else ()
        )

    async def own_cluster(self) -> str:
        """Its cluster."""
        return "c" if self._speaks else ""


async def answer(step: str, endpoint: str = OWN, attempt: int = 1, most: int = 0, **member: bool) -> StepResult:
    """What a step answers on a worker with this one endpoint, in one of so many attempts; see `Blind`."""
    etcd = {"endpoints": [endpoint], "snapshot_directory": "/nowhere"}
    config = Config.model_validate({"clusters": {"prod": {"etcd": etcd}}})
    etcd_steps = EtcdActivities(config, "n1", lambda *_: Blind(**{"speaks": False, **member}))
    acts = etcd_steps if hasattr(etcd_steps, step) else HashAndSnapshotActivities(config, "n1", etcd_steps.looks)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt, retry_policy=RetryPolicy(maximum_attempts=most))
    method: Callable[..., Any] = getattr(acts, step)
    result: StepResult = await environment.run(method, STEPS[step])
    return result


@pytest.fixture(autouse=True)
def _elections_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, election_seconds=0.05))


@pytest.mark.parametrize("step", list(STEPS))
async def test_step_of_a_worker_without_its_member_is_for_another(step: str) -> None:
    """It is tried again soon, with the reason; only as often as it takes to meet somebody else."""
    with pytest.raises(ApplicationError, match="connection refused") as caught:
        await answer(step)
    assert (caught.value.non_retryable, caught.value.next_retry_delay) == (False, time_limits.STEPS.elsewhere_pause)
    assert (await answer(step, attempt=time_limits.STEPS.elsewhere_attempts)).view is None


@pytest.mark.parametrize("step", list(STEPS))
async def test_reading_by_a_worker_whose_own_member_is_a_learner_is_for_another(step: str) -> None:
    """A learner gives no list, and the voters' workers see the cluster. A change that was left may seem proposed."""
    reads = step in {"await_sync", "check_hash", "take_snapshot"}
    with pytest.raises(ApplicationError, match="connection refused") if reads else nullcontext():
        assert (await answer(step, speaks=True, learner=True)).view is None


async def test_last_attempt_answers_itself() -> None:
    """Else the step would fail in place of saying what is missing."""
    for attempt, leaves in ((2, True), (3, False)):
        with pytest.raises(ApplicationError) if leaves else nullcontext():
            assert (await answer("check_hash", attempt=attempt, most=3)).view is None


@pytest.mark.parametrize(
    ("endpoint", "cluster_id", "speaks", "leaves"),
    [
        pytest.param(OWN, "another", True, True, id="its-node-is-of-another-cluster"),
        pytest.param(OWN, "c", True, False, id="its-node-is-of-this-cluster"),
        pytest.param(OWN, "another", False, False, id="its-etcd-says-nothing"),
        pytest.param(OWN, "", True, False, id="nobody-knows-which-cluster-is-meant"),
        pytest.param(REMOTE, "another", True, False, id="it-may-ask-all-members"),
    ],
)
async def test_what_is_missing_counts_unless_the_node_is_of_another_cluster(
    endpoint: str, cluster_id: str, *, speaks: bool, leaves: bool
) -> None:
    """A node that was set up anew as a cluster of its own has that cluster's EtcdMembers too."""
    profile = Config.model_validate({"clusters": {"prod": {"etcd": {"endpoints": [endpoint]}}}}).cluster("prod")
    looks = Looks(Blind(speaks=speaks), profile.etcd)
    for attempt, pause in ((1, time_limits.STEPS.elsewhere_pause), (time_limits.STEPS.elsewhere_attempts, None)):
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=attempt)
        refusal = pytest.raises(ApplicationError, match="is of cluster c, and not of another") if leaves else None
        with refusal or nullcontext() as caught:
            await environment.run(leave_to_another_if_elsewhere, looks, cluster_id)
        assert caught is None or caught.value.next_retry_delay == pause


@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize(("endpoint", "speaks"), [(OWN, True), (REMOTE, False)])
async def test_step_is_answered_where_others_see_no_more(step: str, endpoint: str, *, speaks: bool) -> None:
    """A member without a quorum or a leader speaks; and a worker that may ask all members has asked them."""
    assert (await answer(step, endpoint, speaks=speaks)).view is None


@pytest.mark.parametrize(
    ("endpoint", "cluster_id", "for_node", "attempt", "leaves"),
    [
        pytest.param(OWN, "another", False, 1, True, id="its-node-is-of-another-cluster"),
        pytest.param(OWN, "another", False, 15, False, id="all-nodes-may-be"),
        pytest.param(OWN, "another", True, 1, False, id="its-node-is-asked"),
        pytest.param(OWN, "c", False, 1, False, id="its-node-is-of-this-cluster"),
        pytest.param(OWN, "", False, 1, False, id="nobody-knows-which-cluster-is-meant"),
        pytest.param(REMOTE, "another", False, 1, False, id="it-asks-all-members"),
    ],
)
async def test_look_of_a_node_that_is_another_cluster_is_for_another_worker(
    endpoint: str, cluster_id: str, attempt: int, *, for_node: bool, leaves: bool
) -> None:
    """Else what is asked for would be refused for good, as in a cluster that was replaced."""
    config = Config.model_validate({"clusters": {"prod": {"etcd": {"endpoints": [endpoint]}}}})
    acts = EtcdActivities(config, "n1", lambda *_: FakeEtcd({"1": "n1"}))
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    look = CheckLeaderInput(cluster="prod", cluster_id=cluster_id, for_node=for_node)
    with pytest.raises(ApplicationError, match="of cluster c, and not of another") if leaves else nullcontext():
        seen: StepResult = await environment.run(acts.check_leader, look)
        assert seen.view is not None
        assert seen.view.cluster_id == "c"

"""An addition where each worker reaches its own node's member alone: who is asked, and which step goes where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from etcd_handoff.activity_io import CheckLeaderInput, StepResult, Target
from etcd_handoff.cluster_view import ClusterView, MemberSelfReport, MemberView
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import UnreachableError
from etcd_handoff.operation import addition
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import AddTarget, PromoteTarget
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.learner_removal import RemoveLearner
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import CAUGHT_UP_ENTRIES, PromoteLearner
from tests.fakes.etcd import FakeEtcd
from tests.model.gateways import config_of
from tests.unit.builders import INDEX, A, B, C, D, cluster, member
from tests.unit.test_addition_loop import IN_SYNC, THREE, UNSTARTED, VOTER, begin, cancelled, gives_turn_up
from tests.unit.test_merged_view import seen_by
from tests.unit.test_removal_loop import Drive, report

if TYPE_CHECKING:
    from collections.abc import Iterable

NODE = {A: "node0", B: "node1", C: "node2", D: "node3"}
WORD = MemberSelfReport(cluster_id=THREE.cluster_id, id=D, is_learner=True, leader_id=A, term=7, raft_index=INDEX)
KEEPS_SILENT = StepResult(step=report(StepOutcome.UNAVAILABLE, None).step, self_reports=(WORD,))


def sees(view: ClusterView, own: str, **fields: Any) -> StepResult:
    """What the worker on this member's node sees of the cluster."""
    found = report(StepOutcome.OBSERVED, seen_by(view, {own}), alone=True, **fields)
    return found.model_copy(update={"step": found.step.model_copy(update={"node": NODE[own]})})


def led_by(one: MemberView, leader: str) -> MemberView:
    """The member, of whom this one leads at the next term; one that names no leader is as it was."""
    return one.model_copy(update={"leader_id": leader, "term": one.term + 1}) if one.leader_id else one


def looks(addition: Drive, view: ClusterView, *further: StepResult) -> Drive:
    """One look: a worker sees its own voter, and those of the other nodes are asked."""
    committed = True if addition.next(to.Observe).ask.probe else None
    addition.result(sees(view, A, writes_acknowledged=committed))
    nodes = [look.node for look in addition.next(to.LookThroughNodes).looks]
    assert nodes[:2] == ["node1", "node2"]
    assert len(nodes) == 2 + len(further)
    return addition.result((sees(view, B), sees(view, C), *further))


def added() -> Drive:
    """An addition whose learner has been added through the leader's node, and is waited for with a timer."""
    addition = looks(looks(begin(), THREE).turn(), THREE)  # the second follows a committed entry
    assert addition.next(AddTarget).node == "node0"
    addition.result(report(StepOutcome.ADDED, UNSTARTED, added_id=D, proposed=True))
    return gives_turn_up(looks(addition, UNSTARTED))


def test_learner_is_heard_by_its_own_node_and_promoted_at_the_leaders() -> None:
    """It waits there for the log as well; then the whole cluster is looked at after a committed entry."""
    addition = added().do(to.Wait, after=1.0)
    looks(addition, IN_SYNC, KEEPS_SILENT).turn()
    wait = addition.next(AwaitSync)
    assert (wait.node, wait.ask.own_index, wait.ask.seen is not None) == ("node3", INDEX - CAUGHT_UP_ENTRIES, True)
    addition.result(report(StepOutcome.IN_SYNC, None))
    looks(looks(addition, IN_SYNC, KEEPS_SILENT), IN_SYNC, KEEPS_SILENT)
    promote = addition.next(PromoteTarget)
    assert (promote.node, promote.ask.learner_id) == ("node0", D)
    addition.result(report(StepOutcome.PROMOTED, None, added_id=D, proposed=True))
    looks(addition, VOTER, sees(VOTER, D)).next(to.Wait)
    assert addition.shown() == "Verifying"


def test_learner_that_its_node_does_not_hear_is_waited_for() -> None:
    """With a timer, since the whole cluster has to be looked at each time."""
    addition = added().do(to.Wait, after=1.0)
    looks(addition, IN_SYNC, KEEPS_SILENT.model_copy(update={"self_reports": ()}))
    assert addition.next(to.Wait).summary.startswith("blocked: LearnerUnreachable, until ")


def test_learner_beside_the_only_voter_is_looked_at_through_its_own_node() -> None:
    """The worker of a cluster of one sees all of it until the learner starts, which it does not reach."""
    one = cluster(member(A))
    starting = cluster(*one.members, *(m for m in UNSTARTED.members if m.id == D))
    started = cluster(*one.members, *(m for m in IN_SYNC.members if m.id == D))
    addition = begin().do(to.Observe, sees(one, A)).turn()
    addition.do(AddTarget, report(StepOutcome.ADDED, starting, added_id=D, proposed=True))
    gives_turn_up(addition)
    addition.do(AwaitSync, report(StepOutcome.NOT_IN_SYNC, seen_by(started, {A})))
    assert addition.next(to.Observe).patient
    addition.result(sees(started, A))
    assert [look.node for look in addition.next(to.LookThroughNodes).looks] == ["node3"]


@pytest.mark.parametrize(("leader", "node"), [(A, "node0"), (B, "node1"), (C, "node2")])
def test_own_learner_is_taken_out_at_the_leaders_node(leader: str, node: str) -> None:
    """After a look through all nodes that has committed an entry: the step goes through the leader, as changes do."""
    now = UNSTARTED.model_copy(update={"members": tuple(led_by(m, leader) for m in UNSTARTED.members)})
    addition = added()
    addition.next(to.Wait)
    cancelled(addition)
    assert addition.next(to.Observe).before_change
    addition.result(sees(now, A)).do(to.LookThroughNodes, (sees(now, B), sees(now, C)))
    assert addition.next(RemoveLearner).node == node


@pytest.mark.parametrize(("knows", "command"), [(INDEX + 1, PromoteTarget), (INDEX, AwaitSync)])
def test_second_voter_has_to_know_of_two_entries_one_after_the_other(knows: int, command: type[object]) -> None:
    """It may tell of the entry at which its disk hangs, and then of no other."""
    learner = member(D, A, name="node3", is_learner=True, serves_reads=False, raft_index=knows, through_node="node3")
    view = cluster(member(A, raft_index=INDEX + 1, through_node="node0"), learner)
    pinned = Target(cluster_id=view.cluster_id, member_id=D, member_name="node3", peer_urls=("http://node3:2380",))
    state = begin().state.changed(pinned=pinned, view=view, entry_committed=True)
    state = state.with_joining(in_sync=True, followed=INDEX)
    decided = addition.decide(state, PromoteLearner(via_id=A, learner_id=D), 1.0)
    assert isinstance(decided, NextCommand)
    assert isinstance(decided.command, command)
    if isinstance(decided.command, AwaitSync):
        assert decided.command.ask.own_index == INDEX + 1


class Learner(FakeEtcd):
    """What the worker of a learner's node reaches: no list, and one member's own word."""

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """A learner gives no list."""
        msg = "none of 1 endpoints gives a linearizable member list"
        raise UnreachableError(msg)

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Its own word."""
        return (WORD,)


async def test_worker_that_is_given_no_list_tells_what_it_hears() -> None:
    """But only where it is asked for its own node's member."""

    def gateway(*_: Any) -> Learner:
        return Learner({"1": "node1"})

    activities = EtcdActivities(config_of(["demo"]), "node3", gateway=gateway)

    async def look(*, for_node: bool) -> StepResult:
        ask = CheckLeaderInput(cluster="demo", for_node=for_node)
        found: StepResult = await ActivityEnvironment().run(activities.check_leader, ask)
        return found

    assert ((await look(for_node=True)).self_reports, (await look(for_node=False)).self_reports) == ((WORD,), ())

"""Hashes of members that only the workers of their own nodes reach: who is asked, and what the hashes come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.hash_and_snapshot import HashAndSnapshotActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import CheckHashInput, MemberHash
from etcd_handoff.config import Config
from etcd_handoff.contract import FailureType, Pause, StepOutcome
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import StepFailure
from etcd_handoff.operation.hash_check import compared, voters_to_compare
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.planning import Reason
from tests.fakes.etcd import FakeEtcd
from tests.unit.builders import A, B, C, cluster, down, member
from tests.unit.changes import looks, node, nodes, replacement
from tests.unit.test_node_looks import LED_BY_B, NO_WORKER, pauses, sees, silent, upcoming
from tests.unit.test_removal_loop import Drive, begin, report
from tests.unit.test_replacement_loop import DEAD

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView


def keyspace(value: int = 0xABC, compacted: int = 10) -> MemberHash:
    """A hash at revision 50."""
    return MemberHash(hash=value, revision=50, compact_revision=compacted)


def hashed(*args: Any, **fields: Any) -> StepResult:
    """A node's answer."""
    found = keyspace(*args, **fields)
    return report(StepOutcome.OBSERVED, None).model_copy(update={"keyspace": found})


def no_hash(note: str) -> StepResult:
    """A node's answer when its member gives none."""
    found = report(StepOutcome.UNAVAILABLE, None)
    return found.model_copy(update={"step": found.step.model_copy(update={"note": note})})


def removal_that_checks() -> Drive:
    """A removal of node0 with the turn, which is to compare hashes; each worker reaches its own member alone."""
    removal = begin(hash_check=True).do(to.Observe, sees(LED_BY_B, B))
    return removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C))).turn()


def checks(removal: Drive) -> list[tuple[str, str, int]]:
    """Nodes that are asked next, for which member, and from which revision on."""
    command = removal.next(to.HashThroughNodes)
    return [(c.node, c.ask.member_id, c.ask.newest.revision if c.ask.newest else 0) for c in command.checks]


def test_first_voter_is_hashed_at_its_newest_revision_and_the_others_at_that() -> None:
    """Each through its own node; the removal goes on after a fresh look."""
    removal = removal_that_checks()
    assert checks(removal) == [("node1", B, 0)]
    assert checks(removal.result((hashed(),))) == [("node2", C, 50)]
    removal.result((hashed(),))
    assert removal.state.steps[-1].outcome == StepOutcome.CONSISTENT
    assert removal.state.steps[-1].note == "revision 50: node1 00000abc, node2 00000abc"
    removal.do(to.Observe, sees(LED_BY_B, B)).do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C)))
    assert removal.next(to.Observe).before_change


def test_data_that_differ_refuse_the_removal() -> None:
    """Whoever differs is named with the hash."""
    removal = removal_that_checks().do(to.HashThroughNodes, (hashed(),))
    removal.do(to.HashThroughNodes, (hashed(0xDEF),))
    assert removal.state.ending is not None
    failure = removal.state.ending.failure
    assert failure is not None
    assert failure.kind == FailureType.REMOVAL_REFUSED
    assert "node2 00000def" in failure.text


def test_members_that_compacted_differently_are_compared_again() -> None:
    """From the first voter on, and not for ever: then it waits with what was seen."""
    removal = removal_that_checks()
    for _ in range(time_limits.OPERATION.hash_check_attempts):
        assert checks(removal) == [("node1", B, 0)]
        removal.result((hashed(),)).do(to.HashThroughNodes, (hashed(0xDEF, compacted=40),))
    pauses(removal, 1.0)
    assert removal.state.doing.startswith(Reason.HASH_UNKNOWN)
    assert "compacted up to different revisions: node1 10, node2 40" in removal.state.doing
    assert removal.state.hashing.tries == 0


def test_member_that_gives_no_hash_is_asked_again() -> None:
    """Whichever it is; the last try says which."""
    removal = removal_that_checks()
    for _ in range(time_limits.OPERATION.hash_check_attempts - 1):
        removal.do(to.HashThroughNodes, (no_hash("node1 gave no hash: it hangs"),))
    removal.do(to.HashThroughNodes, (hashed(),)).do(to.HashThroughNodes, (no_hash("node2 gave no hash"),))
    pauses(removal, 1.0)
    assert "node2 gave no hash" in removal.state.doing


def test_node_without_a_worker_is_waited_for_by_name() -> None:
    """It is looked at before it is tried again."""
    removal = removal_that_checks().do(to.HashThroughNodes, (hashed(),))
    removal.do(to.HashThroughNodes, (silent(),))
    pauses(removal, 1.0)
    assert removal.state.doing.startswith(Reason.HASH_UNKNOWN)
    assert NO_WORKER in removal.state.doing
    assert isinstance(upcoming(removal), to.Observe)


def test_missing_right_ends_the_removal() -> None:
    """As where one worker compares all."""
    denied = StepFailure("check_hash", FailureType.PERMISSION_DENIED, "etcd does not allow it")
    removal = removal_that_checks().do(to.HashThroughNodes, (denied,))
    assert removal.state.ending is not None


def test_voter_that_nobody_reaches_makes_the_answer_unknown() -> None:
    """Its copy may be the one that differs, so nobody else has to read its whole keyspace."""
    four = cluster(*(member(i, B) for i in (A, B, C)), member("e", B, name="node3"))
    removal = begin(hash_check=True).do(to.Observe, sees(four, B))
    removal.do(to.LookThroughNodes, (sees(four, A), sees(four, C), silent())).turn()
    pauses(removal, 1.0)
    assert removal.state.doing.startswith(Reason.HASH_UNKNOWN)
    assert "node3 does not answer" in removal.state.doing


def test_hash_from_before_a_pause_is_no_other_voters() -> None:
    """A voter with a smaller ID joins while the turn is given up: all are hashed anew."""
    removal = removal_that_checks()
    removal.next(to.HashThroughNodes)
    removal.state = removal.state.changed(paused=Pause(by="ann"))
    removal.result((hashed(),)).do(to.AskQueue, TakeTurnResult(turn=QueuePosition(granted=False))).next(to.Wait)
    removal.state = removal.state.changed(paused=None)
    removal.result(after=86_400.0).do(to.Observe, sees(LED_BY_B, B))
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C))).turn()
    assert checks(removal) == [("node1", B, 0)]


def test_hash_counts_for_an_hour() -> None:
    """Then all members are hashed anew."""
    removal = removal_that_checks().do(to.HashThroughNodes, (hashed(),)).do(to.HashThroughNodes, (hashed(),))
    removal.now += time_limits.OPERATION.gates_last_seconds + 1
    removal.do(to.Observe, sees(LED_BY_B, B)).do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C)))
    assert checks(removal) == [("node1", B, 0)]


def test_run_that_began_before_nodes_were_asked_compares_through_one_worker() -> None:
    """Its history shows that it did."""
    removal = removal_that_checks()
    command = removal.next(to.HashThroughNodes)
    assert (command.whole.node, command.whole.ask.member_id) == ("", "")
    removal.result(report(StepOutcome.UNAVAILABLE, None))
    pauses(removal, 1.0)
    assert removal.state.doing.startswith(Reason.HASH_UNKNOWN)


@pytest.mark.parametrize(
    ("members", "leaving", "count"),
    [
        (1, 0, 1),
        (2, 0, 2),
        (2, 1, 2),  # one copy against another: nobody knows which is right
        (3, 1, 2),
        (3, 2, 3),
        (4, 1, 3),
        (4, 2, 4),
        (5, 2, 3),
    ],
)
def test_those_that_stay_are_compared_where_they_are_most(members: int, leaving: int, count: int) -> None:
    """A member that is down, or whose data are the ones that differ, can be removed then."""
    voters = cluster(*(member(f"{number}a", "0a") for number in range(members))).voters
    compared_ones = voters_to_compare(voters, {m.id for m in voters[:leaving]})
    assert compared_ones == voters[len(voters) - count :]


def test_dead_member_leaves_though_the_profile_wants_hashes() -> None:
    """Its copy leaves with it; the voters that stay have to agree."""
    dead = cluster(down(A), member(B, B), member(C, B))
    removal = begin(hash_check=True).do(to.Observe, report(StepOutcome.OBSERVED, dead)).turn()
    assert removal.next(to.CheckHash).ask.target_id == A
    seen_through = begin(hash_check=True).do(to.Observe, sees(dead, B))
    seen_through.do(to.LookThroughNodes, (silent(), sees(dead, C))).turn()
    assert checks(seen_through) == [("node1", B, 0)]


def omitted(change: Drive) -> tuple[str, ...]:
    """Members that the next hash check leaves out."""
    out: tuple[str, ...] = change.next(to.CheckHash).ask.omitted
    return out


HANGS_AND_LEADS = cluster(node(0, serves_reads=False), node(1), node(2))


@pytest.mark.parametrize(("view", "out"), [(nodes(0, 1, 2), ()), (HANGS_AND_LEADS, ()), (DEAD, (A,))])
def test_larger_change_compares_members_whose_data_a_new_one_may_copy(view: ClusterView, out: tuple[str, ...]) -> None:
    """The new member may join before the old one leaves, and copies what the leader has."""
    assert omitted(looks(replacement(hash_check=True), view).turn()) == out


def test_removal_leaves_its_target_out_though_that_works() -> None:
    """Nobody joins meanwhile."""
    assert omitted(begin(hash_check=True).do(to.Observe, report(StepOutcome.OBSERVED, nodes(0, 1, 2))).turn()) == (A,)


def test_member_that_was_left_out_and_comes_back_is_compared_before_another_one_joins() -> None:
    """It was down, was to leave first, and leads now."""
    change = looks(replacement(hash_check=True), DEAD).turn()
    assert omitted(change) == (A,)
    change.result(report(StepOutcome.CONSISTENT, None))
    assert omitted(looks(change, nodes(0, 1, 2))) == ()


async def test_activity_compares_no_member_that_is_left_out() -> None:
    """Nor asks it: it may be down."""
    config = Config.model_validate({"clusters": {"prod": {"etcd": {"endpoints": ["https://n1:2379"]}}}})
    etcd = EtcdActivities(config, "n1", lambda *_: FakeEtcd({"1": "n1", "2": "n2", "3": "n3"}))
    hashes = HashAndSnapshotActivities(config, "n1", etcd.looks)
    for out, names in (("3",), ("n1", "n2")), ((), ("n1", "n2", "n3")), (("2", "3"), ("n1", "n2", "n3")):
        ask = CheckHashInput(cluster="prod", cluster_id="c", target_id="3", omitted=out)
        step = (await ActivityEnvironment().run(hashes.check_hash, ask)).step
        assert [name for name in ("n1", "n2", "n3") if f"{name} " in step.note] == [*names], step.note


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        (keyspace(), StepOutcome.CONSISTENT),
        (keyspace(0xABD), StepOutcome.INCONSISTENT),
        (keyspace(0xABD, compacted=11), StepOutcome.UNAVAILABLE),
        (keyspace(compacted=9), StepOutcome.UNAVAILABLE),
    ],
)
def test_only_what_was_compacted_equally_is_compared(last: MemberHash, outcome: StepOutcome) -> None:
    """However equal or different the hashes are."""
    assert compared([("node0", keyspace()), ("node1", keyspace()), ("node2", last)])[0] is outcome

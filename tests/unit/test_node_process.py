"""What an addition does about the process on the new member's node: the decisions alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff.activity_io import NodeFacts, ProcessResult, Target, WorkerInfo
from etcd_handoff.contract import AdditionRequest, StepOutcome
from etcd_handoff.operation import member_process
from etcd_handoff.operation.commands import StepFailure
from etcd_handoff.operation.member_process import ArchiveMember, PreflightMember, StartMember, StopMember
from etcd_handoff.operation.phases import NodeProcess
from etcd_handoff.planning import Blocked, Reason
from tests.unit.builders import CLUSTER, A, B, C, D, begun, cluster, member, step
from tests.unit.test_member_process import JOIN

if TYPE_CHECKING:
    from etcd_handoff.operation.state import NextCommand, OperationState

URL = "http://node3:2380"
NOW = 1_000.0
MIB = 1 << 20
READY = {"running": False, "data_dir": "/var/lib/etcd", "version": "3.6.16", "free_bytes": 1 << 40}
NO_WORKER = StepFailure("preflight_member", "", "no worker on node3: start one there", taken=False)
BROKEN = StepFailure("start_member", "StepFails", "it took too long")
VIEW = cluster(member(A, db_size_bytes=300 * MIB), member(B), member(C))


def state(member_id: str = "", **changes: Any) -> OperationState:
    """An addition whose member has this ID."""
    request = AdditionRequest(cluster="prod", name="node3", peer_urls=(URL,))
    target = Target(cluster_id=CLUSTER, member_id=member_id, member_name="node3", peer_urls=(URL,), present=False)
    return begun(**{"request": request, "pinned": target, "view": VIEW, "since": NOW, **changes})


def command(decided: NextCommand | None) -> Any:
    """The command; there is one."""
    assert decided is not None
    return decided.command


def answer(command: bool = True, *, facts: Any = None, **fields: Any) -> ProcessResult:  # noqa: FBT001, FBT002
    """What a node answers."""
    node_facts = NodeFacts.model_validate({**READY, **facts}) if facts is not None else None
    outcome = StepOutcome.FAILED if fields.get("error") else StepOutcome.OBSERVED
    return ProcessResult(step=step("preflight_member", outcome), command=command, facts=node_facts, **fields)


def looked(facts: Any = None, **fields: Any) -> OperationState:
    """The state after the node has been looked at."""
    first = state()
    return member_process.applied(
        first, command(member_process.before_adding(first, NOW)), answer(facts=facts, **fields), NOW
    )


def test_the_nodes_worker_is_asked_before_anything_is_added() -> None:
    """By the node's table, else by the member's name; with nothing but names, IDs and URLs."""
    preflight = command(member_process.before_adding(state(), NOW))
    assert isinstance(preflight, PreflightMember)
    assert (preflight.node, preflight.ask.name, preflight.ask.peer_urls, preflight.ask.cluster_id) == (
        "node3",
        "node3",
        (URL,),
        CLUSTER,
    )
    worker_info = WorkerInfo(search_attributes=True, nodes={"node3": "machine-d"})
    assert command(member_process.before_adding(state(worker_info=worker_info), NOW)).node == "machine-d"


def test_ready_node_is_not_asked_again_for_a_while() -> None:
    """A minute later it is."""
    ready = looked({})
    assert ready.blocked is None
    assert [s.name for s in ready.steps] == ["preflight_member"]
    assert member_process.before_adding(ready, NOW + 59) is None
    assert member_process.before_adding(ready, NOW + 61) is not None


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"running": True}, "etcd runs there already"),
        ({"data_of": "member 1 of cluster 2"}, "/var/lib/etcd holds data of member 1 of cluster 2: move it away"),
        ({"busy_ports": (2380,)}, "port 2380 is in use"),
        ({"version": "3.5.21"}, "its etcd is 3.5.21, and the cluster's version is 3.6"),
        ({"version": "3.8.0"}, "its etcd is 3.8.0, and the cluster's version is 3.6"),
        ({"version": "4.6.0"}, "its etcd is 4.6.0"),
        ({"free_bytes": 427 * MIB}, "has 427 MiB free, and the database and its log need 428 MiB"),
    ],
)
def test_node_that_is_not_ready_blocks_before_anything_is_changed(facts: Any, words: str) -> None:
    """The text names what is wrong, and it is looked at again after the pause."""
    blocked = looked(facts)
    assert blocked.blocked is not None
    assert blocked.blocked.reason is Reason.NODE_NOT_READY
    assert words in blocked.blocked.seen
    assert member_process.before_adding(blocked, NOW + 1) is not None


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One round on the node heals it."""
    blocked = looked({"running": True, "busy_ports": (2379, 2380), "free_bytes": 0}).blocked
    assert blocked is not None
    assert blocked.seen.count("; ") == 3


@pytest.mark.parametrize(
    "facts", [{"version": "3.7.0"}, {"version": ""}, {"version": "main"}, {"free_bytes": 428 * MIB}]
)
def test_what_etcd_allows_or_nobody_knows_is_no_obstacle(facts: Any) -> None:
    """The next minor version joins; a version that is not told is the person's who wrote the command."""
    assert looked(facts).blocked is None


def test_the_oldest_member_is_what_a_version_is_held_against() -> None:
    """In the middle of an upgrade both versions can join."""
    mixed = cluster(member(A, version="3.5.25"), member(B), member(C))
    for version, allowed in (("3.5.25", True), ("3.6.16", True), ("3.7.0", False), ("3.4.1", False)):
        first = state(view=mixed)
        preflight = command(member_process.before_adding(first, NOW))
        after = member_process.applied(first, preflight, answer(facts={"version": version}), NOW)
        assert (after.blocked is None) is allowed


def test_command_that_fails_blocks() -> None:
    """Nothing is added on a node whose command does not work."""
    blocked = looked(error="`status` ended with status 1").blocked
    assert blocked is not None
    assert (blocked.reason, "`status` ended with status 1" in blocked.seen) == (Reason.NODE_NOT_READY, True)


def test_without_a_command_or_a_worker_it_is_a_persons_to_start_etcd() -> None:
    """Nothing blocks, and nothing is asked again at once."""
    first = state()
    preflight = command(member_process.before_adding(first, NOW))
    without = member_process.applied(first, preflight, answer(command=False), NOW)
    nobody = member_process.failed(first, preflight, NO_WORKER, NOW)
    other = member_process.failed(
        first, preflight, StepFailure("preflight_member", "UnknownCluster", "no profile"), NOW
    )
    older = member_process.failed(first, preflight, StepFailure("preflight_member", "NotFoundError", "not known"), NOW)
    for after in (without, nobody, other, older):
        assert after.blocked is None
        assert member_process.before_adding(after, NOW + 1) is None
        assert member_process.starting(after.changed(since=NOW + 1), JOIN) is None
    assert member_process.starting(without.changed(since=NOW + 3600), JOIN) is None
    assert member_process.starting(nobody.changed(since=NOW + 11, pinned=state(D).pinned), JOIN) is not None


def waits(after: OperationState) -> Blocked:
    """What it says while it waits for the start."""
    plain = Blocked(
        Reason.LEARNER_NOT_STARTED, f"learner {D} has been added", "start etcd with ETCD_INITIAL_CLUSTER=..."
    )
    blocked = member_process.with_start_result(after.blocked_by(plain)).blocked
    assert blocked is not None
    return blocked


def test_worker_that_is_lost_between_preflight_and_start_is_named() -> None:
    """The node has a command, so nobody is to start etcd behind its back without knowing why."""
    known = looked({})
    learner = state(D).with_joining(process=known.joining.process)
    start = command(member_process.starting(learner, JOIN))
    assert isinstance(start, StartMember)
    after = member_process.failed(learner, start, NO_WORKER, NOW)
    assert "no worker on node3" in waits(after).seen
    assert "ETCD_INITIAL_CLUSTER=" in waits(after).unblocks
    again = member_process.failed(known, command(member_process.before_adding(known, NOW + 61)), NO_WORKER, NOW + 61)
    assert again.blocked is not None
    assert again.blocked.reason is Reason.NODE_NOT_READY


def test_learner_is_started_with_what_it_joins_with() -> None:
    """The command carries the IDs that data on the node must have."""
    start = command(member_process.starting(state(D), JOIN))
    assert isinstance(start, StartMember)
    assert (start.ask.member_id, start.ask.cluster_id, start.ask.join) == (D, CLUSTER, JOIN)
    assert not start.proposes


def test_learner_that_was_started_with_former_members_is_started_again() -> None:
    """Etcd does not join with a list that is not the cluster's; what this operation has not started is not stopped."""
    learner, later = state(D), {**JOIN, "ETCD_INITIAL_CLUSTER": "node3=http://node3:2380"}
    start = command(member_process.starting(learner, JOIN))
    for fields, again in (({"changed": True}, True), ({}, False), ({"error": "no unit"}, False)):
        after = member_process.applied(learner, start, answer(**fields), NOW).changed(since=NOW + 3)
        assert not command(member_process.starting(after, JOIN)).ask.again
        assert command(member_process.starting(after, later)).ask.again is again
    failed = member_process.failed(
        member_process.applied(learner, start, answer(changed=True), NOW).changed(since=NOW + 3), start, BROKEN, NOW + 3
    )
    assert command(member_process.starting(failed.changed(since=NOW + 6), later)).ask.again, "it is not forgotten"


def test_started_learner_is_waited_for_and_a_failed_start_says_why() -> None:
    """Both try again after the pause; that etcd still runs is told once."""
    learner = state(D)
    start = command(member_process.starting(learner, JOIN))
    started = member_process.applied(learner, start, answer(changed=True), NOW)
    again = member_process.applied(started, start, answer(), NOW)
    assert len(started.steps) == len(again.steps) == 1
    failed = member_process.applied(learner, start, answer(error="`start` ended with status 1: no unit"), NOW)
    broken = member_process.failed(learner, start, BROKEN, NOW)
    for after, words in (
        (started, "etcd runs on node3"),
        (again, "etcd runs on node3"),
        (failed, "no unit"),
        (
            broken.with_joining(process=broken.joining.process.model_copy(update={"command": True})),
            "start_member fails: it took too",
        ),
    ):
        assert words in waits(after).seen
        assert member_process.starting(after.changed(since=NOW + 1), JOIN) is None
        assert member_process.starting(after.changed(since=NOW + 3), JOIN) is not None
    assert ("ETCD_INITIAL_CLUSTER" in waits(started).unblocks, "ETCD_INITIAL_CLUSTER" in waits(failed).unblocks) == (
        False,
        True,
    )


def test_other_reasons_to_wait_stay_as_they_are() -> None:
    """What is known of the process says nothing about them."""
    lags = Blocked(Reason.LEARNER_LAGS, "seen", "unblocks")
    tried = state(D).with_joining(process=NodeProcess(command=True, starts=False, error="x"))
    assert member_process.with_start_result(tried.blocked_by(lags)).blocked == lags


def test_old_member_is_stopped_and_archived_by_its_own_ids() -> None:
    """On its own node."""
    old = Target(cluster_id=CLUSTER, member_id=C, member_name="node2", peer_urls=("http://node2:2380",))
    for made, kind in (
        (member_process.stop(state(), old), StopMember),
        (member_process.archive(state(), old), ArchiveMember),
    ):
        assert isinstance(made, kind)
        assert (made.node, made.ask.member_id, made.ask.cluster_id) == ("node2", C, CLUSTER)

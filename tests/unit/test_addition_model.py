"""The loop of an addition with its real activities on a cluster of the test, and with something wrong at each call.

Whatever happens at any call, etcd has one new member at the end, with a vote, which was added once, promoted only when
it ran and was in sync, and is the one that the result names. So it is with one voter, two, three and five.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.testing import ActivityEnvironment

from activities import etcd_addition
from activities.etcd import EtcdActivities
from etcd_handoff import planning, time_limits
from etcd_handoff.activity_io import FindResourceResult, UpdateStatusResult, WorkerInfo
from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.contract import AdditionRequest, AdditionResult, StepOutcome
from etcd_handoff.errors import ChangeRefusedError, EtcdError, UnknownOutcomeError, UnreachableError
from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash
from etcd_handoff.operation import ending
from etcd_handoff.operation.commands import (
    Activity,
    AskQueue,
    Cancel,
    DescribeWorker,
    Fail,
    FindResource,
    Finish,
    LookThroughNodes,
    StepFailure,
    Wait,
    WriteStatus,
)
from etcd_handoff.operation.learner import AwaitSync
from etcd_handoff.operation.loop import apply, decide
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from tests.model.gateways import config_of
from tests.unit.builders import step
from workflows.activity_calls import CALLS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from etcd_handoff.cluster_view import MemberSelfReport
    from etcd_handoff.operation.commands import Command

URL: Final = "http://node4:2380"
TROUBLES: Final = ("answer lost", "no effect", "late", "crash")
GIVEN_UP: Final = "given up"
"""The same as a crash, but no further attempt follows."""
LATE_CALLS: Final = 3
PAUSES_UNTIL_STARTED, PAUSES_UNTIL_IN_SYNC = 1, 2
"""The operator starts etcd during the first pause, and it has caught up in the second one."""
MOST_COMMANDS: Final = 200
NEVER: Final = 10**6
VOTERS: Final = ("1", "2", "3", "5", "6")
"""IDs of the voters in the largest cluster; 4 is the one that is added."""
FIRST_INDEX: Final = 10_000


class CrashError(Exception):
    """The worker dies in a step."""


class GivenUpError(Exception):
    """The worker dies in a step for the last time that it is tried."""


@dataclass
class World(EtcdPort):
    """Voters, and whoever joins; the script says what goes wrong at which call.

    Attributes:
        script: What goes wrong, by the number of the call.
        works_after: Pauses after which the member answers as a voter, if it has a vote.
        voters: Who has a vote besides those that were promoted.
        leader: Who leads.
        term: At which term.
        entries: Entries that were committed so far.
        hangs: The disk of the member that joins takes nothing in any more once it has caught up.
        tells: At the last of so many entries it does; it knows of that one, and of no other.
        calls: Calls so far.
        pauses: Pauses of the operation so far.
        learners: IDs of the members that were added.
        promoted: IDs of those that have a vote.
        wrong: What must never happen and did.
    """

    script: Mapping[int, str]
    works_after: int = 0
    voters: list[str] = field(default_factory=lambda: ["1", "2", "3"])
    leader: str = "1"
    term: int = 2
    entries: int = 0
    hangs: bool = False
    tells: int = 0
    calls: int = 0
    pauses: int = 0
    learners: list[str] = field(default_factory=list)
    promoted: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _late: list[tuple[int, str]] = field(default_factory=list)

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """A look."""
        if (trouble := self._call()) in ("answer lost", "no effect", "late"):
            raise UnreachableError(trouble)
        self._crash_at(trouble)
        members = [
            MemberView(id=i, name=f"node{i}", serves_reads=True, **self._well(FIRST_INDEX + self.entries))
            for i in self.voters
        ]
        for member_id in self.learners:
            member = MemberView(id=member_id, name="", peer_urls=(URL,), is_learner=member_id not in self.promoted)
            if self.pauses >= PAUSES_UNTIL_STARTED:
                follows = FIRST_INDEX + (min(self.entries, self.tells) if self.hangs else self.entries)
                seen = self._well(follows if self.in_sync else 10)
                seen.update(name="node4", serves_reads=self.works(member_id))
                member = member.model_copy(update=seen)
            members.append(member)
        return ClusterView(cluster_id="c", members=tuple(members))

    def _well(self, index: int) -> dict[str, Any]:
        """What is seen of a member that answers, and stands at this raft index."""
        return {"reachable": True, "leader_id": self.leader, "term": self.term, "raft_index": index}

    async def close(self) -> None:
        """Nothing is open."""

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Nobody is heard who gives no list."""
        return ()

    async def own_cluster(self) -> str:
        """Nobody is asked."""
        return ""

    @property
    def in_sync(self) -> bool:
        """Whether the member has caught up."""
        return self.pauses >= PAUSES_UNTIL_IN_SYNC

    def works(self, member_id: str) -> bool:
        """Whether a member that was added has a vote, and answers as a voter."""
        return member_id in self.promoted and self.pauses >= self.works_after

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:  # noqa: ARG002  # nobody else is there
        """The lock is ours."""
        self._write(self._call())
        return ""

    async def release_lock(self, holder: str, via_id: str) -> None:  # noqa: ARG002
        """The lock is free."""
        self._write(self._call())

    async def check_rights(self) -> None:
        """Everybody may do everything."""

    async def commit_probe(self, via_id: str = "") -> None:  # noqa: ARG002
        """An entry is committed, after all that was late."""
        self._write(self._call())
        self._catch_up(everything=True)

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:  # noqa: ARG002
        """A learner is in, once."""
        assert tuple(peer_urls) == (URL,)
        trouble = self._call()
        if self.learners:
            msg = "etcdserver: Peer URLs already exists"
            raise ChangeRefusedError(msg)
        self._change(trouble, "add")
        return self.learners[-1]

    async def promote_member(self, member_id: str, via_id: str) -> None:  # noqa: ARG002
        """It has a vote."""
        trouble = self._call()
        if not self.in_sync:
            self.wrong.append("promoted before it was in sync")
        if self.hangs and len(self.voters) == 1:
            self.wrong.append("the second of two voters takes nothing in")
        if member_id in self.promoted:
            msg = "etcdserver: can only promote a learner member"
            raise ChangeRefusedError(msg)
        self._change(trouble, member_id)

    # --- what no addition asks for ----------------------------------------------------------------------------------

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Only a removal watches an election."""
        raise NotImplementedError

    async def hash_at(self, member_id: str, revision: int) -> KeyspaceHash:
        """The requests of the tests want no hash check."""
        raise NotImplementedError

    def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """The requests of the tests want no snapshot."""
        raise NotImplementedError

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Nobody hands over who stays."""
        raise NotImplementedError

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """Nobody leaves unless the addition is cancelled."""
        raise NotImplementedError

    async def abandon_lock(self, holder: str, via_id: str, attempt: str = "") -> None:
        """No attempt is given up while it runs."""
        raise NotImplementedError

    # --- what goes wrong --------------------------------------------------------------------------------------------

    def _change(self, trouble: str | None, what: str) -> None:
        if trouble == "late":
            self._late.append((self.calls + LATE_CALLS, what))
        elif trouble != "no effect":
            self._take_effect(what)
        self._crash_at(trouble)
        if trouble is not None:
            raise UnknownOutcomeError(trouble)

    def _take_effect(self, what: str) -> None:
        if what != "add":
            self.promoted += [what] * (what not in self.promoted)
        elif not self.learners:
            self.learners.append("4")

    def _call(self) -> str | None:
        number, self.calls = self.calls, self.calls + 1
        self._catch_up(everything=False)
        return self.script.get(number)

    def _catch_up(self, *, everything: bool) -> None:
        for due in [due for due in self._late if everything or due[0] <= self.calls]:
            self._late.remove(due)
            self._take_effect(due[1])

    def _write(self, trouble: str | None) -> None:
        self._crash_at(trouble)
        if trouble is not None:
            raise UnknownOutcomeError(trouble)
        self.entries += 1

    def _crash_at(self, trouble: str | None) -> None:
        if trouble == "crash":
            raise CrashError
        if trouble == GIVEN_UP:
            raise GivenUpError


@pytest.fixture(autouse=True)
def _nobody_waits_between_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = replace(time_limits.STEPS, sync_pause_seconds=0.0, lock_release_pause_seconds=0.0)
    monkeypatch.setattr(time_limits, "STEPS", steps)


async def run(world: World) -> AdditionResult | str:
    """The result of the addition, or why it has failed."""
    request = AdditionRequest(cluster="demo", name="node4", peer_urls=(URL,))
    state = OperationState(run_id="run", chain_id="chain", request=request, blocked_remaining_seconds=3600)
    result = await carried_out(world, state)
    assert isinstance(result, AdditionResult | str)
    return result


async def carried_out(
    world: World, state: OperationState, cancelled_at: int = NEVER, most_commands: int = MOST_COMMANDS
) -> Any:
    """How an operation ends: its result, why it has failed, or `cancelled` and the words of that.

    Args:
        world: The cluster.
        state: The operation at its beginning.
        cancelled_at: The number of the command at which somebody cancels it.
        most_commands: After so many commands it is said to go round in circles.
    """
    activities, now = EtcdActivities(config_of(["demo"]), "node1", gateway=lambda *_: world), 0.0
    for number in range(most_commands):
        state, command = decide(state, now)
        if isinstance(command, Finish):
            return command.result
        if isinstance(command, Fail):
            return command.failure.text
        if isinstance(command, Cancel):
            return f"cancelled: {state.doing}"
        if number == cancelled_at:
            state = state.changed(cancel_requested=True)
            if not state.point_of_no_return:
                state = ending.cancelled(state)
                continue
        if isinstance(command, Wait):
            now, world.pauses = now + (command.seconds or 0.0), world.pauses + 1
        result = await result_of(activities, command, number, state, world)
        state = apply(state, command, result, now)
    return f"it goes round in circles: {state.doing}"


async def result_of(
    activities: EtcdActivities, command: Command, number: int, state: OperationState, world: World
) -> Any:
    """What a command comes to; a worker that dies leaves the activity to another one."""
    result: Any = None
    match command:
        case AskQueue():
            result = TakeTurnResult(
                turn=QueuePosition(granted=command.waits, chain_id="chain", request=state.turn_request)
            )
        case DescribeWorker():
            result = WorkerInfo(search_attributes=False)
        case LookThroughNodes():
            result = ()  # no node has a worker of its own
        case FindResource():
            result = FindResourceResult(step=step("find_resource", StepOutcome.OBSERVED))
        case WriteStatus():
            result = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
        case AwaitSync():
            # The operator and the learner go on while it is waited for; the clock of the test stands still.
            world.pauses += 1
            short = command.model_copy(update={"ask": command.ask.model_copy(update={"seconds": 0.0})})
            result = await attempted(activities, short, number)
        case Activity():
            result = await attempted(activities, command, number)
    return result


async def attempted(activities: EtcdActivities, command: Activity, number: int) -> Any:
    """What an activity comes to after as many attempts as it takes."""
    for attempt in itertools.count(1):
        environment = ActivityEnvironment()
        name = CALLS[type(command)].method.__name__
        if not hasattr(activities, name):  # it is for the worker of the new member's node, and there is none
            return StepFailure(name, "", "no worker took it", taken=False)
        info = replace(environment.info, activity_type=name, activity_id=str(number), attempt=attempt)
        environment.info = info
        try:
            return await environment.run(getattr(activities, name), command.ask)
        except (CrashError, EtcdError):
            continue
        except GivenUpError:
            return StepFailure(name, "", "its worker died", attempts=attempt)
    return None


def broken(script: Mapping[int, str], works_after: int = 0, size: int = 3) -> list[str]:
    """What is not as it should be at the end of such an addition to so many voters."""
    world = World(script, works_after, [*VOTERS[:size]])
    result = asyncio.run(run(world))
    if not isinstance(result, AdditionResult):
        return [*world.wrong, result]
    if not world.works("4"):
        world.wrong.append("ended before its member worked as a voter")
    there = (world.learners, world.promoted, result.member_id, str(result.outcome))
    return world.wrong if there == (["4"], ["4"], "4", "added") else [*world.wrong, repr(there)]


CALLS_WITHOUT_TROUBLE: Final = 19
SIZES: Final = (1, 2, 3, 5)
FIRST_OF_PROMOTION: Final = 3
"""The first entry that is committed for the promotion: two were for the learner, its lock and the lock's end."""
WORKS_LATE: Final = 10
"""Pauses: many more than an addition without trouble has."""


@pytest.mark.parametrize("size", SIZES)
def test_without_trouble_it_takes_so_many_calls(size: int) -> None:
    """The scripts reach every one of them."""
    world = World({}, voters=[*VOTERS[:size]])
    assert isinstance(asyncio.run(run(world)), AdditionResult)
    assert world.calls <= CALLS_WITHOUT_TROUBLE


@pytest.mark.parametrize("first", range(CALLS_WITHOUT_TROUBLE))
def test_one_member_is_added_and_promoted_whatever_goes_wrong(first: int) -> None:
    """Once, and twice."""
    scripts = [{first: trouble} for trouble in TROUBLES]
    for second, one, other in itertools.product(range(first + 1, first + 4), TROUBLES, TROUBLES):
        scripts.append({first: one, second: other})
    assert {repr(script): wrong for script in scripts if (wrong := broken(script))} == {}


@pytest.mark.parametrize("size", [size for size in SIZES if size != len(World({}).voters)])
def test_one_member_is_added_to_any_number_of_voters(size: int) -> None:
    """Once, and twice in a row."""
    scripts = [{first: trouble} for first, trouble in itertools.product(range(CALLS_WITHOUT_TROUBLE), TROUBLES)]
    for first, one, other in itertools.product(range(CALLS_WITHOUT_TROUBLE), TROUBLES, TROUBLES):
        scripts.append({first: one, first + 1: other})
    assert {repr(script): wrong for script in scripts if (wrong := broken(script, size=size))} == {}


@pytest.mark.parametrize("trouble", ["", *TROUBLES])
def test_addition_ends_when_its_member_works_as_a_voter(trouble: str) -> None:
    """It waits for one that has its vote and answers no linearizable read yet."""
    assert broken({CALLS_WITHOUT_TROUBLE: trouble} if trouble else {}, WORKS_LATE) == []


@pytest.mark.parametrize(("tells", "demanded"), [(0, 0), (2, 0), (FIRST_OF_PROMOTION, 1)])
def test_member_that_hangs_gets_no_vote_beside_a_single_voter(
    tells: int, demanded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers as before, with the index at which it hangs, and may tell of the entry at which it does.

    A step that demands no entry of it, or one alone, is found.
    """
    world = World({}, voters=["1"], hangs=True, tells=tells)
    result = asyncio.run(run(world))
    assert (isinstance(result, str) and "has not followed a committed entry" in result, world.wrong) == (True, [])
    monkeypatch.setattr(etcd_addition, "ENTRIES_TO_FOLLOW", demanded)
    if not demanded:
        monkeypatch.setattr(etcd_addition.LearnerChange, "_why_behind", lambda *_: "")
    world = World({}, voters=["1"], hangs=True, tells=tells)
    asyncio.run(run(world))
    assert world.wrong == ["the second of two voters takes nothing in"]


def test_loop_that_ends_with_a_vote_that_does_not_work_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the judgement above can fail."""
    monkeypatch.setattr("etcd_handoff.operation.addition.unverified", lambda *_: None)
    assert "ended before its member worked as a voter" in broken({}, WORKS_LATE)


def test_loop_that_promotes_without_a_look_at_the_learner_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the judgement above can fail."""

    def blindly(view: ClusterView, goal: Any) -> Any:
        learner = goal.member_in(view)
        return planning.PromoteLearner(learner.id, "1") if learner and learner.is_learner else planning.plan(view, goal)

    monkeypatch.setattr("etcd_handoff.operation.loop.plan", blindly)
    monkeypatch.setattr("activities.etcd_addition.plan", blindly)
    assert "promoted before it was in sync" in broken({})

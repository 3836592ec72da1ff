"""Additions on real processes with something wrong at each of their steps, or with somebody else at work."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from etcd_handoff.config import CONFIG_VARIABLE
from etcd_handoff.lab import ProcessError, Role
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.temporal.updates import execute_update
from tests.chaos import by_hand, changes, checks
from tests.chaos.conftest import recorded
from tests.integration import additions
from tests.integration.conftest import open_cluster
from tests.integration.progress import says
from tests.integration.temporal_proxy import Proxy, proxy_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from etcd_handoff.contract import AdditionResult
    from etcd_handoff.lab import ListedMember
    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.writer import OpenLoopWriter
    from tests.chaos.changes import Change
    from tests.chaos.conftest import Finding
    from tests.integration.conftest import LiveCluster

REMOVED: Final = "somebody has removed it"
LOST_ANSWERS: Final = {"add_learner.before": "MemberAdd", "promote_member.before": "MemberPromote"}
"""Whose answer is lost, by the point before it."""


@dataclass
class FaultyAddition:
    """An addition with a fault, under writes through a voter that stays.

    Attributes:
        b: Its lab.
        addition: The addition.
        node: Who joins.
        others: The other voters than the one that led at the beginning.
        before: IDs of the voters before it.
        point: Where the fault is injected.
        finding: What it comes to.
        writer: Writes through the one that led.
        started: Whether the new member has been started.
        down: Member lists read while the new member is down.
    """

    b: LiveCluster
    addition: WorkflowHandle[Any, AdditionResult]
    node: Node
    others: list[Node]
    before: set[str]
    point: str
    finding: Finding
    writer: OpenLoopWriter
    started: bool = False
    down: list[list[ListedMember]] = field(default_factory=list)

    async def start(self) -> None:
        """The new member runs, as `progress` says how to start it."""
        await additions.start(self.b, self.addition, self.node)
        self.started = True

    async def held(self) -> None:
        """A worker is held at the point, with the new member started where that is due by then."""
        if not self.point.startswith("add_learner"):
            await self.start()
        await self.b.reached(self.point)

    async def goes_on(self) -> None:
        """The worker that was held goes on, and the new member is started if it was not."""
        self.b.release(self.point)
        if not self.started:
            await self.start()

    async def learner_id(self) -> str:
        """The only learner."""
        (learner,) = (m.id for m in await self.b.lab.members() if m.is_learner)
        return learner

    async def look(self) -> None:
        """Note who is a member while the new one is down."""
        self.down.append(await self.b.lab.members())

    async def ends_well(self, ended: str = "well") -> AdditionResult:
        """It is a voter that works, and nothing else has changed."""
        result = await additions.joined(self.b, self.addition, len(self.before) + 1)
        await self._judge({*self.before, result.member_id})
        self.finding.ended = ended
        return result

    async def ends_without(self, *, learners: Iterable[str] = ()) -> BaseException | None:
        """It fails or is cancelled, and the cluster is as before; with what it failed."""
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(self.addition.result(), additions.PATIENCE)
        await self._judge(self.before, learners)
        self.finding.ended = "refused safely"
        return failed.value.cause

    async def is_cancelled(self) -> bool:
        """Whether it ends as cancelled; it ends well otherwise."""
        try:
            await asyncio.wait_for(self.addition.result(), additions.PATIENCE)
        except WorkflowFailureError as error:
            return isinstance(error.cause, CancelledError)
        return False

    async def _judge(self, voters: Iterable[str], learners: Iterable[str] = ()) -> None:
        hit = self.b.folder / f"{self.point}.hit"
        self.finding.seconds = round(time.time() - hit.stat().st_mtime, 2)
        report = await self.writer.stop()
        self.finding.counts(report)
        await checks.change_is_right(
            self.b.lab,
            self.b.client,
            voters=voters,
            learners=learners,
            down=self.down,
            reports=[report],
        )


@asynccontextmanager
async def begun(
    point: str, folder: Path, finding: Finding, nodes: int, action: str = "hold", **options: Any
) -> AsyncIterator[FaultyAddition]:
    """One of the nodes is free, and is added again."""
    async with open_cluster(folder, nodes=nodes, failpoints=f"{point}={action}", kubernetes=False, **options) as b:
        leader = await b.lab.leader()
        first, *others = b.lab.others(leader)
        node = await additions.out(b.lab, first.name)
        before = {member.id for member in await b.lab.members()}
        writer = await b.writer(leader)
        addition = await additions.add(b, node)
        yield FaultyAddition(b, addition, node, others, before, point, finding, writer)


async def worker_dies(point: str, folder: Path, finding: Finding) -> None:
    """Another one goes on: the member is added once and promoted once."""
    async with begun(point, folder, finding, 3, "kill") as s:
        await s.start()
        await s.ends_well()


async def learner_dies_at_its_start(point: str, folder: Path, finding: Finding) -> None:
    """Nobody knows its name yet, so it counts as one that has not started; then it starts on what data it has."""
    async with begun(point, folder, finding, 2) as s:
        await s.b.reached(point)
        shown = await says(s.addition, so=lambda progress: bool(progress.join_configuration))
        initial = InitialCluster.of(shown.join_configuration, s.b.lab.nodes)
        starting = asyncio.create_task(s.b.lab.start_etcd(s.node, initial))
        await asyncio.sleep(0)  # it has a process, and waits until that is ready
        await s.b.lab.kill(Role.ETCD, s.node.name)
        with pytest.raises(ProcessError):
            await starting
        assert s.node.name not in {m.name for m in await s.b.lab.members()}
        await s.look()
        s.b.release(point)
        await says(s.addition, "Blocked", "LearnerNotStarted")
        await s.look()
        await s.b.lab.start(Role.ETCD, s.node.name)
        await s.ends_well("after healing")


async def learner_dies(point: str, folder: Path, finding: Finding) -> None:
    """It is never promoted while it is down; the vote that it has then counts once it works."""
    async with begun(point, folder, finding, 2) as s:
        await s.held()
        await s.b.lab.kill(Role.ETCD, s.node.name)
        if point in changes.VOTE_ASKED_FOR:  # two voters, of which one is down, commit nothing
            await s.goes_on()
        else:
            await s.look()
            await s.goes_on()
            await says(s.addition, "Blocked", "LearnerUnreachable")
            await s.look()
        await s.b.lab.start(Role.ETCD, s.node.name)
        await s.ends_well("after healing")


async def voter_dies(point: str, folder: Path, finding: Finding) -> None:
    """Three voters, one of which dies: nobody is added, and no learner is promoted, before it is back."""
    async with begun(point, folder, finding, 4) as s:
        dies = s.others[0].name
        await s.held()
        await s.b.lab.kill(Role.ETCD, dies)
        s.b.release(point)
        if not s.started and point != "add_learner.before":
            await s.start()
        if point not in changes.VOTE_ASKED_FOR:
            await says(s.addition, "Blocked", "QuorumAtRisk")
            learners = [] if point == "add_learner.before" else [await s.learner_id()]
            checks.membership_is(await s.b.lab.members(), s.before, learners)
        await s.b.lab.start(Role.ETCD, dies)
        await execute_update(s.addition, "recheck")
        if not s.started:
            await s.start()
        await s.ends_well("after healing")


async def leader_moves(point: str, folder: Path, finding: Finding) -> None:
    """Somebody moves the leader to another voter: whoever leads adds and promotes."""
    async with begun(point, folder, finding, 3) as s:
        await s.held()
        await by_hand.move_leader(s.b.lab, s.others[0].name)
        await s.goes_on()
        await s.ends_well()


async def added_by_hand(point: str, folder: Path, finding: Finding) -> None:
    """Somebody has added the same peer URL first: the addition goes on with that learner, and adds no other."""
    async with begun(point, folder, finding, 2) as s:
        await s.held()
        learner = await by_hand.add(s.b.lab, s.node.peer_url)
        await s.goes_on()
        assert (await s.ends_well()).member_id == learner


async def foreign_learner_added(point: str, folder: Path, finding: Finding) -> None:
    """Somebody else's learner is in the way, and is not changed; once it is gone, the addition goes on."""
    async with begun(point, folder, finding, 2) as s:
        await s.held()
        learner = await by_hand.add(s.b.lab, replace(s.node, peer_port=1).peer_url)  # nobody listens there
        s.b.release(point)
        await says(s.addition, "Blocked", "LearnerInTheWay")
        checks.membership_is(await s.b.lab.members(), s.before, [learner])
        await by_hand.remove(s.b.lab, learner)
        await execute_update(s.addition, "recheck")
        await s.start()
        assert (await s.ends_well("after healing")).member_id != learner


async def promoted_by_hand(point: str, folder: Path, finding: Finding) -> None:
    """A vote that somebody else has given counts."""
    async with begun(point, folder, finding, 2) as s:
        await s.held()
        learner = await s.learner_id()
        await by_hand.promote(s.b.lab, learner)
        await s.goes_on()
        assert (await s.ends_well()).member_id == learner


async def removed_by_hand(point: str, folder: Path, finding: Finding) -> None:
    """A learner that somebody else has removed is not added again."""
    async with begun(point, folder, finding, 2) as s:
        await s.held()
        await by_hand.remove(s.b.lab, await s.learner_id())
        s.b.release(point)
        assert REMOVED in str(await s.ends_without())


async def cancelled(point: str, folder: Path, finding: Finding) -> None:
    """The step ends first; then the learner leaves, unless it has its vote by then.

    One that is too slow to follow two entries before its promotion does not get the vote.
    """
    async with begun(point, folder, finding, 2) as s:
        await s.held()
        await s.addition.cancel()
        s.b.release(point)
        too_slow = point == "promote_member.before" and await s.is_cancelled()
        if point.startswith("promote") and not too_slow:
            await s.ends_well()
        else:
            assert isinstance(await s.ends_without(), CancelledError)


async def cancelled_worker_dies(point: str, folder: Path, finding: Finding) -> None:
    """The worker dies while it removes the learner of a cancelled addition: another one does, and says so."""
    async with begun(point, folder, finding, 3, "kill") as s:
        await says(s.addition, so=lambda progress: bool(progress.join_configuration))
        learner = await s.learner_id()
        await s.addition.cancel()
        assert isinstance(await s.ends_without(), CancelledError)
        shown = await says(s.addition, "Failed")
        assert f"its learner {learner} has been removed" in shown.doing
        finding.ended = "well"


async def answer_lost(point: str, folder: Path, finding: Finding) -> None:
    """Etcd does what it is asked, and nobody hears of it: the member list tells, and nothing is asked twice."""
    async with begun(point, folder, finding, 3, workers=()) as s, AsyncExitStack() as proxies:
        through, config = list[Proxy](), s.b.lab.config_path.read_text()
        for node in s.b.lab.others(s.node.name):
            through.append(await proxies.enter_async_context(proxy_to(node.etcd_url.removeprefix("http://"))))
            config = config.replace(node.etcd_url, f"http://{through[-1].address}")
        path = folder / "through-proxies.toml"
        path.write_text(config)
        await s.b.lab.start_worker(s.others[0].name, {CONFIG_VARIABLE: str(path)})
        await s.held()
        for proxy in through:
            proxy.lost[LOST_ANSWERS[point]] = grpc.StatusCode.UNAVAILABLE
        await s.goes_on()
        await s.ends_well()
        assert [proxy.lost for proxy in through].count({}) == 1, "no answer was lost, so this tests nothing"
        assert sum(proxy.calls.get(LOST_ANSWERS[point], 0) for proxy in through) == 1


FAULTS: Final[dict[str, Callable[[str, Path, Finding], Awaitable[None]]]] = {
    "worker-dies": worker_dies,
    "learner-dies-at-its-start": learner_dies_at_its_start,
    "learner-dies": learner_dies,
    "voter-dies": voter_dies,
    "leader-moves": leader_moves,
    "added-by-hand": added_by_hand,
    "foreign-learner-added": foreign_learner_added,
    "promoted-by-hand": promoted_by_hand,
    "removed-by-hand": removed_by_hand,
    "cancelled": cancelled,
    "cancelled-worker-dies": cancelled_worker_dies,
    "answer-lost": answer_lost,
}


@pytest.mark.integration
@pytest.mark.slow
async def test_addition_with_a_fault(addition: Change, tmp_path: Path) -> None:
    """It ends as the case's own function says, and the check of all changes agrees."""
    async with recorded(addition.name) as finding:
        await FAULTS[addition.fault](addition.point, tmp_path, finding)

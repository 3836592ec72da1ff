"""A replacement under writes, with something wrong at each of its steps, or with somebody else at work."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from temporalio.client import WorkflowFailureError

from etcd_handoff.contract import RemovalRequest, ReplacementRequest
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.lab.writer import OpenLoopWriter
from etcd_handoff.temporal.client import connect, start_removal, start_replacement
from tests.chaos import by_hand, changes, checks
from tests.chaos.conftest import recorded
from tests.integration.progress import progress_of, says

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from etcd_handoff.contract import ReplacementResult
    from etcd_handoff.lab.nodes import Node
    from tests.chaos.changes import Change
    from tests.chaos.conftest import Finding

WAITED_FOR: Final = ("update_status.before", "learner-dies")
"""The new member has its vote and dies: the old one, which works, stays until it is back."""
STARTED_FIRST: Final = ("learner-dies", "promoted-by-hand")
"""Nobody else dies, and etcd itself promotes nobody else."""
END_SECONDS: Final = 90.0
REMOVED: Final = "somebody has removed it"


@dataclass
class FaultyReplacement:
    """A leader that is replaced with a fault, under writes through a voter that stays.

    Attributes:
        lab: The lab.
        replacement: The replacement.
        point: Where the fault is injected.
        fault: Name of the fault.
        spare: The node of the new member.
        leader: Name of the member that is replaced.
        other: Name of a voter that stays.
        writes: The node through which is written.
        before: IDs of the voters before it, by name.
        started: Whether the new member has been started.
    """

    lab: Lab
    replacement: WorkflowHandle[object, ReplacementResult]
    point: str
    fault: str
    spare: Node
    leader: str
    other: str
    writes: Node
    before: dict[str, str]
    started: bool = False

    @property
    def dies(self) -> str:
        """Who dies; empty when nobody does."""
        dead = {"learner-dies": self.spare.name, "old-dies": self.leader, "other-dies": self.other}
        return dead.get(self.fault, "")

    async def inject(self) -> str:
        """Inject the fault; ID of the learner of which others do something, else empty.

        A leader that moves goes to another voter, or back to the one that is to leave.
        """
        learner = ""
        match self.fault:
            case "leader-moves":
                to = self.other if await self.lab.leader() == self.leader else self.leader
                await by_hand.move_leader(self.lab, to)
            case "added-by-hand":
                learner = await by_hand.add(self.lab, self.spare.peer_url)
            case "promoted-by-hand":
                learner = await self.learner_id()
                await by_hand.promote(self.lab, learner)
            case "removed-by-hand":
                learner = await self.learner_id()
                await by_hand.remove(self.lab, learner)
            case _:
                await self.lab.kill(Role.ETCD, self.dies)
        return learner

    async def learner_id(self) -> str:
        """The only learner."""
        (learner,) = (m.id for m in await self.lab.members(self.writes.name) if m.is_learner)
        return learner

    async def start(self, held: Path | None = None) -> None:
        """Start the new member when it is awaited, unless it was."""
        self.started = self.started or await _start_when_it_is_awaited(self.lab, self.replacement, self.spare, held)

    async def waits(self) -> None:
        """Where it must wait for a member that is down, it says so and changes nothing."""
        if self.point in changes.BEFORE_THE_VOTE and self.fault == "other-dies":
            if not self.point.startswith(("check_leader", "add_learner.before")):
                await self.start()
            await says(self.replacement, "Blocked", "QuorumAtRisk")
            votes = {m.id for m in await self.lab.members(self.writes.name) if not m.is_learner}
            assert votes == {*self.before.values()}
        if (self.point, self.fault) == WAITED_FOR:
            await says(self.replacement, "Blocked", "NotVerified")
            assert self.leader in {m.name for m in await self.lab.members(self.writes.name)}

    @property
    def ends_without(self) -> bool:
        """Whether it ends before the member that has died is back: the new one has its vote by then."""
        return self.fault == "other-dies" and self.point not in changes.BEFORE_THE_VOTE


@pytest.mark.integration
@pytest.mark.slow
async def test_replacement_with_a_fault(replacement: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies, or a member: the new one, the old one, or one that stays; or somebody else changes something.

    Another worker goes on; in an activity of both halves the fault is injected in the first.
    """
    async with recorded(replacement.name) as finding:
        await replaced(replacement, finding, tmp_path, monkeypatch)


async def replaced(change: Change, finding: Finding, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader is replaced with the fault injected at this point."""
    point, fault = change.point, change.fault
    held = fault != "worker-dies"
    env = ((FAILPOINTS_VARIABLE, f"{point}={'hold' if held else 'kill'}"), (FOLDER_VARIABLE, str(folder)))
    hit, release = folder / f"{point}.hit", folder / f"{point}.release"
    options = LabOptions(nodes=4, workers=("node0", "node1"), directory=folder / "lab", worker_env=env, forked=True)
    async with Lab(options) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setitem(os.environ, name, value)
        await lab.wait_for_health_interval()
        client, leader = await connect(), await lab.leader()
        spare, other, writes = lab.others(leader)
        hit.touch()
        release.touch()
        await (await start_removal(client, RemovalRequest(cluster=lab.cluster, member=spare.name))).result()
        if lab.alive(Role.ETCD, spare.name):
            await lab.kill(Role.ETCD, spare.name)
        shutil.rmtree(lab.directory / spare.name / "etcd")
        await lab.wait_for_health_interval()
        release.unlink()
        hit.unlink()
        before = {m.name: m.id for m in await lab.members()}
        request = ReplacementRequest(
            cluster=lab.cluster, member=leader, name=spare.name, peer_urls=(spare.peer_url,), blocked_timeout_seconds=90
        )
        async with OpenLoopWriter(writes.etcd_url, folder, forked=True) as writer:
            replacement = await start_replacement(client, request)
            s = FaultyReplacement(lab, replacement, point, fault, spare, leader, other.name, writes, before)
            await s.start(hit if held else None)
            if fault in STARTED_FIRST and not s.started:  # it is held while it waits for the start
                s.started = await _start_and_see(lab, spare, writes)
            learner = await s.inject() if held else ""
            release.touch()
            voters = await (_fails(s, learner) if fault == "removed-by-hand" else _ends(s, learner))
            finding.seconds = round(time.time() - hit.stat().st_mtime, 2)
            report = await writer.stop()
        finding.counts(report)
        await checks.change_is_right(lab, client, voters=voters, reports=[report])
        finding.ended = _ended(s)


def _ended(s: FaultyReplacement) -> str:
    """How the case ended that was right."""
    if s.fault == "removed-by-hand":
        return "refused safely"
    waited = (s.point, s.fault) == WAITED_FOR or (s.fault == "other-dies" and not s.ends_without)
    return "after healing" if waited else "well"


async def _fails(s: FaultyReplacement, learner: str) -> set[str]:
    """A learner that somebody else has removed is not added again, and how to go on is said; IDs of the voters."""
    with pytest.raises(WorkflowFailureError) as failed:
        await asyncio.wait_for(s.replacement.result(), END_SECONDS)
    text = str(failed.value.cause)
    assert f"member {learner}" in text
    assert REMOVED in text
    assert f"`etcd-handoff replace {s.before[s.leader]} --with {s.spare.name}" in text
    return {*s.before.values()}


async def _ends(s: FaultyReplacement, learner: str) -> set[str]:
    """The new member has the old one's place, whoever has added or promoted it; IDs of the voters.

    Who has died is back then, unless that was the old member.
    """
    await s.waits()
    back = "" if s.fault == "old-dies" else s.dies
    if back and not s.ends_without:
        if s.fault == "learner-dies":
            await s.start()
        await s.lab.start(Role.ETCD, back)
    await s.start()
    result = await s.replacement.result()
    assert result.outcome == "replaced"
    assert result.new_member_id == (learner or result.new_member_id)
    assert {m.name for m in await s.lab.members(s.writes.name)} == {*s.before, s.spare.name} - {s.leader}
    if back and s.ends_without:
        await s.lab.start(Role.ETCD, back)
    return {*s.before.values(), result.new_member_id} - {s.before[s.leader]}


async def _start_when_it_is_awaited(
    lab: Lab, replacement: WorkflowHandle[object, ReplacementResult], node: Node, held: Path | None
) -> bool:
    """The operator starts the new member once the page asks for it; False when a worker is held before that.

    With `held` it returns when a worker is held there.
    """
    states = ["nothing"]

    async def is_awaited() -> bool:
        if _is_there(held):
            return True
        progress = await progress_of(replacement)
        if progress:
            states.append(f"{progress.state}: {progress.doing}; what unblocks it {progress.waiting_for}")
        return bool(progress and progress.join_configuration)

    async def reached() -> bool:
        return _is_there(held)

    await wait_until(is_awaited, "the new member is awaited", END_SECONDS, lambda: f"it says {states[-1]}")
    if _is_there(held):
        return False
    await lab.start_etcd(node, InitialCluster(lab.nodes, "existing"))
    if held is not None:
        await wait_until(reached, f"a worker reaches {held.name}", END_SECONDS)
    return True


async def _start_and_see(lab: Lab, node: Node, through: Node) -> bool:
    """The new member runs, and the others know its name; always True."""
    await lab.start_etcd(node, InitialCluster(lab.nodes, "existing"))

    async def named() -> bool:
        return node.name in {m.name for m in await lab.members(through.name)}

    await wait_until(named, f"{node.name} has started", END_SECONDS)
    return True


def _is_there(file: Path | None) -> bool:
    return file is not None and file.exists()

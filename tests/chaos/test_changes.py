"""A replacement under writes, with something wrong at each of its steps: it ends as if nothing had been."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.contract import RemovalRequest, ReplacementRequest
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.lab.writer import OpenLoopWriter
from etcd_handoff.temporal.client import connect, start_removal, start_replacement
from tests.chaos import by_hand, judges
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
END_SECONDS: Final = 90.0


@pytest.mark.integration
@pytest.mark.slow
async def test_replacement_is_struck(replacement: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies, or a member: the new one, the old one, or one that stays; or the leader moves.

    Another worker goes on; in an activity of both halves it is struck in the first.
    """
    async with recorded(replacement.name) as finding:
        await replaced(replacement, finding, tmp_path, monkeypatch)


async def replaced(change: Change, finding: Finding, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader is replaced while something strikes at this point."""
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
            started = await _start_when_it_is_awaited(lab, replacement, spare, hit if held else None)
            if fault == "learner-dies" and not started:  # it is held while it waits for the start
                started = await _start_and_see(lab, spare, writes)
            if held:
                await _inject(lab, fault, spare.name, leader, other.name)
                release.touch()
                if not started:
                    await _start_when_it_is_awaited(lab, replacement, spare, None)
                if (point, fault) == WAITED_FOR:
                    await says(replacement, "Blocked", "NotVerified")
                    assert leader in {m.name for m in await lab.members(writes.name)}
                if back := {"learner-dies": spare.name, "other-dies": other.name}.get(fault):
                    await lab.start(Role.ETCD, back)
            result = await replacement.result()
            finding.seconds = round(time.time() - hit.stat().st_mtime, 2)
            report = await writer.stop()
        finding.counts(report)
        assert result.outcome == "replaced"
        voters = {*before.values(), result.new_member_id} - {before[leader]}
        assert {m.name for m in await lab.members(writes.name)} == {*before, spare.name} - {leader}
        await judges.change_is_right(lab, client, voters=voters, reports=[report])
        finding.ended = "after healing" if (point, fault) == WAITED_FOR else "well"


async def _inject(lab: Lab, fault: str, spare: str, leader: str, other: str) -> None:
    """What the fault is; a leader that moves goes to another voter, or back to the one that is to leave."""
    if fault == "leader-moves":
        await by_hand.move_leader(lab, other if await lab.leader() == leader else leader)
    else:
        await lab.kill(Role.ETCD, {"learner-dies": spare, "old-dies": leader, "other-dies": other}[fault])


async def _start_when_it_is_awaited(
    lab: Lab, replacement: WorkflowHandle[object, ReplacementResult], node: Node, held: Path | None
) -> bool:
    """The operator starts the new member once the page asks for it; False when a worker is held before that.

    With `held` it returns when a worker is held there.
    """
    said = ["nothing"]

    async def asked() -> bool:
        if _is_there(held):
            return True
        progress = await progress_of(replacement)
        if progress:
            said.append(f"{progress.state}: {progress.doing}; what unblocks it {progress.waiting_for}")
        return bool(progress and progress.join_configuration)

    async def struck() -> bool:
        return _is_there(held)

    await wait_until(asked, "the new member is awaited", END_SECONDS, lambda: f"it says {said[-1]}")
    if _is_there(held):
        return False
    await lab.start_etcd(node, InitialCluster(lab.nodes, "existing"))
    if held is not None:
        await wait_until(struck, f"a worker reaches {held.name}", END_SECONDS)
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

"""A replacement under writes, with something wrong at each of its steps: it ends as if nothing had been."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.contract import RemovalRequest, ReplacementRequest
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.temporal.client import connect, start_removal, start_replacement
from tests.chaos import judges
from tests.integration.progress import progress_of, says

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from etcd_handoff.contract import ReplacementResult
    from etcd_handoff.lab.nodes import Node

STEPS: Final = (
    "check_leader",
    "add_learner",
    "await_sync",
    "promote_member",
    "update_status",
    "move_leader",
    "await_election",
    "remove_member",
)
MOMENTS: Final = ("before", "during", "after")
POINTS: Final = tuple(f"{step}.{moment}" for step, moment in itertools.product(STEPS, MOMENTS))
STRUCK: Final = {
    "add_learner.after": ("old",),
    "await_sync.during": ("learner",),
    "promote_member.before": ("learner", "old", "other"),
    "update_status.before": ("learner", "old"),
}
"""Members that are killed at points where that matters. The new one and one that stays come back, as their supervisors
would have it; the old one does not."""
WAITED_FOR: Final = ("update_status.before", "learner")
"""The new member has its vote and dies: the old one, which works, stays until it is back."""
SAMPLE: Final = ("replacement/promote_member.before/old",)
"""What `make test` runs."""
END_SECONDS: Final = 90.0


def chosen() -> list[str]:
    """All cases with `CHAOS=all`, those with `CHAOS=<part of a name>` in their name, else the sample."""
    names = [f"replacement/{point}/worker" for point in POINTS]
    names += [f"replacement/{point}/{victim}" for point, victims in STRUCK.items() for victim in victims]
    wanted = os.environ.get("CHAOS", "")
    return list(SAMPLE) if wanted in ("", "sample") else [n for n in names if wanted == "all" or wanted in n]


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("name", chosen())
async def test_replacement_is_struck(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies, or a member: the new one, the old one, or one that stays. It ends as if nothing had been.

    Another worker goes on; in an activity of both halves it is struck in the first.
    """
    _, point, victim = name.split("/")
    await replaced(point, "" if victim == "worker" else victim, tmp_path, monkeypatch)


async def replaced(point: str, victim: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader is replaced while the worker, or a member, dies at this point."""
    env = ((FAILPOINTS_VARIABLE, f"{point}={'hold' if victim else 'kill'}"), (FOLDER_VARIABLE, str(folder)))
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
        request = ReplacementRequest(
            cluster=lab.cluster, member=leader, name=spare.name, peer_urls=(spare.peer_url,), blocked_timeout_seconds=90
        )
        async with OpenLoopWriter(writes.etcd_url, folder, forked=True) as writer:
            replacement = await start_replacement(client, request)
            started = await _start_when_it_is_awaited(lab, replacement, spare, hit if victim else None)
            if victim == "learner" and not started:  # it is held while it waits for the start
                started = await _start_and_see(lab, spare, writes)
            if victim:
                who = {"learner": spare, "old": lab.node(leader), "other": other}[victim].name
                await lab.kill(Role.ETCD, who)
                release.touch()
                if not started:
                    await _start_when_it_is_awaited(lab, replacement, spare, None)
                if (point, victim) == WAITED_FOR:
                    await says(replacement, "Blocked", "NotVerified")
                    assert leader in {m.name for m in await lab.members(writes.name)}
                if victim != "old":
                    await lab.start(Role.ETCD, who)
            result = await replacement.result()
            report = await writer.stop()
        left = [node for node in lab.nodes if node.name != leader]
        assert result.outcome == "replaced"
        assert hit.exists(), "the fault has struck"
        assert {m.name for m in await lab.members(writes.name)} == {node.name for node in left}
        assert await missing(report, [node.etcd_url for node in left]) == {}
        await judges.writes_are_acknowledged(writes.etcd_url)
        await judges.no_lock_is_left(writes.etcd_url)
        await judges.nothing_runs(client)


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

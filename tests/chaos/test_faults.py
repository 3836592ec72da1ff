"""The fault matrix on real processes: whatever strikes in whichever step, the removal ends well and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.client import connect, start_removal
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.writer import OpenLoopWriter
from etcd_handoff.model import RemovalRequest, RemovalResult
from tests.chaos import judges
from tests.chaos.cases import NETWORK_FAULTS
from tests.chaos.conftest import Finding, store
from tests.chaos.faults import FAULTS, Scene

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.client import Removal
    from etcd_handoff.lab.writer import WriteReport
    from tests.chaos.cases import Case

WORKERS: Final = ("node0", "node1", "node2")
UNMENDED_SECONDS: Final = 12.0
"""How long a removal may take with the fault in place; then the fault is undone, as an operator would."""
MENDED_SECONDS: Final = 90.0
ASK_SECONDS: Final = 0.2


@pytest.mark.integration
@pytest.mark.slow
async def test_case(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held at its moment, struck, let go: the removal ends, and all judges agree."""
    finding = Finding(case.name)
    before = judges.children()
    try:
        await _run(case, tmp_path, finding, monkeypatch)
        judges.nothing_is_left(before)
    except BaseException as error:  # a case that hangs ends as one that is stopped: by a cancellation
        finding.ended, finding.said = "broken", f"{type(error).__name__}: {error}"[:500]
        raise
    finally:
        store(finding)


async def _run(case: Case, folder: Path, finding: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    env = ((FAILPOINTS_VARIABLE, f"{case.point}=hold"), (FOLDER_VARIABLE, str(folder)))
    options = LabOptions(
        workers=WORKERS, directory=folder / "lab", worker_env=env, network=case.fault in NETWORK_FAULTS
    )
    async with Lab(options) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setitem(os.environ, name, value)
        await lab.of_age()
        leader = await lab.leader()
        target = leader if case.target == "leader" else lab.others(leader)[0].name
        if case.target == "learner":
            target = (await lab.add_learner()).name
        stay = [name for name in WORKERS if name != target]
        writer_node = stay[0] if stay[0] != leader else stay[1]
        other = next(name for name in stay if name != writer_node)
        before = [m.name for m in await lab.members()]
        client = await connect()
        if case.target == "unreachable":
            await lab.kill(Role.ETCD, target)
        async with OpenLoopWriter(lab.node(writer_node).etcd_url, folder) as writer:
            removal = await start_removal(client, RemovalRequest(cluster=lab.cluster, member=target))
            scene = Scene(lab, target, other, writer_node, await _held(lab, folder / f"{case.point}.hit"))
            writer_url = lab.node(writer_node).etcd_url
            if case.proposed:  # what strikes afterwards may take the quorum itself
                await judges.quorum_is_kept(writer_url, target)
            struck = time.monotonic()
            await FAULTS[case.fault].strike(scene)
            (folder / f"{case.point}.release").touch()
            ending = asyncio.ensure_future(_result(removal))
            done, _ = await asyncio.wait({ending}, timeout=UNMENDED_SECONDS)
            if not case.proposed:
                await judges.quorum_is_kept(writer_url, target)
            await FAULTS[case.fault].mend(scene)
            result = await asyncio.wait_for(ending, MENDED_SECONDS)
            finding.seconds = round(time.monotonic() - struck, 2)
            report = await writer.stop()
        finding.gap_ms, finding.failed_writes = round(report.longest_gap_ms(), 1), len(report.failed)
        await _judge(scene, before, result, report)
        await judges.writes_go_on(writer_url, folder)
        await judges.nothing_runs(client)
        refused = isinstance(result, ApplicationError)
        finding.ended = "refused safely" if refused else "well" if done else "after mending"


async def _judge(
    scene: Scene, before: list[str], result: RemovalResult | ApplicationError, report: WriteReport
) -> None:
    """What is left is what should be, and it holds what was acknowledged."""
    lab, target = scene.lab, scene.target
    listed, resources = [m.name for m in await lab.members(scene.writer)], await lab.etcdmembers(scene.writer)
    judges.members_are(listed, before, target)
    if isinstance(result, ApplicationError):
        judges.refused_truly(result.type, result.message, has_resource=target in resources)
    else:
        judges.ended_well(result.outcome, recorded=result.status_recorded, has_resource=target in resources)
    judges.resources_agree(listed, resources)
    left = [lab.node(name).etcd_url for name in listed if lab.alive(Role.ETCD, name)]
    assert len(left) == len(listed), "a member that stays was not mended"
    await judges.writes_are_there(report, left)
    judges.revisions_go_forward(report)
    await judges.revisions_are_kept(report, left)
    await judges.hashes_agree(left)


async def _result(removal: Removal) -> RemovalResult | ApplicationError:
    """The removal's result, or its failure as the contract has it; while Temporal is away nobody can tell it."""
    while True:
        try:
            return await removal.result()
        except WorkflowFailureError as error:
            if isinstance(error.cause, ApplicationError):
                return error.cause
            raise
        except RPCError as error:
            if error.status is not RPCStatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(ASK_SECONDS)


async def _held(lab: Lab, hit: Path) -> str:
    """The node whose worker is held."""

    async def reached() -> bool:
        return _process_id(hit) is not None

    await wait_until(reached, f"a worker reaches {hit.stem}", 40)
    return next(name for name in WORKERS if lab.process(Role.WORKER, name).pid == _process_id(hit))


def _process_id(hit: Path) -> int | None:
    """Whoever is held; None while nobody is."""
    try:
        return int(hit.read_text())
    except (FileNotFoundError, ValueError):
        return None

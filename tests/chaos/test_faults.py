"""The fault matrix on real processes: whatever fault in whatever step, the removal ends well and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.contract import HandoffState, RemovalRequest, RemovalResult, workflow_id
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.writer import OpenLoopWriter
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest, watcher_id
from etcd_handoff.temporal.client import connect, start_removal, start_watcher
from etcd_handoff.temporal.search_attributes import STATE_KEY
from tests.chaos import checks
from tests.chaos.cases import FLAGGED, NARROW, WATCHED
from tests.chaos.conftest import recorded
from tests.chaos.faults import FAULTS, FaultContext
from tests.integration.isolation import require_isolation

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import Client

    from etcd_handoff.lab import ListedMember
    from etcd_handoff.lab.writer import WriteReport
    from etcd_handoff.temporal.client import Removal
    from tests.chaos.cases import Case
    from tests.chaos.conftest import Finding

WORKERS: Final = ("node0", "node1", "node2")
UNMENDED_SECONDS: Final = 12.0
"""How long a removal may take with the fault in place; then the fault is undone, as an operator would."""
MENDED_SECONDS: Final = 90.0
BEGIN_SECONDS: Final = 30.0
RESYNC_SECONDS: Final = 1.0
ASK_SECONDS: Final = 0.2


@pytest.mark.integration
@pytest.mark.slow
async def test_case(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held at its moment, the fault injected, let go: the removal ends, and all checks hold."""
    if case.isolated:
        require_isolation()
    async with recorded(case.name) as finding:
        await _run(case, tmp_path, finding, monkeypatch)


async def _run(case: Case, folder: Path, finding: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    env = ((FAILPOINTS_VARIABLE, f"RemoveMember/{case.point}=hold"), (FOLDER_VARIABLE, str(folder)))
    fault = FAULTS[case.fault]
    options = LabOptions(
        workers=WORKERS,
        directory=folder / "lab",
        worker_env=env,
        isolated=case.isolated,
        **{"forked": True, **fault.options},
    )
    async with Lab(options) as lab, AsyncExitStack() as stack:
        for name, value in lab.environment.items():
            monkeypatch.setitem(os.environ, name, value)
        await lab.wait_for_health_interval()
        target, other, writer_node = await _cast(case, lab)
        before = await lab.members()
        client = await connect()
        if case.target == "unreachable":
            await lab.kill(Role.ETCD, target)
        memory = None
        if case.fault in WATCHED:
            await start_watcher(client, ReconcileEtcdMembersRequest(cluster=lab.cluster, resync_seconds=RESYNC_SECONDS))
            memory = await stack.enter_async_context(checks.Memory(lab, writer_node))
        async with OpenLoopWriter(lab.node(writer_node).etcd_url, folder, forked=True) as writer:
            removal = await _begin(case, lab, client, target, writer_node)
            context = FaultContext(lab, target, other, writer_node, await _held(lab, folder / f"{case.point}.hit"))
            writer_url = lab.node(writer_node).etcd_url
            if case.proposed:  # the fault may take the quorum itself
                await checks.quorum_is_kept(writer_url, target)
            injected = time.monotonic()
            await fault.inject(context)
            (folder / f"{case.point}.release").touch()
            ending = asyncio.ensure_future(_result(removal))
            done = await _untouched(case, removal, ending)
            await checks.nothing_is_stopped(case, writer_url, target, done=done)
            await fault.heal(context)
            result = await asyncio.wait_for(ending, MENDED_SECONDS)
            finding.seconds = round(time.monotonic() - injected, 2)
            report = await writer.stop()
        finding.counts(report)
        refused = isinstance(result, ApplicationError)
        ended = "refused safely" if refused else "well" if done else "after healing"
        checks.ended_rightly(ended, case.right_ends)
        await _judge(case, context, before, result, report)
        await checks.writes_go_on(writer_url, folder)
        await checks.no_lock_remains(writer_url)
        if memory is not None:
            memory.nobody_was_denied()
            await client.get_workflow_handle(watcher_id(lab.cluster)).cancel()
        await checks.nothing_runs(client)
        finding.ended = ended


async def _cast(case: Case, lab: Lab) -> tuple[str, str, str]:
    """The node that leaves, a voter that stays, and the one to write through.

    Where a follower leaves, one of the two that stay leads: the one that is written through where the fault is of what
    a voter says, the other one else. A leader whose disk hangs acknowledges nothing itself.
    """
    leader = await lab.leader()
    target = leader if case.target == "leader" else lab.others(leader)[0].name
    if case.target == "learner":
        target = (await lab.add_learner()).name
    followers = [name for name in WORKERS if name not in (target, leader)]
    stay = [*followers, leader] if target != leader else followers
    through_leader = case.fault in NARROW and case.fault != "hang-disk-leader"
    writer_node = stay[-1] if through_leader else stay[0]
    return target, next(name for name in stay if name != writer_node), writer_node


async def _begin(case: Case, lab: Lab, client: Client, target: str, via: str) -> Removal:
    """The removal, started by a client or by the EtcdMember that asks for it."""
    if case.fault not in FLAGGED:
        return await start_removal(client, RemovalRequest(cluster=lab.cluster, member=target))
    patch = ("--type", "merge", "-p", json.dumps({"spec": {"leave": True}}))
    await lab.kubectl("patch", "etcdmember", target, *patch, context=via)
    handle: Removal = client.get_workflow_handle(workflow_id(lab.cluster, target), result_type=RemovalResult)

    async def begun() -> bool:
        with contextlib.suppress(RPCError):
            return bool((await handle.describe()).run_id)
        return False

    await wait_until(begun, "the watcher starts the removal", BEGIN_SECONDS)
    return handle


async def _untouched(case: Case, removal: Removal, ending: asyncio.Future[Any]) -> bool:
    """Whether the removal has ended with the fault in place; where it must wait, it is asked until it says so."""
    if not case.waits:
        await asyncio.wait({ending}, timeout=UNMENDED_SECONDS)
        return ending.done()
    blocked = asyncio.ensure_future(_blocked(removal))
    await asyncio.wait({ending, blocked}, timeout=UNMENDED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    blocked.cancel()
    await asyncio.gather(blocked, return_exceptions=True)
    return ending.done()


async def _blocked(removal: Removal) -> None:
    """The removal says that it waits."""

    async def says_so() -> bool:
        return (await removal.describe()).typed_search_attributes.get(STATE_KEY) == HandoffState.BLOCKED

    await wait_until(says_so, "the removal is blocked", UNMENDED_SECONDS)


async def _judge(
    case: Case,
    context: FaultContext,
    before: list[ListedMember],
    result: RemovalResult | ApplicationError,
    report: WriteReport,
) -> None:
    """What is left is what should be, and it holds what was acknowledged."""
    lab, target = context.lab, context.target
    members, resources = await lab.members(context.writer), await lab.etcdmembers(context.writer)
    listed = [m.name for m in members]
    denied = case.refused and isinstance(result, ApplicationError)
    if denied:
        checks.membership_is(members, [m.id for m in before])
    else:
        checks.members_are(members, before, target, returns=case.fault in FLAGGED)
    if isinstance(result, ApplicationError) and denied:
        checks.refused_for_rights(result.type, result.message)
    elif isinstance(result, ApplicationError):
        checks.refused_truly(result.type, result.message, has_resource=target in resources)
    else:
        checks.ended_well(result.outcome)
        checks.recorded_or_said(
            recorded=result.status_recorded, has_resource=target in resources, note=result.status_note
        )
        if not result.status_recorded or case.fault in FLAGGED:  # it comes by itself
            await checks.resources_come_to_agree(
                lambda: lab.members(context.writer), lambda: lab.etcdmembers(context.writer), checks.RECORDED_SECONDS
            )
            resources = await lab.etcdmembers(context.writer)
    checks.resources_agree(members, resources)
    left = [lab.node(name).etcd_url for name in listed if lab.alive(Role.ETCD, name)]
    assert len(left) == len(listed), "a member that stays was not healed"
    await checks.writes_are_there(report, left)
    checks.revisions_go_forward(report)
    await checks.revisions_are_kept(report, left)
    await checks.hashes_agree(left)


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

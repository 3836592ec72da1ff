"""The client for scripts, and the example scripts as they are, on a real cluster."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff import client
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import run

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench

SCRIPTS: Final = ROOT / "docs" / "examples" / "scripts"


async def script(b: Bench, name: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, output and errors of an example script."""
    command = [sys.executable, str(SCRIPTS / name), *arguments]
    return await run(command, {**b.lab.environment, **environment}, ROOT)


async def _approved_while_workers_were_away(b: Bench, member: str) -> None:
    """The progress goes on where it was, with another worker; the approval is taken once."""
    handoff = await client.connect()
    removal = await handoff.remove(b.lab.cluster, member, require_approval=True)
    states: list[str] = []

    async def follow() -> None:
        async for now in removal.progress():
            states.append(str(now.state))  # noqa: PERF401  # each as it comes

    following = asyncio.ensure_future(follow())

    async def waits() -> bool:
        return states[-1:] == ["AwaitingApproval"]

    await wait_until(waits, "it waits for an approval", 30)
    again = await handoff.attach(removal.workflow_id)
    for node in b.lab.nodes[:2]:
        await b.lab.kill(Role.WORKER, node.name)
    assert await again.now() is None
    await b.lab.start_worker("node0")
    await again.approve("somebody", "change 4711")
    result = await again.result()
    assert (type(result), str(result.outcome)) == (client.RemovalResult, "removed")
    async with asyncio.timeout(30):
        await following
    assert states[-1] == "Done"
    with pytest.raises(client.UnknownOperationError):
        await removal.approve("somebody")


async def _cancelled(b: Bench, member: str) -> None:
    """Attaching needs the workflow ID alone; what has ended says so in its class."""
    handoff = await client.connect()
    removal = await handoff.remove(b.lab.cluster, member, require_approval=True)
    other = await handoff.attach(f"etcd-remove/{b.lab.cluster}/{member}")
    assert "cancelled" in await other.cancel("wrong rack")
    with pytest.raises(client.OperationCancelledError):
        await removal.result()
    with pytest.raises(client.UnknownOperationError, match="etcd-remove/demo/nobody"):
        await handoff.attach("etcd-remove/demo/nobody")
    with pytest.raises(client.UnknownClusterError):
        await (await handoff.remove("elsewhere", member)).result()


async def _examples(b: Bench, one: str, rack: tuple[str, str], last: str) -> None:
    """Each does what its first lines say, with the exit status that they say."""
    status, said, errors = await script(b, "remove_member.py", b.lab.cluster, one)
    assert (status, said.splitlines()[-1].startswith(f"{one}: removed")) == (0, True), errors
    assert said.startswith("Checking")
    status, said, errors = await script(b, "remove_member.py", b.lab.cluster, "nobody")
    assert (status, errors.startswith("UnknownMember: ")) == (1, True), errors
    status, said, errors = await script(b, "empty_rack.py", b.lab.cluster, *rack)
    assert status == 0, said + errors
    assert [line for line in said.splitlines() if "has to wait" not in line] == [f"{m}: removed" for m in rack]

    status, said, errors = await script(b, "pipeline_step.py", b.lab.cluster, one)
    assert (status, json.loads(said)["outcome"]) == (0, "already-absent"), errors
    for wrong, code, name in (("a/b", 2, "InvalidInput"), ("nobody", 2, "UnknownMember"), (last, 3, "Refused")):
        status, said, errors = await script(b, "pipeline_step.py", b.lab.cluster, wrong)
        assert (status, said, f"{name}Error: " in errors) == (code, "", True), errors
    status, said, errors = await script(b, "pipeline_step.py", b.lab.cluster, last, TEMPORAL_ADDRESS="127.0.0.1:1")
    assert (status, said, "TemporalUnreachableError: " in errors) == (4, "", True), errors


async def test_scripts_empty_a_cluster_down_to_its_last_member(bench: MakeBench) -> None:
    """An approval that outlives its workers, a cancellation, and three example scripts."""
    async with bench(nodes=5) as b:
        leader = await b.lab.leader()
        first, *others = (node.name for node in b.lab.others(leader))
        await _cancelled(b, first)
        await _approved_while_workers_were_away(b, first)
        await _examples(b, leader, (others[0], others[1]), others[2])
        await b.judge({leader, first, *others[:2]})

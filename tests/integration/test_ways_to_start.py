"""The ways to start a removal, what the command line shows of a cluster, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from temporalio.client import WorkflowExecutionStatus

from etcd_handoff import client
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import run
from etcd_handoff.temporal.client import start_removal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import MakeLiveCluster


START = ("workflow", "start", "--type", "RemoveMember", "--task-queue", "etcd-handoff")


def _input(member: str) -> str:
    return json.dumps({"cluster": "demo", "member": member})


def _shown_script() -> str:
    """The script that the README shows, which is that of the module's docstring."""
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (script,) = blocks
    assert (client.__doc__ or "").endswith(script)
    return script


async def test_command_line_temporal_and_python_each_remove_a_member(live_cluster: MakeLiveCluster) -> None:
    """Three of five members leave, one by each way, and a second start of a running removal joins it."""
    async with live_cluster(nodes=5, workers=("node0", "node1", "node2"), failpoints="remove_member.before=hold") as b:
        leader = await b.lab.leader()
        first, second, third = (node.name for node in b.lab.others(leader)[:3])
        following = asyncio.ensure_future(b.lab.handoff("remove", first, "-c", "demo"))
        await b.reached("remove_member.before")
        joined = await start_removal(b.client, RemovalRequest(cluster="demo", member=first))
        status, shown, _ = await b.lab.handoff("remove", first, "--detach", "-o", "json")
        assert (status, json.loads(shown)["joined"]) == (0, True)
        again = await b.lab.temporal(*START, "--workflow-id", joined.id, "--input", _input(first), "-o", "json")
        runs = {json.loads(output)["runId" if output is again[1] else "run_id"] for output in (shown, again[1])}
        assert runs == {(await joined.describe()).run_id}
        b.release("remove_member.before")
        status, shown, _ = await following
        assert (status, (await joined.result()).outcome) == (0, "removed")
        for words in ("check_leader", "remove_member", "update_status", "removed", first):
            assert words in shown

        workflow = f"etcd-remove/demo/{second}"
        started = await b.lab.temporal(*START, "--workflow-id", workflow, "--input", _input(second))
        assert started[0] == 0, started
        status, output, _ = await b.lab.temporal("workflow", "result", "--workflow-id", workflow, "-o", "json")
        assert (status, json.loads(output)["result"]["outcome"]) == (0, "removed")

        script = _shown_script().replace("node2", third).replace('"prod"', '"demo"')
        status, output, errors = await run([sys.executable, "-c", script], b.lab.environment, ROOT)
        assert (status, output.splitlines()[-1]) == (0, "removed"), errors
        await b.judge({first, second, third})


async def test_plan_status_and_doctor_tell_the_truth(live_cluster: MakeLiveCluster) -> None:
    """Both forms name the members and the leader, and plan changes nothing."""
    async with live_cluster() as b:
        leader, term = await b.lab.leader_and_term()

        async def printed(*arguments: str) -> Any:
            status, shown, errors = await b.lab.handoff(*arguments, "-o", "json")
            assert status == 0, errors
            return json.loads(shown)

        roles = {node.name: "leader" if node.name == leader else "voter" for node in b.lab.nodes}
        planned = await printed("plan", leader)
        assert (planned["decision"], planned["term"]) == ("transfer", term)
        assert f"hand leadership from {leader}" in planned["steps"][0]
        seen = await printed("status")
        for shown_members in (planned["members"], seen["members"]):
            assert {m["name"]: m["role"] for m in shown_members} == roles
        records = {record["name"]: (record["joined"], record["wrong"]) for record in seen["etcdmembers"]}
        assert records == dict.fromkeys(roles, ("True", ""))
        assert (seen["operations"], seen["errors"]) == ([], {})
        findings = {finding.pop("check"): finding for finding in (await printed("doctor"))["checks"]}
        assert all(finding["ok"] for finding in findings.values()), findings
        assert leader in findings["leader"]["detail"]
        for command in (("plan", leader), ("status",), ("doctor",)):
            status, shown, _ = await b.lab.handoff(*command)
            assert status == 0
            assert leader in shown
        assert await b.lab.leader_and_term() == (leader, term)


async def test_watch_is_started_shown_and_stopped(live_cluster: MakeLiveCluster) -> None:
    """`watch start` twice is one watcher; its status lists the EtcdMembers; stopped, there is none."""
    async with live_cluster() as b:
        starts = [await b.lab.handoff("watch", "start", "-o", "json") for _ in range(2)]
        assert [status for status, _, _ in starts] == [0, 0]
        assert len({json.loads(shown)["run_id"] for _, shown, _ in starts}) == 1
        member = b.lab.others(await b.lab.leader())[0].name
        patch = ("patch", "etcdmember", member, "--type", "merge", "-p", '{"spec":{"leave":true}}')
        survivor = await b.lab.leader()
        await b.lab.kubectl(*patch, context=survivor)
        wait = ("wait", f"etcdmember/{member}", "--for", "condition=Joined=False", "--timeout=120s")
        await b.lab.kubectl(*wait, context=survivor, timeout="120s")
        status, shown, _ = await b.lab.handoff("watch", "status")
        assert (status, member in shown, "asked to leave" in shown) == (0, True, True)
        assert (await b.lab.handoff("watch", "stop"))[0] == 0
        watcher = b.client.get_workflow_handle("etcd-watch/demo")

        async def stopped() -> bool:
            return (await watcher.describe()).status is not WorkflowExecutionStatus.RUNNING

        await wait_until(stopped, "the watcher has ended", 60)
        for command in ("status", "stop"):
            status, _, errors = await b.lab.handoff("watch", command)
            assert (status, "nothing watches cluster demo" in errors) == (1, True), errors
        status, _, errors = await b.lab.handoff("watch", "status", "-c", "nowhere")
        assert (status, "nowhere" in errors) == (2, True)
        await b.judge({member})


async def test_exit_codes(live_cluster: MakeLiveCluster, tmp_path: Path) -> None:
    """0 done is above; 1 cancelled, 2 bad input, 3 refused or blocked too long, 4 a server is away."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))

        async def ends(*arguments: str) -> tuple[int, str]:
            status, shown, errors = await b.lab.handoff(*arguments)
            return status, shown + errors

        for wrong, words in (
            (("remove",), "MEMBER"),
            (("remove", "node9"), "node9"),
            (("remove", target, "-c", "nowhere"), "nowhere"),
            (("remove", target, "--blocked-timeout", "-1"), "--blocked-timeout"),
            (("status", "--config", str(tmp_path / "none.toml")), "none.toml"),
        ):
            status, text = await ends(*wrong)
            assert (status, words in text) == (2, True), text
        nowhere = {**b.lab.environment, "TEMPORAL_NAMESPACE": "nowhere"}
        for arguments in (("remove", target), ("watch", "stop")):
            status, _, text = await run([sys.executable, "-m", "etcd_handoff.cli", *arguments], nowhere, ROOT)
            assert (status, "set TEMPORAL_NAMESPACE" in text) == (2, True), text
        await b.lab.kill(Role.ETCD, down)
        status, text = await ends("remove", target, "--blocked-timeout", "1")
        assert (status, "BlockedTooLong: QuorumAtRisk" in text) == (3, True), text
        following = asyncio.ensure_future(ends("remove", target))
        handle = b.client.get_workflow_handle(f"etcd-remove/demo/{target}")

        async def runs() -> bool:
            return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING

        await wait_until(runs, "the second removal runs", 60)
        await handle.cancel()
        status, text = await following
        assert (status, "cancel" in text.lower()) == (1, True), text
        await b.lab.start(Role.ETCD, down)
        await b.lab.kill(Role.TEMPORAL)
        status, text = await ends("remove", target)
        assert (status, "TEMPORAL_ADDRESS" in text) == (4, True), text
        assert (await ends("doctor"))[0] == 4
        status, text = await ends("status")
        assert (status, "Operations: Temporal cannot be reached" in text) == (4, True), text
        await b.judge(set())
        for node in b.lab.nodes:
            await b.lab.kill(Role.ETCD, node.name)
        for command in (("plan", target), ("status",)):
            status, text = await ends(*command)
            assert (status, "etcd cannot be read" in text) == (4, True), text
    async with Lab(LabOptions(nodes=1, workers=("node0",), directory=tmp_path / "one")) as lab:
        status, shown, errors = await lab.handoff("remove", "node0")
        assert (status, "LastVoter" in shown + errors) == (3, True)
        assert [m.name for m in await lab.members()] == ["node0"]

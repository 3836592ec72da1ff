"""The ways to start a removal, what the command line shows of a cluster, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from temporalio.client import WorkflowExecutionStatus

from etcd_handoff.client import connect, start_removal
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.model import RemovalRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import MakeBench


def _input(member: str) -> str:
    return json.dumps({"cluster": "demo", "member": member})


async def test_command_line_temporal_and_python_each_remove_a_member(bench: MakeBench) -> None:
    """Three of five members leave, one by each way, and a second start of a running removal joins it."""
    async with bench(nodes=5, workers=("node0", "node1", "node2"), failpoints="remove_member.before=hold") as b:
        leader = await b.lab.leader()
        first, second, third = (node.name for node in b.lab.others(leader)[:3])
        following = asyncio.ensure_future(b.lab.handoff("remove", first, "-c", "demo"))
        await b.reached("remove_member.before")
        joined = await start_removal(b.client, RemovalRequest(cluster="demo", member=first))
        b.release("remove_member.before")
        status, shown, _ = await following
        assert (status, (await joined.result()).outcome) == (0, "removed")
        for words in ("check_leader", "remove_member", "update_status", "removed", first):
            assert words in shown

        start = ("workflow", "start", "--type", "RemoveMember", "--task-queue", "etcd-handoff")
        workflow = f"etcd-remove/demo/{second}"
        started = await b.lab.temporal(*start, "--workflow-id", workflow, "--input", _input(second))
        assert started[0] == 0, started
        status, said, _ = await b.lab.temporal("workflow", "result", "--workflow-id", workflow, "-o", "json")
        assert (status, json.loads(said)["result"]["outcome"]) == (0, "removed")

        client = await connect()
        removal = await start_removal(client, RemovalRequest(cluster="demo", member=third))
        assert (await removal.result()).outcome == "removed"
        await b.judge({first, second, third})


async def test_plan_status_and_doctor_tell_the_truth(bench: MakeBench) -> None:
    """Both forms name the members and the leader, and plan changes nothing."""
    async with bench() as b:
        leader, term = await b.lab.leader_and_term()

        async def told(*arguments: str) -> Any:
            status, shown, errors = await b.lab.handoff(*arguments, "-o", "json")
            assert status == 0, errors
            return json.loads(shown)

        assert f"hand leadership from {leader}" in json.dumps(await told("plan", leader))
        seen = json.dumps(await told("status"))
        assert all(node.name in seen for node in b.lab.nodes)
        findings = await told("doctor")
        assert all(finding["ok"] for finding in findings), findings
        for command in (("plan", leader), ("status",), ("doctor",)):
            status, shown, _ = await b.lab.handoff(*command)
            assert status == 0
            assert leader in shown
        assert await b.lab.leader_and_term() == (leader, term)


async def test_watch_is_started_shown_and_stopped(bench: MakeBench) -> None:
    """`watch start` twice is one watcher; its status lists the EtcdMembers; stopped, there is none."""
    async with bench() as b:
        assert (await b.lab.handoff("watch", "start"))[0] == 0
        assert (await b.lab.handoff("watch", "start"))[0] == 0
        member = b.lab.others(await b.lab.leader())[0].name
        patch = ("patch", "etcdmember", member, "--type", "merge", "-p", '{"spec":{"leave":true}}')
        survivor = await b.lab.leader()
        await b.lab.kubectl(*patch, context=survivor)
        wait = ("wait", f"etcdmember/{member}", "--for", "condition=Joined=False", "--timeout=30s")
        await b.lab.kubectl(*wait, context=survivor, timeout="40s")
        status, shown, _ = await b.lab.handoff("watch", "status")
        assert (status, member in shown, "asked to leave" in shown) == (0, True, True)
        assert (await b.lab.handoff("watch", "stop"))[0] == 0
        await b.client.get_workflow_handle("etcd-watch/demo").describe()
        status, _, errors = await b.lab.handoff("watch", "status", "-c", "nowhere")
        assert (status, "nowhere" in errors) == (2, True)
        await b.judge({member})


async def test_exit_codes(bench: MakeBench, tmp_path: Path) -> None:
    """0 done is above; 1 cancelled, 2 bad input, 3 refused or blocked too long, 4 a server is away."""
    async with bench() as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))

        async def ends(*arguments: str) -> tuple[int, str]:
            status, shown, errors = await b.lab.handoff(*arguments)
            return status, shown + errors

        for wrong, said in (
            (("remove",), "MEMBER"),
            (("remove", "node9"), "node9"),
            (("remove", target, "-c", "nowhere"), "nowhere"),
            (("remove", target, "--blocked-timeout", "-1"), "blocked_timeout_seconds"),
            (("status", "--config", str(tmp_path / "none.toml")), "none.toml"),
        ):
            status, text = await ends(*wrong)
            assert (status, said in text) == (2, True), text
        await b.lab.kill(Role.ETCD, down)
        status, text = await ends("remove", target, "--blocked-timeout", "1")
        assert (status, "QuorumAtRisk" in text) == (3, True), text
        following = asyncio.ensure_future(ends("remove", target))
        handle = b.client.get_workflow_handle(f"etcd-remove/demo/{target}")

        async def runs() -> bool:
            return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING

        await wait_until(runs, "the second removal runs", 20)
        await handle.cancel()
        status, text = await following
        assert (status, "cancel" in text.lower()) == (1, True), text
        await b.lab.start(Role.ETCD, down)
        await b.lab.kill(Role.TEMPORAL)
        status, text = await ends("remove", target)
        assert (status, "TEMPORAL_ADDRESS" in text) == (4, True), text
        await b.judge(set())
    async with Lab(LabOptions(nodes=1, workers=("node0",), directory=tmp_path / "one")) as lab:
        os.environ.pop("ETCD_HANDOFF_CONFIG", None)
        status, shown, errors = await lab.handoff("remove", "node0")
        assert (status, "LastVoter" in shown + errors) == (3, True)
        assert [m.name for m in await lab.members()] == ["node0"]

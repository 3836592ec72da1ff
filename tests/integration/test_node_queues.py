"""Removals where each worker reaches its own node's member alone, as on stock k0s, or some members and not all."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.client import WorkflowFailureError

from etcd_handoff.contract import TASK_QUEUE, AdditionRequest, AdditionResult, Outcome, Progress
from etcd_handoff.lab import Role, http, wait_until
from etcd_handoff.temporal.client import start_operation
from etcd_handoff.temporal.updates import execute_update
from tests.integration import additions
from tests.integration.conftest import removal_id, start_workers_of_k0s
from tests.integration.isolation import require_isolation
from tests.integration.progress import says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import LiveCluster, MakeKubectlUser, MakeLiveCluster

LISTEN: Final = """
import socket, time
while True:
    try:
        server = socket.create_server(("127.0.0.1", 2379))
        break
    except OSError:
        time.sleep(0.05)
print("listening", flush=True)
time.sleep(600)
"""
"""Listens where etcd did, as soon as that has ended."""


@pytest.fixture(autouse=True)
def _isolation_is_possible() -> None:
    require_isolation()


async def worker_has_died(b: LiveCluster, point: str) -> str:
    """The node whose worker was killed at this failpoint."""
    await b.reached(point)
    dead = list[str]()

    async def one_is_dead() -> bool:
        dead[:] = [node.name for node in b.lab.nodes if not b.lab.alive(Role.WORKER, node.name)]
        return bool(dead)

    await wait_until(one_is_dead, "a worker has died", 10)
    return dead[0]


async def test_leader_leaves_by_command_line_temporal_and_kubectl(kubectl_user: MakeKubectlUser) -> None:
    """4 -> 3 -> 2 -> 1, the leader each time, each step on the node whose member it needs, and no write is lost."""
    async with kubectl_user(nodes=4, isolated=True) as user:
        b = user.cluster
        *leaving, last = (node.name for node in b.lab.nodes)
        writer = await b.writer(last)
        for way, target in zip(("command line", "temporal", "kubectl"), leaving, strict=True):
            await b.lead(target)
            if way == "command line":
                status, _, errors = await b.lab.handoff("remove", target, "-o", "json", node=last)
                assert status == 0, errors
            elif way == "temporal":
                given = json.dumps({"cluster": b.lab.cluster, "member": target})
                start = ("workflow", "execute", "--type", "RemoveMember", "--task-queue", TASK_QUEUE)
                status, _, errors = await b.lab.temporal(
                    *start, "--workflow-id", removal_id(b, target), "--input", given
                )
                assert status == 0, errors
            else:
                await user.flag(target, via=last)
                await user.out(target, via=last)
            check_steps(await b.client.get_workflow_handle(removal_id(b, target)).result(), target, b.others(target))
            await b.judge({target})
        await b.judge(set(), await writer.stop())


def check_steps(result: dict[str, Any], target: str, others: list[str]) -> None:
    """It led, and every step ran where its member is."""
    assert (result["outcome"], result["was_leader"], result["status_recorded"]) == ("removed", True, True)
    nodes = {step["name"]: step["node"] for step in result["steps"]}
    assert nodes["move_leader"] == target
    assert nodes["remove_member"] in others
    assert nodes["update_status"] in others
    # An attempt to hand over whose answer was lost has done so, and nobody has to await an election then.
    assert nodes.get("await_election", nodes["remove_member"]) == nodes["remove_member"]


@pytest.mark.parametrize("leader", ["node0", "node2"])
async def test_leader_leaves_where_some_workers_reach_some_members(live_cluster: MakeLiveCluster, leader: str) -> None:
    """The worker of node2 reaches all members, the others reach two: node2 leads, or one that all reach."""
    shared = ("node0", "node1")
    async with live_cluster(isolated=True, shared=shared) as b:
        await b.lead(leader)
        for node in b.lab.nodes:
            assert await reached_from(b, node.name) == ({*shared, "node2"} if node.name == "node2" else {*shared})
        writer = await b.writer("node1")
        result = await b.remove(leader)
        assert (result.outcome, result.was_leader, result.status_recorded) == (Outcome.REMOVED, True, True)
        if leader == "node2":  # every worker reaches a survivor, and so any of them may do the other steps
            assert {step.node for step in result.steps if step.name == "move_leader"} == {"node2"}
        await b.judge({leader}, await writer.stop())


async def reached_from(b: LiveCluster, node: str) -> set[str]:
    """The members that a command on this node reaches, and so a worker there."""
    _, shown, errors = await b.lab.handoff("status", "-o", "json", node=node)
    assert shown, errors
    return {m["name"] for m in json.loads(shown)["members"] if m["reachable"]}


@pytest.mark.parametrize("point", ["move_leader.before", "move_leader.after"])
async def test_worker_of_the_leaving_node_is_killed(live_cluster: MakeLiveCluster, point: str) -> None:
    """What only that node can do waits for its worker, by name; once leadership has moved, nothing does."""
    async with live_cluster(isolated=True, failpoints=f"{point}=kill") as b:
        leader = await b.lab.leader()
        writer = await b.writer(b.lab.others(leader)[0].name)
        removal = await b.start(leader)
        assert await worker_has_died(b, point) == leader
        if point.endswith("before"):
            await says(removal, "Blocked", f"no worker on {leader}")
            await b.lab.start_worker(leader)
        result = await removal.result()
        assert (result.outcome, result.status_recorded) == (Outcome.REMOVED, True)
        await b.judge({leader}, await writer.stop())


@pytest.mark.parametrize(
    "point", ["await_election.during", "remove_member.before", "remove_member.during", "update_status.before"]
)
async def test_worker_of_a_survivor_is_killed(live_cluster: MakeLiveCluster, point: str) -> None:
    """The removal says which worker it misses, and ends well when that is back."""
    async with live_cluster(isolated=True, failpoints=f"{point}=kill") as b:
        leader = await b.lab.leader()
        writer = await b.writer(b.lab.others(leader)[0].name)
        removal = await b.start(leader)
        node = await worker_has_died(b, point)
        assert node != leader
        if point == "remove_member.before":
            # Nobody can tell that nothing was proposed.
            await says(removal, f"no worker on {node}", so=lambda progress: progress.point_of_no_return)
        elif not point.startswith("update_status"):  # which any worker can do
            await says(removal, f"no worker on {node}")
        if not point.startswith("update_status"):
            await b.lab.start_worker(node)
        result = await removal.result()
        assert (result.outcome, result.status_recorded) == (Outcome.REMOVED, True)
        assert result.writes_acknowledged is not False
        await b.judge({leader}, await writer.stop())


async def test_missing_worker_of_a_survivor_is_waited_for_by_name(live_cluster: MakeLiveCluster) -> None:
    """Nobody knows whether that voter is well, and without it the others would be no quorum."""
    async with live_cluster(isolated=True, workers=()) as b:
        leader = await b.lab.leader()
        target, silent = (node.name for node in b.lab.others(leader))
        await b.lab.start_worker(leader)
        await b.lab.start_worker(target)
        removal = await b.start(target)
        await says(removal, "Blocked", "QuorumAtRisk", f"no worker on {silent}")
        assert {m.name for m in await b.lab.members()} == {n.name for n in b.lab.nodes}
        await b.lab.start_worker(silent)
        await execute_update(removal, "recheck", {"reason": "its worker runs"})
        assert (await removal.result()).outcome == Outcome.REMOVED
        await b.judge({target})


async def test_snapshot_and_hashes_come_from_the_nodes_that_have_them(live_cluster: MakeLiveCluster) -> None:
    """Each worker of a survivor hashes its own member, and the hashes agree; nothing is changed before that."""
    async with live_cluster(isolated=True) as b:
        leader = await b.lab.leader()
        writer = await b.writer(b.lab.others(leader)[0].name)
        result = await b.remove(leader, snapshot=True, hash_check=True)
        assert (result.outcome, result.was_leader) == (Outcome.REMOVED, True)
        names = [step.name for step in result.steps]
        assert names.index("check_hash") < names.index("take_snapshot") < names.index("move_leader")
        hashed = next(step for step in reversed(result.steps) if step.name == "check_hash")
        assert hashed.outcome == "consistent"
        assert all(f"{name} " in hashed.note for name in b.others(leader)), hashed.note
        saved = next(step for step in result.steps if step.name == "take_snapshot")
        assert (saved.outcome, saved.node in b.others(leader)) == ("saved", True)
        await b.judge({leader}, await writer.stop())


async def test_five_members_need_no_worker_on_each_node(live_cluster: MakeLiveCluster) -> None:
    """Those that are seen are a quorum of what remains, so the leader leaves."""
    async with live_cluster(nodes=5, isolated=True, workers=()) as b:
        leader = await b.lab.leader()
        *others, idle = (node.name for node in b.lab.others(leader))
        for name in (leader, *others):
            await b.lab.start_worker(name)
        writer = await b.writer(others[0])
        removal = await b.start(leader)
        result = await removal.result()
        assert (result.outcome, result.was_leader) == (Outcome.REMOVED, True)
        calls = Counter(
            event.activity_task_scheduled_event_attributes.task_queue.name.rpartition("/")[2]
            for event in (await removal.fetch_history()).events
        )
        # Where Temporal does not say in time who asks for work, all nodes are asked.
        assert calls[idle] < min(calls[name] for name in (leader, *others)), "Temporal lists no worker there"
        await b.judge({leader}, await writer.stop())


async def test_leaving_node_dies_as_a_whole_once_its_member_is_out(live_cluster: MakeLiveCluster) -> None:
    """The record is written through a survivor."""
    async with live_cluster(isolated=True, failpoints="update_status.before=hold") as b:
        leader = await b.lab.leader()
        removal = await b.start(leader)
        await b.reached("update_status.before")
        for role in (Role.WORKER, Role.APISERVER, Role.ETCD):
            await b.lab.kill(role, leader)
        b.release("update_status.before")
        assert (await removal.result()).status_recorded
        await b.judge({leader})


@pytest.mark.parametrize(("runs_on", "words"), [(False, "its etcd has ended"), (True, "its etcd still runs")])
async def test_operator_is_told_whether_the_etcd_that_left_still_runs(
    live_cluster: MakeLiveCluster, words: str, *, runs_on: bool
) -> None:
    """By the worker on its node, on a profile of k0s; who listens at its port counts as its etcd."""
    async with (
        live_cluster(isolated=True, workers=(), failpoints="update_status.before=hold") as b,
        AsyncExitStack() as stack,
    ):
        await start_workers_of_k0s(b)
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await b.start(target)
        await b.reached("update_status.before")
        if runs_on:
            await stack.enter_async_context(somebody_listens(b, target))
        else:
            await b.lab.process(Role.ETCD, target).ended()
        b.release("update_status.before")
        result = await removal.result()
        assert (result.outcome, result.status_recorded) == (Outcome.REMOVED, True)
        assert words in result.next_steps[0]
        await b.judge({target})


@asynccontextmanager
async def somebody_listens(b: LiveCluster, node: str) -> AsyncIterator[None]:
    """On a node whose etcd has ended, at its client port."""
    command = [*b.lab.inside(node), sys.executable, "-I", "-c", LISTEN]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"listening\n"
        yield
    finally:
        process.kill()
        await process.wait()


async def test_nodes_are_named_unlike_their_members(live_cluster: MakeLiveCluster) -> None:
    """The profile's table leads from a member to its node."""
    names = ("ctl-a", "ctl-b", "ctl-c")
    async with live_cluster(isolated=True, node_names=names) as b:
        leader = await b.lab.leader()
        table = dict(zip(("node0", "node1", "node2"), names, strict=True))
        result = await b.remove(leader)
        assert (result.outcome, result.was_leader) == (Outcome.REMOVED, True)
        nodes = {step.name: step.node for step in result.steps}
        assert nodes["move_leader"] == table[leader]
        await b.judge({leader})


@pytest.mark.parametrize("voters", [2, 1])
async def test_member_joins_that_its_own_node_alone_reaches(live_cluster: MakeLiveCluster, voters: int) -> None:
    """A learner gives no member list to anybody: its own node hears it, and the leader's node promotes it.

    The worker of an only voter sees a whole cluster until the learner starts.
    """
    async with live_cluster(isolated=True) as b:
        leader = await b.lab.leader()
        name, *further = (node.name for node in b.lab.others(leader)[: 3 - voters])
        for leaves in (*further, name):
            assert (await b.remove(leaves)).outcome == Outcome.REMOVED
        node = await additions.wiped(b.lab, name)
        addition = await additions.add(b, node)
        await additions.start(b, addition, node)
        await execute_update(addition, "recheck")
        result = await addition.result()
        assert str(result.outcome) == "added"
        nodes = {step.name: step.node for step in result.steps}
        assert (nodes["await_sync"], nodes["promote_member"]) == (name, nodes["add_learner"])
        assert nodes["promote_member"] != name
        await b.judge(set(further))


async def test_cancelled_addition_takes_its_learner_out_at_the_leaders_node(live_cluster: MakeLiveCluster) -> None:
    """Only the worker there reaches the member through which it leaves, whichever of the voters that is."""
    async with live_cluster(isolated=True) as b:
        ids = {await b.lab.member_id(node.name): node.name for node in b.lab.nodes}
        last = max(ids, key=lambda member_id: int(member_id, 16))
        if (leader := await b.lab.leader()) != ids[last]:
            url = f"{b.lab.node(leader).etcd_url}/v3/maintenance/transfer-leadership"
            await http.post(url, {"targetID": str(int(last, 16))})
        request = AdditionRequest(cluster=b.lab.cluster, name="node9", peer_urls=("https://10.255.255.9:2380",))
        addition = await start_operation(b.client, request, AdditionResult)
        await says(addition, "Blocked", "LearnerNotStarted")
        await addition.cancel()
        with pytest.raises(WorkflowFailureError):
            await addition.result()
        ended: Progress = await addition.query("progress", result_type=Progress)
        assert "has been removed" in ended.doing
        assert {m.id for m in await b.lab.members()} == set(ids)
        await b.judge(set())

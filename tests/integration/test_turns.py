"""One change at a time per etcd cluster, whatever started it: who waits says so, and no place stays taken."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from temporalio.client import WorkflowFailureError

from etcd_handoff.change_queue import turns_id
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.model import RemovalResult, workflow_id
from etcd_handoff.payloads import STATE_KEY

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import Bench, MakeBench, MakeFrontDoor


async def test_one_member_from_three_front_doors_is_removed_once(front_door: MakeFrontDoor) -> None:
    """kubectl, our command line and the Temporal CLI at the same moment: they share one run."""
    async with front_door(failpoints="move_leader.before=hold") as door:
        b = door.bench
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        _, cli, temporal = await asyncio.gather(
            door.flag(leader, via=other), b.lab.handoff("remove", leader, "--detach"), temporal_start(b, leader)
        )
        assert cli[0] == 0, cli
        assert temporal[0] == 0, temporal
        await b.reached("move_leader.before")

        async def joined() -> bool:
            return len((await door.watching())["removing"]) == 1

        await wait_until(joined, "the watcher has joined", 20)
        removal = removal_of(b, leader)
        run_id = (await removal.describe()).run_id
        b.release("move_leader.before")
        await door.out(leader, via=other)
        assert (await removal.result()).outcome == "removed"
        assert (await removal.describe()).run_id == run_id
        await b.judge({leader})


async def test_three_members_from_three_front_doors_leave_one_after_another(front_door: MakeFrontDoor) -> None:
    """While one is held the others stand in the queue and say so everywhere; no two change the cluster at once."""
    async with front_door(nodes=4, failpoints="remove_member.before=hold") as door:
        b = door.bench
        leader = await b.lab.leader()
        by_cli, by_temporal, last = (node.name for node in b.lab.others(leader))
        writer = await b.writer(last)
        await door.flag(leader, via=last)
        await b.reached("remove_member.before")
        status, _, errors = await b.lab.handoff("remove", by_cli, "--detach")
        assert status == 0, errors
        await queued(b, by_cli)
        status, _, errors = await temporal_start(b, by_temporal)
        assert status == 0, errors
        await queued(b, by_temporal)

        async def knows_its_place() -> bool:
            progress = await removal_of(b, by_temporal).query("progress")
            return str(progress["doing"]).endswith(f"behind the removal of {leader}, the removal of {by_cli}")

        await wait_until(knows_its_place, "the last one knows who is before it", 20)
        await door.says(by_temporal, "Waiting for its turn behind", leader, by_cli, via=last)
        assert "Queued" in (await b.lab.handoff("status"))[1]
        b.release("remove_member.before")
        results = [await removal_of(b, name).result() for name in (leader, by_cli, by_temporal)]
        assert [r.outcome for r in results] == ["removed"] * 3
        spans = [changing(r) for r in results]
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), spans
        await b.judge({leader, by_cli, by_temporal}, await writer.stop())
        cluster_id = results[0].cluster_id

        async def over() -> bool:
            described = await b.client.get_workflow_handle(turns_id(cluster_id)).describe()
            return described.close_time is not None

        await wait_until(over, "the queue ends with its last removal", 20)


async def test_holder_and_then_the_queue_terminated(bench: MakeBench) -> None:
    """A place is freed when its holder is terminated, and who waits in a queue that is terminated ends all the same."""
    async with bench(failpoints="move_leader.before=hold;remove_member.before=hold") as b:
        leader = await b.lab.leader()
        follower, last = (node.name for node in b.lab.others(leader))
        holder = await b.start(leader)
        await b.reached("move_leader.before")
        waiting = await b.start(follower)
        await queued(b, follower)
        await told(b, leader, "Handing leadership", via=last)
        await holder.terminate("by the test")
        await b.reached("remove_member.before")
        await told(b, leader, "the removal was terminated", via=last)
        b.release("move_leader.before")
        with pytest.raises(WorkflowFailureError):
            await holder.result()

        again = await b.start(leader)
        await queued(b, leader)
        (queue,) = [run async for run in b.client.list_workflows("WorkflowType = 'ClusterTurns'")]
        await b.client.get_workflow_handle(queue.id).terminate("by the test")
        b.release("remove_member.before")
        assert (await waiting.result()).outcome == "removed"
        assert (await again.result()).outcome == "removed"
        await b.judge({leader, follower})


async def test_blocked_removal_lets_the_one_pass_that_unblocks_it(bench: MakeBench) -> None:
    """While a member is down no other may leave; its own removal is not kept waiting, and then the other goes on."""
    async with bench() as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        await b.lab.kill(Role.APISERVER, down)
        blocked = await b.start(target)
        await told(b, target, "Blocked", "QuorumAtRisk", via=leader)
        result = await b.remove(down)
        later = await blocked.result()
        assert (result.outcome, later.outcome) == ("removed", "removed")
        assert changing(result)[1] <= changing(later)[0]
        await b.judge({target, down})


def removal_of(b: Bench, member: str) -> WorkflowHandle[object, RemovalResult]:
    """The removal of a member."""
    return b.client.get_workflow_handle(workflow_id(b.lab.cluster, member), result_type=RemovalResult)


async def temporal_start(b: Bench, member: str) -> tuple[int, str, str]:
    """What somebody types who knows the Temporal CLI alone."""
    request = json.dumps({"cluster": b.lab.cluster, "member": member})
    start = ["workflow", "start", "--type", "RemoveMember", "--task-queue", "etcd-handoff", "--input", request]
    same = ["--workflow-id", workflow_id(b.lab.cluster, member), "--id-conflict-policy", "UseExisting"]
    return await b.lab.temporal(*start, *same)


async def queued(b: Bench, member: str) -> None:
    """The search attribute says that the removal waits for its turn."""

    async def says_so() -> bool:
        described = await removal_of(b, member).describe()
        return described.typed_search_attributes.get(STATE_KEY) == "Queued"

    await wait_until(says_so, f"the removal of {member} is queued", 20)


async def told(b: Bench, member: str, *words: str, via: str) -> None:
    """The message of an EtcdMember has all these words."""
    said = [""]

    async def all_words() -> bool:
        said.append((await b.lab.etcdmembers(via))[member]["status"]["message"])
        return all(word in said[-1] for word in words)

    await wait_until(all_words, f"EtcdMember {member} says {words}", 20, lambda: said[-1])


def changing(result: RemovalResult) -> tuple[datetime, datetime]:
    """When a removal began to change the cluster, and when it had done so."""
    steps = [s for s in result.steps if s.name in ("move_leader", "await_election", "remove_member")]
    begin, last = datetime.fromisoformat(steps[0].started), steps[-1]
    return begin, datetime.fromisoformat(last.started) + timedelta(milliseconds=last.milliseconds)

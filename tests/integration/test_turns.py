"""One change at a time per etcd cluster, whatever started it: who waits says so, and no place stays taken."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.change_queue import ChangeQueueActivities
from activities.removal_progress import RemovalProgressActivities
from etcd_handoff.contract import workflow_id
from etcd_handoff.lab import Role, http, wait_until
from etcd_handoff.operation.queue_messages import (
    ChangeQueueState,
    QueueEntry,
    TakeTurnInput,
    TakeTurnResult,
    change_queue_id,
)
from etcd_handoff.reconciler.removal_progress import FollowRemovalInput
from etcd_handoff.temporal.updates import execute_update
from tests.integration.conftest import SHORT_HISTORIES
from tests.integration.progress import says
from tests.integration.queues import changing, entry_in, holds, queue_of, queued, removal_of

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import LiveCluster, MakeKubectlUser, MakeLiveCluster

SHORT_HISTORY: Final = 30
"""More than enough updates for a queue to continue as new under `SHORT_HISTORIES`."""


async def test_one_member_from_three_interfaces_is_removed_once(kubectl_user: MakeKubectlUser) -> None:
    """kubectl, our command line and the Temporal CLI at the same moment: they share one run."""
    async with kubectl_user(failpoints="move_leader.before=hold") as user:
        b = user.cluster
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        _, cli, temporal = await asyncio.gather(
            user.flag(leader, via=other), b.lab.handoff("remove", leader, "--detach"), temporal_start(b, leader)
        )
        assert cli[0] == 0, cli
        assert temporal[0] == 0, temporal
        await b.reached("move_leader.before")

        async def joined() -> bool:
            return len((await user.watching())["removing"]) == 1

        await wait_until(joined, "the watcher has joined", 60)
        removal = removal_of(b, leader)
        run_id = (await removal.describe()).run_id
        b.release("move_leader.before")
        await user.out(leader, via=other)
        assert (await removal.result()).outcome == "removed"
        assert (await removal.describe()).run_id == run_id
        await b.judge({leader})


async def test_three_members_from_three_interfaces_leave_one_after_another(kubectl_user: MakeKubectlUser) -> None:
    """While one is held the others stand in the queue and say so everywhere; no two change the cluster at once."""
    async with kubectl_user(nodes=4, failpoints="remove_member.before=hold") as user:
        b = user.cluster
        leader = await b.lab.leader()
        by_cli, by_temporal, last = (node.name for node in b.lab.others(leader))
        writer = await b.writer(last)
        await user.flag(leader, via=last)
        await b.reached("remove_member.before")
        status, _, errors = await b.lab.handoff("remove", by_cli, "--detach")
        assert status == 0, errors
        await queued(b, by_cli)
        status, _, errors = await temporal_start(b, by_temporal)
        assert status == 0, errors
        await queued(b, by_temporal)
        await says(removal_of(b, by_temporal), f"behind the removal of {leader}, the removal of {by_cli}")
        await user.says(by_temporal, "Waiting in the queue behind", leader, by_cli, via=last)
        assert "Queued" in (await b.lab.handoff("status"))[1]
        b.release("remove_member.before")
        results = [await removal_of(b, name).result() for name in (leader, by_cli, by_temporal)]
        assert [r.outcome for r in results] == ["removed"] * 3
        spans = [changing(r) for r in results]
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), spans
        await b.judge({leader, by_cli, by_temporal}, await writer.stop())
        cluster_id = results[0].cluster_id

        async def over() -> bool:
            described = await b.client.get_workflow_handle(change_queue_id(cluster_id)).describe()
            return described.close_time is not None

        await wait_until(over, "the queue ends with its last removal", 60)


async def test_leader_leads_until_its_removal_has_the_turn(live_cluster: MakeLiveCluster) -> None:
    """It asks for the turn in the same step that hands leadership over; behind another removal it only waits."""
    async with live_cluster(failpoints="remove_member.before=hold") as b:
        leader, term = await b.lab.leader_and_term()
        follower = b.lab.others(leader)[0].name
        first = await b.start(follower)
        await b.reached("remove_member.before")
        waiting = await b.start(leader)
        await queued(b, leader)
        assert await b.lab.leader_and_term() == (leader, term)
        b.release("remove_member.before")
        results = [await removal.result() for removal in (first, waiting)]
        assert [result.outcome for result in results] == ["removed", "removed"]
        assert changing(results[0])[1] <= changing(results[1])[0]
        await b.judge({follower, leader})


async def test_turn_that_was_taken_is_found_again_without_any_worker(live_cluster: MakeLiveCluster) -> None:
    """Whoever took it may have been killed before it could say so, and the queue's own worker with it."""
    async with live_cluster(workers=(), kubernetes=False) as b:
        take_turn = ChangeQueueActivities(b.client).take_turn
        first = QueueEntry(
            workflow_id="one", chain_id="chain-1", cluster="lab", member_name="n", member_id="1", request=7
        )
        other = first.model_copy(update={"workflow_id": "another", "chain_id": "chain-2"})
        later = first.model_copy(update={"request": 8})

        async def granted(entry: QueueEntry) -> bool:
            ask = TakeTurnInput(cluster_id="c1", entry=entry)
            result: TakeTurnResult = await ActivityEnvironment().run(take_turn, ask)
            assert (result.turn.chain_id, result.turn.request) == (entry.chain_id, entry.request)
            return result.turn.granted

        assert [await granted(first), await granted(first)] == [True, True]
        # What was said since is the queue's to judge, and nobody serves it.
        assert not await granted(other)
        assert not await granted(later)


async def test_holder_and_then_the_queue_terminated(live_cluster: MakeLiveCluster) -> None:
    """A place is freed when its holder is terminated, and who waits in a queue that is terminated ends all the same."""
    async with live_cluster(failpoints="move_leader.after=hold;remove_member.before=hold") as b:
        leader = await b.lab.leader()
        holder = await b.start(leader)
        await b.reached("move_leader.after")
        last = await b.lab.leader()
        follower = next(node.name for node in b.lab.others(leader) if node.name != last)
        waiting = await b.start(follower)
        await queued(b, follower)
        await until_message(b, leader, "Handing leadership", via=last)
        await holder.terminate("by the test")
        await b.reached("remove_member.before")
        await until_message(b, leader, "the removal was terminated", via=last)
        b.release("move_leader.after")
        with pytest.raises(WorkflowFailureError):
            await holder.result()

        again = await b.start(leader)
        await queued(b, leader)
        await (await queue_of(b)).terminate("by the test")
        await execute_update(again, "recheck")  # it asks at once, and starts the queue anew
        await holds(b, waiting)
        assert (await again.query("progress"))["state"] == "Queued"
        b.release("remove_member.before")
        results = [await removal.result() for removal in (waiting, again)]
        assert [result.outcome for result in results] == ["removed", "removed"]
        assert changing(results[0])[1] <= changing(results[1])[0]
        await b.judge({leader, follower})


async def test_removal_that_was_reset_is_heard_by_its_queue(live_cluster: MakeLiveCluster) -> None:
    """It counts its requests anew from its first task on; its queue takes none of them for an old one."""
    async with live_cluster(failpoints="remove_member.before=hold") as b:
        leader = await b.lab.leader()
        first, second = (node.name for node in b.lab.others(leader))
        held = await b.start(first)
        await b.reached("remove_member.before")
        waiting = await b.start(second)
        await queued(b, second)
        before = await _asked_again(b, waiting)
        status, _, errors = await b.lab.temporal(
            "workflow", "reset", "--workflow-id", waiting.id, "--type", "FirstWorkflowTask", "--reason", "by the test"
        )
        assert status == 0, errors
        assert (await removal_of(b, second).describe()).run_id != waiting.first_execution_run_id
        again = await says(removal_of(b, second), "Queued", first)
        assert again.state == "Queued"
        assert (await entry_in(await queue_of(b), waiting)).request > before
        b.release("remove_member.before")
        results = [await held.result(), await removal_of(b, second).result()]
        assert [result.outcome for result in results] == ["removed", "removed"]
        await b.judge({first, second})


async def _asked_again(b: LiveCluster, waiting: WorkflowHandle[Any, Any]) -> int:
    """The number of its last request to its queue, after several."""
    requests = {(await entry_in(await queue_of(b), waiting)).request}

    async def one_more() -> bool:
        requests.add((await entry_in(await queue_of(b), waiting)).request)
        return len(requests) == known + 1

    while (known := len(requests)) < 4:
        await execute_update(waiting, "recheck")
        await wait_until(one_more, "it has asked again", 60)
    return max(requests)


async def test_queue_on_a_task_queue_that_nobody_serves(live_cluster: MakeLiveCluster) -> None:
    """Removals say so in words that an operator can act on, and go on when the queue has been terminated."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        queue_id = change_queue_id(await cluster_id_of(b, leader))
        other = QueueEntry(workflow_id="etcd-remove/x/y", chain_id="x", cluster="x", member_name="y", member_id="1")
        turns = ChangeQueueState(cluster_id=queue_id.rpartition("/")[2], entries=(other,))
        queue = await b.client.start_workflow("ChangeQueue", turns, id=queue_id, task_queue="blue")
        removal = await b.start(target)
        words = ("QueueSilent", queue_id, "no worker serves its task queue blue", "task queue etcd-handoff")
        await says(removal, *words, seconds=120)  # a busy Temporal answers late each time
        await queue.terminate("by the test")
        assert (await removal.result()).outcome == "removed"
        await b.judge({target})


async def test_words_of_a_removal_that_was_stopped_do_not_stay(live_cluster: MakeLiveCluster) -> None:
    """The queue remembers what it made an EtcdMember say, also after it has continued as new."""
    async with live_cluster(temporal_flags=SHORT_HISTORIES) as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        blocked = await b.start(target)
        await until_message(b, target, "Blocked", via=leader)
        queue = await queue_of(b)
        first = (await queue.describe()).run_id
        for _ in range(SHORT_HISTORY):
            await execute_update(queue, "position", await entry_in(queue, blocked))

        async def continued() -> bool:
            return (await queue.describe()).run_id != first

        await wait_until(continued, "the queue continues as new", 60)
        await blocked.cancel()
        await until_message(b, target, "Ended: the removal was cancelled", via=leader)


async def test_blocked_removal_lets_the_one_pass_that_unblocks_it(live_cluster: MakeLiveCluster) -> None:
    """While a member is down no other may leave; its own removal is not kept waiting, and then the other goes on."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        await b.lab.kill(Role.APISERVER, down)
        blocked = await b.start(target)
        await until_message(b, target, "Blocked", "QuorumAtRisk", via=leader)
        result = await b.remove(down)
        later = await blocked.result()
        assert (result.outcome, later.outcome) == ("removed", "removed")
        assert changing(result)[1] <= changing(later)[0]
        await b.judge({target, down})


async def test_end_of_a_removal_is_told_with_what_is_known_of_it(live_cluster: MakeLiveCluster) -> None:
    """How it ended and which member it was about; that nothing is known of it is no success."""
    async with live_cluster(nodes=2, workers=("node0",)) as b:
        follow = RemovalProgressActivities(b.client).follow_removal
        planned = await b.start("node0", dry_run=True)
        result = await planned.result()
        answer = await ActivityEnvironment().run(follow, FollowRemovalInput(workflow_id=planned.id))
        assert (answer.outcome, answer.member_id, answer.failed) == ("planned", result.member_id, False)
        first = planned.first_execution_run_id or ""
        await b.remove("node1")
        refused = await b.start("node0")
        with pytest.raises(WorkflowFailureError):
            await refused.result()
        answer = await ActivityEnvironment().run(follow, FollowRemovalInput(workflow_id=refused.id))
        assert (answer.outcome, answer.member_id, answer.failed) == ("", result.member_id, True)
        assert "LastVoter" in answer.doing
        for ask in (
            FollowRemovalInput(workflow_id=refused.id, chain_id=first),
            FollowRemovalInput(workflow_id="etcd-remove/demo/never"),
        ):
            answer = await ActivityEnvironment().run(follow, ask)
            assert (answer.open, answer.unknown, answer.failed, answer.cancelled) == (False, True, False, False)
            assert answer.outcome == answer.member_id == ""


async def cluster_id_of(b: LiveCluster, member: str) -> str:
    """The etcd cluster's ID, in hex."""
    answer = await http.post(f"{b.lab.node(member).etcd_url}/v3/kv/range", {"key": "Lg=="})
    return f"{int(answer['header']['cluster_id']):x}"


async def temporal_start(b: LiveCluster, member: str) -> tuple[int, str, str]:
    """What somebody types who knows the Temporal CLI alone."""
    request = json.dumps({"cluster": b.lab.cluster, "member": member})
    start = ["workflow", "start", "--type", "RemoveMember", "--task-queue", "etcd-handoff", "--input", request]
    same = ["--workflow-id", workflow_id(b.lab.cluster, member), "--id-conflict-policy", "UseExisting"]
    return await b.lab.temporal(*start, *same)


async def until_message(b: LiveCluster, member: str, *words: str, via: str) -> None:
    """The message of an EtcdMember has all these words."""
    messages = [""]

    async def all_words() -> bool:
        messages.append((await b.lab.etcdmembers(via))[member]["status"]["message"])
        return all(word in messages[-1] for word in words)

    await wait_until(all_words, f"EtcdMember {member} says {words}", 60, lambda: messages[-1])

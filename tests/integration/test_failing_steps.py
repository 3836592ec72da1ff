"""Steps that keep failing, proposals without an answer, statuses that nobody takes: said, bounded, mended at last."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

from etcd_handoff.config import CONFIG_VARIABLE
from etcd_handoff.contract import record_id
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.temporal.updates import execute_update
from tests.integration import additions
from tests.integration.conftest import PROMPT_TIMERS, SHORT_HISTORIES, another_run, in_state
from tests.integration.progress import says

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

SMALL_MEMO = ("--dynamic-config-value", "limit.memoSize.error=8192")
OTHER_PROFILE = '[clusters.elsewhere.etcd]\nendpoints = ["http://127.0.0.1:1"]\n'


async def test_worker_without_the_profile_is_waited_for_like_anything_else(
    live_cluster: MakeLiveCluster, tmp_path: Path
) -> None:
    """A removal that was under way is Blocked by name, and goes on as soon as a worker with the profile is back."""
    async with live_cluster(workers=("node0",), temporal_flags=PROMPT_TIMERS) as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        removal = await b.start(target)
        await says(removal, "Blocked", "QuorumAtRisk")
        other = tmp_path / "other.toml"
        other.write_text(OTHER_PROFILE)
        await b.lab.start_worker("node1", {CONFIG_VARIABLE: str(other)})
        await b.lab.kill(Role.WORKER, "node0")
        blocked = await says(removal, "Blocked", "StepFails", "check_leader", "no profile 'demo'", "remove the cause")
        assert not blocked.point_of_no_return
        await b.lab.start(Role.ETCD, down)
        await b.lab.start(Role.WORKER, "node0")
        await b.lab.kill(Role.WORKER, "node1")
        assert (await removal.result()).outcome == "removed"
        await b.lab.restart(Role.APISERVER, down)
        await b.judge({target})


async def ambiguous(b: LiveCluster) -> tuple[WorkflowHandle[Any, Any], str, str, str]:
    """A removal past the point of no return by an attempt that died unheard, and blocked: with target, down, leader."""
    leader = await b.lab.leader()
    target, down = (node.name for node in b.lab.others(leader))
    removal = await b.start(target)
    await b.reached("remove_member.before")
    await b.lab.kill(Role.ETCD, down)
    await b.lab.kill(Role.APISERVER, down)
    (holds,) = [n.name for n in b.lab.nodes if b.lab.alive(Role.WORKER, n.name)]
    await b.lab.kill(Role.WORKER, holds)
    await b.lab.start_worker("node2" if holds == "node0" else "node0")
    blocked = await says(removal, "Blocked", "QuorumAtRisk")
    assert blocked.point_of_no_return, "the second attempt did not hide anything, so this tests nothing"
    return removal, target, down, leader


async def test_removal_that_may_have_been_proposed_lets_the_one_pass_that_unblocks_it(
    live_cluster: MakeLiveCluster,
) -> None:
    """Once an entry committed later shows that nothing is pending, its turn is free, and both members leave."""
    async with live_cluster(workers=("node1",), failpoints="remove_member.before=hold") as b:
        removal, target, down, _ = await ambiguous(b)
        assert (await b.remove(down)).outcome == "removed"
        assert (await removal.result()).outcome == "removed"
        await b.judge({target, down})


async def test_removal_of_which_nothing_came_can_be_cancelled_again(live_cluster: MakeLiveCluster) -> None:
    """A cancellation that came while the proposal might have been pending takes effect when it cannot be any more."""
    async with live_cluster(workers=("node1",), failpoints="remove_member.before=hold") as b:
        removal, _, _, leader = await ambiguous(b)
        ids = {m.id for m in await b.lab.members(leader)}
        await removal.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await removal.result()
        assert isinstance(failed.value.cause, CancelledError)
        assert {m.id for m in await b.lab.members(leader)} == ids


async def recording(b: LiveCluster, member: str) -> WorkflowHandle[Any, Any]:
    """The workflow that goes on writing the EtcdMember of a member, once it runs."""
    cluster, member_id = b.lab.cluster, await b.lab.member_id(member)
    return b.client.get_workflow_handle(record_id(cluster, member_id))


async def test_record_goes_on_after_its_removal(live_cluster: MakeLiveCluster) -> None:
    """No API server takes it: the removal ends and says who goes on, others have their turn, and at last it is true."""
    async with live_cluster(nodes=4, failpoints="update_status.before=hold") as b:
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader)[:2])
        goes_on = await recording(b, one)
        removal = await b.start(one, blocked_timeout_seconds=0)
        await b.reached("update_status.before")
        for node in b.lab.nodes:
            await b.lab.kill(Role.APISERVER, node.name)
        b.release("update_status.before")
        await says(removal, "Recording", "an API server takes the status; until now: ")
        second = await b.start(other, blocked_timeout_seconds=0)
        await says(second, "Recording")
        result = await removal.result()
        assert (result.outcome, result.status_recorded, result.writes_acknowledged) == ("removed", False, True)
        assert f"it goes on: workflow {goes_on.id}" in result.status_note
        assert (await goes_on.describe()).status is WorkflowExecutionStatus.RUNNING
        other_id = (await second.result()).member_id
        for node in b.lab.nodes:
            if node.name not in (one, other):
                await b.lab.start(Role.APISERVER, node.name)
        assert (await goes_on.result())["recorded"] is True
        await b.client.get_workflow_handle(record_id(b.lab.cluster, other_id)).result()
        await b.judge({one, other})


async def test_cancelled_while_recording_hands_the_record_over(live_cluster: MakeLiveCluster) -> None:
    """The member has left, so it ends as removed, at once, and the record goes on by itself."""
    async with live_cluster(failpoints="update_status.before=hold") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        goes_on = await recording(b, target)
        removal = await b.start(target)
        await b.reached("update_status.before")
        for node in b.lab.nodes:
            await b.lab.kill(Role.APISERVER, node.name)
        await removal.cancel()
        b.release("update_status.before")
        result = await removal.result()
        assert (result.outcome, result.status_recorded) == ("removed", False)
        for node in b.lab.others(target):
            await b.lab.start(Role.APISERVER, node.name)
        assert (await goes_on.result())["recorded"] is True
        await b.judge({target})


async def test_record_of_an_addition_goes_on_too(live_cluster: MakeLiveCluster) -> None:
    """The member has its vote, so it ends as added, at once, and the stale Joined=False does not stay."""
    async with live_cluster() as b:
        name = b.lab.others(await b.lab.leader())[0].name
        assert (await b.remove(name)).outcome == "removed"
        node = await additions.wiped(b.lab, name)
        addition = await additions.add(b, node)
        await additions.start(b, addition, node)
        await says(addition, "Verifying")
        for other in b.lab.nodes:
            await b.lab.kill(Role.APISERVER, other.name)
        await says(addition, "Recording")
        await addition.cancel()
        result = await addition.result()
        assert (result.outcome, result.status_recorded) == ("added", False)
        goes_on = b.client.get_workflow_handle(record_id(b.lab.cluster, result.member_id))
        assert goes_on.id in result.status_note
        await wait_until(lambda: _is_shown(b, goes_on.id), "status shows what is still to be written", 30)
        for other in b.lab.nodes:
            await b.lab.start(Role.APISERVER, other.name)
        assert (await goes_on.result())["recorded"] is True
        await b.judge(set())


async def _is_shown(b: LiveCluster, workflow_id: str) -> bool:
    """Whether `status` lists the record that goes on, with what the API servers answer."""
    _, shown, _ = await b.lab.handoff("status", "-o", "json")
    return [workflow_id] == [
        record["workflow_id"] for record in json.loads(shown)["records"] if "API server" in record["waiting_for"]
    ]


async def test_queued_removal_goes_on_in_a_new_run_and_keeps_its_place(live_cluster: MakeLiveCluster) -> None:
    """Its history does not grow for as long as it waits, and whoever came later stays behind it."""
    async with live_cluster(
        nodes=4, temporal_flags=(*SHORT_HISTORIES, *SMALL_MEMO), failpoints="remove_member.before=hold"
    ) as b:
        leader = await b.lab.leader()
        first, second, third = (node.name for node in b.lab.others(leader))
        holder = await b.start(first)
        await b.reached("remove_member.before")
        waiting = await b.start(second)
        await in_state(waiting, "Queued")
        later = await b.start(third)
        await in_state(later, "Queued")

        async def asks() -> None:
            while True:
                await execute_update(waiting, "recheck", {"reason": "a longer history"})

        run_id = (await waiting.describe()).run_id
        latest = b.client.get_workflow_handle(waiting.id)
        asking = asyncio.ensure_future(asks())
        await another_run(b, waiting.id, "the removal that waits")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (await latest.describe()).run_id != run_id
        await says(latest, "Queued", f"behind the removal of {first}")
        await says(later, "Queued", f"the removal of {first}, the removal of {second}")
        b.release("remove_member.before")
        assert (await holder.result()).outcome == "removed"
        assert (await waiting.result()).outcome == "removed"
        assert (await later.result()).outcome == "removed"
        await b.judge({first, second, third})


async def test_blocked_removal_with_a_long_story_fits_a_small_memo(live_cluster: MakeLiveCluster) -> None:
    """Temporal takes no more than 8 KB: it goes on in new runs all the same, and its end tells what was left out."""
    async with live_cluster(temporal_flags=(*SHORT_HISTORIES, *SMALL_MEMO)) as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        removal = await b.start(target, require_approval=True)
        await in_state(removal, "AwaitingApproval")
        await b.lab.kill(Role.ETCD, down)
        await execute_update(removal, "approve", {"by": "a" * 200, "comment": "c" * 1000})
        await another_run(b, removal.id, "the removal")
        await another_run(b, removal.id, "the removal")
        await b.lab.start(Role.ETCD, down)
        assert (await removal.result()).outcome == "removed"
        await b.lab.restart(Role.APISERVER, down)
        await b.judge({target})

"""Cancelling and terminating: before the removal is proposed nothing is left behind, afterwards it rolls forward."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError, TerminatedError

from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.cluster import HEALTH_INTERVAL_SECONDS
from etcd_handoff.temporal.search_attributes import STATE_KEY
from tests.integration.conftest import in_state, open_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import LiveCluster, MakeLiveCluster


IN_TIME = ("move_leader.before", "move_leader.during", "move_leader.after")
TOO_LATE = ("remove_member.during", "remove_member.after", "update_status.before")


async def cancel(removal: WorkflowHandle[Any, Any]) -> None:
    """Cancelled, and the workflow knows: a task has ended since, or the whole workflow."""
    await removal.cancel()

    async def heard() -> bool:
        events = [e async for e in removal.fetch_history_events()]
        requested = [e.event_id for e in events if e.HasField("workflow_execution_cancel_requested_event_attributes")]
        ended = [e.event_id for e in events if e.HasField("workflow_task_completed_event_attributes")]
        return bool(requested and ended and ended[-1] > requested[0])

    await wait_until(heard, "the workflow has heard of its cancellation", 60)


async def ended_as_cancelled(removal: WorkflowHandle[Any, Any]) -> None:
    """The end that Temporal records and lists show."""
    with pytest.raises(WorkflowFailureError) as failed:
        await removal.result()
    assert isinstance(failed.value.cause, CancelledError)
    described = await removal.describe()
    assert described.status is WorkflowExecutionStatus.CANCELED
    assert described.typed_search_attributes.get(STATE_KEY) == "Failed"


async def untouched(b: LiveCluster, ids: set[str], via: str) -> None:
    """All members are there, and every EtcdMember says so."""

    async def readable() -> bool:
        try:
            return {m.id for m in await b.lab.members(via)} == ids
        except OSError:  # leadership moves just now, which is all that may be left behind
            return False

    await wait_until(readable, "all members are there", 60)
    present = {via, *b.others(via)}
    assert {await b.lab.joined(name, via) for name in present} == {"True"}


async def test_cancelled_while_it_waits_for_approval(live_cluster: MakeLiveCluster) -> None:
    """Nothing has changed: members, leader, term, and no EtcdMember but the one that asks, in its message alone.

    Two starts for a member are one removal, and one cancellation ends both.
    """
    async with live_cluster() as b:
        leader, term = await b.lab.leader_and_term()
        before = await b.lab.etcdmembers(leader)
        ids = {m.id for m in await b.lab.members()}
        removal, joined = await b.start(leader, require_approval=True), await b.start(leader)
        await in_state(removal, "AwaitingApproval")
        await removal.cancel()
        await ended_as_cancelled(removal)
        await ended_as_cancelled(joined)
        await untouched(b, ids, leader)
        assert await b.lab.leader_and_term() == (leader, term)
        after = await b.lab.etcdmembers(leader)
        assert after[leader]["spec"] == before[leader]["spec"]
        assert after[leader]["status"]["conditions"] == before[leader]["status"]["conditions"]
        del after[leader], before[leader]
        assert after == before


async def test_cancelled_while_it_is_blocked(live_cluster: MakeLiveCluster) -> None:
    """A removal that waits for a dead voter ends at once; the next start does what was asked then."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        ids = {m.id for m in await b.lab.members()}
        await b.lab.kill(Role.ETCD, down)
        removal = await b.start(target)
        await in_state(removal, "Blocked")
        await removal.cancel()
        await ended_as_cancelled(removal)
        await untouched(b, ids, leader)
        await b.lab.start(Role.ETCD, down)
        assert (await b.remove(target)).outcome == "removed"
        await b.judge({target})


async def test_terminated_after_the_removal(live_cluster: MakeLiveCluster) -> None:
    """The EtcdMember was being written already; asked again, the member is found absent."""
    async with live_cluster(failpoints="remove_member.after=hold") as b:
        leader = await b.lab.leader()
        member_id, survivor = await b.lab.member_id(leader), b.lab.others(leader)[0].name
        removal = await b.start(leader)
        await b.reached("remove_member.after")
        await removal.terminate("a test")
        with pytest.raises(WorkflowFailureError) as failed:
            await removal.result()
        assert isinstance(failed.value.cause, TerminatedError)

        async def written() -> bool:
            return await b.lab.joined(leader, survivor) == "False"

        await wait_until(written, "the EtcdMember says that the member has left", 30)
        b.release("remove_member.after")
        result = await b.remove(leader)
        assert (result.outcome, result.member_id, result.status_recorded) == ("already-absent", member_id, True)
        resource = (await b.lab.etcdmembers(survivor))[leader]
        assert resource["status"]["message"] == "Member removed from cluster"
        await b.judge({leader})


async def test_worker_that_wakes_up_after_the_cancellation_removes_nobody(live_cluster: MakeLiveCluster) -> None:
    """It was stopped with a look in hand; meanwhile its step was given up, and nothing came of the next one.

    A virtual machine that is moved, or whose disk hangs, goes on where it was: with the lock, another look, and a
    cluster that is well by then.
    """
    async with live_cluster(failpoints="remove_member.looked=hold", kubernetes=False) as b:
        leader = await b.lab.leader()
        target, other = (node.name for node in b.lab.others(leader))
        ids = {m.id for m in await b.lab.members()}
        removal = await b.start(target)
        await b.reached("remove_member.looked")
        pid = int((b.folder / "remove_member.looked.hit").read_text())
        held = next(n for n in ("node0", "node1") if b.lab.process(Role.WORKER, n).pid == pid)
        await b.lab.kill(Role.ETCD, other)
        b.lab.stop(Role.WORKER, held)
        await in_state(removal, "Blocked")
        await removal.cancel()
        await ended_as_cancelled(removal)
        await b.lab.start(Role.ETCD, other)
        await asyncio.sleep(HEALTH_INTERVAL_SECONDS)  # etcd itself would refuse, and nothing tells when it does not
        b.release("remove_member.looked")
        b.lab.resume(Role.WORKER, held)
        await b.lab.kill(Role.WORKER, next(n for n in ("node0", "node1") if n != held))
        assert (await b.remove(target, dry_run=True)).outcome == "planned", "it works again, and has ended its step"
        # Its lock may stay: where the call that wrote it was cut off it knows no revision to delete. It goes stale.
        assert {m.id for m in await b.lab.members(leader)} == ids


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_path: Path) -> AsyncIterator[LiveCluster]:
    """One cluster for cancellations at points of several removals, of which each removes the leader in the end."""
    failpoints = ";".join(f"{point}=hold" for point in (*IN_TIME, *TOO_LATE))
    workers = ("node0", "node1", "node2")
    async with open_cluster(shared_path, nodes=7, workers=workers, failpoints=failpoints) as b:
        yield b


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("point", IN_TIME)
async def test_cancelled_while_leadership_moves(shared: LiveCluster, point: str) -> None:
    """Nothing but a moved leader is left behind, and the turn is free for the next removal."""
    b = shared
    b.arm(point)
    leader = await b.lab.leader()
    ids = {m.id for m in await b.lab.members()}
    removal = await b.start(leader)
    await b.reached(point)
    await cancel(removal)
    await ended_as_cancelled(removal)
    b.release(point)
    await untouched(b, ids, b.others(leader)[0])
    # The failpoint acts once, so the same removal goes through now.
    assert (await b.remove(leader)).outcome == "removed"
    await b.judge({leader})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("point", TOO_LATE)
async def test_cancelled_too_late_rolls_forward(shared: LiveCluster, point: str) -> None:
    """Once the removal may have been proposed, a cancellation changes nothing: it ends removed and recorded."""
    b = shared
    b.arm(point)
    leader = await b.lab.leader()
    writer = await b.writer(b.others(leader)[0])
    removal = await b.start(leader)
    await b.reached(point)
    await cancel(removal)
    b.release(point)
    result = await removal.result()
    assert (result.outcome, result.status_recorded) == ("removed", True)
    assert [s.name for s in result.steps][-2:] == ["remove_member", "update_status"]
    assert (await removal.describe()).status is WorkflowExecutionStatus.COMPLETED
    await b.judge({leader}, await writer.stop())

"""The main job on real processes: members leave, their resources tell the truth, no write is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from temporalio.api.enums.v1 import EventType

from etcd_handoff.contract import StepOutcome
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.naive import remove_through_itself
from etcd_handoff.lab.writer import OpenLoopWriter
from etcd_handoff.temporal.updates import execute_update
from tests.integration.progress import changes, says

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import MakeLiveCluster


async def test_leader_leaves_with_a_transfer_and_without_a_lost_write(live_cluster: MakeLiveCluster) -> None:
    """The five steps run once each in order, and the survivors' word agrees with the result."""
    async with live_cluster(workers=("node0", "node1", "node2")) as b:
        leader, term = await b.lab.leader_and_term()
        member_id = await b.lab.member_id(leader)
        survivor = b.lab.others(leader)[0].name
        writer = await b.writer(survivor)
        result = await b.remove(leader)
        report = await writer.stop()
        assert changes(result) == ["move_leader", "await_election", "remove_member", "update_status"]
        assert (result.outcome, result.was_leader, result.status_recorded) == ("removed", True, True)
        assert (result.member_id, result.member_name, result.leader_before) == (member_id, leader, member_id)
        assert result.leader_after not in (None, member_id)
        assert result.term_after > result.term_before == term
        await b.judge({leader}, report)
        resource = (await b.lab.etcdmembers(survivor))[leader]
        assert resource["status"]["memberID"] == member_id
        assert resource["status"]["message"] == "Member removed from cluster"
        assert resource["status"]["reconcileStatus"] == "Success"


async def test_follower_leaves_without_a_transfer_then_again_as_absent(live_cluster: MakeLiveCluster) -> None:
    """Removing a follower skips the transfer; asking again finds it absent and its resource true."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        follower = b.lab.others(leader)[0].name
        result = await b.remove(follower)
        assert changes(result) == ["remove_member", "update_status"]
        assert (result.was_leader, result.leader_after) == (False, result.leader_before)
        again = await b.remove(follower)
        assert (again.outcome, again.member_id, again.status_recorded) == ("already-absent", result.member_id, True)
        await b.judge({follower})


async def test_member_removed_by_hand_gets_its_resource_mended(live_cluster: MakeLiveCluster) -> None:
    """What the naive way leaves behind, an absent member that says Joined=True, is put right."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        steps = await remove_through_itself(b.lab, leader)
        assert steps[1].error, "the naive status write worked, so this lab does not show the bug"
        assert (await b.remove(leader)).outcome == "already-absent"
        await b.judge({leader})


async def test_three_become_one_with_the_leader_leaving_each_time(live_cluster: MakeLiveCluster) -> None:
    """3 -> 2 -> 1, and the last voter is refused with nothing changed."""
    async with live_cluster() as b:
        gone: set[str] = set()
        last = (await b.lab.members())[0].name
        writer: OpenLoopWriter | None = None
        for _ in range(2):
            leader = await b.lab.leader()
            writer = writer or await b.writer(last)
            target = leader if leader != last else next(m.name for m in await b.lab.members() if m.name != last)
            result = await b.remove(target)
            assert result.outcome == "removed"
            gone.add(target)
            await b.judge(gone)
        assert writer is not None
        await b.judge(gone, await writer.stop())


async def test_target_that_is_down_is_removed_after_its_leadership_passed(live_cluster: MakeLiveCluster) -> None:
    """A killed leader leaves once the others have elected; its API server, standing on a dead etcd, does not matter."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        writer = await b.writer(b.lab.others(leader)[0].name)
        await b.lab.kill(Role.ETCD, leader)
        b.lab.stop(Role.APISERVER, leader)
        result = await b.remove(leader)
        assert (result.outcome, result.status_recorded) == ("removed", True)
        await b.judge({leader}, await writer.stop())


async def test_removal_waits_while_another_voter_is_down_and_goes_on_when_it_is_back(
    live_cluster: MakeLiveCluster,
) -> None:
    """Blocked, not failed: it says what it waits for, and `recheck` ends the wait when that has come."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        removal = await b.start(target)

        await says(removal, "Blocked", "QuorumAtRisk")
        assert {m.name for m in await b.lab.members(leader)} == {n.name for n in b.lab.nodes}
        await b.lab.restart(Role.ETCD, down)
        await execute_update(removal, "recheck", {"reason": "it is back"})
        result = await removal.result()
        assert result.outcome == "removed"
        await b.judge({target})


async def test_transfer_that_comes_late_has_its_election_awaited_once_more(live_cluster: MakeLiveCluster) -> None:
    """The election is awaited beside the transfer; in vain, while the worker hangs before it hands over."""
    async with live_cluster(failpoints="move_leader.before=hold") as b:
        leader = await b.lab.leader()
        removal = await b.start(leader)
        await b.reached("move_leader.before")

        async def in_vain() -> bool:
            events = [event async for event in removal.fetch_history_events()]
            answers = [e for e in events if e.HasField("activity_task_completed_event_attributes")]
            return b"no-election" in answers[-1].SerializeToString()

        await wait_until(in_vain, "the election has been awaited in vain", 20)
        assert await b.lab.leader() == leader
        b.release("move_leader.before")
        result = await removal.result()
        assert [s.outcome for s in result.steps if s.name == "await_election"] == [StepOutcome.ELECTED]
        await b.judge({leader})


async def test_temporal_killed_and_restarted_in_the_middle(live_cluster: MakeLiveCluster) -> None:
    """The server comes back on its file and the removal ends as if nothing had been."""
    async with live_cluster(failpoints="move_leader.after=hold") as b:
        leader = await b.lab.leader()
        writer = await b.writer(b.lab.others(leader)[0].name)
        removal = await b.start(leader)
        await b.reached("move_leader.after")
        await b.lab.kill(Role.TEMPORAL)
        b.release("move_leader.after")
        await b.lab.restart(Role.TEMPORAL)
        assert (await removal.result()).outcome == "removed"
        await b.judge({leader}, await writer.stop())


async def test_worker_killed_while_it_decides(live_cluster: MakeLiveCluster) -> None:
    """A decision that a dead worker has taken with it is handed out again, and nobody has to look for it."""
    async with live_cluster(workers=("node0",)) as b:
        leader = await b.lab.leader()
        await b.remove(leader, dry_run=True)  # the worker asks for decisions now
        b.lab.stop(Role.WORKER, "node0")
        removal = await b.start(leader)

        async def decides() -> bool:
            return EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED in await events(removal)

        await wait_until(decides, "the worker that stands still has got the decision", 30)
        await b.lab.kill(Role.WORKER, "node0")
        await b.lab.start_worker("node1")
        assert (await removal.result()).outcome == "removed"
        assert EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT in await events(removal)
        await b.judge({leader})


async def events(removal: WorkflowHandle[Any, Any]) -> list[EventType.ValueType]:
    """The types of all events of a history so far."""
    return [event.event_type for event in (await removal.fetch_history()).events]


async def test_naive_way_shows_the_bug(tmp_path: Path) -> None:
    """Removed through itself, the leader is gone, its resource says Joined=True, and writes stall: the lab can fail."""
    async with Lab(LabOptions(temporal=False, directory=tmp_path / "lab")) as lab:
        leader = await lab.leader()
        survivor = lab.others(leader)[0]
        writer = OpenLoopWriter(survivor.etcd_url, tmp_path)
        await writer.start()
        steps = await remove_through_itself(lab, leader)
        await lab.leader()
        report = await writer.stop()
        assert leader not in {m.name for m in await lab.members(survivor.name)}
        assert await lab.joined(leader, survivor.name) == "True"
        assert steps[1].error
        assert report.failed


@pytest.mark.parametrize("step", ["check_leader", "move_leader", "await_election", "remove_member", "update_status"])
async def test_worker_killed(live_cluster: MakeLiveCluster, step: str) -> None:
    """SIGKILL for a worker before, during and after this step, in a removal each of the leader of the time.

    Another worker ends the removal, once, and the resource is true.
    """
    points = [f"{step}.{moment}" for moment in ("before", "during", "after")]
    workers = ("node0", "node1", "node2", "node3")
    async with live_cluster(nodes=5, workers=workers, failpoints=";".join(f"{point}=kill" for point in points)) as b:
        for killed, point in enumerate(points, start=1):
            b.arm(point)
            leader = await b.lab.leader()
            writer = await b.writer(b.others(leader)[0])
            removal = await b.start(leader)
            result = await removal.result()
            assert (b.folder / f"{point}.hit").exists(), "nobody was killed, so nothing was tested"
            assert sum(b.lab.alive(Role.WORKER, name) for name in workers) == len(workers) - killed, point
            assert (result.outcome, result.status_recorded) == ("removed", True), point
            ended = [name for name in changes(result) if name == "remove_member"]
            assert len(ended) == 1, point
            await b.judge({leader}, await writer.stop())

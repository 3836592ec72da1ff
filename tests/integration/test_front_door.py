"""Kubernetes as the front door: `spec.leave` in, the truth out, for somebody who knows kubectl alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.contract import workflow_id
from etcd_handoff.lab import Role, http, wait_until
from etcd_handoff.lab.nodes import bearer
from tests.integration.conftest import joined_condition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import Bench, MakeFrontDoor


async def test_patched_leader_is_out_seen_through_another_api_server(front_door: MakeFrontDoor) -> None:
    """One removal although it is flagged twice, no write fails, and kubectl tells what happened and when."""
    async with front_door() as door:
        b = door.bench
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        before = (await b.lab.etcdmembers(one))[leader]["status"]["conditions"][0]["lastTransitionTime"]
        writer = await b.writer(one)
        await asyncio.gather(door.flag(leader, via=one), door.flag(leader, via=leader))
        await door.out(leader, via=other)
        await b.judge({leader}, await writer.stop())
        status = await door.status(leader, other)
        assert (status["message"], status["reconcileStatus"]) == ("Member removed from cluster", "Success")
        assert status["conditions"][0]["lastTransitionTime"] >= before
        runs = [run async for run in b.client.list_workflows(f"WorkflowId = '{removal_id(b, leader)}'")]
        assert len(runs) <= 1
        events = json.loads(await b.lab.kubectl("get", "events", "-o", "json", context=other))["items"]
        # API servers write events of their own, some about no object.
        reasons = {e["reason"] for e in events if e["involvedObject"].get("name") == leader}
        assert {"MoveLeader", "RemoveMember", "Removed"} <= reasons


@pytest.mark.parametrize(
    "points",
    [
        ("watch_members.before", "move_leader.after"),
        ("follow_removal.before", "remove_member.after"),
        ("sync_members.after", "update_status.before"),
    ],
)
async def test_worker_of_the_watcher_killed(front_door: MakeFrontDoor, points: tuple[str, str]) -> None:
    """Two of three workers die at these points, without a restart: the leader leaves, once, and nothing lies."""
    async with front_door(failpoints=";".join(f"{point}=kill" for point in points)) as door:
        b = door.bench
        leader = await b.lab.leader()
        other = b.lab.others(leader)[1].name
        await door.flag(leader, via=leader)
        await door.out(leader, via=other)
        for point in points:
            assert (b.folder / f"{point}.hit").exists(), "nobody was killed, so nothing was tested"
        await b.judge({leader})


async def test_only_worker_is_on_the_leader_and_dies_with_its_api_server(front_door: MakeFrontDoor) -> None:
    """The watch, begun on the node that leaves, is taken over at once when that node's processes are killed or hang."""
    async with front_door(workers=()) as door:
        b = door.bench
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        await b.lab.start_worker(leader)
        await door.sees_all()
        await b.lab.start_worker(one)
        await b.lab.kill(Role.WORKER, leader)
        b.lab.stop(Role.APISERVER, leader)
        await door.flag(leader, via=one)
        await door.out(leader, via=other)
        await b.judge({leader})


@pytest.mark.parametrize("order", list(itertools.permutations(("node0", "node1", "node2"))), ids="-".join)
async def test_all_three_flagged_at_once(front_door: MakeFrontDoor, order: tuple[str, ...]) -> None:
    """Two leave one after the other, the last is refused with a message, and no acknowledged write is lost."""
    async with front_door() as door:
        b = door.bench
        writers = [await b.writer(name) for name in order]
        await door.flag(*order, via=order[0])

        async def one_left() -> bool:
            with contextlib.suppress(OSError):
                return len(await b.lab.members()) == 1
            return False

        await wait_until(one_left, "two have left", 60)
        (last,) = (m.name for m in await b.lab.members())
        message = await door.says(last, "Not removed", "last voter", "tried again", via=last)
        assert "LastVoter" in message
        gone = set(order) - {last}
        await door.out(*sorted(gone), via=last)
        assert (await door.status(last, last))["reconcileStatus"] == "Failed"
        reports = dict(zip(order, [await writer.stop() for writer in writers], strict=True))
        await b.judge(gone, reports[last])
        # etcd forgets a few proposals that followers forward while leadership moves; without a quorum all would fail.
        assert len(reports[last].failed) < len(reports[last].puts) / 20, reports[last].reasons
        assert not max(reports[last].puts, key=lambda put: put.number).error


async def test_leave_taken_back_in_time_and_set_again(front_door: MakeFrontDoor) -> None:
    """Before the point of no return the member stays and its EtcdMember says so; a later flag is a new order."""
    async with front_door(failpoints="move_leader.before=hold") as door:
        b = door.bench
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await door.flag(leader, via=other)
        await b.reached("move_leader.before")
        await door.says(leader, "Handing leadership", via=other)
        await door.flag(leader, leave=False, via=other)
        await door.says(leader, "Leave was taken back", via=other)
        await b.judge(set())
        assert await b.lab.leader() == leader
        await door.flag(leader, via=other)
        await door.out(leader, via=other)
        await b.judge({leader})


async def test_leave_taken_back_too_late(front_door: MakeFrontDoor) -> None:
    """What etcd has done is told, not undone."""
    async with front_door(failpoints="remove_member.after=hold") as door:
        b = door.bench
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await door.flag(leader, via=other)
        await b.reached("remove_member.after")
        await door.flag(leader, leave=False, via=other)

        async def noticed() -> bool:
            return not [m for m in (await door.watching())["members"] if m["leave"]]

        await wait_until(noticed, "the watcher has seen that leave was taken back", 20)
        b.release("remove_member.after")
        await door.out(leader, via=other)
        await b.judge({leader})
        assert (await door.status(leader, other))["message"] == "Member removed from cluster"


async def test_resource_deleted_in_the_middle(front_door: MakeFrontDoor) -> None:
    """The removal ends, the watcher goes on, and no EtcdMember of an absent member comes back."""
    async with front_door(failpoints="remove_member.after=hold") as door:
        b = door.bench
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        await door.flag(leader, via=one)
        await b.reached("remove_member.after")
        await b.lab.kubectl("delete", "etcdmember", leader, context=one)
        b.release("remove_member.after")
        result = await b.client.get_workflow_handle(removal_id(b, leader)).result()
        assert (result["outcome"], result["status_recorded"]) == ("removed", False)
        await door.flag(one, via=other)
        await door.out(one, via=other)
        assert set(await b.lab.etcdmembers(other)) == {one, other}
        assert {m.name for m in await b.lab.members(other)} == {other}


async def test_blocked_by_another_member_that_is_down(front_door: MakeFrontDoor) -> None:
    """The EtcdMember says what is waited for, and the removal goes on by itself when that has come."""
    async with front_door() as door:
        b = door.bench
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        await door.flag(target, via=leader)
        message = await door.says(target, "Blocked", down, via=leader)
        assert "QuorumAtRisk" in message
        assert len(await b.lab.members(leader)) == 3
        await b.lab.restart(Role.ETCD, down)
        await door.out(target, via=leader)
        await b.lab.restart(Role.APISERVER, down)  # it does not get over the loss of its etcd in all cases
        await b.judge({target})


async def test_removal_that_failed_is_tried_again_at_once_when_the_spec_changes(front_door: MakeFrontDoor) -> None:
    """Terminated from outside, it rests; the new order starts before the rest is over."""
    async with front_door(failpoints="move_leader.before=hold") as door:
        b = door.bench
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await door.flag(leader, via=other)
        await b.reached("move_leader.before")
        removal = b.client.get_workflow_handle(removal_id(b, leader))
        await removal.terminate("by the test")
        await door.says(leader, "terminated", "tried again in 15 s", via=other)
        (retry,) = (await door.watching())["retries"]
        b.release("move_leader.before")
        await door.flag(leader, leave=False, via=other)
        await door.flag(leader, via=other)
        await door.out(leader, via=other)
        assert (await removal.describe()).start_time.timestamp() < retry["at_seconds"]
        await b.judge({leader})


async def test_somebody_patches_the_same_resource_all_the_time(front_door: MakeFrontDoor) -> None:
    """Conflicts are read again: the leader is removed and told, and a lie is put right, while the writer goes on."""
    async with front_door() as door:
        b = door.bench
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        async with patching(b, leader, one), patching(b, other, one):
            await door.flag(leader, via=one)
            await door.out(leader, via=other)
            await b.lie(other, {"conditions": [joined_condition("False")]}, via=one)
            await b.lab.kubectl(
                "wait", f"etcdmember/{other}", "--for", "condition=Joined=True", context=one, timeout="60s"
            )
        await b.judge({leader})


async def test_resource_kind_is_installed_later(front_door: MakeFrontDoor) -> None:
    """The watcher says that EtcdMembers are missing, and works once they are there."""
    async with front_door(workers=()) as door:
        b = door.bench
        await b.lab.kubectl("delete", "crd", "etcdmembers.etcd.k0sproject.io", context="node0", timeout="30s")
        await b.lab.start_worker("node0")

        async def missed() -> bool:
            return "not installed" in (await door.watching())["trouble"]

        await wait_until(missed, "the watcher says that EtcdMembers are not installed", 30)
        await b.lab.install_resources()
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await door.flag(leader, via=other)
        await door.out(leader, via=other)
        await b.judge({leader})


async def test_dry_run_that_was_joined_is_no_answer(front_door: MakeFrontDoor) -> None:
    """A flag that meets somebody's dry run of the same member is still done afterwards."""

    async def hold_a_dry_run(b: Bench) -> None:
        await b.start(await b.lab.leader(), dry_run=True)
        await b.reached("check_leader.before")

    async with front_door(failpoints="check_leader.before=hold", first=hold_a_dry_run) as door:
        b = door.bench
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await door.flag(leader, via=other)

        async def joined() -> bool:
            return bool((await door.watching())["removing"])

        await wait_until(joined, "the watcher follows the dry run", 20)
        b.release("check_leader.before")
        await door.out(leader, via=other)
        await b.judge({leader})


@contextlib.asynccontextmanager
async def patching(b: Bench, member: str, via: str) -> AsyncIterator[None]:
    """A client writes an annotation of this EtcdMember in a closed loop."""
    url = f"{b.lab.node(via).api_url}/apis/etcd.k0sproject.io/v1beta1/etcdmembers/{member}"
    headers = {**bearer(), "Content-Type": "application/merge-patch+json"}
    stored = 0

    async def patch_on() -> None:
        nonlocal stored
        for number in itertools.count():
            body = {"metadata": {"annotations": {"number": str(number)}}}
            status, _ = await http.request(url, body, method="PATCH", headers=headers)
            stored += status == 200

    writing = asyncio.create_task(patch_on())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    assert stored > 10, "nobody got in the way, so nothing was tested"


def removal_id(b: Bench, member: str) -> str:
    """The workflow ID of its removal."""
    return workflow_id(b.lab.cluster, member)

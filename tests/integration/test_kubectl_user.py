"""A cluster that is changed with kubectl alone: `spec.leave` in, the truth out."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab import Role, wait_until
from tests.integration.conftest import removal_id

if TYPE_CHECKING:
    from tests.integration.conftest import LiveCluster, MakeKubectlUser


async def test_worker_of_the_watcher_killed(kubectl_user: MakeKubectlUser) -> None:
    """Two of three workers die at two points, without a restart: the leader leaves, once, and nothing lies.

    Then they are started for the next two points, and the leader of the time leaves.
    """
    pairs = (
        ("watch_members.before", "move_leader.after"),
        ("follow_removal.before", "remove_member.after"),
        ("sync_members.after", "update_status.before"),
    )
    workers = ("node0", "node1", "node2")
    failpoints = ";".join(f"{point}=kill" for points in pairs for point in points)
    async with kubectl_user(nodes=5, workers=workers, failpoints=failpoints, first=arm_none) as user:
        b = user.cluster
        for points in pairs:
            for name in workers:
                if not b.lab.alive(Role.WORKER, name):
                    await b.lab.start_worker(name)
            b.arm(*points)
            leader = await b.lab.leader()
            other = b.others(leader)[1]
            await user.flag(leader, via=leader)
            await user.out(leader, via=other)
            for point in points:
                await b.reached(point)

            async def one_remains() -> bool:  # a worker says that it was reached before it is killed
                return sum(b.lab.alive(Role.WORKER, name) for name in workers) == 1

            await wait_until(one_remains, f"two workers die at {points}", 60)
            await b.judge({leader})


async def arm_none(b: LiveCluster) -> None:
    """No failpoint acts yet."""
    b.arm()


async def test_only_worker_is_on_the_leader_and_dies_with_its_api_server(kubectl_user: MakeKubectlUser) -> None:
    """The watch, begun on the node that leaves, is taken over at once when that node's processes are killed or hang."""
    async with kubectl_user(workers=()) as user:
        b = user.cluster
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        await b.lab.start_worker(leader)
        await user.sees_all()
        await b.lab.start_worker(one)
        await b.lab.kill(Role.WORKER, leader)
        b.lab.stop(Role.APISERVER, leader)
        await user.flag(leader, via=one)
        await user.out(leader, via=other)
        await b.judge({leader})


@pytest.mark.parametrize("place", [0, 1, 2], ids=["leader-first", "leader-second", "leader-last"])
async def test_all_three_flagged_at_once(kubectl_user: MakeKubectlUser, place: int) -> None:
    """Two leave one after the other, the last is refused with a message, and no acknowledged write is lost."""
    async with kubectl_user() as user:
        b = user.cluster
        leader = await b.lab.leader()
        order = [node.name for node in b.lab.others(leader)]
        order.insert(place, leader)
        writers = [await b.writer(name) for name in order]
        await user.flag(*order, via=order[0])

        async def one_left() -> bool:
            with contextlib.suppress(OSError):
                return len(await b.lab.members()) == 1
            return False

        await wait_until(one_left, "two have left", 60)
        (last,) = (m.name for m in await b.lab.members())
        message = await user.says(last, "Not removed", "last voter", "tried again", via=last)
        assert "LastVoter" in message
        gone = set(order) - {last}
        await user.out(*sorted(gone), via=last)
        assert (await user.status(last, last))["reconcileStatus"] == "Failed"
        reports = dict(zip(order, [await writer.stop() for writer in writers], strict=True))
        await b.judge(gone, reports[last])
        # etcd forgets proposals that followers forward while leadership moves: the more, the busier the machine is.
        # Without a quorum all would fail from then on, and the last one too.
        assert len(reports[last].failed) < len(reports[last].puts) / 2, reports[last].reasons
        assert not max(reports[last].puts, key=lambda put: put.number).error


async def test_resource_deleted_in_the_middle(kubectl_user: MakeKubectlUser) -> None:
    """The removal ends, the watcher goes on, and no EtcdMember of an absent member comes back."""
    async with kubectl_user(failpoints="remove_member.after=hold") as user:
        b = user.cluster
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        await user.flag(leader, via=one)
        await b.reached("remove_member.after")
        await b.lab.kubectl("delete", "etcdmember", leader, context=one)
        b.release("remove_member.after")
        result = await b.client.get_workflow_handle(removal_id(b, leader)).result()
        assert (result["outcome"], result["status_recorded"]) == ("removed", False)
        await user.flag(one, via=other)
        await user.out(one, via=other)
        assert set(await b.lab.etcdmembers(other)) == {one, other}
        assert {m.name for m in await b.lab.members(other)} == {other}


async def test_blocked_by_another_member_that_is_down(kubectl_user: MakeKubectlUser) -> None:
    """The EtcdMember says what is waited for, and the removal goes on by itself when that has come."""
    async with kubectl_user() as user:
        b = user.cluster
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        await user.flag(target, via=leader)
        message = await user.says(target, "Blocked", down, via=leader)
        assert "QuorumAtRisk" in message
        assert len(await b.lab.members(leader)) == 3
        await b.lab.restart(Role.ETCD, down)
        await user.out(target, via=leader)
        await b.lab.restart(Role.APISERVER, down)  # it does not get over the loss of its etcd in all cases
        await b.judge({target})


async def test_resource_kind_is_installed_later(kubectl_user: MakeKubectlUser) -> None:
    """The watcher says that EtcdMembers are missing, and works once they are there."""
    async with kubectl_user(workers=()) as user:
        b = user.cluster
        await b.lab.kubectl("delete", "crd", "etcdmembers.etcd.k0sproject.io", context="node0", timeout="30s")
        await b.lab.start_worker("node0")

        async def missed() -> bool:
            return "not installed" in (await user.watching())["trouble"]

        await wait_until(missed, "the watcher says that EtcdMembers are not installed", 60)
        await b.lab.install_resources()
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await user.flag(leader, via=other)
        await user.out(leader, via=other)
        await b.judge({leader})


async def test_dry_run_that_was_joined_is_no_answer(kubectl_user: MakeKubectlUser) -> None:
    """A flag that meets somebody's dry run of the same member is still done afterwards."""

    async def hold_a_dry_run(b: LiveCluster) -> None:
        await b.start(await b.lab.leader(), dry_run=True)
        await b.reached("check_leader.before")

    async with kubectl_user(failpoints="check_leader.before=hold", first=hold_a_dry_run) as user:
        b = user.cluster
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await user.flag(leader, via=other)

        async def joined() -> bool:
            return bool((await user.watching())["removing"])

        await wait_until(joined, "the watcher follows the dry run", 60)
        b.release("check_leader.before")
        await user.out(leader, via=other)
        await b.judge({leader})

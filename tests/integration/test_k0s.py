"""Beside k0s's own reconciler: leadership moves first, k0s removes, and the resource tells the truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from etcd_handoff.lab.k0s import K0sStandIn, Release
from etcd_handoff.lab.waiting import wait_until

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import Bench, MakeBench


@pytest.mark.parametrize("release", ["v1.31", "v1.36"])
async def test_k0s_removes_a_leader_that_has_handed_over(bench: MakeBench, release: Release) -> None:
    """Asked after the transfer, k0s removes a follower: no write fails, and what k0s cannot write is written."""
    async with bench(remover="k0s") as b, K0sStandIn(b.lab, release) as k0s:
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        writer = await b.writer(survivor)
        result = await b.remove(leader)
        report = await writer.stop()
        names = list(dict.fromkeys(step.name for step in result.steps))
        assert names == ["check_leader", "move_leader", "await_election", "request_leave", "update_status"]
        assert k0s.removed == [leader]
        assert (result.outcome, result.was_leader, result.status_recorded) == ("removed", True, True)
        assert (await b.lab.etcdmembers(survivor))[leader]["spec"]["leave"] is True
        await b.judge({leader}, report)


async def test_k0s_of_old_alone_leaves_a_lie(bench: MakeBench) -> None:
    """Without us the same stand-in shows the bug, so the test above can fail."""
    async with bench(remover="k0s", workers=()) as b, K0sStandIn(b.lab, "v1.31") as k0s:
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        asked = ("patch", "etcdmember", leader, "--type", "merge", "-p", '{"spec":{"leave":true}}')
        await b.lab.kubectl(*asked, context=survivor)

        async def removed() -> bool:
            return leader in k0s.removed and await b.lab.leader() != leader

        await wait_until(removed, "the member is out and the others have elected", 20)
        assert leader not in {m.name for m in await b.lab.members(survivor)}
        assert await b.lab.joined(leader, survivor) == "True"


async def asked(b: Bench, member: str, via: str) -> WorkflowHandle[Any, Any]:
    """A removal that has asked k0s, which does not run, and waits for it."""
    removal = await b.start(member)

    async def waits() -> bool:
        progress = await removal.query("progress")
        return bool(progress["state"] == "Blocked" and "AwaitingK0s" in progress["doing"])

    await wait_until(waits, "the removal waits for k0s", 20)
    assert await asks_to_leave(b, member, via)
    assert not (await removal.query("progress"))["point_of_no_return"]
    return removal


async def asks_to_leave(b: Bench, member: str, via: str) -> bool:
    """Whether the order stands."""
    return bool((await b.lab.etcdmembers(via))[member]["spec"]["leave"])


async def take_back(b: Bench, member: str, via: str, manager: str) -> None:
    """`spec.leave` is false by the hand of this field manager."""
    patch = ["--type", "merge", "-p", json.dumps({"spec": {"leave": False}}), "--field-manager", manager]
    await b.lab.kubectl("patch", "etcdmember", member, *patch, context=via)


async def test_order_that_somebody_takes_back_is_not_given_again(bench: MakeBench) -> None:
    """The member stays, and the failure says whose word that was."""
    async with bench(remover="k0s") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await asked(b, target, leader)
        await take_back(b, target, leader, "kubectl-edit")
        with pytest.raises(WorkflowFailureError) as failed:
            await removal.result()
        error = failed.value.cause
        assert isinstance(error, ApplicationError)
        assert (error.type, "taken back by kubectl-edit" in error.message) == ("RemovalRefused", True)
        assert not await asks_to_leave(b, target, leader)
        await b.judge(set())


async def test_order_that_k0s_loses_when_it_starts_is_given_again(bench: MakeBench) -> None:
    """Every controller that starts writes `spec.leave: false`; the member leaves all the same."""
    async with bench(remover="k0s") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await asked(b, target, leader)
        await take_back(b, target, leader, "k0s")

        async def again() -> bool:
            return await asks_to_leave(b, target, leader)

        await wait_until(again, "the order is given again", 45)
        async with K0sStandIn(b.lab, "v1.36") as k0s:
            assert (await removal.result()).outcome == "removed"
            assert k0s.removed == [target]
        await b.judge({target})


async def test_cancelled_removal_takes_its_order_to_k0s_back(bench: MakeBench) -> None:
    """Nobody removes the member later: neither the order nor the removal stands."""
    async with bench(remover="k0s") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await asked(b, target, leader)
        await removal.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await removal.result()
        assert isinstance(failed.value.cause, CancelledError)
        assert not await asks_to_leave(b, target, leader)
        await b.judge(set())

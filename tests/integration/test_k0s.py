"""Beside k0s's own reconciler: leadership moves first, whoever removes, and the resource tells the truth."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.etcdmember import SHUTDOWN_LABEL, SHUTDOWN_ON_LEAVE_LABEL
from etcd_handoff.lab import Role, disasters
from etcd_handoff.lab.k0s import K0sStandIn, Release
from etcd_handoff.lab.waiting import ProcessError, wait_until
from tests.chaos import checks
from tests.integration.conftest import KubectlUser, ends, start_watcher, start_workers_of_k0s
from tests.integration.isolation import require_isolation
from tests.integration.progress import changes, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

POLICY: Final = Path(__file__).parents[2] / "deploy" / "k0s-leave-policy.yaml"


@contextlib.asynccontextmanager
async def k0s_cluster(live_cluster: MakeLiveCluster, **options: Any) -> AsyncIterator[KubectlUser]:
    """A cluster with the usual profile of k0s, `sets_leave = true`, and a watcher."""
    async with live_cluster(workers=(), **options) as b:
        await start_workers_of_k0s(b)
        user = KubectlUser(b, await start_watcher(b))
        await user.sees_all()
        yield user


async def annotate(user: KubectlUser, member: str, via: str, value: str = "=true") -> str:
    """`kubectl annotate`: what it printed."""
    return await user.cluster.lab.kubectl("annotate", "etcdmember", member, f"{LEAVE_ANNOTATION}{value}", context=via)


async def test_leader_leaves_and_its_flag_is_set_afterwards(live_cluster: MakeLiveCluster) -> None:
    """We remove it, k0s does not, no watcher takes the flag for a wish, and the operator is told what is left to do."""
    async with k0s_cluster(live_cluster) as user, K0sStandIn(user.cluster.lab, "v1.36") as k0s:
        b = user.cluster
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        writer = await b.writer(one)
        result = await b.remove(leader)
        assert changes(result) == ["move_leader", "await_election", "remove_member", "update_status"]
        assert (result.outcome, result.status_recorded, result.status_note) == ("removed", True, "")
        assert any("k0s stop" in step for step in result.next_steps)
        assert (await b.lab.etcdmembers(one))[leader]["spec"]["leave"] is True

        async def seen() -> bool:
            return any(m["leave"] for m in (await user.watching())["members"])

        await wait_until(seen, "the watcher has seen the flag", 20)
        await b.judge({leader}, await writer.stop())
        assert k0s.removed == []
        removals = [run.id async for run in b.client.list_workflows("WorkflowType = 'RemoveMember'")]
        assert set(removals) <= {f"etcd-remove/{b.lab.cluster}/{leader}"}
        events = json.loads(await b.lab.kubectl("get", "events", "-o", "json", context=other))["items"]
        messages = {e["reason"]: e["message"] for e in events if e["involvedObject"].get("name") == leader}
        assert "k0s reset" in messages["LeftToDo"]


@pytest.mark.parametrize("release", ["v1.31", "v1.36"])
async def test_kubectl_alone_with_the_annotation(live_cluster: MakeLiveCluster, release: Release) -> None:
    """Leadership moves first, no write fails, k0s has nothing to remove; the annotation becomes the flag."""
    async with k0s_cluster(live_cluster) as user, K0sStandIn(user.cluster.lab, release) as k0s:
        b = user.cluster
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        writer = await b.writer(survivor)
        assert await annotate(user, leader, survivor) == f"etcdmember.etcd.k0sproject.io/{leader} annotated\n"
        await user.out(leader, via=survivor)
        result = await b.client.get_workflow_handle(f"etcd-remove/{b.lab.cluster}/{leader}").result()
        moved = [step for step in result["steps"] if step["name"] == "move_leader"]
        assert (result["was_leader"], moved[-1]["outcome"]) == (True, "moved")
        report = await writer.stop()
        await b.judge({leader}, report)
        assert k0s.removed == []
        resource = (await b.lab.etcdmembers(survivor))[leader]
        assert resource["spec"]["leave"] is True
        assert LEAVE_ANNOTATION not in resource["metadata"].get("annotations", {})


async def test_node_that_joins_again_is_not_removed_by_the_flag_of_its_former_member(
    live_cluster: MakeLiveCluster,
) -> None:
    """k0s on the node clears it once its API server answers, and the lease holder follows it until then."""
    async with k0s_cluster(live_cluster) as user:
        b = user.cluster
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        assert (await b.remove(target)).outcome == "removed"
        assert await asks_to_leave(b, target, leader)
        new = await disasters.rejoin(b.lab, target)
        async with K0sStandIn(b.lab, "v1.31", holder=leader) as k0s:
            status, text = await ends(b.lab, "watch", "resync")
            assert status == 0, text

            async def described() -> bool:
                return checks.said_id((await b.lab.etcdmembers(leader))[target]) == new

            await wait_until(described, "the EtcdMember describes the new member", 30)
            assert not await asks_to_leave(b, target, leader)
            await b.judge(set())
            assert (k0s.removed, await b.lab.member_id(target)) == ([], new)


@pytest.mark.parametrize("release", ["v1.31", "v1.36"])
async def test_kubectl_alone_with_the_flag_lets_k0s_act_first(live_cluster: MakeLiveCluster, release: Release) -> None:
    """Nothing holds k0s back, so it begins while the leader leads; the record is the truth all the same."""
    async with k0s_cluster(live_cluster, failpoints="move_leader.before=hold") as user:
        leader = await user.cluster.lab.leader()
        survivor = user.cluster.lab.others(leader)[0].name
        async with K0sStandIn(user.cluster.lab, release, holder=survivor) as k0s:
            await user.flag(leader, via=survivor)

            async def begun() -> bool:
                return k0s.removed == [leader]

            await wait_until(begun, "k0s has begun to remove the leader", 30)
            user.cluster.release("move_leader.before")
            await user.out(leader, via=survivor)
            assert k0s.removed == [leader]
            await user.cluster.judge({leader})
            if release == "v1.36":
                await stopped_for_good(user.cluster, k0s, leader)


async def stopped_for_good(b: LiveCluster, k0s: K0sStandIn, node: str) -> None:
    """k0s has stopped etcd and the API server of this node, and starts them no more."""

    async def ended() -> bool:
        return not (b.lab.alive(Role.ETCD, node) or b.lab.alive(Role.APISERVER, node))

    await wait_until(ended, f"etcd and the API server of {node} have ended", 30)
    assert (k0s.stopped, k0s.respawned[node]) == ({node}, 0)


async def test_annotation_taken_away_in_time_and_set_again(live_cluster: MakeLiveCluster) -> None:
    """The member stays and its EtcdMember says so; the next annotation is a new order."""
    async with k0s_cluster(live_cluster, failpoints="move_leader.looked=hold") as user:
        b = user.cluster
        leader = await b.lab.leader()
        other = b.lab.others(leader)[0].name
        await annotate(user, leader, other)
        await b.reached("move_leader.looked")
        await annotate(user, leader, other, "-")
        await user.says(leader, "Leave was taken back", via=other)
        await b.judge(set())
        await annotate(user, leader, other, f"={await b.lab.member_id(leader)}")
        await user.out(leader, via=other)
        await b.judge({leader})


async def test_annotation_with_a_wrong_value_says_what_to_write(live_cluster: MakeLiveCluster) -> None:
    """And nobody leaves."""
    async with k0s_cluster(live_cluster) as user:
        leader = await user.cluster.lab.leader()
        await annotate(user, leader, leader, "=yes")
        await user.says(leader, "Not started", "'yes'", await user.cluster.lab.member_id(leader), via=leader)
        await annotate(user, leader, leader, "-")
        await user.says(leader, "Member joined", via=leader)
        await user.cluster.judge(set())


async def test_policy_refuses_the_flag_and_names_the_annotation(live_cluster: MakeLiveCluster) -> None:
    """Kubectl prints the command that does it; k0s and the removal itself write what they have to."""
    async with k0s_cluster(live_cluster) as user:
        b = user.cluster
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        await b.lab.kubectl("apply", "--server-side", "-f", str(POLICY), context=survivor)
        flag = ("patch", "etcdmember", leader, "--type", "merge", "-p", '{"spec":{"leave":true}}')
        errors = [""]

        async def refused() -> bool:
            try:
                await b.lab.kubectl(*flag, "--dry-run=server", context=survivor)
            except ProcessError as error:
                errors.append(str(error))
            return "denied request" in errors[-1]

        await wait_until(refused, "the policy is in force", 60, lambda: errors[-1])
        name = "etcd-handoff-k0s-leave"
        assert (
            f'Error from server (Forbidden): etcdmembers.etcd.k0sproject.io "{leader}" is forbidden:'
            f" ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: k0s removes {leader} at once"
            f" when spec.leave is true, also while it leads etcd. Instead, run: kubectl annotate etcdmember {leader}"
            f" {LEAVE_ANNOTATION}=true"
        ) in errors[-1]
        await b.lab.kubectl(*flag, "--dry-run=server", "--field-manager=etcd-handoff", context=survivor)
        await annotate(user, leader, survivor)
        await user.out(leader, via=survivor)

        async def flagged() -> bool:
            return await asks_to_leave(b, leader, survivor)

        await wait_until(flagged, "its flag is set, which comes after the record", 20)
        await take_back(b, leader, survivor, "k0s")
        await b.lab.kubectl(*flag, context=survivor)  # of a member that has left anybody may set it
        await b.judge({leader})


@pytest.mark.parametrize(("release", "isolated"), [("v1.31", False), ("v1.36", False), ("v1.36", True)])
async def test_k0s_removes_a_leader_that_has_handed_over(
    live_cluster: MakeLiveCluster, release: Release, *, isolated: bool
) -> None:
    """Asked after the transfer, k0s removes a follower: no write fails, and what k0s cannot write is written.

    So it does where each worker reaches its own member alone. The flag is true in the end, also where a look while k0s
    was at work had it taken back.
    """
    if isolated:
        require_isolation()
    async with live_cluster(remover="k0s", isolated=isolated, workers=()) as b, K0sStandIn(b.lab, release) as k0s:
        await start_workers_of_k0s(b)
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        writer = await b.writer(survivor)
        result = await b.remove(leader)
        report = await writer.stop()
        names = list(dict.fromkeys(changes(result)))
        assert names == ["move_leader", "await_election", "request_leave", "update_status"]
        assert k0s.removed == [leader]
        assert (result.outcome, result.was_leader, result.status_recorded) == ("removed", True, True)
        assert (await b.lab.etcdmembers(survivor))[leader]["spec"]["leave"] is True
        await b.judge({leader}, report)


async def test_k0s_tells_the_node_to_stop_and_is_not_waited_for(live_cluster: MakeLiveCluster) -> None:
    """Asked after the hand-over, its lease holder marks the node, and only then the member is removed by us."""
    async with live_cluster(remover="both") as b:
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        label = ("label", "etcdmember", leader)
        await b.lab.kubectl(*label, f"{SHUTDOWN_ON_LEAVE_LABEL}=7", context=survivor)

        async def lease_holder() -> list[str]:
            while not await asks_to_leave(b, leader, survivor):  # noqa: ASYNC110  # it is in another process
                await asyncio.sleep(0.05)
            there = [m.name for m in await b.lab.members(survivor)]
            await b.lab.kubectl(*label, f"{SHUTDOWN_LABEL}=7", context=survivor)
            return there

        marking = asyncio.create_task(lease_holder())
        writer = await b.writer(survivor)
        result = await b.remove(leader)
        assert leader in await marking
        steps = {step.name: step for step in result.steps}
        names = list(dict.fromkeys(changes(result)))
        assert names == ["move_leader", "await_election", "request_leave", "remove_member", "update_status"]
        assert "k0s has told the node to stop" in steps["request_leave"].note
        assert "v1.36 stops its API server and etcd by itself" in result.next_steps[0]
        await b.judge({leader}, await writer.stop())


@pytest.mark.parametrize("isolated", [False, True])
async def test_k0s_stops_the_node_of_a_member_that_both_remove(
    live_cluster: MakeLiveCluster, *, isolated: bool
) -> None:
    """The flag stands while the member is listed, so the removed etcd is not started again."""
    if isolated:
        require_isolation()
    async with live_cluster(remover="both", isolated=isolated) as b:
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        writer = await b.writer(survivor)
        async with K0sStandIn(b.lab, "v1.36", holder=survivor) as k0s:
            result = await b.remove(leader)
            request = next(step for step in result.steps if step.name == "request_leave")
            assert "k0s has told the node to stop" in request.note
            assert (result.outcome, result.was_leader, result.status_recorded) == ("removed", True, True)
            await stopped_for_good(b, k0s, leader)
        await b.judge({leader}, await writer.stop())


async def test_k0s_of_old_alone_leaves_a_lie(live_cluster: MakeLiveCluster) -> None:
    """Without us the same stand-in shows the bug, so the test above can fail."""
    async with live_cluster(remover="k0s", workers=()) as b, K0sStandIn(b.lab, "v1.31") as k0s:
        leader = await b.lab.leader()
        survivor = b.lab.others(leader)[0].name
        patch = ("patch", "etcdmember", leader, "--type", "merge", "-p", '{"spec":{"leave":true}}')
        await b.lab.kubectl(*patch, context=survivor)

        async def removed() -> bool:
            return leader in k0s.removed and await b.lab.leader() != leader

        await wait_until(removed, "the member has left and the others have elected", 20)
        assert leader not in {m.name for m in await b.lab.members(survivor)}
        assert await b.lab.joined(leader, survivor) == "True"


async def waits_for_k0s(b: LiveCluster, member: str, via: str) -> WorkflowHandle[Any, Any]:
    """A removal that has asked k0s, which does not run, and waits for it."""
    removal = await b.start(member)
    waits = await says(removal, "Blocked", "AwaitingK0s")
    assert await asks_to_leave(b, member, via)
    assert not waits.point_of_no_return
    return removal


async def asks_to_leave(b: LiveCluster, member: str, via: str) -> bool:
    """Whether the order stands."""
    return bool((await b.lab.etcdmembers(via))[member]["spec"]["leave"])


async def take_back(b: LiveCluster, member: str, via: str, manager: str) -> None:
    """`spec.leave` is false by the hand of this field manager."""
    patch = ["--type", "merge", "-p", json.dumps({"spec": {"leave": False}}), "--field-manager", manager]
    await b.lab.kubectl("patch", "etcdmember", member, *patch, context=via)


async def test_order_that_somebody_takes_back_is_not_given_again(live_cluster: MakeLiveCluster) -> None:
    """The member stays, and the failure says whose word that was."""
    async with live_cluster(remover="k0s") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await waits_for_k0s(b, target, leader)
        await take_back(b, target, leader, "kubectl-edit")
        with pytest.raises(WorkflowFailureError) as failed:
            await removal.result()
        error = failed.value.cause
        assert isinstance(error, ApplicationError)
        assert (error.type, "taken back by kubectl-edit" in error.message) == ("RemovalRefused", True)
        assert not await asks_to_leave(b, target, leader)
        await b.judge(set())


async def test_order_that_k0s_loses_when_it_starts_is_given_again(live_cluster: MakeLiveCluster) -> None:
    """Every controller that starts writes `spec.leave: false`; the member leaves all the same."""
    async with live_cluster(remover="k0s") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await waits_for_k0s(b, target, leader)
        await take_back(b, target, leader, "k0s")

        async def again() -> bool:
            return await asks_to_leave(b, target, leader)

        await wait_until(again, "the order is given again", 45)
        async with K0sStandIn(b.lab, "v1.36") as k0s:
            assert (await removal.result()).outcome == "removed"
            assert k0s.removed == [target]
        await b.judge({target})


async def test_cancelled_removal_takes_its_order_to_k0s_back(live_cluster: MakeLiveCluster) -> None:
    """Nobody removes the member later: neither the order nor the removal stands."""
    async with live_cluster(remover="k0s") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await waits_for_k0s(b, target, leader)
        await removal.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await removal.result()
        assert isinstance(failed.value.cause, CancelledError)
        assert not await asks_to_leave(b, target, leader)
        await b.judge(set())

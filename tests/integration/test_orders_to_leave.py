"""`spec.leave` by one user of kubectl: set twice, taken back, set again, and written beside by somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from etcd_handoff.change_windows import DAYS
from etcd_handoff.contract import RemovalResult
from etcd_handoff.lab import http, wait_until
from etcd_handoff.lab.nodes import bearer
from tests.integration.conftest import ends, joined_condition, open_cluster, removal_id, watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.conftest import KubectlUser, LiveCluster, MakeKubectlUser


HOLDS = ("move_leader.looked", "remove_member.after")
ENOUGH_SECONDS = 10.0
"""For the watcher to see a flag and start a removal, also on a slow machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_path: Path) -> AsyncIterator[KubectlUser]:
    """One user of kubectl for orders of several tests: each removes one member, of six."""
    failpoints = ";".join(f"{point}=hold" for point in HOLDS)
    workers = ("node0", "node1", "node2")
    async with open_cluster(shared_path, nodes=6, workers=workers, failpoints=failpoints) as b:
        yield await watched(b)


@pytest.mark.asyncio(loop_scope="module")
async def test_patched_leader_is_out_seen_through_another_api_server(shared: KubectlUser) -> None:
    """One removal although it is flagged twice, no write fails, and kubectl tells what happened and when."""
    user, b = shared, shared.cluster
    b.arm()
    leader = await b.lab.leader()
    one, other = b.others(leader)[:2]
    before = (await b.lab.etcdmembers(one))[leader]["status"]["conditions"][0]["lastTransitionTime"]
    writer = await b.writer(one)
    await asyncio.gather(user.flag(leader, via=one), user.flag(leader, via=leader))
    await user.out(leader, via=other)
    await b.judge({leader}, await writer.stop())
    status = await user.status(leader, other)
    assert (status["message"], status["reconcileStatus"]) == ("Member removed from cluster", "Success")
    assert status["conditions"][0]["lastTransitionTime"] >= before
    runs = [run async for run in b.client.list_workflows(f"WorkflowId = '{removal_id(b, leader)}'")]
    assert len(runs) <= 1

    async def are_stored() -> bool:  # Events come after the status that they are about
        events = json.loads(await b.lab.kubectl("get", "events", "-o", "json", context=other))["items"]
        # API servers write events of their own, some about no object.
        reasons = {e["reason"] for e in events if e["involvedObject"].get("name") == leader}
        return {"MoveLeader", "RemoveMember", "Removed"} <= reasons

    await wait_until(are_stored, "the removal's Events are stored", 60)


@pytest.mark.asyncio(loop_scope="module")
async def test_somebody_patches_the_same_resource_all_the_time(shared: KubectlUser) -> None:
    """Conflicts are read again: the leader is removed and told, and a lie is put right, while the writer goes on."""
    user, b = shared, shared.cluster
    b.arm()
    leader = await b.lab.leader()
    one, other = b.others(leader)[:2]
    async with patching(b, leader, one), patching(b, other, one):
        await user.flag(leader, via=one)
        await user.out(leader, via=other)
        await b.lie(other, {"conditions": [joined_condition("False")]}, via=one)
        condition = ["--for", "condition=Joined=True", "--timeout=120s"]
        await b.lab.kubectl("wait", f"etcdmember/{other}", *condition, context=one, timeout="120s")
    await b.judge({leader})


@pytest.mark.asyncio(loop_scope="module")
async def test_leave_taken_back_in_time_and_set_again(shared: KubectlUser) -> None:
    """Before the point of no return the member stays and its EtcdMember says so; a later flag is a new order."""
    user, b = shared, shared.cluster
    b.arm("move_leader.looked")
    leader = await b.lab.leader()
    other = b.others(leader)[0]
    await user.flag(leader, via=other)
    await b.reached("move_leader.looked")
    await user.says(leader, "Handing leadership", via=other)
    await user.flag(leader, leave=False, via=other)
    await user.says(leader, "Leave was taken back", via=other)
    await b.judge(set())
    assert await b.lab.leader() == leader
    await user.flag(leader, via=other)
    await user.out(leader, via=other)
    await b.judge({leader})


@pytest.mark.asyncio(loop_scope="module")
async def test_leave_taken_back_too_late(shared: KubectlUser) -> None:
    """What etcd has done is told, not undone."""
    user, b = shared, shared.cluster
    b.arm("remove_member.after")
    leader = await b.lab.leader()
    other = b.others(leader)[0]
    await user.flag(leader, via=other)
    await b.reached("remove_member.after")
    await user.flag(leader, leave=False, via=other)

    async def noticed() -> bool:
        return not [m for m in (await user.watching())["members"] if m["leave"] and m["name"] == leader]

    await wait_until(noticed, "the watcher has seen that leave was taken back", 60)
    b.release("remove_member.after")
    await user.out(leader, via=other)
    await b.judge({leader})
    assert (await user.status(leader, other))["message"] == "Member removed from cluster"


@pytest.mark.asyncio(loop_scope="module")
async def test_removal_that_failed_is_tried_again_at_once_when_the_spec_changes(shared: KubectlUser) -> None:
    """Terminated from outside, it rests; the new order starts before the rest is over."""
    user, b = shared, shared.cluster
    b.arm("move_leader.looked")
    leader = await b.lab.leader()
    other = b.others(leader)[0]
    await user.flag(leader, via=other)
    await b.reached("move_leader.looked")
    removal = b.client.get_workflow_handle(removal_id(b, leader))
    await removal.terminate("by the test")
    await user.says(leader, "terminated", "tried again in 15 s", via=other)
    (retry,) = (await user.watching())["retries"]
    b.release("move_leader.looked")
    await user.flag(leader, leave=False, via=other)
    await user.flag(leader, via=other)
    flagged = time.time()
    await user.out(leader, via=other)
    if retry["at_seconds"] - flagged > ENOUGH_SECONDS:
        assert (await removal.describe()).start_time.timestamp() < retry["at_seconds"]
    await b.judge({leader})


async def test_order_waits_for_approval_where_the_profile_asks_for_it(kubectl_user: MakeKubectlUser) -> None:
    """Nothing happens until `etcd-handoff approve`; `status` and EtcdMember say so, and the result who approved."""
    async with kubectl_user(policies=(("require_approval", True),)) as user:
        b = user.cluster
        leader = await b.lab.leader()
        other, member_id = b.others(leader)[0], await b.lab.member_id(leader)
        await user.sees_all()
        await user.flag(leader, via=other)

        async def waits() -> bool:
            _, shown = await ends(b.lab, "status")
            return f"to approve: etcd-handoff approve {member_id} -c {b.lab.cluster}" in shown

        await wait_until(waits, "status says how to approve the removal", 60)
        await user.says(leader, "Awaiting approval", f"`etcd-handoff approve {leader} -c {b.lab.cluster}`", via=other)
        assert await b.lab.leader() == leader
        assert len(await b.lab.members(other)) == len(b.lab.nodes)
        status, text = await ends(b.lab, "approve", leader, "--by", "ann", "--comment", "change 4711")
        assert (status, "approved" in text) == (0, True), text
        await user.out(leader, via=other)
        removal = b.client.get_workflow_handle(removal_id(b, leader), result_type=RemovalResult)
        assert (await removal.result()).approved_by.startswith("ann (as ")
        await b.judge({leader})


async def test_order_passes_the_gates_of_the_profile_and_is_refused_by_its_smallest_number(
    kubectl_user: MakeKubectlUser,
) -> None:
    """`snapshot`, `hash_check` and `min_voters` hold for kubectl as for any other way to start a removal."""
    policies = (("snapshot", True), ("hash_check", True), ("min_voters", 2))
    async with kubectl_user(policies=policies) as user:
        b = user.cluster
        leader = await b.lab.leader()
        stays, refused = b.others(leader)
        await user.flag(leader, via=stays)
        await user.out(leader, via=stays)
        removal = b.client.get_workflow_handle(removal_id(b, leader), result_type=RemovalResult)
        result = await removal.result()
        assert result.snapshot
        assert {"check_hash", "take_snapshot"} <= {step.name for step in result.steps}
        await user.flag(refused, via=stays)
        await user.says(refused, "Not removed", "min_voters", via=stays)
        await b.judge({leader})


async def test_order_waits_for_a_change_window_of_the_profile(kubectl_user: MakeKubectlUser) -> None:
    """Leadership stays, and the EtcdMember says when the removal goes on, until the flag is taken back."""

    async def one_window(b: LiveCluster) -> None:
        day = DAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]
        window = f'change_windows = [{{ days = ["{day}"], from = "00:00", to = "00:01" }}]'
        path = b.lab.config_path
        profile = path.read_text(encoding="utf-8")
        path.write_text(profile.replace("[clusters.demo]", f"[clusters.demo]\n{window}"), encoding="utf-8")
        await b.lab.start_worker("node0")

    async with kubectl_user(workers=(), first=one_window) as user:
        b = user.cluster
        leader = await b.lab.leader()
        other = b.others(leader)[0]
        await user.sees_all()
        await user.flag(leader, via=other)
        assert "unblocks" not in await user.says(leader, "No change window is open: it goes on at", via=other)
        _, shown = await ends(b.lab, "status")
        assert "AwaitingWindow" in shown
        assert await b.lab.leader() == leader
        await user.flag(leader, via=other, leave=False)
        await user.says(leader, "taken back", via=other)
        await b.judge(set())


@contextlib.asynccontextmanager
async def patching(b: LiveCluster, member: str, via: str) -> AsyncIterator[None]:
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

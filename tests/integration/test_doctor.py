"""`doctor`, `plan`, `status` and `remove` on real clusters: what they see, and the exit status that it calls for."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff.contract import TASK_QUEUE, RemovalRequest, workflow_id
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import MakeLiveCluster


async def checks(lab: Lab) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit status and findings of `doctor`, by check."""
    status, shown, errors = await lab.handoff("doctor", "-o", "json")
    assert shown, errors
    return status, {finding["check"]: finding for finding in json.loads(shown)["checks"]}


async def test_doctor_after_a_removal_asks_to_tidy_up_and_finds_no_fault(live_cluster: MakeLiveCluster) -> None:
    """The node that left is switched off: its endpoint and its API server are hints, and all else is well."""
    async with live_cluster(workers=("node0", "node1")) as b:
        status, found = await checks(b.lab)
        assert (status, [name for name, f in found.items() if f["remedy"]]) == (0, []), found
        assert found["rights in etcd"]["ok"]
        assert (await b.remove("node2")).outcome == "removed"
        await b.lab.kill(Role.APISERVER, "node2")
        await b.lab.kill(Role.ETCD, "node2")
        status, found = await checks(b.lab)
        assert status == 0, found
        hints = {name: f["remedy"] for name, f in found.items() if f["remedy"]}
        assert hints == {
            "endpoint 3": "remove endpoint 3 from the profile",
            "kubernetes node2": "remove context node2 from the profile",
        }
        status, shown, _ = await b.lab.handoff("plan", "node2")
        assert (status, "would end as already-absent" in shown) == (0, True), shown
        status, shown, errors = await b.lab.handoff("plan", "NODE1 ")
        assert (status, "A removal of node1 would" in shown) == (0, True), shown + errors


@pytest.mark.parametrize(
    ("user", "words", "remedy"),
    [
        ("reader", "permission denied", "etcdctl user grant-role"),
        ("stranger", "user name not found", "common name"),
        ("root", "", ""),
        ("certificate", "", ""),
    ],
)
async def test_user_that_may_not_change_the_membership_is_told_before(
    tmp_path: Path, user: str, words: str, remedy: str
) -> None:
    """`plan` ends with 1 as the removal would, `doctor` names the right that lacks; who has it hears nothing."""
    async with Lab(LabOptions(kubernetes=False, tls=True, etcd_user=user, directory=tmp_path)) as lab:
        _, found = await checks(lab)
        rights = found["rights in etcd"]
        assert rights["ok"] == (not words), rights
        assert found["certificates"]["ok"]
        assert found["files"]["ok"]
        follower = lab.others(await lab.leader())[0].name
        status, shown, errors = await lab.handoff("plan", follower)
        assert status == (1 if words else 0), shown + errors
        if words:
            assert words in rights["detail"]
            assert remedy in rights["remedy"]
            assert "would fail: etcd does not allow it" in shown
            assert remedy in shown


async def test_status_ends_with_4_when_any_server_is_away(tmp_path: Path) -> None:
    """Temporal, Kubernetes and etcd, one after the other; what still answers is shown."""
    async with Lab(LabOptions(nodes=1, directory=tmp_path)) as lab:
        assert (await lab.handoff("status"))[0] == 0
        await lab.kill(Role.TEMPORAL)
        status, shown, _ = await lab.handoff("status")
        assert (status, "1 member" in shown, "Operations: Temporal cannot be reached" in shown) == (4, True, True), (
            shown
        )
        await lab.start(Role.TEMPORAL)
        await lab.kill(Role.APISERVER, "node0")
        status, shown, _ = await lab.handoff("status")
        assert (status, "EtcdMembers: Kubernetes cannot be read" in shown) == (4, True), shown
        await lab.kill(Role.ETCD, "node0")
        assert (await lab.handoff("status"))[0] == 4


async def test_removal_never_takes_a_dry_run_for_itself(live_cluster: MakeLiveCluster) -> None:
    """A dry run that somebody started by hand under the removal's ID is joined, and its end is a failure.

    One that our command line starts has an ID of its own, and is not joined at all.
    """
    async with live_cluster(workers=(), kubernetes=False) as b:
        target = b.lab.others(await b.lab.leader())[0].name
        request = RemovalRequest(cluster=b.lab.cluster, member=target, dry_run=True)
        await b.client.start_workflow(
            "RemoveMember", request, id=workflow_id(b.lab.cluster, target), task_queue=TASK_QUEUE
        )
        plan = asyncio.create_task(b.lab.handoff("remove", target, "--dry-run"))
        joined = asyncio.create_task(b.lab.handoff("remove", target))
        await wait_until(lambda: started(b, f"etcd-plan/{b.lab.cluster}/{target}"), "the dry run has started", 60)
        await b.lab.start_worker("node0")
        status, shown, errors = await joined
        assert (status, "NOT removed" in shown, "Attached" in shown) == (1, True, True), shown + errors
        status, shown, errors = await plan
        assert (status, "Dry run, nothing was changed" in shown, "Started" in shown) == (0, True, True), shown + errors
        assert len(await b.lab.members()) == 3
        status, shown, errors = await b.lab.handoff("remove", target)
        assert (status, f"{target} (" in shown) == (0, True), shown + errors
        assert len(await b.lab.members(await b.lab.leader())) == 2


async def started(b: Any, name: str) -> bool:  # the cluster
    """There is such a workflow."""
    return any([run.id == name async for run in b.client.list_workflows()])

"""A controller that was set up anew as a cluster of its own, whose worker still serves the old one's task queue."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from etcd_handoff.contract import Outcome
from etcd_handoff.lab import Role, disasters, resources, wait_until
from etcd_handoff.temporal.updates import execute_update
from tests.integration.conftest import removal_id
from tests.integration.isolation import require_isolation
from tests.integration.progress import says

if TYPE_CHECKING:
    from tests.integration.conftest import KubectlUser, LiveCluster, MakeKubectlUser, MakeLiveCluster


async def set_up_anew(b: LiveCluster, node: str) -> None:
    """The node is a cluster of its own, Kubernetes included; its worker reaches nothing else."""
    for role in (Role.WORKER, Role.APISERVER):
        await b.lab.kill(role, node)
    await disasters.become_foreign(b.lab, node)
    await b.lab.start(Role.APISERVER, node)
    await resources.install([b.lab.node(node)], await b.lab.members(node), datetime.now(UTC))
    reaches_itself_alone(Path(b.lab.environment_on(node)["ETCD_HANDOFF_CONFIG"]), node)
    await b.lab.start_worker(node)


def reaches_itself_alone(config: Path, node: str) -> None:
    """The configuration names no other API server."""
    lines = config.read_text().splitlines()
    own = f'contexts = ["{node}"]'
    config.write_text("\n".join(own if line.startswith("contexts") else line for line in lines) + "\n")


async def read_on(user: KubectlUser, node: str) -> bool:
    """Whether the worker on this node has told the watcher of EtcdMembers, in its present run."""
    events = (await user.watch.fetch_history()).events
    scheduled = {
        e.event_id for e in events if e.activity_task_scheduled_event_attributes.activity_type.name == "watch_members"
    }
    started = {
        e.event_id
        for e in events
        if e.activity_task_started_event_attributes.scheduled_event_id in scheduled
        and f":{node}:" in e.activity_task_started_event_attributes.identity
    }
    return any(e.activity_task_completed_event_attributes.started_event_id in started for e in events)


async def test_its_worker_takes_no_order_back(kubectl_user: MakeKubectlUser) -> None:
    """Of the EtcdMembers that it reads, none asks for a removal: the one that was asked for goes on all the same."""
    require_isolation()
    async with kubectl_user(isolated=True, policies=(("require_approval", True),)) as user:
        b = user.cluster
        await user.sees_all()
        leader = await b.lab.leader()
        target, anew = (node.name for node in b.lab.others(leader))
        asked_for = await b.lab.member_id(target)
        await user.flag(target, via=leader)
        removal = b.client.get_workflow_handle(removal_id(b, target))

        async def begun() -> bool:
            try:
                return (await removal.describe()).status is WorkflowExecutionStatus.RUNNING
            except RPCError:
                return False

        await wait_until(begun, "the removal has begun", 60)
        run_id = (await removal.describe()).run_id
        await set_up_anew(b, anew)
        for node in (leader, target):  # it is the only one that takes steps
            b.lab.stop(Role.WORKER, node)

        async def has_read() -> bool:
            await execute_update(user.watch, "resync")
            return await read_on(user, anew)

        await wait_until(has_read, f"the worker on {anew} reads EtcdMembers for the watcher", 60, poll_seconds=0.5)
        for node in (leader, target):
            b.lab.resume(Role.WORKER, node)
        watching = await user.watching()
        assert [order["member_id"] for order in watching["orders"]] == [asked_for]
        now = await removal.describe()
        assert (now.run_id, now.status) == (run_id, WorkflowExecutionStatus.RUNNING)


async def test_its_worker_takes_no_name_for_its_own_member(live_cluster: MakeLiveCluster) -> None:
    """It takes the first look; its etcd has a member of that name, and its EtcdMembers agree with it.

    The one that is meant died with the old data. It is removed once the others tell and the worker is stopped.
    """
    require_isolation()
    async with live_cluster(isolated=True) as b:
        leader = await b.lab.leader()
        anew = b.lab.others(leader)[0].name
        member_id = await b.lab.member_id(anew)
        await set_up_anew(b, anew)
        others = [node.name for node in b.lab.others(anew)]
        for node in others:
            b.lab.stop(Role.WORKER, node)
        removal = await b.start(anew)
        await says(removal, "WrongCluster", f"only the worker on {anew}")
        for node in others:
            b.lab.resume(Role.WORKER, node)
        await says(removal, "MixedClusters")
        await b.lab.kill(Role.WORKER, anew)
        result = await removal.result()
        assert (result.outcome, result.member_id) == (Outcome.REMOVED, member_id)
        assert [m.name for m in await b.lab.members(anew)] == [anew], "of the other cluster nobody was removed"

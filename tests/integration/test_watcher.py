"""The watcher over its life: other hands, other names, long histories, and what it is told not to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.contract import workflow_id
from etcd_handoff.lab import Role, http, wait_until
from etcd_handoff.operation.queue_messages import change_queue_id
from tests.integration.conftest import SHORT_HISTORIES, another_run, in_state, joined_condition, start_watcher

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import MakeKubectlUser, MakeLiveCluster


async def test_terminated_worker_hands_the_watch_over(kubectl_user: MakeKubectlUser) -> None:
    """SIGTERM ends the watching worker well; what is flagged meanwhile is done by the next one."""
    async with kubectl_user(workers=("node0",)) as user:
        b = user.cluster
        await user.sees_all()
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        await asyncio.gather(b.lab.terminate(Role.WORKER, "node0"), user.flag(leader, via=one))
        assert b.lab.process(Role.WORKER, "node0").exit_status == 0
        await b.lab.start_worker("node1")
        await user.out(leader, via=other)
        await b.judge({leader})


async def test_flag_and_compaction_while_the_only_worker_hangs(kubectl_user: MakeKubectlUser) -> None:
    """The resourceVersion it kept has expired when it comes back, on API servers that started anew: all is seen."""
    async with kubectl_user(workers=("node0",)) as user:
        b = user.cluster
        await user.sees_all()
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        b.lab.stop(Role.WORKER, "node0")
        await user.flag(leader, via=one)
        answer = await http.post(f"{b.lab.node(one).etcd_url}/v3/kv/range", {"key": "Lg=="})
        compaction = {"revision": answer["header"]["revision"], "physical": True}
        await http.post(f"{b.lab.node(one).etcd_url}/v3/kv/compaction", compaction)
        await asyncio.gather(*(b.lab.restart(Role.APISERVER, node.name) for node in b.lab.nodes))
        b.lab.resume(Role.WORKER, "node0")
        await user.out(leader, via=other)
        await b.judge({leader})


async def test_renamed_member_is_not_taken_by_its_old_name(kubectl_user: MakeKubectlUser) -> None:
    """The flag of an EtcdMember that describes a member of another name is refused with the way out, and it stays."""
    async with kubectl_user() as user:
        b = user.cluster
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        member_id = await b.lab.member_id(one)
        await b.lab.kill(Role.ETCD, one)
        b.lab.process(Role.ETCD, one).command.append("--name=renamed")
        await b.lab.start(Role.ETCD, one)

        async def listed() -> bool:
            return {m.name for m in await b.lab.members()} == {leader, other, "renamed"}

        await wait_until(listed, "etcd lists the new name", 60)
        await b.lab.restart(Role.APISERVER, one)  # it does not get over the loss of its etcd in all cases
        await user.flag(one, via=leader)
        message = await user.says(one, "carries the ID of renamed", member_id, via=leader)
        assert f"etcd-handoff remove {member_id}" in message
        await user.flag(one, via=leader, leave=False)
        await user.says(one, "Member joined", via=leader)
        assert {m.name for m in await b.lab.members(other)} == {leader, other, "renamed"}
        assert set(await b.lab.etcdmembers(other)) == {leader, one, other}, "one EtcdMember for each member, no more"
        assert not [run async for run in b.client.list_workflows("WorkflowType = 'RemoveMember'")]


async def test_members_without_a_resource_get_none_where_that_is_not_wanted(live_cluster: MakeLiveCluster) -> None:
    """`manage_resources = false`: lies are put right, and nothing is created."""
    async with live_cluster(workers=()) as b:
        with b.lab.config_path.open("a") as config:
            config.write("manage_resources = false\n")
        await b.lab.start_worker("node0")
        await b.lab.kubectl("delete", "etcdmember", "node2", context="node0")
        await start_watcher(b)
        for _ in range(2):  # one round puts right before it creates, so the second lie shows that the first was whole
            await b.lie("node1", {"conditions": [joined_condition("False")]}, via="node0")
            condition = ["--for", "condition=Joined=True", "--timeout=120s"]
            await b.lab.kubectl("wait", "etcdmember/node1", *condition, context="node0", timeout="120s")
        assert set(await b.lab.etcdmembers("node0")) == {"node0", "node1"}


async def test_watcher_and_queue_outgrow_their_histories(kubectl_user: MakeKubectlUser) -> None:
    """Both continue as new while one member leaves and another waits to leave, and no order is forgotten."""
    flags = {"failpoints": "move_leader.looked=hold", "temporal_flags": SHORT_HISTORIES}
    async with kubectl_user(resync_seconds=1, **flags) as user:
        b = user.cluster
        await another_run(b, user.watch.id, "the watcher")
        leader = await b.lab.leader()
        follower, last = (node.name for node in b.lab.others(leader))
        await user.flag(leader, via=last)
        await b.reached("move_leader.looked")
        await user.flag(follower, via=last)
        waiting = b.client.get_workflow_handle(workflow_id(b.lab.cluster, follower))
        await wait_until(lambda: exists(waiting), "the second removal has begun", 60)
        await in_state(waiting, "Queued")
        answer = await http.post(f"{b.lab.node(last).etcd_url}/v3/kv/range", {"key": "Lg=="})
        await another_run(b, change_queue_id(f"{int(answer['header']['cluster_id']):x}"), "the queue")
        b.release("move_leader.looked")
        await user.out(leader, follower, via=last)
        await b.judge({leader, follower})


async def exists(handle: WorkflowHandle[Any, Any]) -> bool:
    """The workflow has been started."""
    try:
        await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True

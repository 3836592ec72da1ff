"""What is believed of whom: small inputs that once took a quorum, wrote a lie, or were never answered."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.contract import TASK_QUEUE, RemovalRequest, workflow_id
from etcd_handoff.lab import Role, backups, disasters, observer, wait_until
from etcd_handoff.lab.resources import write_joined
from etcd_handoff.temporal.updates import execute_update
from tests.chaos import checks
from tests.integration.conftest import KubectlUser, ends, in_state, start_watcher
from workflows.remove_member import ETCDMEMBER_MEMO

if TYPE_CHECKING:
    from etcd_handoff.lab import Lab
    from tests.integration.conftest import LiveCluster, MakeKubectlUser, MakeLiveCluster

BRIEFLY = ("--blocked-timeout", "1")
ROUNDS = 3
"""How many resyncs must have passed without a change where something must not happen."""


# --- helpers ----------------------------------------------------------------------------------------------------------


def use_endpoints(lab: Lab, endpoints: list[str]) -> None:
    """Workers that start from now on, and the command line, ask these in this order."""
    text = lab.config_path.read_text()
    changed, count = re.subn(r"^endpoints = .*$", f"endpoints = {json.dumps(endpoints)}", text, flags=re.MULTILINE)
    assert count == 1
    lab.config_path.write_text(changed)


async def in_trouble(user: KubectlUser, *words: str) -> None:
    """The watcher says one of these words of itself."""
    answers = [""]

    async def is_shown() -> bool:
        answers.append(json.dumps(await user.watching()))
        return any(word in answers[-1] for word in words)

    await wait_until(is_shown, f"the watcher says {' or '.join(words)}", 60, lambda: answers[-1])


async def resynced(user: KubectlUser) -> None:
    """Some rounds have passed since: each is asked for and begins after the one before."""
    for _ in range(ROUNDS):
        await execute_update(user.watch, "resync")
        await asyncio.sleep(1.5)  # a round tells of its end only by what it changes, and here it must change nothing


async def nobody_is_denied(b: LiveCluster, via: str) -> None:
    """The EtcdMembers of all members say Joined=True and their IDs, and nobody else has one."""
    members = await b.lab.members(via)
    resources = await b.lab.etcdmembers(via)
    checks.resources_agree(members, resources)
    assert {m.name for m in members} <= set(resources)


async def remove_by_hand(lab: Lab, node: str, via: str) -> str:
    """Somebody else removes the node's member; its ID."""
    await lab.wait_for_health_interval()
    member_id = await lab.member_id(node)
    url = f"{lab.node(via).etcd_url}/v3/cluster/member/remove"
    await observer.change_members(url, {"ID": str(int(member_id, 16))})
    return member_id


async def is_out(lab: Lab, node: str, via: str) -> None:
    """The node's member has left."""

    async def left() -> bool:
        return node not in {m.name for m in await lab.members(via)}

    await wait_until(left, f"{node} has left", 60)


async def says_joined(b: LiveCluster, node: str, member_id: str, via: str) -> None:
    """The EtcdMember says that this very member is one."""

    async def so() -> bool:
        resource = (await b.lab.etcdmembers(via))[node]
        return checks.said_id(resource) == member_id and await b.lab.joined(node, via) == "True"

    await wait_until(so, f"EtcdMember {node} says Joined=True of {member_id}", 60)


async def watched(b: LiveCluster) -> KubectlUser:
    """The cluster with a watcher that compares everything every second."""
    return KubectlUser(b, await start_watcher(b, resync_seconds=1))


# --- which cluster ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["first", "last"])
async def test_foreign_endpoint_makes_no_etcdmember_lie(live_cluster: MakeLiveCluster, place: str) -> None:
    """A cluster of one that is in the profile by mistake: the watcher writes nothing, and no removal ends well."""
    async with live_cluster(workers=()) as b:
        stranger = await disasters.start_foreign_cluster(b.lab)
        ours = [node.etcd_url for node in b.lab.nodes]
        foreign = [stranger.etcd_url]
        use_endpoints(b.lab, foreign + ours if place == "first" else ours + foreign)
        await b.lab.start_worker("node0")
        async with checks.Memory(b.lab, "node0") as memory:
            user = await watched(b)
            await in_trouble(user, "MixedClusters", "ResourcesDisagree")
            await resynced(user)
            target = b.lab.others(await b.lab.leader())[0].name
            status, text = await ends(b.lab, "remove", target, *BRIEFLY)
            assert (status, "MixedClusters" in text or "ResourcesDisagree" in text) == (3, True), text
            status, text = await ends(b.lab, "doctor")
            assert status != 0, text
            assert stranger.etcd_url in text or "endpoint" in text
        memory.nobody_was_denied()
        await nobody_is_denied(b, "node0")
        assert set(await b.lab.etcdmembers("node0")) == {n.name for n in b.lab.nodes}
        use_endpoints(b.lab, ours)
        await b.lab.restart(Role.WORKER, "node0")
        assert (await b.remove(target)).outcome == "removed"


async def test_wiped_node_that_answers_alone_convinces_nobody(live_cluster: MakeLiveCluster) -> None:
    """A removed node was started anew on its address, and the only worker is there: its API server knows nothing."""
    async with live_cluster(workers=()) as b:
        leader = await b.lab.leader()
        node, other = (n.name for n in b.lab.others(leader))
        await remove_by_hand(b.lab, node, via=leader)
        await disasters.become_foreign(b.lab, node)
        await b.lab.restart(Role.APISERVER, node)
        await b.lab.start_worker(node)
        async with checks.Memory(b.lab, leader) as memory:
            user = await watched(b)
            await in_trouble(user, "MixedClusters", "ResourcesDisagree", "UnlistedMember")
            await resynced(user)
            status, text = await ends(b.lab, "remove", other, *BRIEFLY)
            assert status == 3, text
            assert "already-absent" not in text
            assert "was no member already" not in text
        memory.nobody_was_denied()
        assert {m.name for m in await b.lab.members(leader)} == {leader, other}


async def test_half_that_was_forced_apart_blocks_and_denies_nobody(live_cluster: MakeLiveCluster) -> None:
    """One voter runs as a cluster of itself under the same cluster ID: the lists differ, and nothing is concluded."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        node, other = (n.name for n in b.lab.others(leader))
        async with checks.Memory(b.lab, leader) as memory:
            user = await watched(b)
            await user.sees_all()
            await disasters.force_new_cluster(b.lab, node)
            for target in (other, node):
                status, text = await ends(b.lab, "remove", target, *BRIEFLY)
                assert (status, "ListsDiffer" in text or "UnlistedMember" in text) == (3, True), text
            await in_trouble(user, "ListsDiffer", "UnlistedMember")
            await resynced(user)
        memory.nobody_was_denied()
        assert {m.name for m in await b.lab.members(leader)} == {leader, node, other}
        await disasters.come_back(b.lab, node)
        assert (await b.remove(other)).outcome == "removed"


# --- alarms -----------------------------------------------------------------------------------------------------------


async def test_corruption_of_no_single_member_blocks_and_is_shown(live_cluster: MakeLiveCluster) -> None:
    """The alarm CORRUPT of member 0 is the whole cluster's: `plan`, `doctor` and `remove` name it."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        await disasters.raise_alarm(b.lab, leader, "CORRUPT")
        for command in (("plan", target), ("doctor",), ("status",)):
            _, text = await ends(b.lab, *command)
            assert "CORRUPT" in text, f"{command}: {text}"
        status, text = await ends(b.lab, "remove", target, *BRIEFLY)
        assert (status, "ClusterCorrupt" in text) == (3, True), text
        removal = await b.start(target)
        await in_state(removal, "Blocked")
        assert len(await b.lab.members()) == 3
        await disasters.disarm(b.lab, leader)
        assert (await removal.result()).outcome == "removed"
        await b.judge({target})


async def test_two_leave_a_full_cluster_and_are_recorded_once_it_takes_writes(live_cluster: MakeLiveCluster) -> None:
    """NOSPACE: `plan` says so, both are out though nothing can be recorded, and the truth is written by itself."""
    async with live_cluster(nodes=4) as b:
        leader = await b.lab.leader()
        first, second, _ = (n.name for n in b.lab.others(leader))
        await disasters.raise_alarm(b.lab, leader, "NOSPACE", await b.lab.member_id(first))
        _, text = await ends(b.lab, "plan", first)
        assert "NOSPACE" in text
        removals = [await b.start(first), await b.start(second)]
        for name in (first, second):
            await is_out(b.lab, name, via=leader)
        await disasters.disarm(b.lab, leader)
        for removal in removals:
            assert (await removal.result()).outcome == "removed"
        await checks.resources_come_to_agree(
            lambda: b.lab.members(leader), lambda: b.lab.etcdmembers(leader), seconds=90
        )
        await b.judge({first, second})


# --- whose order ------------------------------------------------------------------------------------------------------


async def test_order_from_before_a_restore_removes_nobody(kubectl_user: MakeKubectlUser) -> None:
    """The cluster is back at a time when the member was in and its flag stood: it stays in, and that is said."""
    async with kubectl_user(resync_seconds=1, failpoints="remove_member.before=hold") as user:
        b = user.cluster
        leader = await b.lab.leader()
        target, other = (n.name for n in b.lab.others(leader))
        await user.flag(target, via=leader)
        await b.reached("remove_member.before")
        backup = await backups.back_up(b.lab)
        b.release("remove_member.before")
        await user.out(target, via=leader)
        for _ in range(2):  # terms that the backup has not seen
            await b.lab.restart(Role.ETCD, await b.lab.leader())
        await disasters.load(b.lab, other, 1_500)
        await resynced(user)
        await backups.restore(b.lab, backup)
        member_id = await b.lab.member_id(target)
        await in_trouble(user, "ClusterRestored")
        await resynced(user)
        assert await b.lab.member_id(target) == member_id
        assert (await b.lab.etcdmembers(leader))[target]["spec"]["leave"] is True
        digest = (await user.watching())["doubt_digest"]
        status, text = await ends(b.lab, "watch", "resync", "--confirm", digest)
        assert status == 0, text
        await resynced(user)
        assert await b.lab.member_id(target) == member_id, "the old order counted after the confirmation"
        await nobody_is_denied(b, leader)
        await user.flag(target, via=leader, leave=False)
        await user.flag(target, via=leader)
        await is_out(b.lab, target, via=leader)


@pytest.mark.parametrize("writer", ["k0s", "nobody"])
async def test_node_that_joins_again_under_a_standing_flag_stays(kubectl_user: MakeKubectlUser, writer: str) -> None:
    """Its EtcdMember says Joined=True with the new ID and calls the flag old; the next order is about the new member.

    Who writes the EtcdMember first may be k0s, or nobody but the watcher.
    """
    async with kubectl_user(resync_seconds=1) as user:
        b = user.cluster
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        old = await b.lab.member_id(target)
        await user.flag(target, via=leader)
        await user.out(target, via=leader)
        new = await disasters.rejoin(b.lab, target)
        if writer == "k0s":
            await write_joined(b.lab.kubectl, leader, target, new)
        await says_joined(b, target, new, via=leader)
        await user.says(target, old, via=leader)
        async with checks.Memory(b.lab, leader) as memory:
            await resynced(user)
        memory.nobody_was_denied()
        assert await b.lab.member_id(target) == new
        await nobody_is_denied(b, leader)
        await user.flag(target, via=leader, leave=False)
        await user.flag(target, via=leader)
        await user.out(target, via=leader)
        await is_out(b.lab, target, via=leader)
        await b.judge({target})


async def test_record_of_a_removal_leaves_the_node_that_joined_again_alone(live_cluster: MakeLiveCluster) -> None:
    """It waits until the name has a new member; the EtcdMember goes on speaking of that one."""
    async with live_cluster(failpoints="update_status.before=hold") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await b.start(target)
        await b.reached("update_status.before")
        new = await disasters.rejoin(b.lab, target)
        await write_joined(b.lab.kubectl, leader, target, new)
        b.release("update_status.before")
        assert (await removal.result()).outcome == "removed"
        resource = (await b.lab.etcdmembers(leader))[target]
        assert (checks.said_id(resource), await b.lab.joined(target, leader)) == (new, "True")
        await nobody_is_denied(b, leader)


async def test_whoever_asks_by_etcdmember_reads_there_why_nothing_happens(live_cluster: MakeLiveCluster) -> None:
    """A foreign endpoint keeps the watcher from starting one removal, and another one from its first look."""
    async with live_cluster(workers=()) as b:
        stranger = await disasters.start_foreign_cluster(b.lab)
        ours = [node.etcd_url for node in b.lab.nodes]
        use_endpoints(b.lab, [*ours, stranger.etcd_url])
        await b.lab.start_worker("node0")
        user = await watched(b)
        flagged, begun = b.others(await b.lab.leader())
        await user.flag(flagged, via="node0")
        request = RemovalRequest(cluster=b.lab.cluster, member=await b.lab.member_id(begun))
        name, memo = workflow_id(b.lab.cluster, begun), {ETCDMEMBER_MEMO: begun}
        await b.client.start_workflow("RemoveMember", request, id=name, task_queue=TASK_QUEUE, memo=memo)
        await user.says(flagged, "Not started: MixedClusters: ", via="node0")
        await user.says(begun, "Blocked: MixedClusters: ", "what unblocks it: ", via="node0")
        await nobody_is_denied(b, "node0")
        use_endpoints(b.lab, ours)
        await b.client.get_workflow_handle(name).cancel()
        await b.lab.restart(Role.WORKER, "node0")
        await user.out(flagged, via=await b.lab.leader())
        await b.judge({flagged})

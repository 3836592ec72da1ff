"""What EtcdMembers say is compared with etcd's own list, and put right; nothing is deleted and nothing made worse."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.etcdmembers import EtcdMemberActivities
from etcd_handoff.config import load_config
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.lab import Role, http, observer, wait_until
from etcd_handoff.lab.naive import remove_through_itself
from etcd_handoff.reconciler.member_resources import SyncMembersInput, WatchMembersInput
from etcd_handoff.reconciler.removal_progress import NoteProgressInput
from etcd_handoff.temporal.updates import execute_update
from tests.integration.conftest import LONG_AGO, ends, joined_condition
from tests.integration.test_hashes import view_of

if TYPE_CHECKING:
    from tests.integration.conftest import LiveCluster, MakeKubectlUser, MakeLiveCluster


async def test_lies_are_put_right(kubectl_user: MakeKubectlUser) -> None:
    """Left behind by the naive way or written by hand: within one round everything says what etcd says."""
    async with kubectl_user() as user:
        b = user.cluster
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        steps = await remove_through_itself(b.lab, leader)
        assert steps[1].error, "the naive status write worked, so there is no lie"
        await b.lab.leader()
        await execute_update(user.watch, "resync")
        await user.out(leader, via=other)
        await b.judge({leader})

        await b.lie(one, {"conditions": [joined_condition("False")]}, via=other)
        await until_true(b, one, via=other)
        await b.lie(one, {"memberID": "1", "conditions": [joined_condition("True")]}, via=other)
        status = await until_true(b, one, via=other)
        assert status["conditions"][0]["lastTransitionTime"] > LONG_AGO, "it is another member that has joined"
        await b.lie(one, {"peerAddress": "10.9.9.9"}, via=other)
        await execute_update(user.watch, "resync")
        await until_true(b, one, via=other)
        await b.lie(leader, {"conditions": [joined_condition("True")]}, via=other)
        await user.out(leader, via=one)

        await b.lab.kubectl("delete", "etcdmember", one, context=other)
        await until_true(b, one, via=other)
        ghost = {"apiVersion": "etcd.k0sproject.io/v1beta1", "kind": "EtcdMember", "metadata": {"name": "ghost"}}
        await b.lab.kubectl("apply", "-f", "-", context=other, stdin=json.dumps({**ghost, "spec": {"leave": True}}))
        await b.lie(
            "ghost",
            {"memberID": "dead", "peerAddress": "10.9.9.9", "conditions": [joined_condition("True")]},
            via=other,
        )
        await user.out("ghost", via=one)
        assert set(await b.lab.etcdmembers(other)) == {leader, one, other, "ghost"}
        assert {m.name for m in await b.lab.members(other)} == {one, other}

        async def repaired() -> bool:  # Events come after the status that they are about
            events = json.loads(await b.lab.kubectl("get", "events", "-o", "json", context=other))["items"]
            return {e["involvedObject"]["name"] for e in events if e["reason"] == "Repaired"} == {leader, one, "ghost"}

        await wait_until(repaired, "each repair has its Event", 60)


async def test_old_list_never_overwrites_a_newer_word(live_cluster: MakeLiveCluster) -> None:
    """What an EtcdMember says since the list was asked for stays, and so do sentences about another member."""
    async with live_cluster(workers=()) as b:
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        config = load_config(b.lab.config_path)
        gateways, etcd, run = (
            KubernetesGateways(config, other),
            EtcdActivities(config, other, EtcdGateway),
            ActivityEnvironment().run,
        )
        members = EtcdMemberActivities(gateways)
        look = WatchMembersInput(cluster=b.lab.cluster, seconds=1)
        try:
            seen = await run(members.watch_members, look)
            view = await view_of(b.lab, etcd)
            member_id = await b.lab.member_id(one)
            await b.lie(
                one, {"conditions": [joined_condition("False")]}, via=other
            )  # as if it had been removed meanwhile
            digests = {resource.name: resource.status_digest for resource in seen.resources}
            synced = await run(
                members.sync_members, SyncMembersInput(cluster=b.lab.cluster, status_digests=digests, view=view)
            )
            assert (synced.repairs, synced.retry_soon) == ((), True)
            assert await b.lab.joined(one, leader) == "False"
            note = NoteProgressInput(cluster=b.lab.cluster, resource=one, member_id=member_id, message="late")
            assert "has left" in await run(members.note_progress, note)
            note = NoteProgressInput(cluster=b.lab.cluster, resource=other, member_id=member_id, message="of another")
            assert "describes" in await run(members.note_progress, note)

            known = WatchMembersInput(cluster=b.lab.cluster, known_digest=seen.digest, seconds=10)
            seen = await run(members.watch_members, known)
            assert not seen.unchanged
            digests = {resource.name: resource.status_digest for resource in seen.resources}
            synced = await run(
                members.sync_members, SyncMembersInput(cluster=b.lab.cluster, status_digests=digests, view=view)
            )
            assert (len(synced.repairs), synced.retry_soon) == (1, False)
            seen = await run(members.watch_members, look)
            again = await run(
                members.watch_members, WatchMembersInput(cluster=b.lab.cluster, known_digest=seen.digest, seconds=1)
            )
            assert (again.unchanged, again.resources) == (True, ())
            await b.judge(set())
        finally:
            await gateways.close()
            await etcd.close()


async def test_mass_correction_waits_for_a_confirmation(kubectl_user: MakeKubectlUser) -> None:
    """Two of three that somebody else removed: nothing turns until `watch resync --confirm`, and everybody is told."""
    workers = ("node0", "node1", "node2")
    async with kubectl_user(workers=workers) as user:
        b = user.cluster
        await user.sees_all()
        last = await b.lab.leader()
        gone = [node.name for node in b.lab.others(last)]
        for name in workers:  # no round between the two removals
            b.lab.stop(Role.WORKER, name)
        for name in gone:
            body: dict[str, object] = {"ID": str(int(await b.lab.member_id(name), 16))}
            await observer.change_members(f"{b.lab.node(last).etcd_url}/v3/cluster/member/remove", body)
        for name in workers:
            b.lab.resume(Role.WORKER, name)
        await execute_update(user.watch, "resync")
        for name in gone:
            await user.says(name, "Not corrected", "2 of 3 EtcdMembers", "watch resync --confirm", via=last)
        shown = (await user.status(gone[0], last))["message"]
        found = re.search(r"`etcd-handoff (watch resync --confirm [0-9a-f]{8} -c \S+)`", shown)
        assert found, shown

        async def tells_why() -> bool:
            return "TooManyAbsent" in (await user.watching())["trouble"]

        # It hears of a round after the EtcdMembers were written.
        await wait_until(tells_why, "the watcher tells why", 60)
        for command in (("watch", "status"), ("status",), ("status", "-o", "json")):
            _, shown, _ = await b.lab.handoff(*command)
            assert "TooManyAbsent" in shown, shown
        await execute_update(user.watch, "resync")
        await nothing_is_written(b, gone, via=last)
        assert (await b.lab.handoff("watch", "status", "--confirm"))[0] == 2
        status, text = await ends(b.lab, "watch", "resync", "--confirm")
        assert (status, found[0] in text) == (3, True), text
        status, text = await ends(b.lab, "watch", "resync", "--confirm", "01dd0bb7")
        assert (status, found[0] in text) == (1, True), text
        with pytest.raises(WorkflowUpdateFailedError):  # as an older command line would
            await execute_update(user.watch, "resync", {"confirm": True, "doubt": "TooManyAbsent"})
        await nothing_is_written(b, gone, via=last)
        status, text = await ends(b.lab, *found[1].split())
        assert status == 0, text
        await user.out(*gone, via=last)
        for name in gone:
            assert (await user.status(name, last))["message"] == "Member removed from cluster"

        async def calm() -> bool:
            return not (await user.watching())["trouble"]

        await wait_until(calm, "nothing is wrong any more", 60)


async def nothing_is_written(b: LiveCluster, names: list[str], *, via: str) -> None:
    """They say what they said before, since nobody has confirmed what stands."""
    for name in names:
        assert await b.lab.joined(name, via) == "True", "it was written without a confirmation of what was shown"


async def test_misread_ids_and_names_are_said_and_put_right(kubectl_user: MakeKubectlUser) -> None:
    """A decimal memberID becomes hex, also under a flag that is set; a name that no object can have is said once."""
    async with kubectl_user() as user:
        b = user.cluster
        await user.sees_all()
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        member_id = await b.lab.member_id(one)
        await b.lie(one, {"memberID": str(int(member_id, 16))}, via=leader)
        await execute_update(user.watch, "resync")
        await until_true(b, one, via=leader)
        await b.lab.kill(Role.ETCD, other)
        b.lab.process(Role.ETCD, other).command.append("--name=no_object")
        await b.lab.start(Role.ETCD, other)
        await b.lab.restart(Role.APISERVER, other)  # it does not get over the loss of its etcd in all cases
        await b.lab.kubectl("delete", "etcdmember", other, context=leader)

        async def names_it() -> bool:
            return "no_object" in (await user.watching())["trouble"]

        await wait_until(names_it, "the watcher says which member gets no EtcdMember", 60)
        assert set(await b.lab.etcdmembers(leader)) == {leader, one}


async def test_watch_outlives_compaction_and_a_hanging_api_server(live_cluster: MakeLiveCluster) -> None:
    """An expired resourceVersion is news, and what one API server does not tell, another one does."""
    async with live_cluster(workers=()) as b:
        gateways = KubernetesGateways(load_config(b.lab.config_path), "node0")
        gateway = gateways.require(b.lab.cluster)
        try:
            _, old = await gateway.list_at()
            await b.lab.kubectl("annotate", "etcdmember", "node1", "number=1", context="node1")
            _, now = await gateway.list_at()
            compaction = {"revision": now, "physical": True}
            await http.post(f"{b.lab.node('node1').etcd_url}/v3/kv/compaction", compaction)
            async with asyncio.timeout(30):
                await gateway.wait_for_change(old)
                await gateway.wait_for_change("1")
            quiet = asyncio.ensure_future(gateway.wait_for_change(now))
            b.lab.stop(Role.APISERVER, "node0")
            await b.lab.kubectl("annotate", "etcdmember", "node1", "number=2", "--overwrite", context="node1")
            async with asyncio.timeout(30):
                await quiet
                resources, later = await gateway.list_at()
            assert later != now
            assert len(resources) == 3
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await gateway.wait_for_change(later)
        finally:
            await gateways.close()


async def until_true(b: LiveCluster, member: str, via: str) -> dict[str, Any]:
    """The status of an EtcdMember, once it says of its node's member what etcd says."""
    statuses: list[dict[str, Any]] = [{}]
    member_id = await b.lab.member_id(member)
    address = b.lab.node(member).peer_url.removeprefix("http://").partition(":")[0]

    async def true() -> bool:
        resource = (await b.lab.etcdmembers(via)).get(member, {})
        statuses.append(resource.get("status", {}))
        says = [c["status"] for c in statuses[-1].get("conditions", [])]
        return (statuses[-1].get("memberID"), statuses[-1].get("peerAddress"), says) == (member_id, address, ["True"])

    await wait_until(true, f"EtcdMember {member} tells the truth", 60, lambda: str(statuses[-1]))
    return statuses[-1]

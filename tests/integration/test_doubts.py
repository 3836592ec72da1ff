"""What is believed of whom: small inputs that once took a quorum, wrote a lie, or were never answered."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.contract import TASK_QUEUE, RemovalRequest
from etcd_handoff.lab import Role, disasters, http, observer, wait_until
from etcd_handoff.lab.resources import write_joined
from tests.chaos import judges
from tests.integration.conftest import FrontDoor, in_state, start_watch

if TYPE_CHECKING:
    from etcd_handoff.lab import Lab
    from tests.integration.conftest import Bench, MakeBench, MakeFrontDoor

BRIEFLY = ("--blocked-timeout", "1")
ROUNDS = 3
"""How many resyncs must have passed without a change where something must not happen."""


# --- helpers ----------------------------------------------------------------------------------------------------------


async def ends(lab: Lab, *arguments: str) -> tuple[int, str]:
    """Exit status of our command line, and all that it says."""
    status, shown, errors = await lab.handoff(*arguments)
    return status, shown + errors


def use_endpoints(lab: Lab, endpoints: list[str]) -> None:
    """Workers that start from now on, and the command line, ask these in this order."""
    text = lab.config_path.read_text()
    changed, count = re.subn(r"^endpoints = .*$", f"endpoints = {json.dumps(endpoints)}", text, flags=re.MULTILINE)
    assert count == 1
    lab.config_path.write_text(changed)


async def in_trouble(door: FrontDoor, *words: str) -> None:
    """The watcher says one of these words of itself."""
    said = [""]

    async def told() -> bool:
        said.append(json.dumps(await door.watching()))
        return any(word in said[-1] for word in words)

    await wait_until(told, f"the watcher says {' or '.join(words)}", 45, lambda: said[-1])


async def resynced(door: FrontDoor) -> None:
    """Some rounds have passed since: each is asked for and begins after the one before."""
    for _ in range(ROUNDS):
        await door.watch.execute_update("resync")
        await asyncio.sleep(1.5)  # a round tells of its end only by what it changes, and here it must change nothing


async def nobody_is_denied(b: Bench, via: str) -> None:
    """The EtcdMembers of all members say Joined=True and their IDs, and nobody else has one."""
    members = await b.lab.members(via)
    resources = await b.lab.etcdmembers(via)
    judges.resources_agree(members, resources)
    assert {m.name for m in members} <= set(resources)


async def remove_by_hand(lab: Lab, node: str, via: str) -> str:
    """Somebody else removes the node's member; its ID."""
    await lab.wait_for_health_interval()
    member_id = await lab.member_id(node)
    url = f"{lab.node(via).etcd_url}/v3/cluster/member/remove"
    await observer.change_members(url, {"ID": str(int(member_id, 16))})
    return member_id


async def decommission(lab: Lab, node: str) -> None:
    """The node is switched off."""
    for role in (Role.WORKER, Role.APISERVER, Role.ETCD):
        await lab.kill(role, node)


async def is_out(lab: Lab, node: str, via: str) -> None:
    """The node's member has left."""

    async def left() -> bool:
        return node not in {m.name for m in await lab.members(via)}

    await wait_until(left, f"{node} has left", 60)


async def says_joined(b: Bench, node: str, member_id: str, via: str) -> None:
    """The EtcdMember says that this very member is one."""

    async def so() -> bool:
        resource = (await b.lab.etcdmembers(via))[node]
        return judges.said_id(resource) == member_id and await b.lab.joined(node, via) == "True"

    await wait_until(so, f"EtcdMember {node} says Joined=True of {member_id}", 45)


async def watched(b: Bench) -> FrontDoor:
    """The bench with a watcher that compares everything every second."""
    return FrontDoor(b, await start_watch(b, resync_seconds=1))


# --- which cluster ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["first", "last"])
async def test_foreign_endpoint_makes_no_etcdmember_lie(bench: MakeBench, place: str) -> None:
    """A cluster of one that is in the profile by mistake: the watcher writes nothing, and no removal ends well."""
    async with bench(workers=()) as b:
        stranger = await disasters.start_foreign_cluster(b.lab)
        ours = [node.etcd_url for node in b.lab.nodes]
        foreign = [stranger.etcd_url]
        use_endpoints(b.lab, foreign + ours if place == "first" else ours + foreign)
        await b.lab.start_worker("node0")
        async with judges.Memory(b.lab, "node0") as memory:
            door = await watched(b)
            await in_trouble(door, "MixedClusters", "ResourcesDisagree")
            await resynced(door)
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


async def test_wiped_node_that_answers_alone_convinces_nobody(bench: MakeBench) -> None:
    """A removed node was started anew on its address, and the only worker is there: its API server knows nothing."""
    async with bench(workers=()) as b:
        leader = await b.lab.leader()
        node, other = (n.name for n in b.lab.others(leader))
        await remove_by_hand(b.lab, node, via=leader)
        await disasters.become_foreign(b.lab, node)
        await b.lab.restart(Role.APISERVER, node)
        await b.lab.start_worker(node)
        async with judges.Memory(b.lab, leader) as memory:
            door = await watched(b)
            await in_trouble(door, "MixedClusters", "ResourcesDisagree", "UnlistedMember")
            await resynced(door)
            status, text = await ends(b.lab, "remove", other, *BRIEFLY)
            assert status == 3, text
            assert "already-absent" not in text
            assert "was no member already" not in text
        memory.nobody_was_denied()
        assert {m.name for m in await b.lab.members(leader)} == {leader, other}


async def test_half_that_was_forced_apart_blocks_and_denies_nobody(bench: MakeBench) -> None:
    """One voter runs as a cluster of itself under the same cluster ID: the lists differ, and nothing is concluded."""
    async with bench() as b:
        leader = await b.lab.leader()
        node, other = (n.name for n in b.lab.others(leader))
        async with judges.Memory(b.lab, leader) as memory:
            door = await watched(b)
            await door.sees_all()
            await disasters.force_new_cluster(b.lab, node)
            for target in (other, node):
                status, text = await ends(b.lab, "remove", target, *BRIEFLY)
                assert (status, "ListsDiffer" in text or "UnlistedMember" in text) == (3, True), text
            await in_trouble(door, "ListsDiffer", "UnlistedMember")
            await resynced(door)
        memory.nobody_was_denied()
        assert {m.name for m in await b.lab.members(leader)} == {leader, node, other}
        await disasters.come_back(b.lab, node)
        assert (await b.remove(other)).outcome == "removed"


# --- who works --------------------------------------------------------------------------------------------------------


async def test_voter_whose_disk_hangs_does_not_count(bench: MakeBench) -> None:
    """It answers as if it were well; `plan` and `remove` say that it hangs, and writes go on until it is mended."""
    async with bench(hanging_disks=True) as b:
        leader = await b.lab.leader()
        sick, target = (n.name for n in b.lab.others(leader))
        writer = await b.writer(leader)
        disasters.hang_disk(b.lab, sick)
        _, text = await ends(b.lab, "plan", target)
        assert "VoterHangs" in text
        assert sick in text
        status, text = await ends(b.lab, "remove", target, *BRIEFLY)
        assert (status, "VoterHangs" in text) == (3, True), text
        await judges.writes_are_acknowledged(b.lab.node(leader).etcd_url)
        assert {m.name for m in await b.lab.members(leader)} == {leader, sick, target}
        removal = await b.start(target)
        await in_state(removal, "Blocked")
        disasters.heal_disk(b.lab, sick)
        assert (await removal.result()).outcome == "removed"
        report = await writer.stop()
        assert report.longest_gap_ms() < 5_000, "writes stopped while the removal waited"
        await b.judge({target}, report)


async def test_voter_whose_disk_hangs_can_leave_itself(bench: MakeBench) -> None:
    """Who is left are the two that work."""
    async with bench(hanging_disks=True) as b:
        leader = await b.lab.leader()
        sick = b.lab.others(leader)[0].name
        disasters.hang_disk(b.lab, sick)
        assert (await b.remove(sick)).outcome == "removed"
        await judges.writes_are_acknowledged(b.lab.node(leader).etcd_url)


async def test_leader_with_a_hanging_disk_is_removed_after_an_election(bench: MakeBench) -> None:
    """It neither hands over nor sends heartbeats; the others elect."""
    async with bench(hanging_disks=True) as b:
        leader = await b.lab.leader()
        via = b.lab.others(leader)[0].name
        disasters.hang_disk(b.lab, leader)
        assert (await b.remove(leader)).outcome == "removed"
        await judges.writes_are_acknowledged(b.lab.node(via).etcd_url)


# --- alarms -----------------------------------------------------------------------------------------------------------


async def test_corruption_of_no_single_member_blocks_and_is_shown(bench: MakeBench) -> None:
    """The alarm CORRUPT of member 0 is the whole cluster's: `plan`, `doctor` and `remove` name it."""
    async with bench() as b:
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


async def test_two_leave_a_full_cluster_and_are_recorded_once_it_takes_writes(bench: MakeBench) -> None:
    """NOSPACE: `plan` says so, both are out though nothing can be recorded, and the truth is written by itself."""
    async with bench(nodes=4) as b:
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
        await judges.resources_come_to_agree(
            lambda: b.lab.members(leader), lambda: b.lab.etcdmembers(leader), seconds=90
        )
        await b.judge({first, second})


# --- whose order ------------------------------------------------------------------------------------------------------


async def test_order_from_before_a_restore_removes_nobody(front_door: MakeFrontDoor) -> None:
    """The cluster is back at a time when the member was in and its flag stood: it stays in, and that is said."""
    async with front_door(resync_seconds=1, failpoints="remove_member.before=hold") as door:
        b = door.bench
        leader = await b.lab.leader()
        target, other = (n.name for n in b.lab.others(leader))
        await door.flag(target, via=leader)
        await b.reached("remove_member.before")
        backup = await disasters.back_up(b.lab)
        b.release("remove_member.before")
        await door.out(target, via=leader)
        for _ in range(2):  # terms that the backup has not seen
            await b.lab.restart(Role.ETCD, await b.lab.leader())
        await disasters.load(b.lab, other, 1_500)
        await resynced(door)
        await disasters.restore(b.lab, backup)
        member_id = await b.lab.member_id(target)
        await in_trouble(door, "ClusterRestored")
        await resynced(door)
        assert await b.lab.member_id(target) == member_id
        assert (await b.lab.etcdmembers(leader))[target]["spec"]["leave"] is True
        status, text = await ends(b.lab, "watch", "resync", "--confirm")
        assert status == 0, text
        await resynced(door)
        assert await b.lab.member_id(target) == member_id, "the old order counted after the confirmation"
        await nobody_is_denied(b, leader)
        await door.flag(target, via=leader, leave=False)
        await door.flag(target, via=leader)
        await is_out(b.lab, target, via=leader)


@pytest.mark.parametrize("writer", ["k0s", "nobody"])
async def test_node_that_joins_again_under_a_standing_flag_stays(front_door: MakeFrontDoor, writer: str) -> None:
    """Its EtcdMember says Joined=True with the new ID and calls the flag old; the next order is about the new member.

    Who writes the EtcdMember first may be k0s, or nobody but the watcher.
    """
    async with front_door(resync_seconds=1) as door:
        b = door.bench
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        old = await b.lab.member_id(target)
        await door.flag(target, via=leader)
        await door.out(target, via=leader)
        new = await disasters.rejoin(b.lab, target)
        if writer == "k0s":
            await write_joined(b.lab.kubectl, leader, target, new)
        await says_joined(b, target, new, via=leader)
        await door.says(target, old, via=leader)
        async with judges.Memory(b.lab, leader) as memory:
            await resynced(door)
        memory.nobody_was_denied()
        assert await b.lab.member_id(target) == new
        await nobody_is_denied(b, leader)
        await door.flag(target, via=leader, leave=False)
        await door.flag(target, via=leader)
        await door.out(target, via=leader)
        await is_out(b.lab, target, via=leader)
        await b.judge({target})


async def test_record_of_a_removal_leaves_the_node_that_joined_again_alone(bench: MakeBench) -> None:
    """It waits until the name has a new member; the EtcdMember goes on speaking of that one."""
    async with bench(failpoints="update_status.before=hold") as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        removal = await b.start(target)
        await b.reached("update_status.before")
        new = await disasters.rejoin(b.lab, target)
        await write_joined(b.lab.kubectl, leader, target, new)
        b.release("update_status.before")
        assert (await removal.result()).outcome == "removed"
        resource = (await b.lab.etcdmembers(leader))[target]
        assert (judges.said_id(resource), await b.lab.joined(target, leader)) == (new, "True")
        await nobody_is_denied(b, leader)


async def test_name_takes_nobody_of_another_name(bench: MakeBench) -> None:
    """An EtcdMember that carries a live member's ID does not give that member to whoever types the resource's name."""
    async with bench() as b:
        leader = await b.lab.leader()
        victim, renamed = (n.name for n in b.lab.others(leader))
        await b.lie(renamed, {"memberID": await b.lab.member_id(victim)}, via=leader)
        await b.lab.kill(Role.ETCD, renamed)
        b.lab.process(Role.ETCD, renamed).command.append("--name=another")
        await b.lab.start(Role.ETCD, renamed)

        async def listed() -> bool:
            return "another" in {m.name for m in await b.lab.members(leader)}

        await wait_until(listed, "the new name is listed", 20)
        status, text = await ends(b.lab, "remove", renamed)
        assert (status, victim in text) == (2, True), text
        assert {m.name for m in await b.lab.members(leader)} == {leader, victim, "another"}


# --- what people type, and what they are told -------------------------------------------------------------------------


async def test_dry_run_by_cron_starts_afresh_each_time(bench: MakeBench) -> None:
    """Temporal itself continues such a workflow; each run looks for itself and ends as planned."""
    async with bench(workers=("node0",)) as b:
        target = b.lab.others(await b.lab.leader())[0].name
        request = RemovalRequest(cluster=b.lab.cluster, member=target, dry_run=True)
        await b.client.start_workflow(
            "RemoveMember", request, id="by-cron", task_queue=TASK_QUEUE, cron_schedule="@every 1s"
        )
        outcomes: list[str] = []

        async def twice() -> bool:
            outcomes.clear()
            async for run in b.client.list_workflows('WorkflowId = "by-cron" AND ExecutionStatus != "Running"'):
                history = await b.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
                last = history.events[-1]
                results = last.workflow_execution_completed_event_attributes.result.payloads
                outcomes.extend(json.loads(p.data)["outcome"] for p in results)
                assert results, last
            return len(outcomes) >= 2

        try:
            await wait_until(twice, "two runs have ended", 45, lambda: str(outcomes))
        finally:
            await b.client.get_workflow_handle("by-cron").terminate()
        assert set(outcomes) == {"planned"}
        assert len(await b.lab.members()) == 3


async def test_dead_member_that_advertised_nonsense_can_leave(bench: MakeBench) -> None:
    """A port beyond all ports in its client URL: nobody who looks falls over it, while it runs and when it is dead."""
    async with bench() as b:
        leader = await b.lab.leader()
        odd = b.lab.others(leader)[0].name
        process = b.lab.process(Role.ETCD, odd)
        process.command.append("--advertise-client-urls=http://127.0.0.1:237900")
        await b.lab.restart(Role.ETCD, odd)
        url = f"{b.lab.node(leader).etcd_url}/v3/cluster/member/list"

        async def listed() -> bool:
            return ":237900" in json.dumps(await http.post(url, {"linearizable": True}))

        await wait_until(listed, "the odd URL is listed", 20)
        status, text = await ends(b.lab, "plan", odd)
        assert status == 0, text
        await b.lab.kill(Role.ETCD, odd)
        status, text = await ends(b.lab, "remove", odd)
        assert status == 0, text
        await b.judge({odd})


async def test_decimal_id_is_answered_with_the_hex_one(bench: MakeBench) -> None:
    """As JSON and some tools print it: nobody is removed, and the text has what would have been right."""
    async with bench(workers=("node0",)) as b:
        target = b.lab.others(await b.lab.leader())[0].name
        member_id = await b.lab.member_id(target)
        for command in ("plan", "remove"):
            status, text = await ends(b.lab, command, str(int(member_id, 16)))
            assert (status, "decimal" in text, member_id in text) == (2, True, True), text
        assert len(await b.lab.members()) == 3


async def test_three_members_of_one_name_are_told_apart(bench: MakeBench) -> None:
    """The text has ID, peer URL and state of each; the dead one leaves by its peer address."""
    async with bench(kubernetes=False, workers=("node0",)) as b:
        ids = {node.name: await b.lab.member_id(node.name) for node in b.lab.nodes}
        for node in b.lab.nodes:
            b.lab.process(Role.ETCD, node.name).command.append("--name=default")
            await b.lab.restart(Role.ETCD, node.name)

        async def renamed() -> bool:
            return {m.name for m in await b.lab.members()} == {"default"}

        await wait_until(renamed, "all members are called default", 30)
        dead = b.lab.nodes[2]

        async def lists() -> bool:
            try:
                return bool([await b.lab.members(node.name) for node in b.lab.others(dead.name)])
            except OSError:
                return False

        await b.lab.kill(Role.ETCD, dead.name)
        await wait_until(lists, "the others have a leader, as the dead one may have led", 30)
        for command in ("plan", "remove"):
            status, text = await ends(b.lab, command, "default")
            assert status == 2, text
            addresses = [node.peer_url.partition("://")[2] for node in b.lab.nodes]
            assert [word for word in (*ids.values(), *addresses, "healthy") if word not in text] == [], text
        status, text = await ends(b.lab, "remove", dead.peer_url.partition("://")[2])
        assert status == 0, text
        assert {m.id for m in await b.lab.members("node0")} == {ids["node0"], ids["node1"]}


async def test_doctor_after_a_removal_says_what_to_take_out_of_the_profile(bench: MakeBench) -> None:
    """A node that has left and was switched off is no failure."""
    async with bench(workers=("node0",)) as b:
        leader = await b.lab.leader()
        target = next(n.name for n in reversed(b.lab.others(leader)) if n.name != "node0")
        assert (await b.remove(target)).outcome == "removed"
        await decommission(b.lab, target)
        status, shown, errors = await b.lab.handoff("doctor", "-o", "json")
        assert status == 0, shown + errors
        advice = [finding for finding in json.loads(shown) if "out of the profile" in json.dumps(finding)]
        number = [node.name for node in b.lab.nodes].index(target) + 1
        assert any(f"endpoint {number}" in json.dumps(finding) for finding in advice), shown
        assert any(target in json.dumps(finding) for finding in advice), shown

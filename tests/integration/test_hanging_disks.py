"""Members whose disks hang: they answer as if they were well, and take nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.lab import disasters
from etcd_handoff.lab.writer import PUT_TIMEOUT_SECONDS
from tests.chaos import checks
from tests.integration import additions
from tests.integration.conftest import ends, in_state
from tests.integration.progress import says

if TYPE_CHECKING:
    from tests.integration.conftest import MakeLiveCluster

BRIEFLY = ("--blocked-timeout", "1")
ENTRIES = 500
"""In so long a log a learner that lacks the last few is ready by etcd's own rule: nine tenths of the leader's index."""


async def test_voter_whose_disk_hangs_does_not_count(live_cluster: MakeLiveCluster) -> None:
    """It answers as if it were well; `plan` and `remove` say that it hangs, and writes go on until it is mended."""
    async with live_cluster(hanging_disks=True) as b:
        leader = await b.lab.leader()
        sick, target = (n.name for n in b.lab.others(leader))
        writer = await b.writer(leader)
        disasters.hang_disk(b.lab, sick)
        _, text = await ends(b.lab, "plan", target)
        assert "VoterHangs" in text
        assert sick in text
        status, text = await ends(b.lab, "remove", target, *BRIEFLY)
        assert (status, "VoterHangs" in text) == (3, True), text
        await checks.writes_are_acknowledged(b.lab.node(leader).etcd_url)
        assert {m.name for m in await b.lab.members(leader)} == {leader, sick, target}
        removal = await b.start(target)
        await in_state(removal, "Blocked")
        disasters.heal_disk(b.lab, sick)
        assert (await removal.result()).outcome == "removed"
        report = await writer.stop()
        assert report.longest_gap_ms() < PUT_TIMEOUT_SECONDS * 1000, "writes stopped while the removal waited"
        await b.judge({target}, report)


async def test_voter_whose_disk_hangs_can_leave_itself(live_cluster: MakeLiveCluster) -> None:
    """Who is left are the two that work."""
    async with live_cluster(hanging_disks=True) as b:
        leader = await b.lab.leader()
        sick = b.lab.others(leader)[0].name
        disasters.hang_disk(b.lab, sick)
        assert (await b.remove(sick)).outcome == "removed"
        await checks.writes_are_acknowledged(b.lab.node(leader).etcd_url)


async def test_leader_with_a_hanging_disk_is_removed_after_an_election(live_cluster: MakeLiveCluster) -> None:
    """It neither hands over nor sends heartbeats; the others elect."""
    async with live_cluster(hanging_disks=True) as b:
        leader = await b.lab.leader()
        via = b.lab.others(leader)[0].name
        disasters.hang_disk(b.lab, leader)
        assert (await b.remove(leader)).outcome == "removed"
        await checks.writes_are_acknowledged(b.lab.node(via).etcd_url)


async def test_learner_whose_disk_hangs_does_not_become_the_second_voter(live_cluster: MakeLiveCluster) -> None:
    """It still answers, near the voter's index; with its vote nothing would be committed, not even its removal."""
    async with live_cluster(
        nodes=2, failpoints="promote_member.before=hold", hanging_disks=True, kubernetes=False
    ) as b:
        stays = await b.lab.leader()
        await disasters.load(b.lab, stays, ENTRIES)
        node = await additions.out(b.lab, b.lab.others(stays)[0].name)
        addition = await additions.add(b, node)
        await additions.start(b, addition, node)
        await b.reached("promote_member.before")
        disasters.hang_disk(b.lab, node.name)
        b.release("promote_member.before")
        # It does not follow; once it is a tenth behind, it lags.
        waits = (f"{node.name} has not followed a committed entry", "LearnerLags")
        await says(addition, node.name, so=lambda progress: any(text in progress.doing for text in waits))
        await checks.writes_are_acknowledged(b.lab.node(stays).etcd_url)
        assert len((await additions.seen(b.lab)).voters) == 1
        disasters.heal_disk(b.lab, node.name)
        await additions.joined(b, addition, 2)

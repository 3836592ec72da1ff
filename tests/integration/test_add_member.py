"""A member joins on real processes: learner, start with what is shown, sync, vote, proof, record."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from etcd_handoff.activity_io import AdditionInput, AwaitSyncInput
from etcd_handoff.config import ClusterProfile, Config, EtcdProfile
from etcd_handoff.contract import AdditionResult
from etcd_handoff.errors import RunsAlreadyError
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.nodes import InitialCluster
from tests.integration import additions
from tests.integration.progress import says
from tests.integration.temporal_proxy import proxy_to

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.activity_io import StepResult
    from tests.integration.conftest import MakeLiveCluster


async def test_member_that_left_joins_again_with_what_the_command_line_writes(live_cluster: MakeLiveCluster) -> None:
    """Added as a learner, started, promoted, recorded in a new EtcdMember; a second start changes nothing."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        name = b.lab.others(leader)[0].name
        assert (await b.remove(name)).outcome == "removed"
        await b.lab.kubectl("delete", "etcdmember", name, context=leader)  # a new node has none, and no watcher runs
        node, file = await additions.wiped(b.lab, name), b.folder / "member.env"
        by_hand = ("add", name, "--peer-url", node.peer_url, "-c", b.lab.cluster)
        status, out, _ = await b.lab.handoff(*by_hand, "--dry-run", "-o", "json")
        planned = AdditionResult.model_validate_json(out)
        assert (status, [line.split()[0] for line in planned.plan][:3]) == (0, ["add", "wait", "promote"])
        adding = asyncio.create_task(b.lab.handoff(*by_hand, "-o", "json", "--env-file", str(file)))

        async def written() -> bool:
            return file.exists()

        await wait_until(written, "the file is written", additions.PATIENCE)
        settings = dict(line.split("=", 1) for line in file.read_text().splitlines())
        assert settings["ETCD_NAME"] == name
        assert settings == planned.join_configuration
        await b.lab.start_etcd(node, InitialCluster.of(settings, b.lab.nodes))
        status, out, errors = await adding
        assert status == 0, errors
        result = AdditionResult.model_validate_json(out)
        assert (str(result.outcome), result.status_recorded) == ("added", True)
        changing = (s for s in result.steps if s.outcome != "replan")
        steps = [(s.name, str(s.outcome)) for s in changing if s.name not in ("check_leader", "update_status")]
        assert steps[0] == ("add_learner", "added")
        assert steps[-2:] == [("await_sync", "in-sync"), ("promote_member", "promoted")]
        assert result.member_id == await b.lab.member_id(name)
        writer = await b.writer(name)
        await b.judge(set(), await writer.stop())
        assert (await b.lab.etcdmembers(leader))[name]["status"]["memberID"] == result.member_id
        status, out, _ = await b.lab.handoff(*by_hand, "-o", "json")
        again = json.loads(out)
        assert (status, again["outcome"], again["member_id"]) == (0, "already-present", result.member_id)


async def test_cancelled_addition_takes_out_what_it_has_added_and_nothing_else(live_cluster: MakeLiveCluster) -> None:
    """A failed one leaves its learner; another one goes on with it and, when it is cancelled, leaves it too."""
    async with live_cluster(nodes=1, workers=("node0",), kubernetes=False) as b:
        node = replace(b.lab.node("node0"), name="node9", peer_port=b.lab.node("node0").peer_port + 1)
        first = await additions.add(b, node)
        learner_id = (await says(first, "Blocked", "LearnerNotStarted")).member_id
        await first.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await first.result()
        assert isinstance(failed.value.cause, CancelledError)
        assert f"its learner {learner_id} has been removed" in (await says(first, "cancelled")).doing
        timeline = [event.user_metadata.summary.data.decode() for event in (await first.fetch_history()).events]
        assert {'"enter the change queue of the cluster"', '"give up its place in the change queue"'} <= set(timeline)
        assert [m.name for m in await b.lab.members()] == ["node0"]
        # In the second in which the first one was added etcd would give it the same ID, and refuses that.
        second = await additions.add(b, node, blocked_timeout_seconds=3)
        with pytest.raises(WorkflowFailureError) as failed:
            await second.result()
        assert str(failed.value.cause).startswith("BlockedTooLong: LearnerNotStarted")
        kept = next(m.id for m in await b.lab.members() if not m.name)
        third = await additions.add(b, node)
        assert (await says(third, "LearnerNotStarted")).member_id == kept != learner_id
        assert (await additions.add(b, node)).first_execution_run_id == third.first_execution_run_id
        with pytest.raises(RunsAlreadyError, match=f"etcd-add/{b.lab.cluster}/node9 runs already, for something else"):
            await additions.add(b, replace(node, peer_port=node.peer_port + 1))
        await third.cancel()
        with pytest.raises(WorkflowFailureError):
            await third.result()
        takes_out = f"to remove it: `etcd-handoff remove {kept} -c {b.lab.cluster}`"
        assert takes_out in (await says(third, "cancelled")).doing
        other = await additions.add(b, replace(node, name="node8", peer_port=node.peer_port + 1))
        assert kept in (await says(other, "Blocked", "LearnerInTheWay")).doing
        await other.cancel()
        assert (await b.remove(kept)).outcome == "removed"


async def test_learner_that_dies_before_its_promotion_is_not_promoted(live_cluster: MakeLiveCluster) -> None:
    """Etcd itself would do it. A worker that dies while it waits for the learner changes nothing."""
    points = "promote_member.before=hold;await_sync.during=kill"
    async with live_cluster(nodes=2, failpoints=points, kubernetes=False) as b:
        node = await additions.out(b.lab, b.lab.others(await b.lab.leader())[0].name)
        addition = await additions.add(b, node)
        await additions.start(b, addition, node)
        await b.reached("await_sync.during")
        await b.reached("promote_member.before")
        await b.lab.kill(Role.ETCD, node.name)
        b.release("promote_member.before")
        await says(addition, "Blocked", "LearnerUnreachable")
        assert len((await additions.seen(b.lab)).voters) == 1
        await b.lab.start(Role.ETCD, node.name)
        await additions.joined(b, addition, 2)


@pytest.mark.parametrize("lost", ["MemberAdd", "MemberPromote"])
async def test_lost_answers_are_read_again_through_the_member_list(lost: str, tmp_path: Path) -> None:
    """Etcd has done it, and its answer never came: it counts as done, and nothing is added twice."""
    options = LabOptions(nodes=2, temporal=False, kubernetes=False, directory=tmp_path / "lab")
    async with Lab(options) as lab:
        node, joins, own = lab.node("node0"), await additions.out(lab, "node1"), ActivityEnvironment()
        async with proxy_to(node.etcd_url.removeprefix("http://")) as proxy:
            config = Config(
                clusters={
                    "lab": ClusterProfile(
                        etcd=EtcdProfile(endpoints=(f"http://{proxy.address}",), call_timeout_seconds=5)
                    )
                }
            )
            activities = EtcdActivities(config, "node0", gateway=EtcdGateway)
            cluster_id = (await activities.looks("lab").observe()).cluster_id
            ask = AdditionInput(
                cluster="lab", cluster_id=cluster_id, name="node1", peer_urls=(joins.peer_url,), holder="run"
            )
            try:
                proxy.lost[lost] = grpc.StatusCode.UNAVAILABLE
                added = await own.run(activities.add_learner, ask)
                assert (str(added.step.outcome), added.added_id != "") == ("added", True)
                assert added.proposed is (lost != "MemberAdd"), "its own only by etcd's answer"
                assert ("no definite answer" in added.step.note) == (lost == "MemberAdd")
                await lab.start_etcd(joins, InitialCluster(lab.nodes, "existing"))
                ask = ask.model_copy(update={"learner_id": added.added_id})
                listed = tuple(m.id for m in (await activities.looks("lab").observe()).members)
                waits = AwaitSyncInput(**dict(ask), listed=listed, seconds=20, waits_for="LearnerLags")
                waited = await own.run(activities.await_sync, waits)
                assert str(waited.step.outcome) == "in-sync", waited.step.note
                results: list[StepResult] = []

                async def is_proposed() -> bool:
                    """The learner is slow to follow an entry at times, and the step is planned again then."""
                    results.append(await own.run(activities.promote_member, ask))
                    return proxy.calls["MemberPromote"] > 0

                await wait_until(is_proposed, "the promotion is proposed", 30, lambda: str(results[-1:]))
                promoted = results[-1]
                assert (str(promoted.step.outcome), promoted.proposed) == ("promoted", True)
                assert ("no definite answer" in promoted.step.note) == (lost == "MemberPromote")
            finally:
                await activities.close()
        assert proxy.calls["MemberAdd"] == proxy.calls["MemberPromote"] == 1
        assert not any(m.is_learner for m in (await additions.seen(lab)).members)

"""What stands between a removal and the first change, and what an operator sees and says meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError

from etcd_handoff.lab import Role, http, wait_until
from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, MEMBER_KEY, STATE_KEY
from etcd_handoff.temporal.updates import execute_update
from tests.integration.conftest import SHORT_HISTORIES, another_run, in_state
from tests.integration.progress import changes

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

LEADER_STEPS = ["move_leader", "await_election", "remove_member", "update_status"]


async def everything(b: LiveCluster) -> dict[str, Any]:
    """All that a removal could change: members, leader and term, and every EtcdMember to the last field."""
    via = b.lab.nodes[0].name
    return {
        "members": sorted(await b.lab.members(via), key=lambda m: m.id),
        "leader": await b.lab.leader_and_term(),
        "resources": await b.lab.etcdmembers(via),
    }


async def turned_down(removal: WorkflowHandle[Any, Any], update: str, argument: dict[str, Any]) -> ApplicationError:
    """Why an update is not accepted."""
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await execute_update(removal, update, argument)
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def failure(removal: WorkflowHandle[Any, Any]) -> ApplicationError:
    """What the removal fails with."""
    with pytest.raises(WorkflowFailureError) as failed:
        await removal.result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def test_approval_is_awaited_and_taken_only_then(live_cluster: MakeLiveCluster) -> None:
    """Too early, wrong or too late it is turned down in words; until it comes only the EtcdMember's message changes."""
    async with live_cluster(failpoints="check_leader.before=hold;move_leader.before=hold") as b:
        leader = await b.lab.leader()
        before = await everything(b)
        soon = datetime.now(UTC) + timedelta(seconds=4)
        removal = await b.start(leader, require_approval=True, not_before=soon.isoformat())
        await b.reached("check_leader.before")
        early = await turned_down(removal, "approve", {"by": "ann"})
        assert (early.type, "does not wait for an approval" in early.message) == ("InvalidInput", True)
        assert "nothing to look at again" in await execute_update(removal, "recheck", {"reason": "impatience"})
        b.release("check_leader.before")
        await in_state(removal, "AwaitingApproval")
        wrong = await turned_down(removal, "approve", {"by": "ann", "sure": True})
        assert wrong.type == "InvalidInput"
        assert "sure: " in wrong.message
        now = await everything(b)
        assert (now["members"], now["leader"]) == (before["members"], before["leader"])
        assert {await b.lab.joined(n.name, leader) for n in b.lab.nodes} == {"True"}
        assert "approved" in await execute_update(removal, "approve", {"by": "ann", "comment": "go"})
        await b.reached("move_leader.before")
        late = await turned_down(removal, "approve", {"by": "bob"})
        assert "Transferring" in late.message
        b.release("move_leader.before")
        result = await removal.result()
        assert (result.outcome, changes(result)) == ("removed", LEADER_STEPS)
        moved = next(step for step in result.steps if step.name == "move_leader")
        assert datetime.fromisoformat(moved.started) >= soon
        assert result.approved_by.startswith("ann (as ")
        await b.judge({leader})


async def test_approval_outlives_a_long_wait(live_cluster: MakeLiveCluster) -> None:
    """Approved while a voter is down, and blocked for so long that the history is begun anew: nobody is asked twice."""
    async with live_cluster(temporal_flags=SHORT_HISTORIES) as b:
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        removal = await b.start(one, require_approval=True)
        await in_state(removal, "AwaitingApproval")
        await b.lab.kill(Role.ETCD, other)
        await execute_update(removal, "approve", {"by": "ann"})
        await another_run(b, removal.id, "the removal")
        await b.lab.start(Role.ETCD, other)
        assert (await removal.result()).outcome == "removed"
        await b.lab.restart(Role.APISERVER, other)
        await b.judge({one})


async def test_dry_run_plans_in_words_and_changes_nothing(live_cluster: MakeLiveCluster) -> None:
    """For a leader, a follower, and a removal that would have to wait: the steps in order, or what blocks them."""
    async with live_cluster(workers=("node0",)) as b:
        leader = await b.lab.leader()
        one, other = (node.name for node in b.lab.others(leader))
        before = await everything(b)
        planned = await b.remove(leader, dry_run=True)
        assert (planned.outcome, planned.blocked_by, planned.was_leader) == ("planned", "", True)
        first, second, third, last = planned.plan
        assert first.startswith(f"hand leadership from {leader} to node")
        assert f"term above {before['leader'][1]}" in second
        assert third.startswith(f"remove {leader} through node")
        assert third.endswith("; 2 voters remain, quorum 2, 0 of them may fail")
        assert last == f"record Joined=False on the EtcdMember of {leader}"
        assert (planned.status_recorded, planned.status_note) == (False, "dry run: nothing was written")
        follower = await b.remove(one, dry_run=True, require_approval=True, snapshot=True)
        left = "2 voters remain, quorum 2, 0 of them may fail"
        record = f"record Joined=False on the EtcdMember of {one}"
        assert follower.plan == (f"remove {one} through {leader}; {left}", record)
        assert await everything(b) == before
        await waits_for_its_time(b, one)
        await b.lab.kill(Role.ETCD, other)
        blocked = await b.remove(one, dry_run=True)
        assert (blocked.outcome, blocked.plan) == ("planned", ())
        assert blocked.blocked_by.startswith(f"QuorumAtRisk: without {one} only 1 of 2 voters")
        assert f"bring {other} back" in blocked.blocked_by
        assert {m.name for m in await b.lab.members(leader)} == {n.name for n in b.lab.nodes}


async def waits_for_its_time(b: LiveCluster, member: str) -> None:
    """It says until when, looks when it is asked to, can be cancelled, and a dry run tells the same.

    Members and leader stay as they are; the EtcdMember says what it waits for.
    """
    before = await everything(b)
    opens = "Tue 2999-01-01T00:00:00+00:00 (UTC)"
    planned = await b.remove(member, dry_run=True, not_before="2999-01-01T00:00:00Z")
    assert planned.plan[0] == f"wait until {opens}: not_before has not come"
    removal = await b.start(member, not_before="2999-01-01T00:00:00Z")
    await in_state(removal, "AwaitingWindow")
    assert (await removal.query("progress"))["waiting_for"] == f"it is {opens}"
    assert await execute_update(removal, "recheck") == "was AwaitingWindow; looking again"
    await in_state(removal, "AwaitingWindow")
    await removal.cancel()
    with pytest.raises(WorkflowFailureError) as failed:
        await removal.result()
    assert isinstance(failed.value.cause, CancelledError)
    now = await everything(b)
    assert (now["members"], now["leader"]) == (before["members"], before["leader"])


async def test_snapshot_and_hash_check_come_before_any_change(live_cluster: MakeLiveCluster) -> None:
    """The file is an etcd snapshot whose checksum fits and which has the data; the hashes agree."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        key, value = "c25hcHNob3QtbWU=", "dGhpcyBtdXN0IGJlIGluIHRoZSBzbmFwc2hvdA=="  # snapshot-me: this must be ...
        await http.post(f"{b.lab.node(leader).etcd_url}/v3/kv/put", {"key": key, "value": value})
        result = await b.remove(leader, snapshot=True, hash_check=True)
        assert changes(result) == ["check_hash", "take_snapshot", *LEADER_STEPS]
        by_name = {step.name: step for step in result.steps}
        assert by_name["check_hash"].outcome == "consistent"
        assert all(name in by_name["check_hash"].note for name in b.others(leader)), by_name["check_hash"].note
        names = [step.name for step in result.steps]
        assert names[names.index("take_snapshot") + 1] == "check_leader", "the cluster was not looked at again"
        path, _, rest = result.snapshot.partition(" on ")
        content = await asyncio.to_thread(Path(path).read_bytes)
        assert oct(Path(path).stat().st_mode & 0o777) == "0o600", "all Secrets are in it"  # noqa: ASYNC240
        assert Path(path).parent.stat().st_mode & 0o777 == 0o700
        assert f"{len(content)} bytes" in rest
        assert content[16:20] == bytes.fromhex("edda0ced"), "no bbolt file of this byte order"
        assert hashlib.sha256(content[:-32]).digest() == content[-32:]
        assert b"this must be in the snapshot" in content
        await b.judge({leader})


async def test_data_that_differ_stop_a_removal_that_asked(live_cluster: MakeLiveCluster) -> None:
    """A member with a byte changed on its disk is found by the hash check, and everything stays as it is."""
    async with live_cluster(workers=("node0",)) as b:
        leader = await b.lab.leader()
        sick, target = (node.name for node in b.lab.others(leader))
        key, value = "a2V5", "dmFsdWUgQSB2YWx1ZSBBIHZhbHVlIEE="  # key: value A value A value A
        await http.post(f"{b.lab.node(leader).etcd_url}/v3/kv/put", {"key": key, "value": value})

        async def has_it() -> bool:
            query = {"key": key, "serializable": True}
            return bool((await http.post(f"{b.lab.node(sick).etcd_url}/v3/kv/range", query)).get("kvs"))

        await wait_until(has_it, f"{sick} has the key", 20)
        await b.lab.terminate(Role.ETCD, sick)  # which commits it to the file
        file = b.lab.directory / sick / "etcd" / "member" / "snap" / "db"
        content = file.read_bytes()
        assert b"value A value A" in content
        file.write_bytes(content.replace(b"value A value A", b"value B value A"))
        await b.lab.start(Role.ETCD, sick)
        before = await everything(b)
        error = await failure(await b.start(target, hash_check=True))
        assert error.type == "RemovalRefused"
        assert error.message.startswith("DataInconsistent: ")
        assert f"{sick} " in error.message
        now = await everything(b)
        assert (now["members"], now["leader"]) == (before["members"], before["leader"])
        assert {await b.lab.joined(n.name, leader) for n in b.lab.nodes} == {"True"}


async def test_blocked_for_too_long_says_what_is_true(live_cluster: MakeLiveCluster) -> None:
    """The failure and the EtcdMember say what was missing; the member is still in, and nothing was moved."""
    async with live_cluster(workers=("node0",)) as b:
        leader, _ = led = await b.lab.leader_and_term()
        target, down = (node.name for node in b.lab.others(leader))
        await b.lab.kill(Role.ETCD, down)
        for seconds in (0, 0.5):
            await is_blocked_too_long(b, target, down, seconds, led)


async def is_blocked_too_long(b: LiveCluster, target: str, down: str, seconds: float, led: tuple[str, int]) -> None:
    """A removal that may wait for so long fails, and leadership stays as it is."""
    leader, term = led
    await b.lie(target, {"message": "", "reconcileStatus": ""}, via=leader)  # what a removal before this one has told
    removal = await b.start(target, blocked_timeout_seconds=seconds)
    error = await failure(removal)
    assert error.type == "BlockedTooLong"
    assert error.message.startswith(f"QuorumAtRisk: waited {seconds:g} s. What unblocks it: bring {down} back")
    assert f"Seen: without {target} only 1 of 2 voters" in error.message
    assert (await removal.describe()).typed_search_attributes.get(STATE_KEY) == "Failed"
    status = (await b.lab.etcdmembers(leader))[target]["status"]
    assert status["message"].startswith(f"Not removed: QuorumAtRisk: without {target} only 1 of 2 voters")
    assert status["reconcileStatus"] == "Failed"
    assert {await b.lab.joined(n.name, leader) for n in b.lab.nodes} == {"True"}
    assert {m.name for m in await b.lab.members(leader)} == {n.name for n in b.lab.nodes}
    assert await b.lab.leader_and_term() == (leader, term)


async def test_lists_and_the_page_tell_where_a_removal_stands(live_cluster: MakeLiveCluster) -> None:
    """The search attributes follow it from the first look to the end, and a list can be filtered by them.

    In the middle of it, its page tells what happens and why.
    """
    points = {
        "check_leader.before": "Checking",
        "move_leader.before": "Transferring",
        "await_election.before": "Transferring",
        "remove_member.before": "Removing",
        "update_status.before": "Recording",
    }
    async with live_cluster(failpoints=";".join(f"{point}=hold" for point in points)) as b:
        leader = await b.lab.leader()
        removal = await b.start(leader, reason="disk is dying")
        for point, state in points.items():
            await b.reached(point)
            await in_state(removal, state)
            described = await removal.describe()
            attributes = described.typed_search_attributes
            assert (attributes.get(CLUSTER_KEY), attributes.get(MEMBER_KEY)) == (b.lab.cluster, leader)
            assert attributes.get(STATE_KEY) == state, point
            assert await described.static_summary() == f"Remove member {leader} from etcd cluster {b.lab.cluster}"
            if state == "Removing":
                await page_tells(b, removal, leader)
            b.release(point)
        await removal.result()
        assert (await removal.describe()).typed_search_attributes.get(STATE_KEY) == "Done"

        async def listed() -> bool:
            query = f"EtcdCluster = '{b.lab.cluster}' AND EtcdMember = '{leader}' AND HandoffState = 'Done'"
            return [run.id async for run in b.client.list_workflows(query)] == [removal.id]

        await wait_until(listed, "the list has it as done", 30)


async def page_tells(b: LiveCluster, removal: WorkflowHandle[Any, Any], leader: str) -> None:
    """The current details, as the Web UI and `temporal workflow metadata` get them, have state, members and steps."""
    status, output, errors = await b.lab.temporal("workflow", "metadata", "-w", removal.id, "-o", "json")
    assert status == 0, errors
    details = json.loads(output)["queryResult"][0]["currentDetails"]
    for words in (
        f"Remove member {leader} from etcd cluster {b.lab.cluster}",
        "**Removing**",
        f"removing {leader} through ",
        "disk is dying",
        "no longer possible: the removal was proposed to etcd",
        *(node.name for node in b.lab.nodes),
        "`move_leader` moved",
        "`await_election` elected",
    ):
        assert words in details

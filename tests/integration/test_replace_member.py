"""Members are replaced, and a membership is applied, on real processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from etcd_handoff.contract import (
    DesiredMember,
    MembershipRequest,
    MembershipResult,
    ReplacementRequest,
    ReplacementResult,
)
from etcd_handoff.lab import Role
from etcd_handoff.temporal.client import apply_membership, start_replacement
from tests.integration.conftest import joined_condition
from tests.integration.joining import leave, started, wiped
from tests.integration.progress import says

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from etcd_handoff.lab.nodes import Node
    from tests.integration.conftest import LiveCluster, MakeLiveCluster


async def replace(b: LiveCluster, old: str, new: Node, **options: Any) -> WorkflowHandle[Any, ReplacementResult]:
    """Start a replacement."""
    given = {"cluster": b.lab.cluster, "member": old, "name": new.name, "peer_urls": (new.peer_url,), **options}
    return await start_replacement(b.client, ReplacementRequest.model_validate(given))


async def apply(b: LiveCluster, *nodes: Node) -> WorkflowHandle[Any, MembershipResult]:
    """Start to apply a membership."""
    members = tuple(DesiredMember(name=node.name, peer_urls=(node.peer_url,)) for node in nodes)
    return await apply_membership(b.client, MembershipRequest(cluster=b.lab.cluster, members=members))


async def describes(b: LiveCluster, member: str) -> dict[str, Any]:
    """What `describe` says of the operation on a member."""
    status, out, errors = await b.lab.handoff("describe", member, "-c", b.lab.cluster, "-o", "json")
    assert status == 0, errors
    answer: dict[str, Any] = json.loads(out)
    return answer


def parts(result: ReplacementResult | MembershipResult) -> list[tuple[str, str, str]]:
    """What was done, in order."""
    return [(part.kind, part.member_name, str(part.outcome)) for part in result.parts]


async def test_leader_is_replaced_under_writes_and_then_a_dead_member(live_cluster: MakeLiveCluster) -> None:
    """The worker dies between the two halves; no write is lost; the dead one of three leaves before another joins."""
    async with live_cluster(nodes=4, failpoints="update_status.after=kill") as b:
        b.arm()
        leader = await b.lab.leader()
        spare = await leave(b, b.lab.others(leader)[0].name)
        staying = [node.name for node in b.lab.nodes if node.name not in (leader, spare.name)]
        by_hand = ("replace", leader, "--with", spare.name, "--peer-url", spare.peer_url, "-c", b.lab.cluster)
        status, out, _ = await b.lab.handoff(*by_hand, "--dry-run")
        assert (status, "4 voters then, quorum 3, 1 may fail" in out) == (0, True), out
        old_id, writer = await b.lab.member_id(leader), await b.writer(staying[0])
        b.arm("update_status.after")
        replacement = await replace(b, leader, spare)
        await started(b, replacement)
        result = await replacement.result()
        assert (result.outcome, result.member_id, result.was_leader) == ("replaced", old_id, True)
        assert parts(result) == [("add", spare.name, "added"), ("remove", leader, "removed")]
        assert result.new_member_id == await b.lab.member_id(spare.name)
        await b.reached("update_status.after")
        assert sum(b.lab.alive(Role.WORKER, node.name) for node in b.lab.nodes) == 1
        await b.judge({leader}, await writer.stop())
        b.arm()
        status, out, _ = await b.lab.handoff(*by_hand, "-o", "json")
        again = ReplacementResult.model_validate_json(out)
        assert (status, again.outcome, again.new_member_id) == (0, "already-replaced", result.new_member_id)
        # A dead one of three, by the node that has just become free.
        dead, free = staying[1], await wiped(b, leader)
        await b.lab.kill(Role.ETCD, dead)
        replacement = await replace(b, dead, free)
        await started(b, replacement)
        result = await replacement.result()
        assert parts(result) == [("remove", dead, "removed"), ("add", free.name, "added")]
        b.gone -= {leader}
        await b.judge({dead})


async def test_membership_is_applied_down_to_one_member_and_up_again(live_cluster: MakeLiveCluster) -> None:
    """One at a time; the file, the plan and the exit status are those of the command line."""
    async with live_cluster(workers=("node0",)) as b:
        last = b.lab.node(await b.lab.leader())
        others = b.lab.others(last.name)
        file = b.folder / "members.json"
        file.write_text(json.dumps({"members": [{"name": last.name, "peer_urls": [last.peer_url]}]}))
        status, out, errors = await b.lab.handoff("apply", str(file), "-c", b.lab.cluster, "--dry-run")
        assert (status, out.count("remove node"), "1 voter then, quorum 1, 0 may fail" in out) == (0, 2, True), errors
        status, out, errors = await b.lab.handoff("apply", str(file), "-c", b.lab.cluster, "-o", "json")
        result = MembershipResult.model_validate_json(out)
        assert (status, result.outcome, {p.outcome for p in result.parts}) == (0, "applied", {"removed"}), errors
        assert [member.name for member in result.members] == [last.name]
        await b.judge({node.name for node in others})
        # As if a start had been terminated between the removal and its record.
        await b.lie(others[0].name, {"conditions": [joined_condition("True")]}, via=last.name)
        recorded = await (await apply(b, last)).result()
        assert (recorded.outcome, parts(recorded)) == (
            "already-applied",
            [("remove", others[0].name, "already-absent")],
        )
        await b.judge({node.name for node in others})
        for node in others:
            await wiped(b, node.name)
        change = await apply(b, last, *others)
        for number, node in enumerate(others, 1):
            await started(b, change, node.name)
            assert f"part {number} of 2: adding {node.name}" in (await says(change)).part
        applied = await change.result()
        assert parts(applied) == [("add", node.name, "added") for node in others]
        b.gone = set()
        await b.judge(set())


async def test_stopped_replacement_goes_on_when_it_is_started_again(live_cluster: MakeLiveCluster) -> None:
    """It fails while the new member is awaited, and says what to type; that goes on with the learner."""
    async with live_cluster(nodes=4, workers=("node0",)) as b:
        leader = await b.lab.leader()
        spare = await leave(b, b.lab.others(leader)[0].name)
        old = b.lab.others(leader)[1].name
        old_id = await b.lab.member_id(old)
        replacement = await replace(b, old, spare)
        learner = (await says(replacement, "Blocked", "LearnerNotStarted")).member_id
        described = await describes(b, spare.name)
        assert described["operation"]["workflow_id"] == replacement.id
        await replacement.terminate("somebody is impatient")
        command = ("replace", old_id, "--with", spare.name, "--peer-url", spare.peer_url, "-c", b.lab.cluster)
        status, _, errors = await b.lab.handoff(*command, "--blocked-timeout", "0")
        assert (status, f"`etcd-handoff {' '.join(command)}`" in errors) == (3, True), errors
        again = await replace(b, old_id, spare)
        await started(b, again)
        result = await again.result()
        assert (result.new_member_id, parts(result)[-1]) == (learner, ("remove", old, "removed"))
        b.gone = {old}
        await b.judge(set())

"""The operator's commands on a real cluster: nobody needs Temporal's own command line for daily work."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from etcd_handoff.contract import RemovalResult
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.temporal.updates import execute_update
from tests.integration.conftest import SHORT_HISTORIES, ends, in_state, removal_id
from tests.integration.progress import says

if TYPE_CHECKING:
    import pytest

    from tests.integration.conftest import LiveCluster, MakeLiveCluster


async def printed(b: LiveCluster, *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    status, shown, errors = await b.lab.handoff(*arguments, "-o", "json")
    assert status == 0, errors
    answer: dict[str, Any] = json.loads(shown)
    return answer


async def test_one_day_of_an_operator(live_cluster: MakeLiveCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal is blocked, cancelled, asked for again, approved by somebody else, and told afterwards.

    All by our command line.
    """
    async with live_cluster(temporal_flags=SHORT_HISTORIES, policies=(("four_eyes", True),)) as b:
        leader = await b.lab.leader()
        target, down = (node.name for node in b.lab.others(leader))

        status, text = await ends(b.lab, "approve", target)
        assert (status, f"no operation on member {target}" in text) == (1, True)
        status, text = await ends(b.lab, "describe", "etcd-changes/nobody")
        assert (status, "has no operation" in text) == (1, True)

        await b.lab.kill(Role.ETCD, down)
        blocked = await b.start(target, reason="new disk")
        await in_state(blocked, "Blocked")
        status, text = await ends(b.lab, "approve", target)
        assert (status, "does not wait for an approval" in text) == (3, True)
        assert (await printed(b, "recheck", target, "--reason", "now?"))["workflow_id"] == removal_id(b, target)
        await _described_as_blocked(b, target)
        cancelled = await printed(b, "cancel", removal_id(b, target), "--reason", "not today")
        assert "is cancelled" in cancelled["answer"]
        assert (await ends(b.lab, "cancel", target))[0] == 1

        await b.lab.restart(Role.ETCD, down)
        await b.lab.wait_for_health_interval()
        planned = await b.start(target, dry_run=True)
        await planned.result()
        monkeypatch.setenv("SUDO_USER", "bob")
        started = await printed(b, "remove", target, "--detach")
        waiting = b.client.get_workflow_handle(started["workflow_id"], result_type=RemovalResult)
        await in_state(waiting, "AwaitingApproval")
        assert (await printed(b, "pause", target, "--reason", "on a call"))["answer"].startswith("paused")
        await in_state(waiting, "Paused")
        assert (await ends(b.lab, "pause", target))[0] == 3
        assert (await ends(b.lab, "approve", target))[0] == 3
        assert (await printed(b, "resume", target))["answer"] == "the removal goes on"
        await in_state(waiting, "AwaitingApproval")
        member_id = await b.lab.member_id(target)
        assert (await printed(b, "describe", member_id))["state"] == "AwaitingApproval"
        status, text = await ends(b.lab, "approve", target)
        assert (status, "the profile asks for four eyes: bob has started it" in text) == (3, True), text
        monkeypatch.setenv("SUDO_USER", "ann")
        approved = await printed(b, "approve", target, "--comment", "change 4711")
        assert (approved["by"], approved["comment"]) == ("ann", "change 4711")
        assert (await waiting.result()).approved_by.startswith("etcd-handoff:ann@")
        await b.judge({target})

        await _afterwards(b, target)
        await _refused(b)


async def test_pause_counts_that_comes_before_a_worker_has_begun(live_cluster: MakeLiveCluster) -> None:
    """It was confirmed, so it holds; the approval that is wanted keeps the removal where a later one counts as well."""
    async with live_cluster(workers=()) as b:
        removal = await b.start("node2", require_approval=True)
        pausing = asyncio.create_task(execute_update(removal, "pause", {"by": "ann"}))
        await b.lab.start_worker("node0")
        assert (await pausing).startswith("paused")
        await says(removal, "Paused")
        assert await execute_update(removal, "resume") == "the removal goes on"
        await says(removal, "AwaitingApproval")


async def _described_as_blocked(b: LiveCluster, target: str) -> None:
    """The verdict first, what it waits for, and the command to type; between two looks it may be looking."""
    text = ""

    async def blocked() -> bool:
        nonlocal text
        status, text = await ends(b.lab, "describe", target)
        assert status == 0
        return "Blocked for" in text

    await wait_until(blocked, "it is described as blocked", 60, lambda: text)
    (open_one,) = (await printed(b, "status"))["operations"]
    assert open_one["member"] == target
    assert text.startswith(f"removal of {target} (")
    assert "QuorumAtRisk" in text
    assert f"etcd-handoff recheck {target} -c {b.lab.cluster}" in text


async def _afterwards(b: LiveCluster, target: str) -> None:
    """What the records say of the day."""
    listed: list[dict[str, Any]] = []

    async def all_are_listed() -> bool:  # Temporal lists what has ended a little later
        listed[:] = (await printed(b, "history", target))["operations"]
        return [run["outcome"] for run in listed] == ["removed", "planned", "Cancelled"]

    await wait_until(all_are_listed, "what has ended is listed", 60, lambda: str(listed))
    last, dry_run, first = listed
    assert (last["dry_run"], dry_run["dry_run"]) == (False, True)
    approval = next(entry for entry in last["entries"] if entry["event"] == "approved")
    assert (approval["text"], approval["interface"]) == ("change 4711", "command line")
    # etcd refuses a change for five seconds after a member has come back, and then it is tried again.
    done = [(entry["step"], entry["outcome"]) for entry in last["entries"] if entry["event"] == "did"]
    assert done[-2:] == [("remove_member", "removed"), ("update_status", "recorded")]
    texts = {entry["event"]: (entry["text"], entry["interface"]) for entry in first["entries"]}
    assert texts["recheck"] == ("now?", "command line")
    assert texts["cancel"] == ("cancellation requested: not today", "command line")
    assert first["reason"] == "new disk"
    seen = await printed(b, "status")
    assert [run["outcome"] for run in seen["last"]][:3] == ["removed", "planned", "Cancelled"]
    assert {worker["node"] for worker in seen["workers"]} == {"node0", "node1"}
    assert all(worker["build"] for worker in seen["workers"])
    assert {(worker["config"] != "", *worker["profiles"]) for worker in seen["workers"]} == {(True, "demo")}
    status, text = await ends(b.lab, "history")
    assert status == 0
    rows = [line for line in text.splitlines() if not line.startswith(" ")]
    assert len(rows) == 1 + len((await printed(b, "history"))["operations"])
    assert f"  why and what to do: etcd-handoff history {target} -c {b.lab.cluster}" in text.splitlines()
    member_id = last["member_id"]
    assert [run["workflow_id"] for run in (await printed(b, "history", member_id))["operations"]] == [
        run["workflow_id"] for run in listed
    ]
    status, page = await ends(b.lab, "report", removal_id(b, target), "-o", "html")
    assert status == 0
    assert page.startswith("<!DOCTYPE html>")
    assert "remove_member" in page


async def _refused(b: LiveCluster) -> None:
    """Temporal's own command line shows a refusal in words, with the remedy, and no trace."""
    status, text = await ends(b.lab, "remove", "nobody")
    assert (status, "UnknownMember" in text) == (2, True)
    _, shown, _ = await b.lab.temporal("workflow", "show", "-w", removal_id(b, "nobody"), "--detailed")
    assert "no member" in shown
    assert "UnknownMember" in shown
    assert 'File "' not in shown

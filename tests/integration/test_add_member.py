"""A member joins on real processes: learner, start with what `progress` shows, vote, record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from etcd_handoff.contract import AdditionRequest, AdditionResult, Progress
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.nodes import InitialCluster
from etcd_handoff.temporal.client import start_operation

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from etcd_handoff.lab.nodes import Node
    from tests.integration.conftest import Bench, MakeBench


async def add(b: Bench, node: Node, **options: Any) -> WorkflowHandle[Any, AdditionResult]:
    """Start an addition."""
    given = {"cluster": b.lab.cluster, "name": node.name, "peer_urls": (node.peer_url,), **options}
    return await start_operation(b.client, AdditionRequest.model_validate(given), AdditionResult)


async def blocked(addition: WorkflowHandle[Any, AdditionResult], reason: str) -> Progress:
    """Where it stands, once it waits for this reason."""
    said: list[Progress] = []

    async def so() -> bool:
        said.append(await addition.query("progress", result_type=Progress))
        return said[-1].state == "Blocked" and reason in said[-1].doing

    await wait_until(so, f"the addition is blocked by {reason}", 30, lambda: f"it does: {said[-1].doing}")
    return said[-1]


async def leave(b: Bench, member: str) -> Node:
    """The node of a member that has left, without its process and its data."""
    assert (await b.remove(member)).outcome == "removed"
    if b.lab.alive(Role.ETCD, member):
        await b.lab.kill(Role.ETCD, member)
    shutil.rmtree(b.lab.directory / member / "etcd")
    return b.lab.node(member)


def beginning(b: Bench, settings: dict[str, str]) -> InitialCluster:
    """How etcd begins with these variables, and with nothing else."""
    by_url = {node.peer_url: node for node in b.lab.nodes}
    pairs = [pair.split("=", 1) for pair in settings["ETCD_INITIAL_CLUSTER"].split(",")]
    return InitialCluster(
        [replace(by_url[url], name=name) for name, url in pairs], settings["ETCD_INITIAL_CLUSTER_STATE"]
    )


async def test_member_that_left_joins_again_with_what_progress_shows(bench: MakeBench) -> None:
    """Added as a learner, started, promoted, recorded; a write through it works, and asking again changes nothing."""
    async with bench() as b:
        leader = await b.lab.leader()
        node = await leave(b, b.lab.others(leader)[0].name)
        by_hand = ("add", node.name, "--peer-url", node.peer_url, "-c", b.lab.cluster)
        status, out, _ = await b.lab.handoff(*by_hand, "--dry-run")
        assert (status, "Dry run" in out, f"promote {node.name}" in out) == (0, True, True)
        addition = await add(b, node)
        progress = await blocked(addition, "LearnerNotStarted")
        settings = progress.join_configuration
        assert (settings["ETCD_NAME"], settings["ETCD_INITIAL_CLUSTER_STATE"]) == (node.name, "existing")
        assert settings["ETCD_INITIAL_ADVERTISE_PEER_URLS"] == node.peer_url
        assert f"ETCD_INITIAL_CLUSTER={settings['ETCD_INITIAL_CLUSTER']}" in progress.waiting_for
        listed = {m.name: m for m in await b.lab.members(leader)}
        assert len(listed) == 3
        await b.lab.start_etcd(node, beginning(b, settings))
        await addition.execute_update("recheck")
        result = await addition.result()
        assert (result.outcome, result.status_recorded) == ("added", True)
        assert [s.outcome for s in result.steps if s.name in ("add_learner", "promote_member")] == ["added", "promoted"]
        assert result.member_id == await b.lab.member_id(node.name)
        writer = await b.writer(node.name)
        await b.judge(set(), await writer.stop())
        assert (await b.lab.etcdmembers(leader))[node.name]["status"]["memberID"] == result.member_id
        status, out, _ = await b.lab.handoff(*by_hand, "-o", "json")
        again = AdditionResult.model_validate_json(out)
        assert (status, again.outcome, again.member_id) == (0, "already-present", result.member_id)
        assert again.status_recorded


async def test_cancelled_addition_leaves_a_learner_that_a_removal_takes_out(bench: MakeBench) -> None:
    """Another addition goes on with it; the command that the end names takes it out."""
    async with bench() as b:
        leader = await b.lab.leader()
        node = await leave(b, b.lab.others(leader)[0].name)
        addition = await add(b, node)
        first = await blocked(addition, "LearnerNotStarted")
        await addition.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await addition.result()
        assert isinstance(failed.value.cause, CancelledError)
        again = await add(b, node, blocked_timeout_seconds=0)
        with pytest.raises(WorkflowFailureError, match="Workflow execution failed") as failed:
            await again.result()
        text = str(failed.value.cause)
        assert f"`etcd-handoff remove {first.member_id}` takes it out" in text
        assert (await b.remove(first.member_id)).outcome == "removed"
        assert len(await b.lab.members(leader)) == 2

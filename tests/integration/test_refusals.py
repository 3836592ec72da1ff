"""What cannot be done is refused at once, in words, and nothing has changed anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from etcd_handoff.contract import TASK_QUEUE
from etcd_handoff.lab import Role, wait_until
from tests.integration.conftest import open_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

PLAIN = {"encoding": b"json/plain"}
GOOD = {"cluster": "demo", "member": "node0"}


def payloads(*inputs: bytes) -> list[Payload]:
    """Inputs as whoever is careless sends them."""
    return [Payload(metadata=PLAIN, data=data) for data in inputs]


CASES: dict[str, tuple[list[Payload], str, list[str]]] = {
    "unknown member": (
        payloads(json.dumps({**GOOD, "member": "node9"}).encode()),
        "UnknownMember",
        ["member: ", "node9", "node0", "node1", "node2"],
    ),
    "unknown member ID": (
        payloads(json.dumps({**GOOD, "member": "ffffffffffffffff"}).encode()),
        "UnknownMember",
        ["member: ", "ffffffffffffffff", "node0"],
    ),
    "unknown cluster": (
        payloads(json.dumps({**GOOD, "cluster": "prod"}).encode()),
        "UnknownCluster",
        ["cluster: ", "'prod'", "known: demo"],
    ),
    "bad JSON": (payloads(b'{"cluster": "demo", '), "InvalidInput", ["input: ", "JSON"]),
    "JSON of another kind": (payloads(b'["demo", "node0"]'), "InvalidInput", ["input: "]),
    "JSON null": (payloads(b"null"), "InvalidInput", ["input: missing", '"cluster"', '"member"']),
    "wrong type": (payloads(b'{"cluster": "demo", "member": 2}'), "InvalidInput", ["member: ", "string"]),
    "wrong type of an option": (
        payloads(json.dumps({**GOOD, "dry_run": "yes"}).encode()),
        "InvalidInput",
        ["dry_run: ", "boolean"],
    ),
    "value out of range": (
        payloads(json.dumps({**GOOD, "blocked_timeout_seconds": -1}).encode()),
        "InvalidInput",
        ["blocked_timeout_seconds: ", "greater than or equal to 0"],
    ),
    "extra field": (
        payloads(json.dumps({**GOOD, "force": True}).encode()),
        "InvalidInput",
        ["force: ", "not permitted"],
    ),
    "missing field": (payloads(b'{"cluster": "demo"}'), "InvalidInput", ["member: ", "required"]),
    "everything wrong at once": (
        payloads(b'{"cluster": 7, "force": true}'),
        "InvalidInput",
        ["cluster: ", "member: ", "force: "],
    ),
    "no input": ([], "InvalidInput", ["input: missing", '"cluster"', '"member"']),
    "two inputs": (
        payloads(json.dumps(GOOD).encode(), json.dumps(GOOD).encode()),
        "InvalidInput",
        ["input: ", "one JSON object", "2"],
    ),
    "no JSON at all": (
        [Payload(metadata={"encoding": b"binary/plain"}, data=b"node0")],
        "InvalidInput",
        ["input: ", "binary/plain"],
    ),
}
"""What is sent, the type of the failure, and words of its message: the field, what is wrong, what would be right."""


async def state(b: LiveCluster) -> dict[str, Any]:
    """All that a removal could change: members, leader and term, and every EtcdMember's version."""
    via = b.lab.nodes[0].name
    return {
        "members": sorted(await b.lab.members(), key=lambda m: m.id),
        "leader": await b.lab.leader_and_term(),
        "versions": {n: r["metadata"]["resourceVersion"] for n, r in (await b.lab.etcdmembers(via)).items()},
        "events": [
            e["metadata"]["name"]
            for e in json.loads(await b.lab.kubectl("get", "events", "-o", "json", context=via))["items"]
        ],
    }


async def refusal(b: LiveCluster, name: str, inputs: list[Payload]) -> ApplicationError:
    """The failure that this start ends with; the client that waits for it also knows that no task failed for ever."""
    handle = await b.client.start_workflow(
        "RemoveMember", args=[RawValue(p) for p in inputs], id=f"refused {name}", task_queue=TASK_QUEUE
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    error = failed.value.cause
    assert isinstance(error, ApplicationError)
    history = [e async for e in handle.fetch_history_events()]
    assert not [e for e in history if e.HasField("workflow_task_failed_event_attributes")], "a task failed first"
    return error


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_path: Path) -> AsyncIterator[LiveCluster]:
    """One cluster for all cases: none of them changes anything."""
    async with open_cluster(shared_path, workers=("node0",)) as b:
        yield b


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES)
async def test_refused_at_once_with_nothing_changed(shared: LiveCluster, case: str) -> None:
    """The workflow fails, not its task for ever; the message names the field and what would be right."""
    inputs, kind, words = CASES[case]
    before = await state(shared)
    error = await refusal(shared, case, inputs)
    assert error.type == kind
    assert error.non_retryable
    assert [word for word in words if word not in error.message] == [], error.message
    assert "\n" not in error.message
    assert "Traceback" not in error.message
    assert await state(shared) == before


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        (["--input", '{"cluster": "demo", "membre": "node0"}'], "membre: "),
        (["--input", "node0", "--input-meta", "encoding=binary/plain"], "binary/plain"),
        (["--input", '"demo"', "--input", '"node0"'], "2 arguments"),
        ([], "input: missing"),
    ],
    ids=["misspelt", "no JSON", "two inputs", "no input"],
)
async def test_refused_when_started_by_the_temporal_cli(shared: LiveCluster, inputs: list[str], word: str) -> None:
    """What `temporal workflow start` lets through (no broken JSON) ends as a failed workflow that says why."""
    name = f"by hand, {word}"
    start = ["workflow", "start", "--type", "RemoveMember", "--task-queue", TASK_QUEUE, "--workflow-id", name]
    before = await state(shared)
    status, output, errors = await shared.lab.temporal(*start, *inputs)
    assert status == 0, output + errors
    with pytest.raises(WorkflowFailureError) as failed:
        await shared.client.get_workflow_handle(name).result()
    error = failed.value.cause
    assert isinstance(error, ApplicationError)
    assert error.type == "InvalidInput"
    assert word in error.message
    assert await state(shared) == before


async def test_last_voter_stays(live_cluster: MakeLiveCluster) -> None:
    """Removing it would end the cluster, so it is refused for good, and it goes on serving."""
    async with live_cluster(nodes=1) as b:
        before = await state(b)
        error = await refusal(b, "last voter", payloads(json.dumps(GOOD).encode()))
        assert (error.type, error.non_retryable) == ("RemovalRefused", True)
        assert error.message.startswith("LastVoter: ")
        assert "Seen: node0 " in error.message
        assert await state(b) == before


async def test_name_of_two_members_fits_neither(live_cluster: MakeLiveCluster) -> None:
    """A name that two members carry is no answer to which one leaves; the message has the IDs that are."""
    async with live_cluster(nodes=2, workers=("node0",), kubernetes=False) as b:
        twin = b.lab.process(Role.ETCD, "node1")
        ids = {m.id for m in await b.lab.members()}
        # etcd takes the new name on with its restart: names are not unique, IDs are.
        twin.command = ["--name=node0" if word == "--name=node1" else word for word in twin.command]
        await b.lab.restart(Role.ETCD, "node1")

        async def same_name() -> bool:
            return [m.name for m in await b.lab.members()] == ["node0", "node0"]

        await wait_until(same_name, "both members are called node0", 60)
        error = await refusal(b, "twins", payloads(json.dumps(GOOD).encode()))
        assert error.type == "UnknownMember"
        assert [word for word in ("member: ", "'node0'", "more than one", *ids) if word not in error.message] == []
        assert {m.id for m in await b.lab.members()} == ids

"""The client for scripts, and the example scripts as they are, on a real cluster."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
from temporalio.client import WorkflowFailureError

from etcd_handoff import client, time_limits
from etcd_handoff.client import blocking
from etcd_handoff.contract import HandoffState
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

Planned = tuple[client.AdditionResult, client.ReplacementResult, client.MembershipResult]
NEW: Final = "node9"
NEW_URLS: Final = ("http://127.0.0.1:9",)
SCRIPTS: Final = ROOT / "docs" / "examples" / "scripts"


async def script(b: LiveCluster, name: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, output and errors of an example script."""
    command = [sys.executable, str(SCRIPTS / name), *arguments]
    return await run(command, {**b.lab.environment, **environment}, ROOT)


async def _approved_while_workers_were_away(b: LiveCluster, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The progress goes on where it was, with another worker; the approval is taken once."""
    handoff = await client.connect()
    removal = await handoff.remove(b.lab.cluster, member, require_approval=True)
    states: list[str] = []

    async def follow() -> None:
        async for now in removal.progress():
            states.append(str(now.state))  # noqa: PERF401  # each as it comes

    following = asyncio.ensure_future(follow())

    async def waits() -> bool:
        return states[-1:] == ["AwaitingApproval"]

    await wait_until(waits, "it waits for an approval", 60)
    again = await handoff.attach(removal.workflow_id)
    for node in b.lab.nodes[:2]:
        await b.lab.kill(Role.WORKER, node.name)
    assert await again.now() is None
    patient = replace(time_limits.COMMANDS, query_timeout=timedelta(minutes=1))
    monkeypatch.setattr(time_limits, "COMMANDS", patient)  # the last question is not asked again
    await b.lab.start_worker("node0")
    await again.approve("somebody", "change 4711")
    result = await again.result()
    assert (type(result), str(result.outcome)) == (client.RemovalResult, "removed")
    async with asyncio.timeout(120):
        await following
    assert states[-1] == "Done"
    with pytest.raises(client.UnknownOperationError):
        await removal.approve("somebody")


async def _cancelled(b: LiveCluster, member: str) -> None:
    """Attaching needs the workflow ID alone; what has ended says so in its class."""
    handoff = await client.connect()
    removal = await handoff.remove(b.lab.cluster, member, require_approval=True)
    other = await handoff.attach(f"etcd-remove/{b.lab.cluster}/{member}")
    assert "cancelled" in await other.cancel("wrong rack")
    with pytest.raises(client.OperationCancelledError):
        await removal.result()
    with pytest.raises(client.UnknownOperationError, match="etcd-remove/demo/nobody"):
        await handoff.attach("etcd-remove/demo/nobody")
    with pytest.raises(client.UnknownClusterError):
        await (await handoff.remove("elsewhere", member)).result()


async def _planned(cluster: str, old: str, members: Mapping[str, tuple[str, ...]]) -> Planned:
    """What dry runs of an addition, a replacement and a membership come to."""
    handoff = await client.connect()
    added = await handoff.add(cluster, NEW, NEW_URLS, dry_run=True)
    replaced = await handoff.replace(cluster, old, NEW, NEW_URLS, dry_run=True)
    applied = await handoff.apply(cluster, members, dry_run=True)
    return await added.result(), await replaced.result(), await applied.result()


def _planned_without_await(cluster: str, old: str, members: Mapping[str, tuple[str, ...]]) -> Planned:
    """The same with the client that blocks."""
    with blocking.connect() as handoff:
        added = handoff.add(cluster, NEW, NEW_URLS, dry_run=True)
        replaced = handoff.replace(cluster, old, NEW, NEW_URLS, dry_run=True)
        applied = handoff.apply(cluster, members, dry_run=True)
        return added.result(), replaced.result(), applied.result()


async def test_scripts_plan_additions_replacements_and_memberships(live_cluster: MakeLiveCluster) -> None:
    """Each result has its own type and says what would be done; nothing is changed."""
    async with live_cluster() as b:
        old, *rest = b.lab.nodes
        arguments = (b.lab.cluster, old.name, {node.name: (node.peer_url,) for node in rest})
        for planned in (await _planned(*arguments), await asyncio.to_thread(_planned_without_await, *arguments)):
            assert tuple(map(type, planned)) == (
                client.AdditionResult,
                client.ReplacementResult,
                client.MembershipResult,
            )
            assert [result.outcome for result in planned] == [client.Outcome.PLANNED] * len(planned)
            added, replaced, applied = planned
            assert added.join_configuration["ETCD_NAME"] == NEW
            assert (replaced.member_name, replaced.new_member_name) == (old.name, NEW)
            assert any(f"remove {old.name}" in line for line in applied.plan), applied.plan
        await b.judge(set())


async def _examples(b: LiveCluster, one: str, rack: tuple[str, str], last: str) -> None:
    """Each does what its first lines say, with the exit status that they say."""
    status, output, errors = await script(b, "remove_member.py", b.lab.cluster, one)
    assert (status, output.splitlines()[-1].startswith(f"{one}: removed")) == (0, True), errors
    assert len(output.splitlines()) > 1, output
    assert output.split()[0] in set(HandoffState), output
    status, output, errors = await script(b, "remove_member.py", b.lab.cluster, "nobody")
    assert (status, errors.startswith("UnknownMember: ")) == (1, True), errors
    for name in ("remove_member.py", "empty_rack.py"):
        status, output, errors = await script(b, name, b.lab.cluster, one, TEMPORAL_ADDRESS="127.0.0.1:1")
        assert (status, output, "Traceback" in errors, len(errors.splitlines())) == (1, "", False, 1), errors
    status, output, errors = await script(b, "empty_rack.py", b.lab.cluster, *rack)
    assert status == 0, output + errors
    assert [line for line in output.splitlines() if "has to wait" not in line] == [f"{m}: removed" for m in rack]

    status, output, errors = await script(b, "pipeline_step.py", b.lab.cluster, one)
    assert (status, json.loads(output)["outcome"]) == (0, "already-absent"), errors
    for wrong, code, name in (("a/b", 2, "InvalidInput"), ("nobody", 2, "UnknownMember"), (last, 3, "Refused")):
        status, output, errors = await script(b, "pipeline_step.py", b.lab.cluster, wrong)
        assert (status, output, f"{name}Error: " in errors) == (code, "", True), errors
    status, output, errors = await script(b, "pipeline_step.py", b.lab.cluster, last, TEMPORAL_ADDRESS="127.0.0.1:1")
    assert (status, output, "TemporalUnreachableError: " in errors) == (4, "", True), errors


async def test_scripts_empty_a_cluster_down_to_its_last_member(
    live_cluster: MakeLiveCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approval that outlives its workers, a cancellation, and three example scripts."""
    async with live_cluster(nodes=5) as b:
        leader = await b.lab.leader()
        first, *others = (node.name for node in b.lab.others(leader))
        await _cancelled(b, first)
        await _approved_while_workers_were_away(b, first, monkeypatch)
        await _examples(b, leader, (others[0], others[1]), others[2])
        await b.judge({leader, first, *others[:2]})


class Chat:
    """The chat bot's process: people type into it, and read what it says.

    Attributes:
        port: Where it takes events.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.port = 0

    @staticmethod
    async def begin(b: LiveCluster, secret: Path) -> Chat:
        """A bot that listens."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", str(SCRIPTS / "approve_by_chat.py"), "0", str(secret)),
            cwd=ROOT,
            env=b.lab.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        chat = Chat(process)
        b.stack.callback(process.kill)
        chat.port = int((await chat.read()).removeprefix("listening on port "))
        return chat

    async def read(self) -> str:
        """The next thing that it says."""
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()

    async def type(self, line: str) -> str:
        """What it says after somebody has typed this."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        return await self.read()


def _post(port: int, body: bytes, **headers: str) -> int:
    """The status of the bot's answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # http, as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def test_chat_bot_approves_for_those_who_answer_it(live_cluster: MakeLiveCluster) -> None:
    """It asks once, believes no event that no worker has signed, and a no ends the removal."""
    async with live_cluster(workers=()) as b:
        secret = b.folder / "webhook-secret"
        secret.write_text("sixteen bytes or more\n")
        chat = await Chat.begin(b, secret)
        table = f'[notifications]\nurl = "http://127.0.0.1:{chat.port}/"\nsecret_file = "{secret}"\n'
        b.lab.config_path.write_text(f"{b.lab.config_path.read_text()}\n{table}")
        await b.lab.start_worker("node0")
        follower = b.lab.others(await b.lab.leader())[0].name
        forged = json.dumps({"id": "1", "type": "x.approval-requested", "data": {}}).encode()
        now = str(int(time.time()))
        assert _post(chat.port, forged) == 401
        assert (
            _post(chat.port, forged, **{"webhook-id": "1", "webhook-timestamp": now, "webhook-signature": "v1,"}) == 401
        )

        removal = await b.start(follower, require_approval=True, reason="its disk is old")
        question = await chat.read()
        assert question.startswith(f"1: RemoveMember of {follower} in cluster demo: "), question
        assert question.endswith("(reason: its disk is old)")
        assert (await chat.read()).startswith(f"1. remove {follower} through "), "what is approved"
        assert (await chat.read()).startswith("2. record Joined=False ")
        assert await chat.type("ann perhaps 1") == "answer with: <user> yes <number>, or <user> no <number>"
        assert await chat.type("ann yes 2") == "answer with: <user> yes <number>, or <user> no <number>"
        assert "cancelled" in await chat.type("ann no 1")
        with pytest.raises(WorkflowFailureError):
            await removal.result()

        removal = await b.start(follower, require_approval=True)
        assert [(await chat.read()).partition(" ")[0] for _ in range(3)] == ["2:", "1.", "2."]
        assert "UnknownOperationError" not in await chat.type("ann yes 2")
        result = await removal.result()
        assert (result.outcome, result.approved_by) == ("removed", "ann@chat")
        assert "ann@chat" in str((await removal.fetch_history()).to_json())
        assert "UnknownOperationError" in await chat.type("ann yes 1")
        await b.judge({follower})

"""Records the histories that the tests replay, from real removals in labs: `.venv/bin/python tests/replay/record.py`.

Histories are recorded anew when workflows change in a way that their old runs cannot follow. Once there is a release
whose removals may still run, such a change needs `workflow.patched`, and the old history stays beside the new one
(docs/decisions/0014-patching-and-replay.md). Names of recordings after the command record only these.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from temporalio.client import WorkflowFailureError

from etcd_handoff.contract import (
    AdditionRequest,
    AdditionResult,
    DesiredMember,
    MembershipRequest,
    MembershipResult,
    RemovalRequest,
    ReplacementRequest,
    record_id,
    workflow_id,
)
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.k0s import K0sStandIn
from etcd_handoff.lab.nodes import InitialCluster, Node
from etcd_handoff.operation.queue_messages import change_queue_id
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
from etcd_handoff.temporal.client import connect, start_operation, start_removal, start_replacement, start_watcher
from etcd_handoff.temporal.updates import execute_update
from tests.fakes.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from temporalio.client import Client, WorkflowHandle

HISTORIES: Final = Path(__file__).parent / "histories"
DIVERGED: Final = Path(__file__).parent / "diverged"
SHORT_HISTORIES: Final = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=30")
UNKNOWN: Final = {"added_by_a_newer_version": {"of": "any kind"}}
"""A field that no model has."""


async def without_surprises() -> None:
    """A leader's removal with its queue, a follower's, a watcher that removes one, and two that no worker made."""
    async with Lab(LabOptions(nodes=4, workers=("node0", "node1", "node2"), progress=say)) as lab:
        client = await at(lab)
        leader = await lab.leader()
        removal = await remove(client, lab, leader, reason="to be replayed")
        result = await removal.result()
        queue = client.get_workflow_handle(change_queue_id(result.cluster_id))
        await queue.result()
        of_leader, of_queue = await history(removal), await history(queue)
        successor = await lab.leader()
        follower = next(node.name for node in lab.nodes if node.name not in (leader, successor))
        removal = await remove(client, lab, follower, reason="to be replayed")
        if (result.was_leader, (await removal.result()).was_leader) != (True, False):
            sys.exit("leadership moved by itself meanwhile: start it again")
        of_follower = await history(removal)
        write(HISTORIES / "leader.json", of_leader)
        write(HISTORIES / "queue.json", of_queue)
        write(HISTORIES / "follower.json", of_follower)
        write(HISTORIES / "newer.json", newer(of_follower))
        last = next(node.name for node in lab.nodes if node.name not in (leader, successor, follower))
        watch = await start_watcher(client, ReconcileEtcdMembersRequest(cluster=lab.cluster))
        patch = ["--type", "merge", "-p", json.dumps({"spec": {"leave": True}})]
        await lab.kubectl("patch", "etcdmember", last, *patch, context=successor)
        condition = ["--for", "condition=Joined=False", "--timeout=60s"]
        await lab.kubectl("wait", f"etcdmember/{last}", *condition, context=successor, timeout="60s")
        await client.get_workflow_handle(workflow_id(lab.cluster, last)).result()
        await execute_update(watch, "resync")
        await watch.cancel()
        with contextlib.suppress(WorkflowFailureError):
            await watch.result()
        write(HISTORIES / "reconciler.json", await history(watch))
    write(DIVERGED / "removal_before_election.json", diverged(of_leader))


async def waiting() -> None:
    """A removal that gave up, one that was blocked until a voter was back, and one that was approved."""
    async with Lab(LabOptions(nodes=3, workers=("node0",), progress=say)) as lab:
        client = await at(lab)
        leader = await lab.leader()
        target, down = (node.name for node in lab.others(leader))
        await lab.kill(Role.ETCD, down)
        removal = await remove(client, lab, target, blocked_timeout_seconds=0)
        with contextlib.suppress(WorkflowFailureError):
            await removal.result()
        write(HISTORIES / "failed.json", await history(removal))
        removal = await remove(client, lab, target)
        await stands(removal, "Blocked", "QuorumAtRisk")
        await lab.start(Role.ETCD, down)
        await execute_update(removal, "recheck", {"reason": "it is back"})
        await removal.result()
        write(HISTORIES / "blocked.json", await history(removal))
        leader = await lab.leader()
        last = next(member.name for member in await lab.members(leader) if member.name != leader)
        removal = await remove(client, lab, last, require_approval=True)
        await stands(removal, "AwaitingApproval", "")
        await execute_update(removal, "approve", {"by": "ann"})
        await removal.result()
        write(HISTORIES / "approved.json", await history(removal))


async def long() -> None:
    """A removal that is blocked for so long that it continues as a new run."""
    options = LabOptions(nodes=3, workers=("node0",), temporal_flags=SHORT_HISTORIES, progress=say)
    async with Lab(options) as lab:
        client = await at(lab)
        leader = await lab.leader()
        target, down = (node.name for node in lab.others(leader))
        await lab.kill(Role.ETCD, down)
        removal = await remove(client, lab, target)
        first = (await removal.describe()).run_id
        latest = client.get_workflow_handle(removal.id)

        async def continued() -> bool:
            return (await latest.describe()).run_id != first

        await wait_until(continued, "the removal continues as new", 60)
        await lab.start(Role.ETCD, down)
        await removal.result()
        write(HISTORIES / "continued.json", await history(client.get_workflow_handle(removal.id, run_id=first)))
        write(HISTORIES / "continues.json", await history(latest))


async def queued() -> None:
    """A removal that stands behind another one, and a record that goes on after that one's end."""
    with tempfile.TemporaryDirectory() as name:
        folder, points = Path(name), "remove_member.before=hold;update_status.before=hold"
        env = ((FAILPOINTS_VARIABLE, points), (FOLDER_VARIABLE, name))
        async with Lab(LabOptions(nodes=4, workers=("node0",), worker_env=env, progress=say)) as lab:
            client = await at(lab)
            leader = await lab.leader()
            one, other = (node.name for node in lab.others(leader)[:2])
            holder = await remove(client, lab, one)
            await hit(folder, "remove_member.before")
            behind = await remove(client, lab, other)
            await stands(behind, "Queued", one)
            (folder / "remove_member.before.release").touch()
            await hit(folder, "update_status.before")
            for node in lab.nodes:
                await lab.kill(Role.APISERVER, node.name)
            await holder.cancel()
            (folder / "update_status.before.release").touch()
            member_id = (await holder.result()).member_id
            for node in lab.nodes:
                if node.name not in (one, other):
                    await lab.start(Role.APISERVER, node.name)
            record = client.get_workflow_handle(record_id(lab.cluster, member_id))
            await record.result()
            await behind.result()
            write(HISTORIES / "handed_over.json", await history(holder))
            write(HISTORIES / "record.json", await history(record))
            write(HISTORIES / "queued.json", await history(behind))


async def by_k0s() -> None:
    """A removal that k0s carries out."""
    async with Lab(LabOptions(nodes=3, workers=("node0",), remover="k0s", progress=say)) as lab:
        client = await at(lab)
        leader = await lab.leader()
        removal = await remove(client, lab, lab.others(leader)[0].name)
        await stands(removal, "Blocked", "AwaitingK0s")
        async with K0sStandIn(lab, "v1.36"):
            await removal.result()
        write(HISTORIES / "k0s.json", await history(removal))


async def free_node(client: Client, lab: Lab) -> Node:
    """A node that is no member any more, and has no data."""
    node = lab.others(await lab.leader())[0]
    await (await remove(client, lab, node.name)).result()
    if lab.alive(Role.ETCD, node.name):
        await lab.kill(Role.ETCD, node.name)
    shutil.rmtree(lab.directory / node.name / "etcd")
    return node


async def joining() -> None:
    """An addition: the learner waits for its start, is promoted and recorded."""
    async with Lab(LabOptions(nodes=3, workers=("node0",), progress=say)) as lab:
        client = await at(lab)
        node = await free_node(client, lab)
        request = AdditionRequest(
            cluster=lab.cluster, name=node.name, peer_urls=(node.peer_url,), reason="to be replayed"
        )
        addition = await start_operation(client, request, AdditionResult)
        await stands(addition, "Blocked", "LearnerNotStarted")
        await lab.start_etcd(node, InitialCluster(lab.nodes, "existing"))
        await addition.result()
        write(HISTORIES / "addition.json", await history(addition))


async def replacing() -> None:
    """A leader that is replaced: the new member joins and gets its vote, then the old one hands over and leaves."""
    async with Lab(LabOptions(nodes=4, workers=("node0",), progress=say)) as lab:
        client = await at(lab)
        node = await free_node(client, lab)
        leader = await lab.leader()
        request = ReplacementRequest(
            cluster=lab.cluster, member=leader, name=node.name, peer_urls=(node.peer_url,), reason="to be replayed"
        )
        replacement = await start_replacement(client, request)
        await stands(replacement, "Blocked", "LearnerNotStarted")
        await lab.start_etcd(node, InitialCluster(lab.nodes, "existing"))
        await execute_update(replacement, "recheck", {"reason": "it is started"})
        await replacement.result()
        write(HISTORIES / "replacement.json", await history(replacement))


async def telling() -> None:
    """A removal that a webhook is told of, when it waits for an approval and when it has ended."""
    with Receiver() as receiver:
        async with Lab(LabOptions(nodes=3, workers=(), progress=say)) as lab:
            secret = lab.directory / "webhook-secret"
            secret.write_text("sixteen bytes or more")
            table = f'\n[notifications]\nurl = "{receiver.url}"\nsecret_file = "{secret}"\n'
            lab.config_path.write_text(f"{lab.config_path.read_text()}{table}")
            await lab.start_worker("node0")
            client = await at(lab)
            removal = await remove(client, lab, lab.others(await lab.leader())[0].name, require_approval=True)
            await stands(removal, "AwaitingApproval", "")
            await execute_update(removal, "approve", {"by": "ann"})
            await removal.result()

            async def both_arrived() -> bool:
                return len(receiver.seen) == 2

            await wait_until(both_arrived, "both events are told", 60)
            last = receiver.events()[-1]["id"]
            write(HISTORIES / "told.json", await history(removal))
            write(
                HISTORIES / "notify.json",
                await history(client.get_workflow_handle(f"etcd-notify/{lab.cluster}/{last}")),
            )


async def applying() -> None:
    """A membership of three that is to be one of another three: one joins, then the leader leaves."""
    async with Lab(LabOptions(nodes=4, workers=("node0",), progress=say)) as lab:
        client = await at(lab)
        node, leader = await free_node(client, lab), await lab.leader()
        members = tuple(DesiredMember(name=n.name, peer_urls=(n.peer_url,)) for n in lab.nodes if n.name != leader)
        request = MembershipRequest(cluster=lab.cluster, members=members, reason="to be replayed")
        change = await start_operation(client, request, MembershipResult)
        await stands(change, "Blocked", "LearnerNotStarted")
        await lab.start_etcd(node, InitialCluster(lab.nodes, "existing"))
        await execute_update(change, "recheck", {"reason": "it is started"})
        await change.result()
        write(HISTORIES / "applied.json", await history(change))


async def through_nodes() -> None:
    """A leader's removal where each worker reaches its own node's member alone; it needs root."""
    async with Lab(LabOptions(workers=("node0", "node1", "node2"), isolated=True, progress=say)) as lab:
        client = await at(lab)
        removal = await remove(client, lab, await lab.leader(), reason="to be replayed")
        await removal.result()
        write(HISTORIES / "through_nodes.json", await history(removal))


RECORDINGS: Final[dict[str, Callable[[], Awaitable[None]]]] = {
    each.__name__: each
    for each in (without_surprises, waiting, long, queued, by_k0s, joining, replacing, telling, applying, through_nodes)
}


async def at(lab: Lab) -> Client:
    """A client of the lab's Temporal, when its members let themselves be removed."""
    os.environ.update(lab.environment)
    await lab.wait_for_health_interval()
    return await connect(identity="etcd-handoff-client:ann@desk")


async def remove(client: Client, lab: Lab, member: str, **options: Any) -> WorkflowHandle[Any, Any]:
    """A removal."""
    return await start_removal(client, RemovalRequest(cluster=lab.cluster, member=member, **options))


async def stands(removal: WorkflowHandle[Any, Any], state: str, word: str) -> None:
    """The removal is in this state and says this word."""

    async def so() -> bool:
        progress = await removal.query("progress")
        return bool(progress["state"] == state and word in progress["doing"])

    await wait_until(so, f"the removal is {state}", 60)


async def hit(folder: Path, point: str) -> None:
    """The worker has come to this failpoint."""

    async def there() -> bool:
        return (folder / f"{point}.hit").exists()

    await wait_until(there, f"the worker reaches {point}", 60)


async def history(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """A whole history without the names of the processes and the machine that made it, and without its paths."""
    text = (await handle.fetch_history()).to_json()
    nameless = re.sub(r'"(?:etcd-handoff-worker/[^"@]*:)?\d+@[^"]*"', '"worker"', text)
    traceless: dict[str, Any] = json.loads(re.sub(r'"stackTrace": ?"(?:[^"\\]|\\.)*"', '"stackTrace": ""', nameless))
    return traceless


def diverged(history: dict[str, Any]) -> dict[str, Any]:
    """The history of a worker that removed the leader where ours awaits the election."""
    text = json.dumps(history)
    return dict(json.loads(text.replace('"name": "await_election"', '"name": "remove_member"')))


def newer(history: dict[str, Any]) -> dict[str, Any]:
    """The history of a removal whose activities ran on workers of a newer version.

    Each answer has a field that this version does not know, and the last step an outcome.
    """
    changed: dict[str, Any] = json.loads(json.dumps(history))
    completed = [
        event["activityTaskCompletedEventAttributes"]
        for event in changed["events"]
        if "activityTaskCompletedEventAttributes" in event
    ]
    for attributes in completed:
        (payload,) = attributes["result"]["payloads"]
        answer = json.loads(base64.b64decode(payload["data"]))
        answer |= UNKNOWN
        answer["step"] |= UNKNOWN
        if attributes is completed[-1]:
            answer["step"]["outcome"] = "recorded-by-a-newer-version"
        payload["data"] = base64.b64encode(json.dumps(answer).encode()).decode()
    return changed


def write(path: Path, history: dict[str, Any]) -> None:
    """One line for each event, so that a change can be read."""
    path.parent.mkdir(exist_ok=True)
    events = ",\n".join(json.dumps(event, sort_keys=True) for event in history["events"])
    path.write_text(f'{{"events": [\n{events}\n]}}\n')
    say(f"{path.relative_to(Path(__file__).parent)}: {len(history['events'])} events")


def say(text: str) -> None:
    """One line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(names: list[str]) -> None:
    """Make these recordings, or all."""
    for name in names or RECORDINGS:
        await RECORDINGS[name]()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

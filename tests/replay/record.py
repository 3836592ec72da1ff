"""Records the histories that the tests replay, from real removals in a lab: `.venv/bin/python tests/replay/record.py`.

Histories are recorded anew when workflows change in a way that their old runs cannot follow. Once there is a release
whose removals may still run, such a change needs `workflow.patched`, and the old history stays beside the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from temporalio.client import WorkflowFailureError

from etcd_handoff.change_queue import turns_id
from etcd_handoff.client import connect, start_removal, start_watch
from etcd_handoff.lab import Lab, LabOptions
from etcd_handoff.leave_requests import WatchRequest
from etcd_handoff.model import RemovalRequest, workflow_id

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

HISTORIES: Final = Path(__file__).parent / "histories"
DIVERGED: Final = Path(__file__).parent / "diverged"


async def record() -> None:
    """A leader's removal with its queue, a follower's, a watcher that removes one, and one that no worker made."""
    async with Lab(LabOptions(nodes=4, workers=("node0", "node1", "node2"), progress=say)) as lab:
        os.environ.update(lab.environment)
        client = await connect()
        leader = await lab.leader()
        request = RemovalRequest(cluster=lab.cluster, member=leader, reason="to be replayed")
        removal = await start_removal(client, request)
        result = await removal.result()
        turns = client.get_workflow_handle(turns_id(result.cluster_id))
        await turns.result()
        of_leader, of_turns = await history(removal), await history(turns)
        successor = await lab.leader()
        follower = next(node.name for node in lab.nodes if node.name not in (leader, successor))
        removal = await start_removal(client, request.model_copy(update={"member": follower}))
        if (result.was_leader, (await removal.result()).was_leader) != (True, False):
            sys.exit("leadership moved by itself meanwhile: start it again")
        write(HISTORIES / "leader.json", of_leader)
        write(HISTORIES / "turns.json", of_turns)
        write(HISTORIES / "follower.json", await history(removal))
        last = next(node.name for node in lab.nodes if node.name not in (leader, successor, follower))
        watch = await start_watch(client, WatchRequest(cluster=lab.cluster))
        patch = ["--type", "merge", "-p", json.dumps({"spec": {"leave": True}})]
        await lab.kubectl("patch", "etcdmember", last, *patch, context=successor)
        condition = ["--for", "condition=Joined=False", "--timeout=60s"]
        await lab.kubectl("wait", f"etcdmember/{last}", *condition, context=successor, timeout="60s")
        await client.get_workflow_handle(workflow_id(lab.cluster, last)).result()
        await watch.execute_update("resync")
        await watch.cancel()
        with contextlib.suppress(WorkflowFailureError):
            await watch.result()
        write(HISTORIES / "watch.json", await history(watch))
    write(DIVERGED / "removal_before_election.json", diverged(of_leader))


async def history(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """A whole history without the names of the processes and the machine that made it."""
    text = (await handle.fetch_history()).to_json()
    nameless: dict[str, Any] = json.loads(re.sub(r'"\d+@[^"]*"', '"worker"', text))
    return nameless


def diverged(history: dict[str, Any]) -> dict[str, Any]:
    """The history of a worker that removed the leader where ours awaits the election."""
    text = json.dumps(history)
    return dict(json.loads(text.replace('"name": "await_election"', '"name": "remove_member"')))


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


if __name__ == "__main__":
    asyncio.run(record())

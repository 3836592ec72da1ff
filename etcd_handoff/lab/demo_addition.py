"""Second part of the demo: a new member replaces the one that has left, while a writer writes."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.contract import AdditionRequest, AdditionResult
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab.demo_output import say, say_steps, say_writes
from etcd_handoff.lab.nodes import InitialCluster, Role
from etcd_handoff.lab.waiting import wait_until
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.temporal.client import progress_of, start_operation
from etcd_handoff.temporal.updates import execute_update

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from etcd_handoff.lab.cluster import Lab

KILL_POINT: Final = "promote_member.after"
"""Failpoint at which a worker kills itself: the learner has its vote, and Temporal does not know it yet."""
WRITE_INTERVAL_MS: Final = 4.0
PATIENCE_SECONDS: Final = 60.0


def failpoint(lab: Lab) -> dict[str, str]:
    """Return environment variables for the demo's workers: the one that promotes the learner kills itself."""
    return {FAILPOINTS_VARIABLE: f"{KILL_POINT}=kill", FOLDER_VARIABLE: str(lab.directory)}


async def show_new_member(lab: Lab, client: Client, name: str) -> bool:
    """Add a member like an operator; a worker is killed meanwhile.

    Returns:
        Whether it votes, its EtcdMember says so, and no write is lost.
    """
    node, survivor = lab.node(name), lab.others(name)[0].name
    if lab.alive(Role.ETCD, name):
        await lab.kill(Role.ETCD, name)
    shutil.rmtree(lab.directory / name / "etcd")
    writer = OpenLoopWriter(lab.node(survivor).etcd_url, lab.directory, WRITE_INTERVAL_MS)
    await writer.start()
    say(f"{name} has no process and no data any more; adding a member of that name, as a learner at first")
    began = time.monotonic()
    await lab.start_worker(name, failpoint(lab))
    request = AdditionRequest(cluster=lab.cluster, name=name, peer_urls=(node.peer_url,), reason="demo")
    addition = await start_operation(client, request, AdditionResult)
    settings = await _join_configuration(addition)
    say(f"starting its etcd with ETCD_INITIAL_CLUSTER={settings['ETCD_INITIAL_CLUSTER']}")
    await lab.start_etcd(node, InitialCluster.of(settings, lab.nodes))
    await execute_update(addition, "recheck")  # the member has started: it need not wait for its next look
    killed = await _killed_worker(lab)
    say(f"the learner has its vote; worker of {killed} killed with SIGKILL before it could say so")
    if lab.options.isolated:
        await lab.start_worker(killed)  # no other worker reaches that member
    result = await addition.result()
    say(f"the addition went on elsewhere and ended {time.monotonic() - began:.1f} s after its start")
    report = await writer.stop()
    lost = await missing(report, [each.etcd_url for each in lab.nodes])
    say_steps(result.steps)
    say(f"outcome {result.outcome}, member {result.member_id}, status recorded: {result.status_recorded}")
    say()
    say(await lab.kubectl("get", "etcdmembers", context=survivor))
    say_writes(report, lost)
    return result.outcome == "added" and await lab.joined(name, survivor) == "True" and not lost


async def _join_configuration(addition: WorkflowHandle[Any, AdditionResult]) -> dict[str, str]:
    """Wait for the settings of the new member's etcd in `progress`, and return them."""
    settings: dict[str, str] = {}

    async def has_settings() -> bool:
        progress = await progress_of(addition)
        settings.update(progress.join_configuration if progress else {})
        return bool(settings)

    await wait_until(has_settings, "the addition says what to start etcd with", PATIENCE_SECONDS)
    return settings


async def _killed_worker(lab: Lab) -> str:
    """Return the node whose worker has killed itself. All nodes had a worker."""
    dead: list[str] = []

    async def killed() -> bool:
        dead.extend(node.name for node in lab.nodes if not lab.alive(Role.WORKER, node.name))
        return bool(dead)

    await wait_until(killed, "the learner has its vote", PATIENCE_SECONDS)
    return dead[0]

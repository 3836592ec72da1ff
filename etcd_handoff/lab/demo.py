"""`make demo`: a leader is removed, a new member joins, workers are killed, no write is lost; then the naive way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import RemovalRequest, RemovalResult
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab.binaries.build import ensure_binaries
from etcd_handoff.lab.binaries.catalog import MissingBinaryError
from etcd_handoff.lab.by_hand import run_by_hand
from etcd_handoff.lab.cluster import Lab, LabOptions, wait_until
from etcd_handoff.lab.demo_addition import failpoint, show_new_member
from etcd_handoff.lab.demo_output import say, say_steps, say_title, say_writes
from etcd_handoff.lab.isolation import IsolationError, enter_own_namespace
from etcd_handoff.lab.naive import remove_through_itself
from etcd_handoff.lab.nodes import Role
from etcd_handoff.lab.processes import ProcessError
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.temporal.client import connect, start_removal

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from temporalio.client import Client

HOLD_POINT: Final = "move_leader.after"
"""Failpoint at which the first worker is held until it is killed: leadership has moved, and Temporal does not know it
yet."""
WRITE_INTERVAL_MS: Final = 4.0
SECONDS_AROUND: Final = 1.0
"""How long the writer runs before and after, so that the longest gap can be compared."""


def run_demo(*, keep: bool = False, k0s: bool = False, by_hand: bool = False) -> int:
    """Show the safe removal, then the naive one.

    Args:
        keep: Leave the first cluster running until Ctrl-C.
        by_hand: Show nothing; start a cluster for docs/tutorial.md.
        k0s: Isolate the nodes like k0s's controllers, so that none reaches the etcd of another.

    Returns:
        Exit status: 0 when all went as it should, 1 when not.
    """
    try:
        ensure_binaries(say)
        if by_hand:
            return asyncio.run(run_by_hand(say))
        if k0s:
            enter_own_namespace()
        return asyncio.run(_interruptible(_demo(keep=keep, k0s=k0s)))
    except (MissingBinaryError, ProcessError, IsolationError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("stopped")
        return EXIT_FAILED


async def _interruptible(work: Coroutine[None, None, int]) -> int:
    """Run the demo so that SIGTERM ends it as Ctrl-C does, and the lab is cleaned up."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _demo(*, keep: bool, k0s: bool) -> int:
    say_title("1. The durable way")
    async with Lab(LabOptions(isolated=k0s, progress=say)) as lab:
        leader = await lab.leader()
        client = await connect_to(lab)
        shown = await _show_durable_way(lab, client, leader)
        say_title("2. A new member takes its place")
        shown = await show_new_member(lab, client, leader) and shown
        if keep:
            await _keep(lab)
            return EXIT_DONE if shown else EXIT_FAILED
    say_title("3. The naive way, on a fresh cluster")
    async with Lab(LabOptions(isolated=k0s, progress=say, temporal=False)) as lab:
        bug_shown = await _show_naive_way(lab)
    say()
    say("All of it was real: etcd, kube-apiserver, Temporal, workers. Every process has ended.")
    return EXIT_DONE if shown and bug_shown else EXIT_FAILED


async def _show_durable_way(lab: Lab, client: Client, leader: str) -> bool:
    """Return whether the leader was removed, its removal was recorded, and no write was lost."""
    survivor, other = (node.name for node in lab.others(leader))
    say(f"Web UI      {lab.ui_url}/namespaces/default/workflows")
    say(f"leader      {leader}, of {', '.join(node.name for node in lab.nodes)}")
    if lab.options.isolated:
        say(
            f"topology    as k0s: every member advertises {lab.node(leader).advertised_url}, and is reached there alone"
        )
    say(await lab.kubectl("get", "etcdmembers", context=survivor))
    writer = OpenLoopWriter(lab.node(survivor).etcd_url, lab.directory, WRITE_INTERVAL_MS)
    await writer.start()
    say(f"a writer puts a key every {WRITE_INTERVAL_MS:g} ms through {survivor}")
    await asyncio.sleep(SECONDS_AROUND)
    result = await _remove_while_worker_is_killed(lab, client, leader, (survivor, other))
    await asyncio.sleep(SECONDS_AROUND)
    report = await writer.stop()
    lost = await missing(report, [node.etcd_url for node in lab.others(leader)])
    say_steps(result.steps)
    say(
        f"outcome {result.outcome}, leader {result.leader_before} -> {result.leader_after}, "
        f"term {result.term_before} -> {result.term_after}, status recorded: {result.status_recorded}"
    )
    say()
    say(await lab.kubectl("get", "etcdmembers", context=survivor))
    say_writes(report, lost)
    recorded = await lab.joined(leader, survivor) == "False"
    return result.outcome == "removed" and recorded and not lost


async def _remove_while_worker_is_killed(
    lab: Lab, client: Client, leader: str, others: tuple[str, str]
) -> RemovalResult:
    """Remove the leader, and kill its own worker after that worker has moved leadership.

    If every worker reaches all members, it is the only worker until then, so that it does the step. Isolated members
    can only be seen if each has a worker.
    """
    folder = lab.directory

    async def start_others() -> None:
        await asyncio.gather(*(lab.start_worker(name, failpoint(lab)) for name in others))

    if lab.options.isolated:
        await start_others()
    await lab.start_worker(leader, {FAILPOINTS_VARIABLE: f"{HOLD_POINT}=hold", FOLDER_VARIABLE: str(folder)})
    say(f"removing {leader}, the leader, on the worker of {leader} itself")
    removal = await start_removal(client, RemovalRequest(cluster=lab.cluster, member=leader, reason="demo"))

    async def held() -> bool:
        return (folder / f"{HOLD_POINT}.hit").exists()

    await wait_until(held, "leadership has moved", 30.0)
    if not lab.options.isolated:
        await start_others()
    began = time.monotonic()
    await lab.kill(Role.WORKER, leader)
    say(f"leadership has moved; worker of {leader} killed with SIGKILL before it could say so")
    result = await removal.result()
    say(f"the removal went on elsewhere and ended {(time.monotonic() - began) * 1000:.0f} ms after the kill")
    return result


async def connect_to(lab: Lab) -> Client:
    """Return a client of the lab's Temporal, made from the same environment as the others."""
    os.environ.update(lab.environment)
    return await connect()


async def _show_naive_way(lab: Lab) -> bool:
    """Return whether the bug showed: an error, or an EtcdMember that is wrong."""
    leader = await lab.leader()
    survivor = lab.others(leader)[0].name
    writer = OpenLoopWriter(lab.node(survivor).etcd_url, lab.directory, WRITE_INTERVAL_MS)
    await writer.start()
    say(f"removing {leader}, the leader, through itself; writing its status through its own API server")
    await asyncio.sleep(SECONDS_AROUND)
    steps = await remove_through_itself(lab, leader)
    await lab.leader()
    await asyncio.sleep(SECONDS_AROUND)
    report = await writer.stop()
    say()
    for step in steps:
        say(f"{step.what}: {step.error or 'ok'} ({step.milliseconds:.0f} ms)")
    listed = [m.name for m in await lab.members(survivor)]
    joined = await lab.joined(leader, survivor)
    say(f"etcd's members: {', '.join(listed)}; the EtcdMember of {leader} says Joined={joined}")
    say_writes(report, await missing(report, [node.etcd_url for node in lab.others(leader)]))
    say()
    say(await lab.kubectl("get", "etcdmembers", context=survivor))
    return joined == "True" or any(step.error for step in steps)


async def _keep(lab: Lab) -> None:
    """Print what can be tried on the cluster, and wait for Ctrl-C."""
    members = [node for node in lab.nodes if lab.process(Role.WORKER, node.name).alive]
    say()
    say("The cluster runs on. In another terminal:")
    say(f"  export ETCD_HANDOFF_CONFIG={lab.config_path} TEMPORAL_ADDRESS={lab.temporal_address}")
    say(f"  .venv/bin/etcd-handoff remove {members[0].name} -c {lab.cluster}")
    say(f"  .venv/bin/etcd-handoff status -c {lab.cluster}")
    if lab.options.isolated:
        say("That sees all members through the lab. What an operator sees on a controller:")
        on_node = f"ETCD_HANDOFF_CONFIG={lab.environment_on(members[0].name)['ETCD_HANDOFF_CONFIG']}"
        say(f"  {on_node} {' '.join(lab.inside(members[0].name))} .venv/bin/etcd-handoff status -c {lab.cluster}")
    say(f"  .venv/bin/kubectl --kubeconfig {lab.kubeconfig_path} --context {members[-1].name} get etcdmembers")
    say(f"  {lab.ui_url}/namespaces/default/workflows")
    say("Ctrl-C ends it.")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()

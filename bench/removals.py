"""A leader's removal, done in several ways that take turns on one lab: how long writes stall and how long it takes.

Run as `python -m bench.removals [ROUNDS] [apart|steps|times]`. In each round the leader is removed once in each way.
The stall is measured while a writer puts a key every 2 ms through a survivor, whatever became of earlier puts. The time
is measured without that load, by `kubectl get --watch` through the API server of the other survivor.

With `apart` only the stall is measured, and the members that stay share no core with the member that leaves, the API
servers, Temporal and the workers, most of which stand on other hosts in a real cluster. With `steps` only the time
inside the steps is measured, with `times` only how long it takes until kubectl shows the result.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.record_ahead import RecordAhead
from bench import lab_rounds, report
from bench.dev_server import our_worker
from bench.trivial import Trivial, trivial
from etcd_handoff.activity_io import WorkerInfo
from etcd_handoff.config import load_config
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.errors import UnreachableError
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.lab import Lab, LabOptions
from etcd_handoff.lab.naive import leave
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.operation.commands import (
    Activity,
    AskQueue,
    AwaitNewLeader,
    DescribeWorker,
    TransferLeadership,
    WriteStatus,
)
from etcd_handoff.operation.loop import apply, decide
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
from etcd_handoff.temporal.client import connect, start_removal, start_watcher
from workflows.activity_calls import CALLS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from temporalio.client import Client

    from bench.lab_rounds import Roles
    from etcd_handoff.contract import Step

INTERVAL_MS: Final = 2.0
WARMING_ROUNDS: Final = 2
"""Rounds that do not count: the first of each kind on each worker opens connections and fills caches."""
SETTLE_SECONDS: Final = 1.0
"""How long gaps still count after a removal has ended."""
WARM_SECONDS: Final = 0.5
"""How long the writer writes before anything happens."""
ETCD_STEPS: Final = ("check_leader", "move_leader", "await_election", "remove_member")
IDLE, NAIVE, RUNBOOK, SCRIPT, AWAY, RAW, LOOKS, ALONE, OURS, FLAG, EMPTY = (
    "nothing happens",
    "through itself",
    "runbook: etcdctl, kubectl",
    "script, warm connections",
    "the same, leadership to the other survivor",
    "etcd calls alone, overlapped",
    "the same, a look before each change",
    "etcd-handoff's steps, without Temporal",
    "etcd-handoff",
    "etcd-handoff, kubectl patch",
    "a workflow of five empty steps",
)
STALLS: Final = (IDLE, NAIVE, SCRIPT, AWAY, OURS)
"""Ways whose stall is measured.

The script hands leadership to the member that the writer writes through, and in a way of its own to the other survivor:
etcd-handoff takes either, whichever lags less.
"""
MOVES: Final = (SCRIPT, AWAY, OURS)
"""Of these, the ways that move leadership first."""
TIMES: Final = (RUNBOOK, SCRIPT, OURS, FLAG)
"""Ways that end with an EtcdMember that says so, whose time is measured."""
STEPS: Final = (RAW, LOOKS, ALONE)
"""Ways that end with the member out, whose time is measured from the first look on."""
APART, ONLY_STEPS, ONLY_TIMES = "apart", "steps", "times"
"""Parts of the measurements, to be run alone."""


@dataclass
class Samples:
    """What was measured, by the way that was taken.

    Attributes:
        gap: Longest time between two acknowledged writes, in ms.
        seen: From the start until kubectl showed Joined=False on another API server, in ms.
        steps: From the first look until the member was out, in ms, without what lies between steps.
        failed: Puts without acknowledgement.
        dropping: How long the old leader dropped what the writer's member forwarded, in ms, by etcd's logs.
        moving: Longest time between two acknowledged writes around that, in ms.
        lost: Acknowledged puts that a survivor does not have.
        unseen: How often kubectl's watch did not show it within its time-out.
    """

    gap: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    steps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    dropping: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    moving: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: int = 0
    unseen: int = 0


class RemovalBench:
    """The ways, on one lab.

    Args:
        lab: It runs, with workers on all nodes.
        client: Of its Temporal server.
        samples: Filled.
        part: `apart`, where etcd has a core of its own and only the stall is measured, `steps`, `times`; else all.
    """

    def __init__(self, lab: Lab, client: Client, samples: Samples, part: str = "") -> None:
        self.lab, self.client, self.samples, self.part = lab, client, samples, part
        config = load_config(lab.config_path)
        self._etcd, self._resources = EtcdGateway(config.cluster(lab.cluster).etcd), KubernetesGateways(config, "bench")
        self._kubernetes = self._resources.require(lab.cluster)
        self._activities = EtcdActivities(config, "bench", EtcdGateway, ahead=RecordAhead(self._resources))
        self._window, self._steps_ms = 0.25, 0.0
        self._electing: asyncio.Future[Any] | None = None
        self.ways: dict[str, Callable[[Roles], Awaitable[None]]] = {
            IDLE: self.idle,
            NAIVE: self.naive,
            RUNBOOK: self.runbook,
            SCRIPT: self.script,
            AWAY: self.away,
            OURS: self.ours,
            FLAG: self.flag,
        }

    async def close(self) -> None:
        """Close all connections."""
        await self._etcd.close()
        await self._activities.close()
        await self._resources.close()

    async def round(self, number: int, folder: Path) -> None:
        """Everything once."""
        turns: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        if self.part not in (ONLY_STEPS, ONLY_TIMES):
            turns += [(f"stall, {way}", functools.partial(self.stall, way, folder)) for way in STALLS]
        if self.part != APART:
            ways = (OURS,) if self.part == ONLY_STEPS else TIMES
            turns += [(f"time, {way}", functools.partial(self.time, way)) for way in ways]
        if self.part in ("", ONLY_STEPS):
            turns += [(way, functools.partial(self.steps, way)) for way in STEPS]
        if self.part in ("", ONLY_TIMES):
            turns += [(EMPTY, self.empty)]
        first = number % len(turns)
        for name, turn in turns[first:] + turns[:first]:
            await self.warm()
            if self.part == APART:
                lab_rounds.keep_apart(self.lab, await self.lab.leader())
            await turn()
            print(f"round {number}: {name}", flush=True)

    async def stall(self, way: str, folder: Path) -> None:
        """Writes go on while the leader is removed in this way; the member is back when this returns."""
        who = await lab_rounds.roles(self.lab)
        async with OpenLoopWriter(self.lab.node(who.writer).etcd_url, folder, INTERVAL_MS) as writer:
            await asyncio.sleep(WARM_SECONDS)
            since = time.monotonic()
            await self.ways[way](who)
            if way == OURS:
                self._window = time.monotonic() - since
            await asyncio.sleep(SETTLE_SECONDS)
            until = time.monotonic()
            written = await writer.stop()
        self.samples.gap[way].append(written.longest_gap_ms(since, until))
        self.samples.failed[way].append(sum(put.sent >= since for put in written.failed))
        if way in MOVES:
            began, latest_position = lab_rounds.transfer(self.lab, who)
            self.samples.dropping[way].append((latest_position - began) * 1000)
            self.samples.moving[way].append(written.longest_gap_ms(began, latest_position))
        left = [node.etcd_url for node in self.lab.nodes if way == IDLE or node.name != who.leader]
        self.samples.lost += sum(map(len, (await missing(written, left)).values()))
        if way != IDLE:
            await lab_rounds.bring_back(self.lab, who.leader)

    async def time(self, way: str) -> None:
        """The leader is removed in this way while somebody looks; the member is back when this returns."""
        who = await lab_rounds.roles(self.lab)
        watcher = await self._watcher() if way == FLAG else None
        async with lab_rounds.watching(self.lab, who.leader, who.other) as watch:
            await asyncio.sleep(WARM_SECONDS)
            shown, began = asyncio.ensure_future(watch.shows("False")), time.perf_counter()
            await self.ways[way](who)
            try:
                self.samples.seen[way].append((await shown - began) * 1000)
            except TimeoutError:
                self.samples.unseen += 1
                arguments = ["get", "etcdmember", who.leader, "-o", "jsonpath={.metadata.resourceVersion} {.status}"]
                for node in (who.writer, who.other):
                    print(f"not seen: {node} says {await self.lab.kubectl(*arguments, context=node)}", flush=True)
            if way == OURS:
                self.samples.steps[OURS].append(self._steps_ms)
            await asyncio.sleep(SETTLE_SECONDS)
        if watcher is not None:
            await watcher.cancel()
        await lab_rounds.bring_back(self.lab, who.leader)

    async def steps(self, way: str) -> None:
        """The leader is removed without Temporal, and nothing is recorded; the member is back when this returns."""
        who = await lab_rounds.roles(self.lab)
        await asyncio.sleep(WARM_SECONDS)
        if way == ALONE:
            await self.alone(who)
        else:
            await self.raw(who, looks=way == LOOKS)
        await lab_rounds.bring_back(self.lab, who.leader)

    async def empty(self) -> None:
        """What Temporal alone takes for five steps that do nothing, with our worker's settings."""
        began = time.perf_counter()
        await self._nothing()
        self.samples.seen[EMPTY].append((time.perf_counter() - began) * 1000)

    async def idle(self, _: Roles) -> None:
        """For as long as a removal took last."""
        await asyncio.sleep(self._window)

    async def naive(self, who: Roles) -> None:
        """The member is removed through its own endpoint."""
        await leave(self.lab, who.leader)

    async def runbook(self, who: Roles) -> None:
        """What an operator types, as fast as a script can type it."""
        stay = [who.writer, who.other]
        statuses = await lab_rounds.etcdctl(self.lab, "endpoint", "status", endpoints=[who.leader, *stay])
        ids = {s["Endpoint"]: f"{s['Status']['header']['member_id']:x}" for s in statuses}
        target, transferee = (ids[self.lab.node(name).etcd_url] for name in (who.leader, who.writer))
        await lab_rounds.etcdctl(self.lab, "move-leader", transferee, endpoints=[who.leader])
        await lab_rounds.etcdctl(self.lab, "endpoint", "status", endpoints=stay)
        await lab_rounds.etcdctl(self.lab, "member", "remove", target, endpoints=[who.writer])
        await lab_rounds.etcdctl(self.lab, "member", "list", endpoints=[who.writer])
        patch = ["--subresource=status", "--type", "merge", "-p", json.dumps({"status": _joined_false()})]
        await self.lab.kubectl("patch", "etcdmember", who.leader, *patch, context=who.writer)

    async def script(self, who: Roles) -> None:
        """The same calls one after another, by one process that is connected already; MoveLeader is awaited."""
        view = await self._etcd.observe()
        ids = {member.name: member.id for member in view.members}
        await self._etcd.move_leader(ids[who.leader], ids[who.writer])
        await self._etcd.observe()
        await self._etcd.remove_member(ids[who.leader], ids[who.writer])
        await self._etcd.own_cluster()  # by a member list
        resource = await self._kubernetes.get(who.leader, who.leader)
        await self._kubernetes.patch_status(resource, {**resource["status"], **_joined_false()}, who.leader)

    async def away(self, who: Roles) -> None:
        """As the script, but leadership goes to the member that the writer does not write through."""
        await self.script(replace(who, writer=who.other, other=who.writer))

    async def raw(self, who: Roles, *, looks: bool) -> None:
        """The calls to etcd alone, the transfer watched instead of waited for, with nothing made sure of twice.

        With `looks` the whole cluster is looked at first, once more before each change, and after the election: what
        no removal can do without that decides each change by what is true then, wherever it runs.
        """
        view = await self._etcd.observe()
        ids = {member.name: member.id for member in view.members}
        began = time.perf_counter()
        for _ in range(2 * looks):
            await self._etcd.observe()
        moving = asyncio.ensure_future(self._etcd.move_leader(ids[who.leader], ids[who.writer]))
        while not all([await self._follows(ids[name], ids[who.writer]) for name in (who.writer, who.other)]):  # noqa: ASYNC110  # elsewhere
            await asyncio.sleep(0.002)
        for _ in range(2 * looks):
            await self._etcd.observe()
        await self._etcd.remove_member(ids[who.leader], ids[who.writer])
        self.samples.steps[LOOKS if looks else RAW].append((time.perf_counter() - began) * 1000)
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)

    async def alone(self, who: Roles) -> None:
        """What the workflow decides and a worker runs, one step straight after the other, and without Temporal."""
        request = RemovalRequest(cluster=self.lab.cluster, member=who.leader)
        state = OperationState(run_id="bench", blocked_remaining_seconds=0, request=request, chain_id="bench")
        state, command = decide(state, time.time())
        while isinstance(command, Activity | AskQueue | DescribeWorker) and not isinstance(command, WriteStatus):
            state = apply(state, command, await self._result_of(state, command), time.time())
            state, command = decide(state, time.time())
        if not isinstance(command, WriteStatus):
            msg = f"the removal does not go on: {state.doing}"
            raise TypeError(msg)
        self.samples.steps[ALONE].append(covered_ms(state.steps))
        await self._resources.take_prefetched(
            self.lab.cluster, who.leader
        )  # a next removal of the same member reads it again

    async def _result_of(self, state: OperationState, command: Activity | AskQueue | DescribeWorker) -> Any:
        """What a command comes to; the election is awaited beside the transfer."""
        match command:
            case AskQueue():
                return TakeTurnResult(
                    turn=QueuePosition(granted=True, chain_id=state.chain_id, request=state.turn_request)
                )
            case DescribeWorker():
                return WorkerInfo(search_attributes=False)
            case TransferLeadership():
                self._electing = asyncio.ensure_future(self._step(command.election))
            case AwaitNewLeader() if self._electing is not None:
                electing, self._electing = self._electing, None
                return await electing
        return await self._step(command)

    async def _step(self, command: Activity) -> Any:
        activity = getattr(self._activities, CALLS[type(command)].method.__name__)
        ask = command.ask.model_copy(update={"record": None})  # nothing is to be recorded
        return await ActivityEnvironment().run(activity, ask)

    async def ours(self, who: Roles) -> None:
        """The workflow."""
        removal = await start_removal(self.client, RemovalRequest(cluster=self.lab.cluster, member=who.leader))
        result = await removal.result()
        self._steps_ms = covered_ms([step for step in result.steps if step.name in ETCD_STEPS])

    async def flag(self, who: Roles) -> None:
        """`kubectl patch` of `spec.leave`; a watcher does the rest."""
        patch = ["--type", "merge", "-p", json.dumps({"spec": {"leave": True}})]
        await self.lab.kubectl("patch", "etcdmember", who.leader, *patch, context=who.writer)

    async def warm(self) -> None:
        """All connections of this process stand."""
        await self._etcd.observe()
        await self._activities.warm()
        await self._resources.warm()

    async def _nothing(self) -> None:
        nothing = [0.0] * 5
        await self.client.execute_workflow(Trivial.run, nothing, id=f"empty-{time.monotonic()}", task_queue=EMPTY)

    async def _follows(self, member_id: str, leader_id: str) -> bool:
        try:
            seen, _ = await self._etcd.status_of(member_id)
        except UnreachableError:
            return False
        return seen == leader_id

    async def _watcher(self) -> Any:
        handle = await start_watcher(self.client, ReconcileEtcdMembersRequest(cluster=self.lab.cluster))
        while len((await handle.query("status"))["members"]) < len(self.lab.nodes):  # noqa: ASYNC110  # elsewhere
            await asyncio.sleep(0.05)
        return handle


def covered_ms(steps: Sequence[Step]) -> float:
    """Milliseconds in which at least one of the steps ran."""
    spans = [(datetime.fromisoformat(step.started).timestamp() * 1000, step.milliseconds) for step in steps]
    covered = until = 0.0
    for begin, length in sorted(spans):
        covered += max(0.0, begin + length - max(begin, until))
        until = max(until, begin + length)
    return covered


def _joined_false() -> dict[str, object]:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    condition = {"type": "Joined", "status": "False", "message": "Member removed", "lastTransitionTime": since}
    return {"conditions": [condition], "message": "Member removed", "reconcileStatus": "Success"}


async def run(rounds: int, part: str = "") -> None:
    """All ways, `rounds` times each; the order turns, so that none always comes after the same one.

    What was measured is stored after each round, so that a run that is cut short is not lost.
    """
    with tempfile.TemporaryDirectory(prefix="etcd-handoff-bench-") as folder:
        async with Lab(LabOptions(workers=("node0", "node1", "node2"))) as lab:
            with mock.patch.dict(os.environ, lab.environment):
                client = await connect()
                bench = RemovalBench(lab, client, Samples(), part)
                async with our_worker(client, EMPTY, [trivial], [Trivial]):
                    await lab_rounds.settle(lab)
                    for number in range(-WARMING_ROUNDS, rounds):
                        if number == 0:
                            bench.samples = Samples()
                        await bench.round(number, Path(folder))
                        if number >= 0:
                            print_results(bench.samples, part)
                await bench.close()


def print_results(samples: Samples, part: str) -> None:
    """Store what was measured."""
    if part in ("", APART):
        print_stall(samples, apart=part == APART)
    if part in ("", ONLY_TIMES):
        print_times(samples)
    if part in ("", ONLY_STEPS):
        print_steps(samples)


def print_stall(samples: Samples, *, apart: bool) -> None:
    """Store how long writes stalled."""
    gaps = {way: statistics.median(found) for way, found in samples.gap.items()}
    where = "the members that stay and the writer on a core of their own" if apart else "everything on the same cores"
    report.write(
        "stall_apart" if apart else "stall",
        "Longest gap between acknowledged writes while the leader is removed",
        {way: samples.gap[way] for way in STALLS},
        "ms",
        ["open-loop writer through a survivor, a put every 2 ms", "all ways take turns on one lab", where],
        figures={
            "through itself / etcd-handoff": gaps[NAIVE] / gaps[OURS],
            "etcd-handoff / nothing happens": gaps[OURS] / gaps[IDLE],
            "script / nothing happens": gaps[SCRIPT] / gaps[IDLE],
            "script to the other survivor / nothing happens": gaps[AWAY] / gaps[IDLE],
            "acknowledged puts lost": samples.lost,
            **{f"failed puts: {way}": sum(samples.failed[way]) for way in samples.failed},
            **{f"ms in which etcd drops puts: {way}": statistics.median(samples.dropping[way]) for way in MOVES},
            **{f"longest gap around the transfer, ms: {way}": statistics.median(samples.moving[way]) for way in MOVES},
        },
    )


def print_times(samples: Samples) -> None:
    """Store how long removals took."""
    seen = {way: statistics.median(found) for way, found in samples.seen.items()}
    report.write(
        "removal",
        "From the start until kubectl on another API server shows Joined=False",
        {way: samples.seen[way] for way in (*TIMES, EMPTY)},
        "ms",
        ["all ways take turns on one lab", "kubectl's watch stands before the start"],
        figures={
            "etcd-handoff / runbook": seen[OURS] / seen[RUNBOOK],
            "etcd-handoff / script": seen[OURS] / seen[SCRIPT],
            "five empty steps / runbook": seen[EMPTY] / seen[RUNBOOK],
            "not seen within 30 s": samples.unseen,
        },
    )


def print_steps(samples: Samples) -> None:
    """Store how long the steps took."""
    steps = {way: statistics.median(found) for way, found in samples.steps.items()}
    report.write(
        "steps",
        "From the first look until the member has left, inside the steps",
        {way: samples.steps[way] for way in (*STEPS, OURS)},
        "ms",
        ["the workflow's own time of check_leader, move_leader, await_election and remove_member"],
        figures={
            "etcd-handoff / etcd calls alone": steps[OURS] / steps[RAW],
            "etcd-handoff without Temporal / etcd calls alone": steps[ALONE] / steps[RAW],
            "a look before each change / etcd calls alone": steps[LOOKS] / steps[RAW],
            "etcd-handoff / a look before each change": steps[OURS] / steps[LOOKS],
        },
    )


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    chosen = next((word for word in sys.argv[1:] if word in (APART, ONLY_STEPS, ONLY_TIMES)), "")
    asyncio.run(run(numbers[0] if numbers else 20, chosen))

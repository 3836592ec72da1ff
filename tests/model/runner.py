"""Scenarios, and who runs them: workflows on a real Temporal server, whose activities meet models."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

import worker
from activities.change_queue import ChangeQueueActivities
from activities.etcd import EtcdActivities
from activities.record_ahead import RecordAhead
from activities.registry import all_activities
from activities.worker_info import WorkerActivities
from etcd_handoff.contract import Approval, FailureType, HandoffState, RemovalRequest
from etcd_handoff.temporal.client import connect, start_removal
from etcd_handoff.temporal.updates import execute_update
from etcd_handoff.temporal.worker import make_worker
from tests.model.cluster import Cluster
from tests.model.gateways import claims_of, config_of, etcd_of, gateways_of
from tests.model.members import Member, resource
from workflows.registry import WORKFLOWS
from workflows.remove_member import RemoveMember

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from temporalio.client import Client

    from etcd_handoff.temporal.client import Removal
    from tests.model.fault_kinds import Fault

WHOLE: Final = bool(os.environ.get("MODEL"))
"""With MODEL=all everything runs, some half an hour; else a fixed share of it."""
AT_ONCE: Final = 40
"""Far more only make the server late: it puts tasks off for many seconds then, and removals with them."""
END_SECONDS: Final = 300.0 if WHOLE else 180.0
"""When a removal counts as stuck; where thousands run, the dev server may leave a task of one for half a minute."""
LOOK_SECONDS: Final = 0.5
C = TypeVar("C", bound=Cluster)
ENDS: Final = frozenset({"removed", "already-absent", *(kind.value for kind in FailureType)})


@dataclass(frozen=True, slots=True)
class Scenario:
    """One removal.

    Attributes:
        voters: How many voters the cluster has; the first leads.
        target: Who is to leave: `leader`, `follower`, `learner`.
        script: What happens, by the number of the call.
        learner: Whether there is a learner too.
        patience_seconds: How long it waits for what may pass by itself.
        gates: What is asked to happen first: `approval`, `hash`, `snapshot`.
    """

    voters: int
    target: str
    script: tuple[tuple[int, Fault], ...] = ()
    learner: bool = False
    patience_seconds: float = 60.0
    gates: tuple[str, ...] = ()

    def cluster(self, number: int) -> Cluster:
        """The model at its start."""
        return self.cluster_of(Cluster, number)

    def cluster_of(self, kind: type[C], number: int) -> C:
        """The model at its start, of a kind."""
        base = 16 * (number + 1)
        members = [Member(f"a{base + i:x}", f"m{i}") for i in range(self.voters)]
        members += [Member(f"a{base + 15:x}", "learner", voter=False)] * self.learner
        target = {"leader": "m0", "follower": "m1", "learner": "learner"}[self.target]
        return kind(
            number=number,
            members={m.id: m for m in members},
            leader=members[0].id,
            target=target,
            script=dict(self.script),
            resources={m.name: resource(m.name, m.id) for m in members},
            gates=frozenset(self.gates),
        )

    def request(self, name: str, cluster: Cluster) -> RemovalRequest:
        """The removal from the model of this name."""
        return RemovalRequest(
            cluster=name,
            member=cluster.target,
            blocked_timeout_seconds=self.patience_seconds,
            require_approval="approval" in self.gates,
            hash_check="hash" in self.gates,
            snapshot="snapshot" in self.gates,
        )


def starts(most_voters: int) -> list[Scenario]:
    """Every cluster of up to so many voters, with and without a learner, and every kind of target in it."""
    return [
        Scenario(voters, target, learner=learner)
        for voters, learner in itertools.product(range(1, most_voters + 1), (False, True))
        for target in ("leader", *["follower"] * (voters > 1), *["learner"] * learner)
    ]


@dataclass
class Found:
    """What removals came to.

    Attributes:
        wrong: What was wrong, with its scenario.
        ends: How removals ended.
        calls: Calls of all gateways.
        states: Different states that calls have met.
        early: EtcdMembers that were written by the step that removes the member.
    """

    wrong: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    states: set[str] = field(default_factory=set)
    early: int = 0

    def count(self, cluster: Cluster, outcome: str) -> None:
        """A removal in this model has ended."""
        self.ends[outcome] += 1
        self.calls += cluster.calls
        self.states |= cluster.states
        self.early += cluster.invariants.early

    def tell(self, what: str) -> None:
        """One line in the test's output."""
        ends, states = dict(sorted(self.ends.items())), len(self.states)
        sys.stdout.write(f"[{what}: {sum(ends.values())} removals, {self.calls} calls, {states} states, {ends}]")


class Runner:
    """Runs removals; each batch has a worker and a task queue of its own.

    Args:
        folder: Where snapshots go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._batches = itertools.count()
        self.numbers = itertools.count()
        """For clusters: two that share one would share a cluster ID, and so a queue."""

    @asynccontextmanager
    async def working(
        self, clusters: list[Cluster], *, ahead: bool = False
    ) -> AsyncIterator[tuple[Client, str, list[str]]]:
        """A worker for these models: a client, its task queue, and the models' names as cluster profiles.

        Args:
            clusters: The models.
            ahead: An EtcdMember is written as soon as etcd has confirmed a removal; its calls are calls as any other.
        """
        batch = next(self._batches)
        named = {f"b{batch}-{number}": cluster for number, cluster in enumerate(clusters)}
        config, client = config_of(named, f"model-{batch}", self._folder), await connect()
        workers = WorkerActivities(config, search_attributes=False)
        gateways, queue = gateways_of(config, named), ChangeQueueActivities(client)
        etcd = EtcdActivities(
            config,
            "model",
            etcd_of(named),
            ahead=RecordAhead(gateways) if ahead else None,
            claims=claims_of(named),
            worker_info=workers.worker_info,
            take_turn=queue.take_turn_soon,
        )
        offered = all_activities(client, config, "model", etcd, gateways, workers, queue)
        async with make_worker(client, config.task_queue, WORKFLOWS, offered, worker.INTERCEPTORS):
            yield client, config.task_queue, list(named)

    async def run(self, scenarios: Iterable[Scenario], *, ahead: bool = False) -> Found:
        """All of them have ended, or are counted as wrong; `ahead` as in `working`."""
        cases = list(scenarios)
        clusters, found = [one.cluster(next(self.numbers)) for one in cases], Found()
        free = asyncio.Semaphore(AT_ONCE)
        async with self.working(clusters, ahead=ahead) as (client, task_queue, names):

            async def one(scenario: Scenario, cluster: Cluster, name: str) -> None:
                async with free:
                    removal = await start_removal(client, scenario.request(name, cluster), task_queue)
                    approving = asyncio.create_task(_approve(removal, cluster))
                    outcome, message, recorded = await _end(removal)
                    approving.cancel()
                found.count(cluster, outcome)
                wrong = cluster.check_end(outcome, message, recorded=recorded)
                found.wrong += [f"{scenario}: {text}" for text in wrong]
                if outcome not in ENDS:
                    found.wrong.append(f"{scenario}: it ended as {outcome}")

            await asyncio.gather(*itertools.starmap(one, zip(cases, clusters, names, strict=True)))
        return found


async def _approve(removal: Removal, cluster: Cluster) -> None:
    """Approve whenever the removal waits for it, where that is asked for; it is quiet then. An approval may lapse."""
    calls = -1
    while "approval" in cluster.gates:
        await asyncio.sleep(LOOK_SECONDS)
        quiet, calls = calls == cluster.calls, cluster.calls
        # A busy worker may not answer in time, and what waited a moment ago may have ended.
        with contextlib.suppress(RPCError, WorkflowUpdateFailedError):
            if quiet and (await removal.query(RemoveMember.progress)).state is HandoffState.AWAITING_APPROVAL:
                cluster.passed.add("approval")
                await execute_update(removal, "approve", Approval(by="model"), result_type=str)


async def _end(removal: Removal) -> tuple[str, str, bool]:
    """How a removal ended, what its failure says, and whether it says that the EtcdMember tells the truth."""
    try:
        async with asyncio.timeout(END_SECONDS):
            result = await removal.result()
    except TimeoutError:
        stands = await removal.query(RemoveMember.progress)
        with contextlib.suppress(RPCError):  # it may have ended meanwhile
            await removal.terminate("it did not end")
        return f"nothing within its time: {stands.state}, {stands.doing}", "", False
    except WorkflowFailureError as error:
        cause = error.cause
        if not isinstance(cause, ApplicationError):
            return repr(cause), "", False
        return str(cause.type), cause.message, False  # `str` of it would put its type in front
    return result.outcome, "", result.status_recorded

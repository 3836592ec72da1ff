"""The watcher against models: whoever is asked to leave leaves, nobody else, and in the end no EtcdMember lies.

As in `test_loop` Temporal, workflows and activities are real. Watchers of many clusters run at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.etcdmember import asks_to_leave, member_id_of, status_of
from etcd_handoff.planning import Reason
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
from etcd_handoff.temporal.client import start_watcher
from tests.model.fault_kinds import TO_CLUSTERS, Fault
from tests.model.invariants import lies, untold
from tests.model.runner import END_SECONDS, WHOLE, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from temporalio.client import Client

    from tests.model.cluster import Cluster
    from tests.model.runner import Runner

pytestmark = pytest.mark.integration

AT_ONCE: Final = 40
SHARE: Final = 5 if WHOLE else 43
CALLS: Final = 8
"""The first calls, at each of which each fault happens once; a round without a removal makes three."""
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Watched:
    """One cluster with a watcher.

    Attributes:
        voters: How many voters it has; m0 leads. There is a learner too.
        flagged: Whose EtcdMembers ask to leave; faults are about the first.
        script: What happens, by the number of the call.
    """

    voters: int
    flagged: tuple[str, ...]
    script: tuple[tuple[int, Fault], ...] = ()

    def cluster(self, number: int) -> Cluster:
        """The model at its start."""
        cluster = Scenario(self.voters, "leader", self.script, learner=True).cluster(number)
        leaving = {name: resource for name, resource in cluster.resources.items() if name in self.flagged}
        for resource in leaving.values():
            resource["spec"], resource["metadata"]["generation"] = {"leave": True}, 2
        cluster.target, cluster.target_ids = self.flagged[0], frozenset(map(member_id_of, leaving.values()))
        return cluster


def one_fault(most_voters: int) -> Iterator[Watched]:
    """Each fault at each of the first calls, whoever is asked to leave."""
    for voters in range(1, most_voters + 1):
        names = [f"m{number}" for number in range(voters)]
        flagged = {("m0",), ("learner",), tuple(names[1:2]) or ("m0",), tuple(names[:2]), (*reversed(names), "learner")}
        for leaving, call, fault in itertools.product(sorted(flagged), range(CALLS), TO_CLUSTERS):
            yield Watched(voters, leaving, ((call, fault),))


def to_do(cluster: Cluster) -> str:
    """What a watcher has still to do; empty when nothing is left."""
    voters = {m.id for m in cluster.members.values() if m.voter}
    for name, resource in cluster.resources.items():
        member_id, message = member_id_of(resource), str(status_of(resource).get("message"))
        refused = voters == {member_id} and message.startswith(f"Not removed: {Reason.LAST_VOTER}")
        ordered = asks_to_leave(resource) and member_id in (cluster.target_ids or ()) and not cluster.restored
        if ordered and member_id in cluster.members and not refused:
            return f"{name} asks to leave, is there, and says {message!r}"
    if not cluster.calm:
        return "to live through its faults"
    return "; ".join((*lies(cluster), *untold(cluster)))


async def watch(client: Client, task_queue: str, name: str, cluster: Cluster) -> None:
    """Nothing is left to do, or the time is over."""
    watcher = await start_watcher(client, ReconcileEtcdMembersRequest(cluster=name, resync_seconds=1), task_queue)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            while to_do(cluster):  # noqa: ASYNC110  # a model tells nobody
                await asyncio.sleep(POLL_SECONDS)
    await watcher.cancel()


async def live(runner: Runner, cases: Iterable[Watched], what: str) -> list[str]:
    """What was wrong in any of these clusters, while it was watched or once all are done."""
    watched = [(one, one.cluster(next(runner.numbers))) for one in cases]
    free = asyncio.Semaphore(AT_ONCE)
    async with runner.working([cluster for _, cluster in watched]) as (client, task_queue, names):

        async def one(name: str, cluster: Cluster) -> None:
            async with free:
                await watch(client, task_queue, name, cluster)

        await asyncio.gather(*(one(name, cluster) for name, (_, cluster) in zip(names, watched, strict=True)))
    clusters = [cluster for _, cluster in watched]
    states, calls = set().union(*(c.states for c in clusters)), sum(c.calls for c in clusters)
    removed = sum(len(c.removed) for c in clusters)
    sys.stdout.write(f"[{what}: {len(clusters)} clusters, {removed} removals, {calls} calls, {len(states)} states]")
    todo = [f"{one}: it has still to do: {to_do(cluster)}" for one, cluster in watched if to_do(cluster)]
    return todo + [f"{one}: {text}" for one, cluster in watched for text in cluster.wrong]


@pytest.mark.asyncio(loop_scope="module")
async def test_namesake_of_whom_an_etcdmember_means_stays(runner: Runner) -> None:
    """Whenever another member takes the name, as after a node was built anew, the ID in the status is who is meant."""
    cases = [Watched(3, ("m1",), ((call, Fault.NAMESAKE),)) for call in range(CALLS)]
    assert await live(runner, cases, "namesakes") == []


@pytest.mark.timeout(600 if WHOLE else 240)
@pytest.mark.asyncio(loop_scope="module")
async def test_whoever_is_asked_to_leave_leaves_and_no_record_lies(runner: Runner) -> None:
    """One fault at one of the first calls, of which some make EtcdMembers lie; the last voter is refused."""
    wrong = await live(runner, itertools.islice(one_fault(4), 0, None, SHARE), "watcher")
    assert wrong == [], "\n".join(wrong)

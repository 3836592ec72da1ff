"""The removal's loop against a model of a cluster: whatever happens at whichever call, no invariant breaks and it ends.

Hundreds of removals run at once on a real Temporal server, each in a cluster of its own, by a worker of ours whose
activities meet the model instead of etcd and Kubernetes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

import activities.etcd
import worker
import workflows.remove_member
from activities.etcd import EtcdActivities
from activities.kubernetes import Gateways
from activities.worker import WorkerActivities
from etcd_handoff import planner
from etcd_handoff.client import connect, start_removal
from etcd_handoff.config import ClusterProfile, Config, EtcdProfile, KubernetesProfile
from etcd_handoff.lab import Lab, LabOptions
from etcd_handoff.model import FailureType, RemovalRequest
from etcd_handoff.planner import Blocked, Done, Intent, Reason, Refused, Remove, Transfer
from tests.model.cluster import Cluster, Member, ModelEtcd, ModelKubernetes, Trouble, resource
from workflows.remove_member import RemoveMember

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from etcd_handoff.etcd_gateway import EtcdGateway
    from etcd_handoff.kubernetes_gateway import KubernetesGateway
    from etcd_handoff.model import ClusterView
    from etcd_handoff.planner import Decision

pytestmark = pytest.mark.integration

SEED: Final = 20260101
AT_ONCE: Final = 150
BLOCKED_SECONDS: Final = 12.0
END_SECONDS: Final = 90.0
WHOLE: Final = bool(os.environ.get("MODEL"))
"""With MODEL=all every scenario runs, some ten minutes; else a fixed share of them."""
SHARE: Final = 1 if WHOLE else 19
CALLS: Final = 7
"""The first calls, at each of which each trouble happens once; a leader's removal makes some twelve."""
ENDS: Final = frozenset({"removed", "already-absent", *(kind.value for kind in FailureType)})


@dataclass(frozen=True, slots=True)
class Scenario:
    """One removal.

    Attributes:
        voters: How many voters the cluster has; the first leads.
        target: Who is to leave: `leader`, `follower`, `learner`.
        script: What happens, by the number of the call.
        learner: Whether there is a learner too.
    """

    voters: int
    target: str
    script: tuple[tuple[int, Trouble], ...] = ()
    learner: bool = False

    def cluster(self, number: int) -> Cluster:
        """The model at its start."""
        base = 16 * (number + 1)
        members = [Member(f"a{base + i:x}", f"m{i}") for i in range(self.voters)]
        members += [Member(f"a{base + 15:x}", "learner", voter=False)] * self.learner
        target = {"leader": "m0", "follower": "m1", "learner": "learner"}[self.target]
        return Cluster(
            number=number,
            members={m.id: m for m in members},
            leader=members[0].id,
            target=target,
            script=dict(self.script),
            resources={m.name: resource(m.name, m.id) for m in members},
        )


def starts(most_voters: int) -> list[Scenario]:
    """Every cluster of up to so many voters, with and without a learner, and every kind of target in it."""
    return [
        Scenario(voters, target, learner=learner)
        for voters, learner in itertools.product(range(1, most_voters + 1), (False, True))
        for target in ("leader", *["follower"] * (voters > 1), *["learner"] * learner)
    ]


def one_trouble(most_voters: int) -> Iterator[Scenario]:
    """Each trouble at each of the first calls of each small cluster's removal."""
    for start, call, trouble in itertools.product(starts(most_voters), range(CALLS), Trouble):
        yield replace(start, script=((call, trouble),))


def several_troubles(count: int) -> Iterator[Scenario]:
    """Larger clusters, in which several things happen, some at once."""
    dice = random.Random(SEED)  # noqa: S311  # a test's
    for _ in range(count):
        start = dice.choice(starts(7))
        calls = sorted(dice.sample(range(16), dice.randint(2, 5)))
        yield replace(start, script=tuple((call, dice.choice(list(Trouble))) for call in calls))


class ModelGateways(Gateways):
    """Gateways to the models' EtcdMembers."""

    def __init__(self, config: Config, clusters: dict[str, Cluster]) -> None:
        super().__init__(config, "model")
        self._clusters = clusters

    def get(self, cluster: str) -> KubernetesGateway | None:
        """The gateway of a model."""
        return cast("KubernetesGateway", ModelKubernetes(self._clusters[cluster]))


@dataclass
class Found:
    """What a batch of removals came to.

    Attributes:
        wrong: What was wrong, with its scenario.
        ends: How removals ended.
        calls: Calls of all gateways.
        states: Different states that calls have met.
    """

    wrong: list[str]
    ends: Counter[str]
    calls: int
    states: int

    def tell(self, what: str) -> None:
        """One line in the test's output."""
        ends = dict(sorted(self.ends.items()))
        sys.stdout.write(f"[{what}: {sum(ends.values())} removals, {self.calls} calls, {self.states} states, {ends}]")


class Runner:
    """Runs removals; each batch has a worker and a task queue of its own.

    Args:
        lab: With a Temporal server.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._batches = itertools.count()

    async def run(self, scenarios: Iterable[Scenario]) -> Found:
        """All of them have ended, or are counted as wrong."""
        wanted, batch = list(scenarios), next(self._batches)
        clusters = {f"b{batch}-{n}": one.cluster(batch * 10_000 + n) for n, one in enumerate(wanted)}
        profiles = {
            name: ClusterProfile(etcd=EtcdProfile(endpoints=(f"http://{name}:2379",)), kubernetes=KubernetesProfile())
            for name in clusters
        }
        config = Config(task_queue=f"model-{batch}", clusters=profiles)

        def gateway(profile: EtcdProfile) -> EtcdGateway:
            name = profile.endpoints[0].removeprefix("http://").removesuffix(":2379")
            return cast("EtcdGateway", ModelEtcd(clusters[name]))

        client = await connect()
        etcd, gateways = EtcdActivities(config, "model", gateway=gateway), ModelGateways(config, clusters)
        traits = WorkerActivities(config, search_attributes=False)
        found, free = Found([], Counter(), 0, 0), asyncio.Semaphore(AT_ONCE)

        async def one(scenario: Scenario, name: str) -> None:
            async with free:
                outcome, said, recorded = await self._end(client, config.task_queue, name, clusters[name].target)
            found.ends[outcome] += 1
            wrong = clusters[name].judge_end(outcome, said, recorded=recorded)
            found.wrong += [f"{scenario}: {text}" for text in wrong]
            if outcome not in ENDS:
                found.wrong.append(f"{scenario}: it ended as {outcome}")

        async with worker.make_worker(client, config, worker.all_activities(client, etcd, gateways, "model", traits)):
            await asyncio.gather(*(one(scenario, name) for scenario, name in zip(wanted, clusters, strict=True)))
        found.calls = sum(cluster.calls for cluster in clusters.values())
        found.states = len(set().union(*(cluster.states for cluster in clusters.values())))
        return found

    async def _end(self, client: Any, task_queue: str, cluster: str, member: str) -> tuple[str, str, bool]:
        """How a removal ended, what its failure says, and whether it says that the EtcdMember tells the truth."""
        request = RemovalRequest(cluster=cluster, member=member, blocked_timeout_seconds=BLOCKED_SECONDS)
        removal = await start_removal(client, request, task_queue)
        try:
            async with asyncio.timeout(END_SECONDS):
                result = await removal.result()
        except TimeoutError:
            await removal.terminate("it did not end")
            return "nothing within its time", "", False
        except WorkflowFailureError as error:
            cause = error.cause
            kind = str(cause.type) if isinstance(cause, ApplicationError) else repr(cause)
            return kind, str(cause), False
        return result.outcome.value, "", result.status_recorded


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runner]:
    """A Temporal server; waits inside activities are short, since the model answers at once."""
    folder = tmp_path_factory.mktemp("model")
    async with Lab(LabOptions(nodes=1, kubernetes=False, directory=folder)) as lab:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in lab.environment.items():
                patch.setitem(os.environ, name, value)
            patch.setattr(activities.etcd, "TRANSFER_SECONDS", 0.1)
            patch.setattr(activities.etcd, "ELECTION_SECONDS", 0.1)
            yield Runner(lab)


@pytest.mark.timeout(900 if WHOLE else 120)
@pytest.mark.asyncio(loop_scope="module")
async def test_one_thing_happens_at_any_call_of_any_small_cluster(runner: Runner) -> None:
    """Every trouble at every one of the first calls, in every cluster of up to three voters."""
    found = await runner.run(itertools.islice(one_trouble(3), 0, None, SHARE))
    found.tell("one trouble")
    assert found.wrong == []
    assert {"removed", "already-absent", FailureType.REMOVAL_REFUSED} <= set(found.ends)


@pytest.mark.timeout(900 if WHOLE else 120)
@pytest.mark.asyncio(loop_scope="module")
async def test_several_things_happen_in_larger_clusters(runner: Runner) -> None:
    """Two to five troubles, in clusters of up to seven voters."""
    found = await runner.run(several_troubles(1_000 if WHOLE else 100))
    found.tell(f"several troubles, seed {SEED}")
    assert found.wrong == []


def without_quorum_check(view: ClusterView, intent: Intent) -> Decision:
    """Goes on where only a minority would remain."""
    said = planner.plan(view, intent)
    risky = isinstance(said, Blocked) and said.reason is Reason.QUORUM_AT_RISK
    leads = view.leadership and view.leadership.id == intent.target_id
    return Remove(via_id=view.leadership.id) if risky and view.leadership and not leads else said


def takes_the_last(view: ClusterView, intent: Intent) -> Decision:
    """Sees no difference between the last voter and others."""
    said = planner.plan(view, intent)
    return Remove(via_id=intent.target_id) if isinstance(said, Refused) else said


def never_transfers(view: ClusterView, intent: Intent) -> Decision:
    """Removes the leader as it is."""
    said = planner.plan(view, intent)
    return Remove(via_id=said.transferee_id) if isinstance(said, Transfer) else said


def through_itself(view: ClusterView, intent: Intent) -> Decision:
    """Asks the member that leaves."""
    said = planner.plan(view, intent)
    return Remove(via_id=intent.target_id) if isinstance(said, Remove) else said


def takes_silence_for_absence(view: ClusterView, intent: Intent) -> Decision:
    """Calls a member out that does not answer."""
    target = view.member(intent.target_id)
    return Done() if target is not None and not target.reachable else planner.plan(view, intent)


def offers_it_to_anybody(view: ClusterView, intent: Intent) -> Decision:
    """Picks a transferee without a look at its health."""
    said = planner.plan(view, intent)
    others = [m for m in view.members if m.id != intent.target_id]
    return replace(said, transferee_id=others[-1].id) if isinstance(said, Transfer) else said


def means_whoever_has_the_name(self: RemoveMember) -> Intent:
    """Resolves the name anew at each step."""
    pinned = self._pin_or_fail()
    named = [m.id for m in self._view.members if m.name == self._request.member] if self._view else []
    return Intent(pinned.cluster_id, named[0] if named else pinned.member_id)


PLACES: Final[tuple[tuple[object, str], ...]] = ((workflows.remove_member, "plan"), (activities.etcd, "plan"))
MUTANTS: Final[dict[Callable[..., Any], Scenario]] = {
    without_quorum_check: Scenario(3, "follower", ((0, Trouble.OTHER_DIES),)),
    takes_the_last: Scenario(1, "leader"),
    never_transfers: Scenario(3, "leader"),
    through_itself: Scenario(3, "follower"),
    takes_silence_for_absence: Scenario(3, "follower", ((0, Trouble.TARGET_DIES),)),
    offers_it_to_anybody: Scenario(5, "leader", ((0, Trouble.OTHER_DIES),)),
    means_whoever_has_the_name: Scenario(3, "follower", ((1, Trouble.NAMESAKE),)),
}
"""What decides wrongly, and where that shows."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
async def test_loop_that_is_broken_on_purpose_is_caught(
    runner: Runner, mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule that is taken out breaks an invariant of the model, and with the rule none is broken."""
    scenario = MUTANTS[mutant]
    assert (await runner.run([scenario])).wrong == []
    for place, name in PLACES if mutant is not means_whoever_has_the_name else [(RemoveMember, "_intent")]:
        monkeypatch.setattr(place, name, mutant)
    assert (await runner.run([scenario])).wrong

"""What the metrics count, on a meter that remembers."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.etcd_looks import Looks
from activities.interceptor import ActivityInterceptor
from etcd_handoff.activity_io import StepInput, StepResult
from etcd_handoff.cluster_view import Doubt
from etcd_handoff.config import Config, EtcdProfile
from etcd_handoff.contract import HandoffState, Progress
from etcd_handoff.errors import ApiUnavailableError, ConfigError, NotLeaderError, ObjectGoneError, UnreachableError
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.reconciler.member_resources import SyncMembersResult
from etcd_handoff.temporal import step_metrics, waiting_metrics
from etcd_handoff.temporal.metrics import MetricsInterceptor
from etcd_handoff.temporal.server_errors import ETCD_ERRORS, KUBERNETES_ERRORS, count_kubernetes_error
from etcd_handoff.temporal.waiting_metrics import WaitingMetrics
from tests.fakes.etcd import FakeEtcd
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.builders import A, cluster, member, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from temporalio.client import Client, WorkflowExecution
    from temporalio.common import MetricMeter

    from etcd_handoff.errors import KubernetesError
    from etcd_handoff.kubernetes.port import KubernetesPort

LABELS = {"cluster": "prod", "step": "check_leader"}


class Meter:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def create_counter(self, name: str, *_: str) -> Instrument:
        """A metric of this name."""
        return Instrument(self, name)

    create_gauge_float = create_histogram_float = create_counter

    def with_additional_attributes(self, _: Mapping[str, Any]) -> Meter:
        """The same: what the SDK adds does not matter here."""
        return self


class Instrument:
    """One metric of a `Meter`."""

    def __init__(self, meter: Meter, name: str) -> None:
        self._meter, self._name = meter, name

    def add(self, value: float, labels: Mapping[str, Any]) -> None:
        """Remember it."""
        self._meter.seen[self._name] = (value, labels)

    set = record = add


def counted(result: object) -> Meter:
    """What is counted of an attempt that has ended with this."""
    meter = Meter()
    step_metrics.count_result(cast("MetricMeter", meter), LABELS, result)
    return meter


def test_look_that_saw_the_members_is_the_last_look() -> None:
    """A look that nobody answered is none."""
    seen = counted(StepResult(step=step(), view=cluster(member(A)))).seen
    assert seen[step_metrics.STEPS] == (1, {**LABELS, "outcome": "observed"})
    assert seen[step_metrics.LAST_LOOK][1] == {"cluster": "prod"}
    assert step_metrics.LAST_LOOK not in counted(StepResult(step=step(), view=None)).seen


def test_each_corrected_resource_counts() -> None:
    """A resync that corrects nothing counts none."""
    result = SyncMembersResult(repairs=("node1: Joined=False", "node2: Joined=True"))
    assert counted(result).seen[step_metrics.CORRECTIONS] == (2, {"cluster": "prod"})
    assert step_metrics.CORRECTIONS not in counted(SyncMembersResult()).seen


@pytest.mark.parametrize(
    ("step", "result", "compared"),
    [
        ("sync_members", SyncMembersResult(), True),
        ("sync_members", SyncMembersResult(doubt=Doubt(kind="TooManyAbsent", text="x", remedy="y")), False),
        ("sync_members", SyncMembersResult(retry_soon=True), False),
        ("update_status", SyncMembersResult(), False),
    ],
)
def test_comparison_counts_that_was_done_to_its_end(step: str, result: SyncMembersResult, *, compared: bool) -> None:
    """What a doubt held back, or a change made void, leaves the watcher behind."""
    meter = Meter()
    step_metrics.count_result(cast("MetricMeter", meter), {**LABELS, "step": step}, result)
    assert (step_metrics.COMPARED in meter.seen) == compared


async def test_error_of_etcd_counts_once_whether_or_not_it_fails_the_step() -> None:
    """By its class; what another worker is to try again was counted by the look."""
    silent = FakeEtcd({"1": "node1"}, failures={"observe": [UnreachableError("node1: refused")]})
    looks = Looks(silent, EtcdProfile.model_validate({"endpoints": ["http://e:2379"]}), "prod")

    async def fails() -> None:
        step_metrics.count_failure(activity.metric_meter(), LABELS, NotLeaderError("nobody leads"))

    async def goes_on() -> None:
        assert await looks.look() == (None, "node1: refused")

    async def tried_again() -> None:
        step_metrics.count_failure(activity.metric_meter(), LABELS, ApplicationError("x", type="StepFails"))

    for attempt, error in ((fails, "NotLeaderError"), (goes_on, "UnreachableError"), (tried_again, "")):
        environment, meter = ActivityEnvironment(), Meter()
        environment.metric_meter = cast("MetricMeter", meter)
        await environment.run(attempt)
        labels = {"cluster": "prod", "error": error}
        assert meter.seen.get(ETCD_ERRORS) == ((1, labels) if error else None)


async def test_each_api_server_that_gives_no_answer_counts(tmp_path: Path) -> None:
    """Also where another one may; that there is no such object is an answer."""
    config = Config.model_validate(
        {"clusters": {"prod": {"etcd": {"endpoints": ["http://e:2379"]}, "kubernetes": {"kubeconfig": tmp_path / "k"}}}}
    )
    tell: list[Callable[[KubernetesError], None]] = []

    def make(_: object, __: str, on_error: Callable[[KubernetesError], None]) -> KubernetesPort:
        tell.append(on_error)
        return FakeKubernetes()

    KubernetesGateways(config, "node1", make, on_error=count_kubernetes_error).require("prod")
    for error, counts in ((ApiUnavailableError("refused"), True), (ObjectGoneError("gone"), False)):
        environment, meter = ActivityEnvironment(), Meter()
        environment.metric_meter = cast("MetricMeter", meter)
        environment.run(tell[0], error)
        labels = {"cluster": "prod", "error": type(error).__name__}
        assert meter.seen.get(KUBERNETES_ERRORS) == ((1, labels) if counts else None)


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (UnreachableError("node1 https://10.0.0.1:2379: refused"), "UnreachableError"),
        (ConfigError("etcd.cert_file: /root/x: no such file"), "ConfigError"),
        (ApplicationError("x", type="StepFails"), "StepFails"),
        (KeyError("somebody's secret"), "Unexpected"),
    ],
)
def test_failure_counts_by_its_class_and_never_by_its_words(error: Exception, label: str) -> None:
    """Words would carry addresses, and make a label for each failure."""
    meter = Meter()
    step_metrics.count_failure(cast("MetricMeter", meter), LABELS, error)
    assert meter.seen == {step_metrics.STEP_FAILURES: (1, {**LABELS, "error": label})}


class AStep(ActivityInboundInterceptor):
    """A step that takes a moment, and then raises this, or hangs."""

    def __init__(self, error: Exception | None, *, hangs: bool = False) -> None:
        self._error, self._hangs = error, hangs

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ARG002
        """One attempt."""
        await asyncio.sleep(60 if self._hangs else 0.01)
        if self._error is not None:
            raise self._error
        return StepResult(step=step(), view=None)


async def attempt(one: AStep, ends: Callable[[ActivityEnvironment], None] | None = None) -> Meter:
    """What is counted of an attempt within what translates failures, and ends it when its time is over.

    Args:
        one: The step.
        ends: What ends it from outside.
    """
    environment, meter = ActivityEnvironment(), Meter()
    environment.metric_meter = cast("MetricMeter", meter)
    limit = timedelta(seconds=60 if ends else 0.2)
    environment.info = replace(environment.info, activity_type="check_leader", start_to_close_timeout=limit)
    counted = ActivityInterceptor().intercept_activity(MetricsInterceptor().intercept_activity(one))
    given = ExecuteActivityInput(
        fn=attempt, args=[StepInput(cluster="prod", cluster_id="cafe", target_id="a1")], executor=None, headers={}
    )
    running = asyncio.ensure_future(environment.run(counted.execute_activity, given))
    if ends:
        await asyncio.sleep(0.02)
        ends(environment)
    with contextlib.suppress(ApplicationError, asyncio.CancelledError):
        await running
    return meter


def cancels(**why: bool) -> Callable[[ActivityEnvironment], None]:
    """Temporal cancels the attempt, and says why."""
    return lambda environment: environment.cancel(activity.ActivityCancellationDetails(**why))


@pytest.mark.parametrize(
    ("one", "ends", "outcome", "error"),
    [
        (AStep(None), None, "ended", ""),
        (AStep(UnreachableError("node1: no answer")), None, "failed", "UnreachableError"),
        (AStep(None, hangs=True), None, "timed-out", "NoAnswer"),
        (AStep(None, hangs=True), cancels(timed_out=True), "timed-out", "NoAnswer"),
        (AStep(None, hangs=True), cancels(cancel_requested=True), "cancelled", ""),
        (AStep(None, hangs=True), cancels(worker_shutdown=True), "cancelled", ""),
    ],
)
async def test_length_of_an_attempt_counts_however_it_ends(
    one: AStep, ends: Callable[[ActivityEnvironment], None] | None, outcome: str, error: str
) -> None:
    """A step that hangs until its time is over would look as quick as its attempts that are done."""
    seen = (await attempt(one, ends)).seen
    seconds, labels = seen[step_metrics.STEP_DURATION]
    assert labels == {**LABELS, "outcome": outcome}
    assert seconds >= 0.009
    assert (step_metrics.STEPS in seen) == (outcome == "ended")
    failed = seen.get(step_metrics.STEP_FAILURES)
    assert failed == ((1, {**LABELS, "error": error}) if error else None)


# --- operations that wait ---------------------------------------------------------------------------------------


@dataclass
class Waiter:
    """An operation that waits, as a list has it, and what it says of itself.

    Attributes:
        id: Its workflow ID.
        state: Its state in lists.
        seconds: How long it has been in it.
        reason: Why it is blocked.
        cluster: Its profile.
        silent: No worker answers for it.
    """

    id: str
    state: HandoffState
    seconds: float
    reason: str = ""
    cluster: str = "prod"
    silent: bool = False
    run_id: str = "run"

    @property
    def start_time(self) -> datetime:
        """The longer it waits, the earlier it was started."""
        return datetime.now(UTC) - timedelta(seconds=self.seconds)

    @property
    def progress(self) -> Progress | None:
        """What it answers."""
        since = self.start_time.isoformat()
        answer = Progress(state=self.state, cluster=self.cluster, member="m", blocked_reason=self.reason, since=since)
        return None if self.silent else answer


class Gauges:
    """Remembers what each gauge was set to last, by its labels."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, ...], float] = {}

    def create_gauge_float(self, name: str, *_: str) -> Any:
        """A gauge of this name."""
        values = self.seen

        class Set:
            def set(self, value: float, labels: Mapping[str, str]) -> None:
                values[(name.removeprefix("etcd_handoff_"), *labels.values())] = value

        return Set()


async def waits(monkeypatch: pytest.MonkeyPatch, *looks: list[Waiter]) -> dict[tuple[str, ...], int]:
    """What is exported after these looks at lists; it may be a second more."""
    by_id = {waiter.id: waiter for look in looks for waiter in look}

    class Temporal:
        def get_workflow_handle(self, workflow_id: str, *, run_id: str) -> Waiter:
            assert run_id == "run"
            return by_id[workflow_id]

    async def progress_of(waiter: Waiter) -> Progress | None:
        return waiter.progress

    monkeypatch.setattr(waiting_metrics, "progress_of", progress_of)
    gauges = Gauges()
    waiting = WaitingMetrics(cast("Client", Temporal()), cast("MetricMeter", gauges), ["prod"])
    for look in looks:
        await waiting.count([(w.cluster, w.state, cast("WorkflowExecution", w)) for w in look])
    return {labels: int(value) for labels, value in gauges.seen.items()}


async def test_longest_wait_counts_by_reason_and_by_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer stands in the queue, too, for a time that nobody knows."""
    blocked, queued = HandoffState.BLOCKED, HandoffState.QUEUED
    look = [
        Waiter("a", blocked, 100, "QuorumAtRisk"),
        Waiter("b", blocked, 300, "QuorumAtRisk"),
        Waiter("c", blocked, 200, "NoQuorum", cluster="test"),
        Waiter("d", queued, 50),
        Waiter("e", queued, 70, silent=True),
    ]
    assert await waits(monkeypatch, look) == {
        ("blocked_seconds", "prod", "QuorumAtRisk"): 300,
        ("blocked_seconds", "test", "NoQuorum"): 200,
        ("queue_length", "prod"): 2,
        ("queue_length", "test"): 0,
        ("queue_wait_seconds", "prod"): 50,
        ("queue_wait_seconds", "test"): 0,
    }


async def test_what_waits_no_more_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter forgets nothing by itself; a queue is told though nobody ever waited in it."""
    empty: dict[tuple[str, ...], int] = {("queue_length", "prod"): 0, ("queue_wait_seconds", "prod"): 0}
    assert await waits(monkeypatch, []) == empty
    gone = await waits(monkeypatch, [Waiter("a", HandoffState.BLOCKED, 9, "NoQuorum")], [])
    assert gone == empty | {("blocked_seconds", "prod", "NoQuorum"): 0}


async def test_no_more_than_the_oldest_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are counted."""
    monkeypatch.setattr(waiting_metrics, "MOST_ASKED", 1)
    values = await waits(monkeypatch, [Waiter(f"{n}", HandoffState.QUEUED, n, silent=n == 9) for n in range(10)])
    assert (values["queue_length", "prod"], values["queue_wait_seconds", "prod"]) == (10, 0)

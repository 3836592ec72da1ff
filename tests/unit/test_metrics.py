"""What the metrics count, on a meter that remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio.exceptions import ApplicationError

from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import Step, StepOutcome
from etcd_handoff.errors import ConfigError, UnreachableError
from etcd_handoff.operation.member_resources import SyncMembersResult
from etcd_handoff.temporal import metrics
from tests.unit.builders import A, cluster, member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.common import MetricMeter

LABELS = {"cluster": "prod", "step": "check_leader"}


class Meter:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def create_counter(self, name: str, *_: str) -> Instrument:
        """A metric of this name."""
        return Instrument(self, name)

    create_gauge_float = create_counter


class Instrument:
    """One metric of a `Meter`."""

    def __init__(self, meter: Meter, name: str) -> None:
        self._meter, self._name = meter, name

    def add(self, value: float, labels: Mapping[str, Any]) -> None:
        """Remember it."""
        self._meter.seen[self._name] = (value, labels)

    set = add


def step() -> Step:
    """A look that has ended."""
    return Step(name="check_leader", started="", milliseconds=3, attempts=1, node="node1", outcome=StepOutcome.OBSERVED)


def counted(result: object) -> Meter:
    """What is counted of an attempt that has ended with this."""
    meter = Meter()
    metrics.count_result(cast("MetricMeter", meter), LABELS, result)
    return meter


def test_look_that_saw_the_members_is_the_last_look() -> None:
    """A look that nobody answered is none."""
    seen = counted(StepResult(step=step(), view=cluster(member(A)))).seen
    assert seen[metrics.STEPS] == (1, {**LABELS, "outcome": "observed"})
    assert seen[metrics.LAST_LOOK][1] == {"cluster": "prod"}
    assert metrics.LAST_LOOK not in counted(StepResult(step=step(), view=None)).seen


def test_each_corrected_resource_counts() -> None:
    """A resync that corrects nothing counts none."""
    result = SyncMembersResult(repairs=("node1: Joined=False", "node2: Joined=True"))
    assert counted(result).seen[metrics.CORRECTIONS] == (2, {"cluster": "prod"})
    assert metrics.CORRECTIONS not in counted(SyncMembersResult()).seen


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
    metrics.count_failure(cast("MetricMeter", meter), LABELS, error)
    assert meter.seen == {metrics.STEP_FAILURES: (1, {**LABELS, "error": label})}

"""The look of a reconciler, where some workers see no member any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from temporalio import workflow

from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import Step, StepOutcome
from workflows.cluster_look import ClusterLook

if TYPE_CHECKING:
    import pytest


async def test_look_is_tried_as_often_as_workers_may_leave_it_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """On stock k0s a worker whose node's member has left sees nothing; only its last attempt says so."""
    policies = []

    async def execute(_activity: object, _ask: object, **options: Any) -> StepResult:
        policies.append(options["retry_policy"])
        step = Step(
            name="check_leader", started="", milliseconds=0, attempts=1, node="node0", outcome=StepOutcome.REPLAN
        )
        return StepResult(step=step)

    monkeypatch.setattr(workflow, "execute_activity_method", execute)
    monkeypatch.setattr(workflow, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    await ClusterLook().take("demo", "")
    assert [policy.maximum_attempts for policy in policies] == [time_limits.STEPS.elsewhere_attempts]

"""The look of a reconciler, where some workers see no member any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from temporalio import workflow

from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import Step, StepOutcome
from etcd_handoff.doubts import LISTS_DIFFER, WRONG_CLUSTER
from etcd_handoff.reconciler.state import ReconcilerState
from tests.unit.builders import A, B, C, cluster, member
from tests.unit.test_node_looks import LED_BY_B, sees, silent
from workflows import activity_calls
from workflows.cluster_look import ClusterLook

if TYPE_CHECKING:
    import pytest

    from etcd_handoff.operation.commands import LookThroughNodes, StepFailure


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


async def test_watcher_needs_the_word_of_most_workers_in_every_look_until_its_cluster_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that was silent rests; what its worker would have said is as unknown as before."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    seen = sees(LED_BY_B, B, worker_nodes=("node0", "node1", "node2"))

    async def execute(*_: object, **__: object) -> StepResult:
        return seen

    async def asks(command: LookThroughNodes) -> tuple[StepFailure, ...]:
        return tuple(silent() for _ in command.looks)

    monkeypatch.setattr(workflow, "execute_activity_method", execute)
    monkeypatch.setattr(activity_calls, "look_through_nodes", asks)
    look = ClusterLook()
    for seconds in (0.0, 1.5, 3.0):
        monkeypatch.setattr(workflow, "now", lambda: now + timedelta(seconds=seconds))  # noqa: B023
        view = (await look.take("demo", "")).view
        assert view is not None
        assert [doubt.kind for doubt in view.doubts] == [WRONG_CLUSTER]


async def test_next_run_knows_which_nodes_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that was forced into a cluster of its own lists nobody else whose node could be asked."""
    alone = sees(cluster(member(B, B)), B)
    nodes: list[str] = []

    async def execute(*_: object, **__: object) -> StepResult:
        return alone

    async def asks(command: LookThroughNodes) -> tuple[StepResult, ...]:
        nodes.extend(look.node for look in command.looks)
        return (sees(LED_BY_B, A), sees(LED_BY_B, C))

    monkeypatch.setattr(workflow, "execute_activity_method", execute)
    monkeypatch.setattr(activity_calls, "look_through_nodes", asks)
    monkeypatch.setattr(workflow, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    state = ReconcilerState(far_nodes=("node0", "node1", "node2"))
    kept = ReconcilerState.model_validate_json(state.model_dump_json())
    view = (await ClusterLook(kept.far_nodes).take("demo", LED_BY_B.cluster_id)).view
    assert nodes == ["node0", "node2"]
    assert view is not None
    assert LISTS_DIFFER in [doubt.kind for doubt in view.doubts]

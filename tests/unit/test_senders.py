"""Who has started a workflow and sent it an update, read from what the server tells the worker."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import (
    DoUpdate,
    InitializeWorkflow,
    WorkflowActivation,
    WorkflowActivationJob,
)

from etcd_handoff.temporal import senders

if TYPE_CHECKING:
    import pytest


def activation(starter: str = "", **updates: str) -> WorkflowActivation:
    """What a worker is told at once: the start, and updates by their IDs."""
    jobs = [WorkflowActivationJob(initialize_workflow=InitializeWorkflow(identity=starter))] if starter else []
    for update, identity in updates.items():
        job = DoUpdate(id=update, name="approve")
        job.meta.identity = identity
        jobs.append(WorkflowActivationJob(do_update=job))
    return WorkflowActivation(jobs=jobs)


def test_each_update_has_its_own_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates in one task; the starter is known in later tasks too, and nobody outside of a run."""
    current, seen = ["first"], list[tuple[str, str]]()

    def updated() -> workflow.UpdateInfo:
        return workflow.UpdateInfo(id=current[0], name="approve")

    monkeypatch.setattr(workflow, "current_update_info", updated)

    def run(_: WorkflowActivation) -> None:
        seen.append((senders.of_start(), senders.of_update()))

    one, other = (partial(senders._activate, run, senders.Senders()) for _ in range(2))
    one(activation("ann@a", first="bob@b", second="eve@c"))
    current[0] = "second"
    one(activation(third="dan@d"))
    other(activation("zoe@z"))
    assert seen == [("ann@a", "bob@b"), ("ann@a", "eve@c"), ("zoe@z", "")]
    assert (senders.of_start(), senders.of_update()) == ("", "")

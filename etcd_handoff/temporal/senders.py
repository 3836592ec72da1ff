"""Who has started a workflow, and who has sent an update, by the identities in Temporal's records.

The SDK shows neither to a workflow, though both stand in what the server tells a worker, and again when a history is
replayed. So they are read on their way in.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow
from temporalio.worker import UnsandboxedWorkflowRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails


@dataclass(slots=True)
class Senders:
    """What one run has been told of them.

    Attributes:
        starter: Identity of whoever has started it.
        updates: Identities of the senders of updates, by the update's ID.
    """

    starter: str = ""
    updates: dict[str, str] = field(default_factory=dict)


_HEARD: Final[ContextVar[Senders | None]] = ContextVar("etcd-handoff-senders", default=None)


class HearingRunner(UnsandboxedWorkflowRunner):
    """Runs workflows in no sandbox, and lets them know who has started and updated them."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Called by the SDK once for each run."""
        instance = super().create_instance(det)
        instance.activate = partial(_activate, instance.activate, Senders())  # type: ignore[method-assign]
        return instance


def _activate(activate: Callable[[Any], Any], heard: Senders, activation: Any) -> Any:
    for job in activation.jobs:
        if job.HasField("initialize_workflow"):
            heard.starter = job.initialize_workflow.identity
        elif job.HasField("do_update"):
            heard.updates[job.do_update.id] = job.do_update.meta.identity
    token = _HEARD.set(heard)  # every task of the run begins in a copy of this context
    try:
        return activate(activation)
    finally:
        _HEARD.reset(token)


def of_start() -> str:
    """Identity of whoever has started the run that calls this; empty where it is not known."""
    heard = _HEARD.get()
    return heard.starter if heard else ""


def of_update() -> str:
    """Identity of the sender of the update whose handler or validator calls this; empty where it is not known."""
    heard, update = _HEARD.get(), workflow.current_update_info()
    return heard.updates.get(update.id, "") if heard and update else ""

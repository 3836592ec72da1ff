"""The identities in Temporal's records of the starter of a workflow and of the senders of updates.

The SDK shows neither to a workflow. The server sends both to a worker, and again when a history is replayed. So they
are read as they arrive.
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
    """The identities that one run has received.

    Attributes:
        starter: Identity of the starter.
        updates: Identities of the senders of updates, by the update's ID.
    """

    starter: str = ""
    updates: dict[str, str] = field(default_factory=dict)


_HEARD: Final[ContextVar[Senders | None]] = ContextVar("etcd-handoff-senders", default=None)


class HearingRunner(UnsandboxedWorkflowRunner):
    """Runs workflows without a sandbox, and gives them the identities of their starter and of senders of updates."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return the instance of one run. The SDK calls this once for each."""
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
    """Return the identity of the starter of the calling run, or "" if it is not known."""
    heard = _HEARD.get()
    return heard.starter if heard else ""


def of_update() -> str:
    """Return the identity of the sender of the update that the caller handles, or "" if it is not known.

    Call it in the update's handler or validator.
    """
    heard, update = _HEARD.get(), workflow.current_update_info()
    return heard.updates.get(update.id, "") if heard and update else ""

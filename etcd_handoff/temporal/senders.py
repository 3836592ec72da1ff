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


_SENDERS: Final[ContextVar[Senders | None]] = ContextVar("etcd-handoff-senders", default=None)


class SenderRecordingRunner(UnsandboxedWorkflowRunner):
    """Runs workflows without a sandbox, and gives them the identities of their starter and of senders of updates."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return the instance of one run. The SDK calls this once for each."""
        instance = super().create_instance(det)
        instance.activate = partial(_activate, instance.activate, Senders())  # type: ignore[method-assign]
        return instance


def _activate(activate: Callable[[Any], Any], senders: Senders, activation: Any) -> Any:
    for job in activation.jobs:
        if job.HasField("initialize_workflow"):
            senders.starter = job.initialize_workflow.identity
        elif job.HasField("do_update"):
            senders.updates[job.do_update.id] = job.do_update.meta.identity
    token = _SENDERS.set(senders)  # every task of the run begins in a copy of this context
    try:
        return activate(activation)
    finally:
        _SENDERS.reset(token)


def of_start() -> str:
    """Return the identity of the starter of the calling run, or "" if it is not known."""
    senders = _SENDERS.get()
    return senders.starter if senders else ""


def of_update() -> str:
    """Return the identity of the sender of the update that the caller handles, or "" if it is not known.

    Call it in the update's handler or validator.
    """
    senders, update = _SENDERS.get(), workflow.current_update_info()
    return senders.updates.get(update.id, "") if senders and update else ""

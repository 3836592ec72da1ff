"""The context of a log line: the activity or workflow that writes it, and its cluster and member.

All lines that are written while an activity or a workflow runs get it, also those of libraries: the handler in
`logs.py` asks `running` for each line. Lines of the worker process itself have none.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from temporalio import activity, workflow
from temporalio.worker import ActivityInboundInterceptor, Interceptor, WorkflowInboundInterceptor

if TYPE_CHECKING:
    from temporalio.worker import (
        ExecuteActivityInput,
        ExecuteWorkflowInput,
        HandleQueryInput,
        HandleSignalInput,
        HandleUpdateInput,
        WorkflowInterceptorClassInput,
    )


class Subject(NamedTuple):
    """The cluster profile and the member; empty where there is none."""

    cluster: str = ""
    member: str = ""


_SUBJECT: ContextVar[Subject | None] = ContextVar("subject", default=None)
MEMBER_FIELDS: Final = ("subject", "member_name", "name", "resource")
"""The fields of inputs that name a member, in the order in which they are read."""
ID_FIELDS: Final = ("target_id", "member_id")


def subject_of(argument: object, workflow_id: str) -> Subject:
    """Return the cluster and the member of an input. Our workflow IDs fill the gaps.

    Args:
        argument: The input of an activity or a workflow; None where there is none.
        workflow_id: ID of the workflow.
    """
    kind, cluster, member = (*workflow_id.split("/", 2), "", "")[:3]
    if not kind.startswith("etcd-") or kind == "etcd-changes":  # the latter have the ID of the etcd cluster
        cluster, member = "", ""
    named = argument if isinstance(argument, str) else str(getattr(argument, "cluster", ""))
    return Subject(named or cluster, _first(argument, MEMBER_FIELDS) or member or _first(argument, ID_FIELDS))


def _first(argument: object, fields: tuple[str, ...]) -> str:
    values = (getattr(argument, field, "") for field in fields)
    return next((value for value in values if isinstance(value, str) and value), "")


def running() -> dict[str, str | int]:
    """Return what runs at the caller, in an activity or a workflow, or nothing elsewhere."""
    if activity.in_activity():
        info = activity.info()
        subject = _SUBJECT.get() or subject_of(None, info.workflow_id or "")
        return _fields(subject, info.workflow_id, info.workflow_run_id, info.workflow_type) | {
            "step": info.activity_type,
            "attempt": info.attempt,
        }
    if workflow.in_workflow():
        of_run = workflow.info()
        subject = _SUBJECT.get() or subject_of(None, of_run.workflow_id)
        fields = _fields(subject, of_run.workflow_id, of_run.run_id, of_run.workflow_type)
        return fields | {"step": "workflow", "attempt": of_run.attempt}
    return {}


def _fields(subject: Subject, workflow_id: str | None, run_id: str | None, kind: str | None) -> dict[str, str | int]:
    return {
        "cluster": subject.cluster,
        "member": subject.member,
        "workflow_id": workflow_id or "",
        "run_id": run_id or "",
        "operation": kind or "",
    }


class LogContextInterceptor(Interceptor):
    """Notes the cluster and member of an activity or a workflow. It must be outside of all that logs."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Return the interceptor of one activity execution. The SDK calls this once for each."""
        return _ActivityContext(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002  # the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """Return the interceptor of a workflow type. The SDK calls this once for each."""
        return _WorkflowContext


class _ActivityContext(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        argument = input.args[0] if input.args else None
        _SUBJECT.set(subject_of(argument, activity.info().workflow_id or ""))
        return await self.next.execute_activity(input)


class _WorkflowContext(WorkflowInboundInterceptor):
    """Sets the context for each handler, which runs in a separate task without the context of the workflow's task."""

    _subject: Subject | None = None

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        self._subject = subject_of(input.args[0] if input.args else None, workflow.info().workflow_id)
        _SUBJECT.set(self._subject)
        return await self.next.execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        _SUBJECT.set(self._subject)
        await self.next.handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002
        _SUBJECT.set(self._subject)
        return await self.next.handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        _SUBJECT.set(self._subject)
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        _SUBJECT.set(self._subject)
        return await self.next.handle_update_handler(input)

"""Answer a wrong number of arguments with a text, for workflows, updates, queries and signals."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from etcd_handoff.temporal.converter import invalid_input

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ArgumentCheckInterceptor(Interceptor):
    """Checks the number of arguments. The SDK would pass plain JSON to handlers, and fail the task for ever."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002  # the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """Return the interceptor of a workflow type. The SDK calls this once for each."""
        return _ArgumentCheck


class _ArgumentCheck(WorkflowInboundInterceptor):
    """The check of one workflow: the SDK reads arguments by their types only when their number is right."""

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        if len(input.args) > 1:
            text = f"input: one JSON object is expected, {len(input.args)} arguments were given"
            raise invalid_input(text)
        return await self.next.execute_workflow(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        self._count(input.update, workflow.get_update_handler(input.update), input.args)
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        self._count(input.update, workflow.get_update_handler(input.update), input.args)
        return await self.next.handle_update_handler(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002
        self._count(input.query, workflow.get_query_handler(input.query), input.args)
        return await self.next.handle_query(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        try:
            self._count(input.signal, workflow.get_signal_handler(input.signal), input.args)
        except ApplicationError as error:
            # A signal has no answer, and an error would fail the workflow. The SDK drops bad JSON in the same way.
            workflow.logger.warning("a signal was dropped: %s", error.message)
        else:
            await self.next.handle_signal(input)

    @staticmethod
    def _count(name: str, handler: Callable[..., Any] | None, args: Sequence[Any]) -> None:
        """Raise `InvalidInput` for a number of arguments that the handler does not take."""
        if handler is None:
            return
        # The SDK's wrapper of a coroutine handler has no signature of its arguments. The method has.
        signature = inspect.signature(getattr(workflow.instance(), name, handler))
        try:
            signature.bind(*args)
        except TypeError:
            takes = "one JSON object" if signature.parameters else "nothing"
            raise invalid_input(f"{name}: it takes {takes}, {len(args)} arguments were given") from None

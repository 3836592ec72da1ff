"""The workflow `AddMember`: add a learner, wait until it is started and in sync, promote it, and record it.

This is a declaration of its input and its first state. `workflows.drive_operation` drives it, and
`etcd_handoff.operation` decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import AdditionRequest, AdditionResult
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import continuation
    from workflows.drive_operation import OperationWorkflow

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState


@workflow.defn
class AddMember(OperationWorkflow):
    """Adds one member to a live cluster. The contract is in docs/reference.md."""

    @continuation.takes_input
    def __init__(self, request: AdditionRequest | None = None) -> None:
        """Begin. Without the default, a start without input would fail the workflow task for ever."""
        super().__init__(lambda: _beginning(request))

    @workflow.run
    async def run(self, request: AdditionRequest | None = None) -> AdditionResult:  # noqa: ARG002  # taken by __init__
        """Add the member `request.name`.

        Raises:
            ApplicationError: It has failed, or its input is refused.
            CancelledError: It was cancelled in time.
        """
        result: AdditionResult = await self._drive()
        return result


def _beginning(request: AdditionRequest | None) -> OperationState:
    if request is None:
        text = 'input: missing; give {"cluster": "<profile>", "name": "<name>", "peer_urls": ["<URL>"]}'
        raise invalid_input(text)
    return continuation.beginning(request)

"""The workflow `ReplaceMember`: add a member and remove another one, in the order that keeps the cluster safe.

This is a declaration of its input and its first state. `workflows.drive_operation` drives it, and
`etcd_handoff.operation` decides. Each of its parts is an addition or a removal like a separate one. Their order is in
`etcd_handoff.planning.part_order`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import ReplacementRequest, ReplacementResult
    from etcd_handoff.operation.whole_change import WholeChange
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import continuation
    from workflows.drive_operation import OperationWorkflow

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState


@workflow.defn
class ReplaceMember(OperationWorkflow):
    """Replaces one member by another in a live cluster. The contract is in docs/reference.md."""

    @continuation.takes_input
    def __init__(self, request: ReplacementRequest | None = None) -> None:
        """Begin. Without the default, a start without input would fail the workflow task for ever."""
        super().__init__(lambda: _beginning(request))

    @workflow.run
    async def run(self, request: ReplacementRequest | None = None) -> ReplacementResult:  # noqa: ARG002  # taken by __init__
        """Replace `request.member`.

        Raises:
            ApplicationError: It has failed, or its input is refused.
            CancelledError: It was cancelled in time.
        """
        result: ReplacementResult = await self._drive()
        return result


def _beginning(request: ReplacementRequest | None) -> OperationState:
    if request is None:
        text = (
            'input: missing; give {"cluster": "<profile>", "member": "<name or hex ID>", "name": "<new name>",'
            ' "peer_urls": ["<URL>"]}'
        )
        raise invalid_input(text)
    return continuation.beginning(request, whole=WholeChange(request=request))

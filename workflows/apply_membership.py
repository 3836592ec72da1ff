"""The workflow `ApplyMembership`: add and remove members, one at a time, until the members are those of a list.

This is a declaration of its input and its first state. `workflows.drive_operation` drives it, and
`etcd_handoff.operation` decides. Each of its parts is an addition or a removal like a separate one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import MembershipRequest, MembershipResult
    from etcd_handoff.operation.whole_change import WholeChange
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import continuation
    from workflows.drive_operation import OperationWorkflow

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState


@workflow.defn
class ApplyMembership(OperationWorkflow):
    """Gives a live cluster the members of a list. The contract is in docs/reference.md."""

    @continuation.takes_input
    def __init__(self, request: MembershipRequest | None = None) -> None:
        """Begin. Without the default, a start without input would fail the workflow task for ever."""
        super().__init__(lambda: _beginning(request))

    @workflow.run
    async def run(self, request: MembershipRequest | None = None) -> MembershipResult:  # noqa: ARG002  # taken by __init__
        """Apply the list `request.members`.

        Raises:
            ApplicationError: It has failed, or its input is refused.
            CancelledError: It was cancelled in time.
        """
        result: MembershipResult = await self._drive()
        return result


def _beginning(request: MembershipRequest | None) -> OperationState:
    if request is None:
        text = 'input: missing; give {"cluster": "<profile>", "members": [{"name": "<name>", "peer_urls": ["<URL>"]}]}'
        raise invalid_input(text)
    return continuation.beginning(request, whole=WholeChange(request=request))

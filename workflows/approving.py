"""The update by which people approve a waiting operation. `etcd_handoff.operation.approvals` decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import Approval
    from etcd_handoff.operation import approvals
    from etcd_handoff.temporal import senders
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import patches


class Approvable:
    """The part of an operation that waits for an approval if one is required."""

    _state: OperationState

    @workflow.update(
        description='Let an operation that waits for approval go on. Example: {"by": "ann", "comment": "ok"}'
    )
    def approve(self, approval: Approval | None = None) -> str:
        """Approve the operation, so that it goes on."""
        given = approval or Approval()
        if patches.is_on(patches.APPROVALS_LAPSE):
            self._state = approvals.approved(self._state, given, senders.of_update(), workflow.time())
        else:
            self._state = self._state.changed(approval=given)
        request = self._state.original_request
        if request.of_parts:
            return f"approved; {self._state.title} goes on"
        return f"approved; member {request.subject} is going to be {'added' if request.adds else 'removed'}"

    @approve.validator
    def _may_approve(self, approval: Approval | None = None) -> None:
        if text := approvals.refusal(self._state, approval or Approval(), senders.of_update()):
            raise invalid_input(text)

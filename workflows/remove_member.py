"""The workflow `RemoveMember`: observe, plan, do one step, and repeat, until the member is removed and recorded.

This is a declaration of its input and its first state. `workflows.drive_operation` drives it, and
`etcd_handoff.operation` decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import RemovalRequest, RemovalResult
    from etcd_handoff.doubts import Binding
    from etcd_handoff.operation.people import REQUESTER_MEMO
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import continuation
    from workflows.drive_operation import OperationWorkflow

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState

BOUND_MEMO: Final = "etcd-handoff-bound"
"""Key in the memo: the cluster of the order, as far as the watcher had seen it."""
ETCDMEMBER_MEMO: Final = "etcd-handoff-etcdmember"
"""Key in the memo: the EtcdMember that asks for the removal."""


@workflow.defn
class RemoveMember(OperationWorkflow):
    """Removes one member from a live cluster. The contract is in docs/reference.md."""

    @continuation.takes_input
    def __init__(self, request: RemovalRequest | None = None) -> None:
        """Begin. Without the default, a start without input would fail the workflow task for ever."""
        super().__init__(lambda: _beginning(request))

    @workflow.run
    async def run(self, request: RemovalRequest | None = None) -> RemovalResult:  # noqa: ARG002  # taken by __init__
        """Remove `request.member`.

        Raises:
            ApplicationError: It has failed, or its input is refused.
            CancelledError: It was cancelled in time.
        """
        result: RemovalResult = await self._drive()
        return result


def _beginning(request: RemovalRequest | None) -> OperationState:
    if request is None:
        raise invalid_input('input: missing; give {"cluster": "<profile>", "member": "<name or hex ID>"}')
    bound = workflow.memo_value(BOUND_MEMO, Binding(), type_hint=Binding)
    etcdmember = workflow.memo_value(ETCDMEMBER_MEMO, "", type_hint=str)
    requester = workflow.memo_value(REQUESTER_MEMO, "", type_hint=str)
    return continuation.beginning(request, binding=bound, etcdmember=etcdmember, requester=requester)

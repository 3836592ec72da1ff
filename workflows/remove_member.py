"""The workflow `RemoveMember`: observe, plan, do one step, plan again, until the member is gone and its record is true.

This is a declaration: what starts it and how its state begins. `workflows.drive_operation` drives it, and
`etcd_handoff.operation` decides.
"""

from __future__ import annotations

from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import RemovalRequest, RemovalResult
    from etcd_handoff.doubts import Binding
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import continuation
    from workflows.drive_operation import Operation

BOUND_MEMO: Final = "etcd-handoff-bound"
"""Key in the memo: the cluster that the order was given in, as far as the watcher had seen it."""


@workflow.defn
class RemoveMember(Operation):
    """Takes one member out of a live cluster; the contract is in docs/reference.md."""

    @workflow.run
    async def run(self, request: RemovalRequest | None = None) -> RemovalResult:
        """Remove `request.member`; without a default, a start without input would fail its task for ever."""
        if request is None:
            raise invalid_input('input: missing; give {"cluster": "<profile>", "member": "<name or hex ID>"}')
        bound = workflow.memo_value(BOUND_MEMO, Binding(), type_hint=Binding)
        result: RemovalResult = await self._drive(continuation.beginning(request, binding=bound))
        return result

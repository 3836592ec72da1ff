"""The workflow `ReplaceMember`: a member joins, another leaves, in the order that keeps the cluster safe.

This is a declaration: what starts it and how its state begins. `workflows.drive_operation` drives it, and
`etcd_handoff.operation` decides: each of its parts is an addition or a removal like one that is asked for alone.
Their order is in `etcd_handoff.planning.part_order`.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import ReplacementRequest, ReplacementResult
    from etcd_handoff.operation.whole import Whole
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import continuation
    from workflows.drive_operation import Operation


@workflow.defn
class ReplaceMember(Operation):
    """Puts one member in the place of another in a live cluster; the contract is in docs/reference.md."""

    @workflow.run
    async def run(self, request: ReplacementRequest | None = None) -> ReplacementResult:
        """Replace `request.member`; without a default, a start without input would fail its task for ever."""
        if request is None:
            text = (
                'input: missing; give {"cluster": "<profile>", "member": "<name or hex ID>", "name": "<new name>",'
                ' "peer_urls": ["<URL>"]}'
            )
            raise invalid_input(text)
        result: ReplacementResult = await self._drive(continuation.beginning(request, whole=Whole(request=request)))
        return result

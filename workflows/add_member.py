"""The workflow `AddMember`: a learner is added, somebody starts it, it is promoted when it is in sync, and recorded.

This is a declaration: what starts it and how its state begins. `workflows.drive_operation` drives it, and
`etcd_handoff.operation` decides.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import AdditionRequest, AdditionResult
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import continuation
    from workflows.drive_operation import Operation


@workflow.defn
class AddMember(Operation):
    """Adds one member to a live cluster; the contract is in docs/reference.md."""

    @workflow.run
    async def run(self, request: AdditionRequest | None = None) -> AdditionResult:
        """Add the member `request.name`; without a default, a start without input would fail its task for ever."""
        if request is None:
            text = 'input: missing; give {"cluster": "<profile>", "name": "<name>", "peer_urls": ["<URL>"]}'
            raise invalid_input(text)
        result: AdditionResult = await self._drive(continuation.beginning(request))
        return result

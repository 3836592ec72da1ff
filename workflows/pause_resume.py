"""The updates by which people pause and resume an operation. `etcd_handoff.operation.pause_resume` decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.contract import HandoffState, Pause
    from etcd_handoff.operation import pause_resume
    from etcd_handoff.temporal.converter import invalid_input


class Pausable:
    """The part of an operation that can be paused before its change is proposed."""

    _state: OperationState

    @workflow.update(
        description='Begin no further change until `resume`. Example: {"by": "ann", "reason": "on a call"}'
    )
    def pause(self, pause: Pause | None = None) -> str:
        """Begin no further change. A running step is finished."""
        self._state = self._state.changed(paused=pause or Pause())
        return f"paused; the {self._state.original_request.noun} begins no further change until it is resumed"

    @pause.validator
    def _may_pause(self, pause: Pause | None = None) -> None:  # noqa: ARG002  # the state alone decides
        if text := pause_resume.refusal(self._state):
            raise invalid_input(text)

    @workflow.update(description='Let a paused operation go on. Example: {"by": "ann", "reason": "the call is over"}')
    def resume(self, resume: Pause | None = None) -> str:  # noqa: ARG002  # who and why stand in the history
        """Resume the operation with a look at the cluster."""
        self._state = self._state.changed(paused=None)
        return f"the {self._state.original_request.noun} goes on"

    @resume.validator
    def _may_resume(self, resume: Pause | None = None) -> None:  # noqa: ARG002  # the state alone decides
        state = self._state
        if state.paused is None:
            doing = (
                "" if state.handoff_state is HandoffState.PAUSED else f", it is {state.handoff_state}: {state.doing}"
            )
            raise invalid_input(f"the {state.original_request.noun} is not paused{doing}")

"""What was asked to happen before anything is changed: an approval, a hash check, a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from temporalio import workflow

if TYPE_CHECKING:
    from etcd_handoff.planning import Blocked

with workflow.unsafe.imports_passed_through():
    from activities.preconditions import PreconditionActivities
    from etcd_handoff.model import HandoffState, StepOutcome
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import calls, outcome
    from workflows.ending import Ending

GATES_LAST_SECONDS: Final = 3600.0
"""How long a snapshot and a hash check count: a removal that was blocked for a day is to have a fresh one."""


class Gates(Ending):
    """The part of a removal that makes sure that it may begin."""

    def __init__(self) -> None:
        """Nothing has been made sure of."""
        super().__init__()
        self._gates_passed = False
        self._gates_passed_at = 0.0

    @property
    def _awaits_approval(self) -> bool:
        return self._request.require_approval and self._approval is None

    async def _await_approval(self) -> None:
        """Others may have their turn meanwhile; ends with a fresh look."""
        self._show(HandoffState.AWAITING_APPROVAL, "everything is ready", "the update `approve`")
        self._continue_if_long()
        await workflow.wait_condition(lambda: self._approval is not None)
        await self._look(patient=True)

    async def _pass_gates(self) -> Blocked | None:
        """Do what was asked to happen before anything is changed; ends with a fresh look, or with what blocks it."""
        request = self._request
        if request.snapshot or request.hash_check:
            self._show(HandoffState.CHECKING, "making sure that it may begin")
        blocked = await self._check_hash() if request.hash_check else None
        if blocked is None and request.snapshot:
            blocked = await self._take_snapshot()
        if blocked is not None:
            return blocked
        self._gates_passed, self._gates_passed_at = True, workflow.time()
        if request.snapshot or request.hash_check:
            await self._look()
        return None

    def _let_gates_lapse(self) -> None:
        """What was made sure of an hour ago is made sure of again; an approval stays."""
        if self._gates_passed and workflow.time() - self._gates_passed_at > GATES_LAST_SECONDS:
            self._gates_passed, self._snapshot = False, ""

    async def _check_hash(self) -> Blocked | None:
        step = (
            await self._act(PreconditionActivities.check_hash, "do all members hold the same data?", calls.HASH_TIMEOUT)
        ).step
        if step.outcome == StepOutcome.INCONSISTENT:
            raise outcome.inconsistent(step.note)
        return None if step.outcome == StepOutcome.CONSISTENT else outcome.hash_unknown(step.note)

    async def _take_snapshot(self) -> Blocked | None:
        if self._snapshot:
            return None
        step = (
            await self._act(PreconditionActivities.take_snapshot, "store a snapshot first", calls.SNAPSHOT_TIMEOUT)
        ).step
        if step.outcome == StepOutcome.FAILED:
            raise invalid_input(f"snapshot: {step.note}")
        if step.outcome != StepOutcome.SAVED:
            return outcome.no_snapshot(step.note)
        self._snapshot = step.note
        return None

"""What tells one operation from another: how its member is found, its goal, its steps, how it ends.

Another operation has a module of these functions, and its request here. What is decided for it is in
`etcd_handoff.planning`, and its goal there comes first. docs/contributing.md lists all files of an operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from etcd_handoff.contract import AdditionRequest
from etcd_handoff.operation import addition, membership, removal

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult, UpdateStatusResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.contract import FailureType, OperationResult, Outcome
    from etcd_handoff.operation.commands import Activity
    from etcd_handoff.operation.state import Decided, OperationState
    from etcd_handoff.planning import Blocked, Decision, Goal, Refused


class Strategy(Protocol):
    """The functions of such a module; each is pure."""

    @property
    def REFUSAL(self) -> FailureType:  # noqa: N802  # a constant of the module
        """Type of the failure for what will never be safe."""

    def resolve(
        self, state: OperationState, view: ClusterView, /
    ) -> Decided | OperationState | Blocked | Refused | None:
        """Find the member that is meant, once; None when it is known and nothing stands against it."""

    def goal(self, state: OperationState, /) -> Goal:
        """What is wanted, for the planner."""

    def blocked(self, state: OperationState, decision: Blocked, /) -> Decided | OperationState:
        """It waits for this, or does something about it."""

    def decide(self, state: OperationState, step: object, now: float, /) -> Decided | OperationState:
        """Carry out the step that the planner has answered with."""

    def applied(self, state: OperationState, command: Activity, report: StepResult, now: float, /) -> OperationState:
        """The state after such a step has been carried out."""

    def done(self, state: OperationState, now: float, /) -> Decided | OperationState:
        """The planner calls the goal reached: what is made sure of before that is recorded, or its end."""

    def plan_lines(self, state: OperationState, decision: Decision, /) -> tuple[str, ...]:
        """What lies before its end, in words; none while it is blocked."""

    def is_reached(self, state: OperationState, /) -> bool:
        """What nothing contradicts shows that the goal is reached."""

    def remains(self, state: OperationState, /) -> str:
        """What its failure has to tell of what it leaves behind, in words; empty when that is nothing."""

    def cancelled(self, state: OperationState, /) -> str:
        """What is true when it was cancelled, in words."""

    def ended(self, state: OperationState, written: str, /) -> str:
        """How it ended well, in words."""

    def result(
        self, state: OperationState, outcome: Outcome | None, recorded: UpdateStatusResult, /
    ) -> OperationResult:
        """The result of the workflow; without `outcome`, what the state shows is the outcome."""


def of(state: OperationState) -> Strategy:
    """The strategy of an operation."""
    if state.request.of_parts:
        return membership
    return addition if isinstance(state.request, AdditionRequest) else removal

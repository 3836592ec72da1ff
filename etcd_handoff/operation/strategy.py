"""Define what differs between operations: finding the member, the goal, the steps, the end.

Another operation has a module of these functions, and its request here. Its decisions are in `etcd_handoff.planning`,
and its goal there comes first. docs/contributing.md lists all files of an operation.
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
    from etcd_handoff.operation.state import NextCommand, OperationState
    from etcd_handoff.planning import Blocked, Decision, Goal, Refused


class Strategy(Protocol):
    """The functions of such a module; each is pure."""

    @property
    def REFUSAL(self) -> FailureType:  # noqa: N802  # a constant of the module
        """Type of the failure for what will never be safe."""

    def resolve(
        self, state: OperationState, view: ClusterView, /
    ) -> NextCommand | OperationState | Blocked | Refused | None:
        """Find the member that is meant, once; return None when it is known and nothing contradicts it."""

    def goal(self, state: OperationState, /) -> Goal:
        """Return the goal for the planner."""

    def on_blocked(self, state: OperationState, decision: Blocked, /) -> NextCommand | OperationState:
        """Wait for this, or do something about it."""

    def decide(self, state: OperationState, decision: object, now: float, /) -> NextCommand | OperationState:
        """Carry out the planner's decision."""

    def after_command(
        self, state: OperationState, command: Activity, report: StepResult, now: float, /
    ) -> OperationState:
        """Return the state after such a decision was carried out."""

    def on_goal_reached(self, state: OperationState, now: float, /) -> NextCommand | OperationState:
        """Make the last checks and begin the end: the planner calls the goal reached."""

    def plan_lines(self, state: OperationState, decision: Decision, /) -> tuple[str, ...]:
        """Return the remaining steps in words; none while it is blocked."""

    def is_reached(self, state: OperationState, /) -> bool:
        """Whether an undoubted view shows that the goal is reached."""

    def remaining_text(self, state: OperationState, /) -> str:
        """Return what a failure leaves behind, in words; empty when that is nothing."""

    def cancelled_text(self, state: OperationState, /) -> str:
        """Return what is true after the cancellation, in words."""

    def success_text(self, state: OperationState, written: str, /) -> str:
        """Return how it ended well, in words."""

    def result(
        self, state: OperationState, outcome: Outcome | None, recorded: UpdateStatusResult, /
    ) -> OperationResult:
        """Return the result of the workflow; without `outcome`, the outcome follows from the state."""


def of(state: OperationState) -> Strategy:
    """Return the strategy of an operation."""
    if state.request.of_parts:
        return membership
    return addition if isinstance(state.request, AdditionRequest) else removal

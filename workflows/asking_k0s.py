"""How a removal asks k0s to take the member out, where k0s does that, and how it takes the order back.

k0s's own reconciler removes a member whose EtcdMember asks to leave. The order can be lost: k0s itself writes
`spec.leave: false` whenever a controller starts (k0s `pkg/component/controller/etcd_member_reconciler.go`,
createMemberObject). So each round reads it anew, as it reads etcd anew, and decides by who wrote it last.

While the order stands k0s may take the member out at any moment, so the removal keeps its turn. It is past the point
of no return only while the order is being written: afterwards the order can be taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from temporalio import workflow

if TYPE_CHECKING:
    from etcd_handoff.planning import Blocked

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.planning import Reason

    from etcd_handoff.model import HandoffState, LeaveRequest, StepOutcome
    from etcd_handoff.operation.leave_orders import FIELD_MANAGER, may_ask_again
    from workflows import calls, outcome
    from workflows.turn_taking import TurnTaking

UNSAFE: Final = frozenset(
    {
        Reason.QUORUM_AT_RISK,
        Reason.VOTER_HANGS,
        Reason.VOTER_LAGS,
        Reason.CLUSTER_CORRUPT,
        Reason.NO_QUORUM,
        Reason.MIXED_CLUSTERS,
        Reason.LISTS_DIFFER,
        Reason.UNLISTED_MEMBER,
    }
)
"""Reasons why the member must not leave now, and not only why nobody can tell."""


class AskingK0s(TurnTaking):
    """The part of a removal that leaves the change to k0s."""

    def __init__(self) -> None:
        """k0s has not been asked."""
        super().__init__()
        self._leave_asked = False
        self._leave_stored = False

    @property
    def _change_pending(self) -> bool:
        """The member may disappear at any moment because of this removal."""
        return self._proposal.point_of_no_return or self._leave_asked

    async def _leave_to_k0s(self) -> Blocked:
        """The order stands; whether k0s has followed it is read from etcd alone."""
        order = await calls.read_leave(self._leave_request()) if self._leave_asked else None
        if order is not None and not order.leave:
            self._log.append(order.step)
            if self._leave_stored and order.present and not may_ask_again(order.manager):
                raise outcome.taken_back(order.name, order.manager)
        if order is None or not order.leave:
            await self._ask(self._leave_request())
        return outcome.awaiting_k0s(self._label())

    async def _ask(self, ask: LeaveRequest) -> None:
        self._show(HandoffState.REMOVING, f"asking k0s to remove {self._label()}")
        self._proposal.in_flight = True
        self._leave_asked = True  # from here on, as an answer may be lost
        try:
            step = await calls.request_leave(ask)
        finally:
            self._proposal.in_flight = False
        self._log.append(step)
        if step.outcome != StepOutcome.REQUESTED:
            self._leave_asked = False
            raise outcome.no_leave(step.note)
        self._leave_stored, self._waiting.pauses = True, 0

    async def _withdraw_unsafe_order(self, blocked: Blocked) -> None:
        """Take the order back while the member must not go: k0s would follow it without asking who takes part."""
        if self._leave_asked and blocked.reason in UNSAFE:
            await self._withdraw()

    async def _withdraw(self) -> None:
        """The order does not stand any more, where it was ours; what k0s has begun by then may still take place."""
        if not self._leave_asked:
            return
        self._proposal.ended(workflow.time(), may_be_pending=True)
        try:
            order = await calls.read_leave(self._leave_request())
            if order.leave and order.manager == FIELD_MANAGER:
                self._log.append(await calls.request_leave(self._leave_request(leave=False)))
            elif order.leave:
                return  # it was somebody else's order before
            self._leave_asked = self._leave_stored = False
        except calls.StepFailedError as error:
            workflow.logger.warning("the order to k0s was not taken back: %s", error)

    def _leave_request(self, *, leave: bool = True) -> LeaveRequest:
        pinned = self._pin_or_fail()
        return LeaveRequest(
            cluster=self._request.cluster, member_name=pinned.member_name, member_id=pinned.member_id, leave=leave
        )

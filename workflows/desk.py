"""What an operator sees of a removal and can say to it: query, updates, search attributes, the page in the Web UI."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.exceptions import ApplicationError

if TYPE_CHECKING:
    from etcd_handoff.view import ClusterView

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.belief import Binding
    from etcd_handoff.model import (
        PASSING,
        Approval,
        FailureType,
        HandoffState,
        Pinned,
        Progress,
        Recheck,
        RemovalRequest,
        WorkerTraits,
    )
    from etcd_handoff.operation.change_queue import latest_position
    from etcd_handoff.operation.queue_state import QueuePosition
    from etcd_handoff.payloads import CLUSTER_KEY, MEMBER_KEY, STATE_KEY
    from workflows import page
    from workflows.proposal import Proposal
    from workflows.step_log import StepLog


LASTS: Final = timedelta(seconds=1)
"""A removal that takes longer is listed with each of its states."""


class Desk:
    """The part of a removal that faces people; the workflow that stands on it does the work."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._request = RemovalRequest.model_construct(cluster="", member="")
        self._traits: WorkerTraits | None = None
        self._state = HandoffState.CHECKING
        self._doing = "taking the removal up"
        self._waiting_for = ""
        self._pinned: Pinned | None = None
        self._binding = Binding()
        self._view: ClusterView | None = None
        self._log = StepLog()
        self._proposal = Proposal()
        self._approval: Approval | None = None
        self._recheck = False
        self._turn = QueuePosition(granted=False)
        self._turn_request = 0
        self._turn_news = False
        self._listed = False

    @workflow.query
    def progress(self) -> Progress:
        """Where the removal stands."""
        return Progress(
            state=self._state,
            cluster=self._request.cluster,
            member=self._request.member,
            member_id=self._pinned.member_id if self._pinned else "",
            doing=self._doing,
            waiting_for=self._waiting_for,
            point_of_no_return=self._proposal.point_of_no_return,
            steps=self._log.steps,
            steps_left_out=self._log.left_out,
        )

    @workflow.update(description='Let a removal that waits for approval go on. Example: {"by": "ann", "comment": "ok"}')
    def approve(self, approval: Approval | None = None) -> str:
        """Let the removal go on."""
        self._approval = approval or Approval()
        return f"approved; member {self._request.member} is going to be removed"

    @approve.validator
    def _may_approve(self, approval: Approval | None = None) -> None:  # noqa: ARG002  # the state alone decides
        if self._state is not HandoffState.AWAITING_APPROVAL:
            text = f"the removal does not wait for an approval, it is {self._state}: {self._doing}"
            raise ApplicationError(text, type=FailureType.INVALID_INPUT)

    @workflow.update(
        description='Look again at once instead of waiting for the timer. Example: {"reason": "node1 is up"}'
    )
    def recheck(self, recheck: Recheck | None = None) -> str:  # noqa: ARG002  # the reason stands in the history
        """Look again at once."""
        self._recheck = True
        return (
            f"was {self._state}; looking again" if self._state is HandoffState.BLOCKED else f"is {self._state} already"
        )

    @workflow.signal
    def your_turn(self, turn: QueuePosition) -> None:
        """What the cluster's queue tells: that this removal may change the cluster, or who is before it."""
        before, chain_id = self._turn, workflow.info().first_execution_run_id
        self._turn = latest_position(before, turn, chain_id, self._turn_request)
        self._turn_news = self._turn_news or self._turn is not before

    def _show(self, state: HandoffState, doing: str, waiting_for: str = "") -> None:
        """Say where it stands: search attributes for lists, current details for the page, both for `progress`.

        Lists get no state that is about to pass: each is a write to Temporal's visibility store, and all of them
        together cost the server as much as one activity more. They do from the first state that lasts.
        """
        self._state, self._doing, self._waiting_for = state, doing, waiting_for
        workflow.set_current_details(page.details(self._request, self.progress(), self._pinned, self._view))
        self._listed = self._listed or state not in PASSING
        if self._listed:
            self._list()

    async def _list_what_lasts(self) -> None:
        """Lists have the state after this time, whatever it is, and each one that follows."""
        await workflow.sleep(LASTS, summary="from here on lists tell every state")
        self._listed = True
        self._list()

    def _list(self) -> None:
        known = workflow.info().typed_search_attributes
        # Whoever started it with some knows that the namespace has them, though the worker may not.
        if known.get(STATE_KEY) or (self._traits is not None and self._traits.search_attributes):
            member = (self._pinned.member_name if self._pinned else "") or self._request.member
            values = {CLUSTER_KEY: self._request.cluster, MEMBER_KEY: member, STATE_KEY: self._state.value}
            updates = [key.value_set(value) for key, value in values.items() if known.get(key) != value]
            if updates:
                workflow.upsert_search_attributes(updates)

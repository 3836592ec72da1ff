"""The search attributes of an operation: what lists show of it, and when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from etcd_handoff import time_limits
    from etcd_handoff.contract import BRIEF_STATES
    from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, MEMBER_KEY, STATE_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from etcd_handoff.operation.state import OperationState


class Listing:
    """Publishes the operation's state to lists.

    Brief states are not published. Each is a write to Temporal's visibility store, and together they cost the server as
    much as one more activity. From the first state that lasts on, each state is published.
    """

    def __init__(self) -> None:
        """Begin with lists that know only of the start."""
        self._listed = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, state: Callable[[], OperationState]) -> None:
        """Publish every state once the operation has taken `listing_delay`."""
        self._task = asyncio.create_task(
            self._list_what_lasts(state)
        )  # goes with the run: to cancel it is an event more

    def show(self, state: OperationState) -> None:
        """Publish this state if it lasts, or if one was published before."""
        self._listed = self._listed or state.handoff_state not in BRIEF_STATES
        if self._listed:
            _upsert(state)

    async def _list_what_lasts(self, state: Callable[[], OperationState]) -> None:
        delay = time_limits.WORKFLOWS.listing_delay
        summary = f"wait {delay.total_seconds():g} s before publishing states to search attributes"
        await workflow.sleep(delay, summary=summary)
        self._listed = True
        _upsert(state())


def _upsert(state: OperationState) -> None:
    known, request = workflow.info().typed_search_attributes, state.original_request
    # A start with search attributes shows that the namespace has them, although the worker may not know it.
    if known.get(STATE_KEY) or (state.worker_info is not None and state.worker_info.search_attributes):
        member = (state.subject.member_name if state.subject else "") or request.subject
        values = {CLUSTER_KEY: request.cluster, MEMBER_KEY: member, STATE_KEY: state.handoff_state.value}
        updates = [key.value_set(value) for key, value in values.items() if known.get(key) != value]
        if updates:
            workflow.upsert_search_attributes(updates)

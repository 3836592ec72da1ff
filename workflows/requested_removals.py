"""The removals that a reconciler has started or joined: begun by an order, followed to their end, tried again.

`workflows.reconcile_members` has the rounds. `etcd_handoff.reconciler.leave_orders` decides which member an order is
for. A removal is a separate workflow and goes on without the rounds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import RunningRemoval

with workflow.unsafe.imports_passed_through():
    from activities.removal_progress import RemovalProgressActivities
    from etcd_handoff import time_limits
    from etcd_handoff.contract import Outcome, RemovalRequest, removal_summary
    from etcd_handoff.operation.people import REQUESTER_MEMO
    from etcd_handoff.reconciler import pauses, rounds
    from etcd_handoff.reconciler.removal_progress import FollowRemovalInput, FollowRemovalResult, NoteProgressInput
    from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest, ReconcilerState
    from etcd_handoff.unawaited import mark_exception_retrieved
    from workflows import retries
    from workflows.progress_notes import note_progress
    from workflows.remove_member import BOUND_MEMO, ETCDMEMBER_MEMO, RemoveMember
    from workflows.waiting_orders import WaitingOrders


class RequestedRemovals:
    """The part of a reconciler that carries orders out. The subclass gives them. Only `_state` goes to the next run."""

    def __init__(self, request: ReconcileEtcdMembersRequest | None) -> None:
        self._request = request or ReconcileEtcdMembersRequest.model_construct(cluster="")
        self._state = (request.state if request else None) or ReconcilerState()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._follow_errors: dict[str, str] = {}
        """Why a removal that is under way cannot be followed, by UID of its EtcdMember."""
        self._resync = self._resync_soon = False
        self._waiting = WaitingOrders()

    def _show(self) -> None:
        """Update the page in the Web UI."""

    def _update(self, **fields: object) -> None:
        """Change the state."""
        self._state = self._state.model_copy(update=fields)

    def _start_requested_removals(self, resources: Sequence[MemberResource], view: ClusterView) -> None:
        """Start a removal for each present member that an order is for.

        It starts none without an agreed leader: only the leader's status shows whether the cluster was restored.
        """
        if view.leadership is None:
            self._resync_soon = True
            return
        now = workflow.now().timestamp()
        self._state, removals = rounds.removals_to_start(self._state, self._request.cluster, resources, view, now)
        for removal in removals:
            self._supervise(removal)

    def _supervise(self, removal: RunningRemoval, *, resumed: bool = False) -> None:
        """Follow the removal to its end, beside the rounds."""
        self._update(running={**self._state.running, removal.uid: removal})
        self._tasks[removal.uid] = asyncio.create_task(self._run_to_its_end(removal, resumed=resumed))

    async def _run_to_its_end(self, removal: RunningRemoval, *, resumed: bool) -> None:
        try:
            end = await self._remove(removal, resumed=resumed)
            await self._classify_end(removal, end)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            await self._failed(removal, FollowRemovalResult(open=False, state="", doing=error_text(error), failed=True))
        finally:
            self._follow_errors.pop(removal.uid, None)
            self._update(running={uid: r for uid, r in self._state.running.items() if uid != removal.uid})
            self._tasks.pop(removal.uid, None)
            self._starting.discard(removal.uid)
            self._resync = True

    async def _remove(self, removal: RunningRemoval, *, resumed: bool) -> FollowRemovalResult:
        """Return how the removal ended. Cancel it if it is no longer ordered and that is still in time."""
        if not resumed:
            removal = await self._begin(removal)
        while True:
            following = workflow.start_activity_method(
                RemovalProgressActivities.follow_removal,
                FollowRemovalInput(workflow_id=removal.workflow_id, to_the_end=True),
                start_to_close_timeout=time_limits.WORKFLOWS.watcher_follow_timeout,
                heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
                retry_policy=retries.WATCHER_FOLLOW,
                summary=f"follow the removal of {removal.label}",
            )
            mark_exception_retrieved(following)
            try:
                await workflow.wait_condition(
                    lambda: following.done() or not rounds.is_ordered(self._state, removal)  # noqa: B023
                )
                if not following.done() and not await self._cancel(removal):
                    following.cancel()
                    return FollowRemovalResult(open=True, state="", member_id="")
                return await following
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                # An order that was taken back stays so: the removal's member is checked again, and it is cancelled.
                following.cancel()
                text = f"the removal of {removal.label} cannot be followed: {error_text(error)}"
                self._follow_errors[removal.uid] = text
                self._show()
                pause = time_limits.WORKFLOWS.watcher_follow_pause
                await workflow.sleep(pause, summary="wait before following the removal again")

    async def _begin(self, removal: RunningRemoval) -> RunningRemoval:
        """Start the removal, or join the running one."""
        request = RemovalRequest(
            cluster=self._request.cluster,
            member=removal.member_id,  # a name may have passed to another member by the removal's first look
            reason=removal.reason,
        )
        memo = {
            BOUND_MEMO: self._state.binding,
            ETCDMEMBER_MEMO: removal.resource,
            REQUESTER_MEMO: removal.requester,
        }
        self._starting.add(removal.uid)
        try:
            started = await workflow.start_child_workflow(
                RemoveMember.run,
                request,
                id=removal.workflow_id,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                parent_close_policy=ParentClosePolicy.ABANDON,
                task_timeout=time_limits.WORKFLOWS.operation_task_timeout,
                static_summary=removal_summary(removal.label, request.cluster),
                static_details=request.reason,
                memo=memo,
            )
            mark_exception_retrieved(started)  # the activity that follows it reports its end
        except WorkflowAlreadyStartedError:
            workflow.logger.info("joined the removal of %s that runs", removal.label)
            removal = removal.model_copy(update={"joined": True})
            self._update(running={**self._state.running, removal.uid: removal})
        finally:
            self._starting.discard(removal.uid)
        return removal

    async def _cancel(self, removal: RunningRemoval) -> bool:
        """Cancel the removal. Return False if it is for another member and so not ours.

        Raises:
            ActivityError: It does not answer which member it is for.
        """
        if removal.joined:
            about = await workflow.execute_activity_method(
                RemovalProgressActivities.follow_removal,
                FollowRemovalInput(workflow_id=removal.workflow_id, doing="?"),
                start_to_close_timeout=time_limits.WORKFLOWS.question_timeout,
                heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
                retry_policy=retries.WATCHER_STEP,
                summary=f"read which member the removal of {removal.label} is for",
            )
            if about.member_id not in ("", removal.member_id):
                return False
        try:
            await workflow.get_external_workflow_handle(removal.workflow_id).cancel()
        except ApplicationError:
            workflow.logger.info("the removal of %s had ended already", removal.label)
        return True

    async def _classify_end(self, removal: RunningRemoval, end: FollowRemovalResult) -> None:
        """Judge the end. Only a known good end of a removal of this very member is a success."""
        if end.open:
            return  # it is about another member, and goes on
        well = end.outcome in (Outcome.REMOVED, Outcome.ALREADY_ABSENT) and not end.failed
        if well and end.member_id == removal.member_id:
            retries = {uid: retry for uid, retry in self._state.retries.items() if uid != removal.uid}
            removed = {**self._state.removed, removal.member_id: self._state.looks}
            self._update(retries=retries, removed=removed)
        elif not rounds.is_ordered(self._state, removal):
            await self._note_taken_back(removal, end)
        elif end.outcome == Outcome.PLANNED or end.member_id not in ("", removal.member_id):
            workflow.logger.info("what ran as the removal of %s was another one", removal.label)
        else:
            await self._failed(removal, end)

    async def _note_taken_back(self, removal: RunningRemoval, end: FollowRemovalResult) -> None:
        """Write that the order was taken back while its removal ran."""
        if end.failed or end.cancelled:
            text = "Leave was taken back; the member stays" if end.cancelled else f"Not removed: {end.doing}"
            await self._note(removal, text, failed=False)

    async def _failed(self, removal: RunningRemoval, end: FollowRemovalResult) -> None:
        """Write to the EtcdMember that its removal failed, and when it is tried again."""
        # A removal that was terminated or is unknown does not show whether the member had left already.
        text = f"{'Not removed' if end.failed and not end.cancelled else 'Ended'}: {end.doing}"
        order = self._state.orders.get(removal.uid)
        if order is None:
            return
        annotated = self._state.annotated.get(removal.uid)
        by_annotation = annotated is not None and annotated.member_id == removal.member_id
        # Its spec has changed since: there is nothing to wait for. Asked by annotation, a removal may have changed it.
        if order.generation != removal.generation and not by_annotation:
            await self._note(removal, text, failed=False)
            return
        generation = rounds.ANY_GENERATION if by_annotation else order.generation
        self._state = rounds.with_retry(self._state, removal.uid, generation, workflow.now().timestamp())
        pause = pauses.retry_after(self._state.retries[removal.uid].failures)
        text += f"; it is tried again in {pause:g} s, or at once when the spec changes"
        await self._note(removal, text, failed=True)

    async def _note(self, removal: RunningRemoval, message: str, *, failed: bool) -> None:
        note = NoteProgressInput(
            cluster=self._request.cluster,
            resource=removal.resource,
            member_id=removal.member_id,
            message=message,
            failed=failed,
        )
        await note_progress(note, timeout=time_limits.WORKFLOWS.watcher_note_timeout)


def error_text(error: FailureError) -> str:
    """Return what failed, and why."""
    what = f"{error.activity_type}: " if isinstance(error, ActivityError) else ""
    return f"{what}{error.cause or error}"

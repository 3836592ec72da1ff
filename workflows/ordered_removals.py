"""The removals that a watcher has started or joined: begun by an order, followed to their end, tried again.

The rounds are `workflows.watch`'s, whom an order is about is `etcd_handoff.leave_orders`'s. A removal is a workflow of
its own and lives on without the watcher.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

if TYPE_CHECKING:
    from etcd_handoff.leave_requests import Asked, Seen
    from etcd_handoff.view import ClusterView

with workflow.unsafe.imports_passed_through():
    from activities.etcdmembers import EtcdMemberActivities
    from activities.temporal import TemporalActivities
    from etcd_handoff import leave_orders
    from etcd_handoff.belief import Binding
    from etcd_handoff.leave_requests import LeaveOrder, Retry, RunningRemoval, WatchRequest, retry_after
    from etcd_handoff.model import TASK_TIMEOUT, Outcome, RemovalRequest, workflow_id
    from etcd_handoff.removal_progress import Follow, Followed, Note
    from workflows import execute
    from workflows.remove_member import BOUND_MEMO, RemoveMember

HEARTBEAT: Final = timedelta(seconds=5)
NOTE_TIMEOUT: Final = timedelta(seconds=20)
QUESTION_TIMEOUT: Final = timedelta(seconds=30)
FOLLOW_TIMEOUT: Final = timedelta(days=7)
FOLLOW_AGAIN: Final = timedelta(seconds=30)
THRICE: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)
FOLLOW_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5), maximum_attempts=20
)


class OrderedRemovals:
    """The part of a watcher that carries orders out; the workflow that stands on it gives them."""

    def __init__(self) -> None:
        """Nothing is under way."""
        self._request = WatchRequest.model_construct(cluster="")
        self._orders: dict[str, LeaveOrder] = {}
        self._retries: dict[str, Retry] = {}
        self._running: dict[str, RunningRemoval] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._removed: dict[str, int] = {}
        """Members that removals of ours have taken out, each with the number of the last look that had begun then."""
        self._unfollowed: dict[str, str] = {}
        """Why a removal that is under way cannot be followed."""
        self._looks = 0
        self._resync = self._soon = False
        self._binding = Binding()

    def _show(self) -> None:
        """The page in the Web UI is up to date."""

    def _start(self, seen: Seen, view: ClusterView) -> None:
        """Every present member that an order is about is being removed, and nothing else is because of us.

        Not while nobody is agreed to lead: whether the cluster was restored shows by its leader alone.
        """
        if view.leadership is None:
            self._soon = True
            return
        for asked in seen.members:
            order = self._orders.get(asked.uid)
            target = leave_orders.target(order, asked, view)
            if target is None or asked.uid in self._running or self._rests(asked):
                continue
            removed_at = self._removed.get(target.member_id)
            if removed_at is not None and removed_at >= self._looks:
                continue  # the list was read before the removal ended
            if removed_at is not None:
                del self._removed[target.member_id]
                self._retry_later(asked.uid, asked.generation)
                continue
            running = RunningRemoval(
                uid=asked.uid,
                resource=asked.name,
                generation=asked.generation,
                member_id=target.member_id,
                label=target.label,
                workflow_id=workflow_id(self._request.cluster, target.label),
            )
            self._tend(running)

    def _rests(self, asked: Asked) -> bool:
        """Whether its removal failed lately, and nobody has changed the EtcdMember's spec since."""
        retry = self._retries.get(asked.uid)
        return (
            retry is not None and retry.generation == asked.generation and retry.at_seconds > workflow.now().timestamp()
        )

    def _tend(self, running: RunningRemoval, *, resumed: bool = False) -> None:
        """The removal is followed to its end, beside the rounds."""
        self._running[running.uid] = running
        self._tasks[running.uid] = asyncio.create_task(self._until_its_end(running, resumed=resumed))

    async def _until_its_end(self, running: RunningRemoval, *, resumed: bool) -> None:
        try:
            followed = await self._remove(running, resumed=resumed)
            await self._judge_end(running, followed)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            await self._failed(running, Followed(open=False, state="", doing=words_of(error), failed=True))
        finally:
            self._unfollowed.pop(running.uid, None)
            self._running.pop(running.uid, None)
            self._tasks.pop(running.uid, None)
            self._starting.discard(running.uid)
            self._resync = True

    async def _remove(self, running: RunningRemoval, *, resumed: bool) -> Followed:
        """The removal has ended; it is cancelled when it is no longer ordered and that is still in time."""
        if not resumed:
            running = await self._begin(running)
        while True:
            following = workflow.start_activity_method(
                TemporalActivities.follow_removal,
                Follow(workflow_id=running.workflow_id, to_the_end=True),
                start_to_close_timeout=FOLLOW_TIMEOUT,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=FOLLOW_RETRY,
                summary=f"the removal of {running.label}",
            )
            execute.may_be_left(following)
            await workflow.wait_condition(lambda: following.done() or not self._still(running))  # noqa: B023
            if not following.done() and not await self._cancel(running):
                following.cancel()
                return Followed(open=True, state="", member_id="")
            try:
                return await following
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._unfollowed[running.uid] = f"the removal of {running.label} cannot be followed: {words_of(error)}"
                self._show()
                await workflow.sleep(FOLLOW_AGAIN, summary="follow it again")

    async def _begin(self, running: RunningRemoval) -> RunningRemoval:
        """The removal runs, whoever started it."""
        request = RemovalRequest(
            cluster=self._request.cluster,
            member=running.member_id,  # a name may have passed to another member by the removal's first look
            reason=f"spec.leave of EtcdMember {running.resource}",
        )
        self._starting.add(running.uid)
        try:
            removal = await workflow.start_child_workflow(
                RemoveMember.run,
                request,
                id=running.workflow_id,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                parent_close_policy=ParentClosePolicy.ABANDON,
                task_timeout=TASK_TIMEOUT,
                static_summary=f"Take member {running.label} out of etcd cluster {request.cluster}",
                static_details=request.reason,
                memo={BOUND_MEMO: self._binding},
            )
            execute.may_be_left(removal)  # the activity that follows it says how it ended, whoever started it
        except WorkflowAlreadyStartedError:
            workflow.logger.info("joined the removal of %s that runs", running.label)
            running = running.model_copy(update={"joined": True})
            self._running[running.uid] = running
        finally:
            self._starting.discard(running.uid)
        return running

    async def _cancel(self, running: RunningRemoval) -> bool:
        """Ask the removal to end; False when it is about another member, and so nothing of ours."""
        if running.joined:
            about = await workflow.execute_activity_method(
                TemporalActivities.follow_removal,
                Follow(workflow_id=running.workflow_id, doing="?"),
                start_to_close_timeout=QUESTION_TIMEOUT,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=THRICE,
                summary=f"whom the removal of {running.label} is about",
            )
            if about.member_id not in ("", running.member_id):
                return False
        try:
            await workflow.get_external_workflow_handle(running.workflow_id).cancel()
        except ApplicationError:
            workflow.logger.info("the removal of %s had ended already", running.label)
        return True

    async def _judge_end(self, running: RunningRemoval, followed: Followed) -> None:
        """Only the removal of this very member, known to have ended well, is a success."""
        if followed.open:
            return  # it is about another member, and goes on
        well = followed.outcome in (Outcome.REMOVED, Outcome.ALREADY_ABSENT) and not followed.failed
        if well and followed.member_id == running.member_id:
            self._retries.pop(running.uid, None)
            self._removed[running.member_id] = self._looks
        elif not self._still(running):
            await self._say_withdrawn(running, followed)
        elif followed.outcome == Outcome.PLANNED or followed.member_id not in ("", running.member_id):
            workflow.logger.info("what ran as the removal of %s was another one", running.label)
        else:
            await self._failed(running, followed)

    async def _say_withdrawn(self, running: RunningRemoval, followed: Followed) -> None:
        """The order was taken back while its removal ran."""
        if not (followed.failed or followed.cancelled):
            return
        text = "Leave was taken back; the member stays" if followed.cancelled else f"Not removed: {followed.doing}"
        await self._note(running, text, failed=False)

    async def _failed(self, running: RunningRemoval, followed: Followed) -> None:
        """Say so on the EtcdMember, and when it will be tried again."""
        order = self._orders.get(running.uid)
        if order is None or order.generation != running.generation:
            return  # a change of its spec meanwhile: there is nothing to wait for
        pause = self._retry_later(running.uid, order.generation)
        # Whoever was terminated or forgotten cannot tell whether the member was out already.
        what = "Not removed" if followed.failed and not followed.cancelled else "Ended"
        text = f"{what}: {followed.doing}; it is tried again in {pause:g} s, or at once when the spec changes"
        await self._note(running, text, failed=True)

    def _retry_later(self, uid: str, generation: int) -> float:
        """The removal is tried again after so many seconds."""
        before = self._retries.get(uid)
        failures = before.failures + 1 if before is not None and before.generation == generation else 1
        pause = retry_after(failures)
        at_seconds = workflow.now().timestamp() + pause
        self._retries[uid] = Retry(uid=uid, generation=generation, failures=failures, at_seconds=at_seconds)
        return pause

    async def _note(self, running: RunningRemoval, message: str, *, failed: bool) -> None:
        note = Note(
            cluster=self._request.cluster,
            resource=running.resource,
            member_id=running.member_id,
            message=message,
            failed=failed,
        )
        try:
            await workflow.execute_activity_method(
                EtcdMemberActivities.note_progress,
                note,
                start_to_close_timeout=NOTE_TIMEOUT,
                retry_policy=THRICE,
                summary=f"{running.label}: {message[:80]}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("not noted on EtcdMember %s: %s", running.resource, error.cause)

    def _still(self, running: RunningRemoval) -> bool:
        """Whether the order for this removal stands."""
        order = self._orders.get(running.uid)
        return order is not None and order.member_id == running.member_id

    def _is_ordered(self, uid: str) -> bool:
        order = self._orders.get(uid)
        return order is not None and bool(order.member_id)


def words_of(error: FailureError) -> str:
    """What failed, and why."""
    what = f"{error.activity_type}: " if isinstance(error, ActivityError) else ""
    return f"{what}{error.cause or error}"

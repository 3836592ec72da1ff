"""The workflow `WatchEtcdMembers`: what EtcdMembers ask for is done, and what they say is true.

Level-triggered: each round takes all EtcdMembers as they are now, and nothing depends on having seen every change. A
round reads the EtcdMembers first and etcd's list second, so that a patch that carries the resourceVersion of the first
can only store what the second knew (invariant 5). Nothing is concluded from a list before `etcd_handoff.belief` and
`etcd_handoff.drift` have no objection (invariant 9). Removals are workflows of their own and live on without this one.
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
    from etcd_handoff.leave_requests import Asked
    from etcd_handoff.view import ClusterView, Doubt

with workflow.unsafe.imports_passed_through():
    from activities.etcd import EtcdActivities
    from activities.etcdmembers import EtcdMemberActivities
    from activities.temporal import TemporalActivities
    from etcd_handoff import belief, drift, leave_orders
    from etcd_handoff.belief import Binding, ResourceClaim
    from etcd_handoff.etcdmember import as_listed
    from etcd_handoff.leave_requests import (
        LeaveOrder,
        ResyncRequest,
        Retry,
        RunningRemoval,
        Seen,
        Sync,
        Synced,
        Watch,
        Watching,
        WatchRequest,
        WatchState,
        back_off,
        retry_after,
    )
    from etcd_handoff.model import TASK_TIMEOUT, Look, Outcome, RemovalRequest, workflow_id
    from etcd_handoff.payloads import invalid_input
    from etcd_handoff.removal_progress import Follow, Followed, Note
    from workflows import calls, watch_page
    from workflows.remove_member import RemoveMember

HEARTBEAT: Final = timedelta(seconds=5)
LOOK_TIMEOUT: Final = timedelta(minutes=4)
"""As of a removal: an attempt ends by itself, in a time that follows from the profile."""
SYNC_TIMEOUT: Final = timedelta(seconds=60)
NOTE_TIMEOUT: Final = timedelta(seconds=20)
QUESTION_TIMEOUT: Final = timedelta(seconds=30)
FOLLOW_TIMEOUT: Final = timedelta(days=7)
SOON_SECONDS: Final = 1.0
LONGEST_HISTORY: Final = 4_000
"""Events after which it continues as new; to replay so many takes about a second of computing."""
LARGEST_HISTORY: Final = 8 << 20
"""Bytes after which it continues as new; the server ends a run at 50 MB."""
KEPT_REPAIRS: Final = 20
FOLLOW_AGAIN: Final = timedelta(seconds=30)
THRICE: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)
FOLLOW_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5), maximum_attempts=20
)


@workflow.defn
class WatchEtcdMembers:
    """Watches the EtcdMembers of one cluster profile; the contract is in docs/reference.md."""

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        self._request = WatchRequest.model_construct(cluster="")
        self._binding = Binding()
        self._lasting: Doubt | None = None
        self._orders: dict[str, LeaveOrder] = {}
        self._retries: dict[str, Retry] = {}
        self._running: dict[str, RunningRemoval] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._removed: dict[str, int] = {}
        """Members that removals of ours have taken out, each with the number of the last look that had begun then."""
        self._repaired: list[str] = []
        self._trouble = ""
        self._unfollowed: dict[str, str] = {}
        self._setbacks = 0
        self._seen: Seen | None = None
        self._looks = 0
        self._soon = False
        self._resync = False
        self._confirm = False

    @workflow.run
    async def run(self, request: WatchRequest | None = None) -> None:
        """Watch until cancelled; a default, since a start without input would fail its task for ever."""
        if request is None:
            raise invalid_input('input: missing; give {"cluster": "<profile>"}')
        self._request = request
        self._take_up(request.state or WatchState())
        while not self._is_long():
            await self._round()
        await workflow.wait_condition(lambda: not self._starting and workflow.all_handlers_finished())
        state = self._state()
        for task in self._tasks.values():
            task.cancel()
        workflow.continue_as_new(request.model_copy(update={"state": state}))

    @workflow.query
    def watching(self) -> Watching:
        """What is asked for, what failed, what was put right, and what is wrong."""
        asks = {asked.uid for asked in self._seen.members if asked.leave} if self._seen else set[str]()
        return Watching(
            cluster=self._request.cluster,
            cluster_id=self._binding.cluster_id,
            members=self._seen.members if self._seen else (),
            orders=tuple(order for order in self._orders.values() if order.uid in asks),
            removing=tuple(self._running),
            retries=tuple(self._retries.values()),
            trouble="; ".join(text for text in (self._trouble, *self._unfollowed.values()) if text),
            repaired=tuple(self._repaired),
        )

    @workflow.update(
        description="Compare all EtcdMembers with etcd's list at once. With confirm the next round writes what etcd"
        ' says, however many EtcdMembers it contradicts. Example: {"confirm": true, "reason": "restored from backup"}'
    )
    def resync(self, request: ResyncRequest | None = None) -> str:
        """Compare all EtcdMembers with etcd's member list at once."""
        confirmed = request is not None and request.confirm
        self._resync, self._confirm = True, self._confirm or confirmed
        if confirmed:
            return "all EtcdMembers are made to agree with the member list, though it contradicts many of them"
        return "all EtcdMembers are compared with the member list"

    # --- from run to run ------------------------------------------------------------------------------------------

    def _take_up(self, state: WatchState) -> None:
        """Go on where the run before stood."""
        self._binding, self._lasting = state.binding, state.lasting
        self._orders = {order.uid: order for order in state.orders}
        self._retries = {retry.uid: retry for retry in state.retries}
        self._removed = dict.fromkeys(state.removed, 0)
        self._repaired, self._trouble, self._setbacks = list(state.repaired), state.trouble, state.setbacks
        for running in state.running:
            self._tend(running, resumed=True)

    def _state(self) -> WatchState:
        return WatchState(
            binding=self._binding,
            lasting=self._lasting,
            orders=tuple(self._orders.values()),
            retries=tuple(self._retries.values()),
            running=tuple(self._running.values()),
            removed=tuple(self._removed),
            repaired=tuple(self._repaired),
            trouble=self._trouble,
            setbacks=self._setbacks,
        )

    def _is_long(self) -> bool:
        """Whether it is time to continue as new; removals under way are followed by the next run."""
        info = workflow.info()
        return (
            info.is_continue_as_new_suggested()
            or info.get_current_history_length() > LONGEST_HISTORY
            or info.get_current_history_size() > LARGEST_HISTORY
        )

    # --- one round ------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        """See what is asked for, start what is to be started, put right what is not true."""
        seen = await self._watch()
        if seen is None:
            return
        confirmed, self._confirm = self._confirm, False
        if seen.installed:  # else nobody has taken anything back
            self._orders = leave_orders.withdrawn(self._orders, seen.members)
        try:
            await self._compare(seen, confirmed=confirmed)
        except ActivityError as error:
            self._in_trouble(error)
        self._show()

    async def _watch(self) -> Seen | None:
        """All EtcdMembers, when there is news of them or it is time to compare them again; None when there are none."""
        known = self._seen.digest if self._seen is not None and not self._resync else ""
        self._resync, seconds = False, self._patience()
        watching = workflow.start_activity_method(
            EtcdMemberActivities.watch_members,
            Watch(cluster=self._request.cluster, known=known, seconds=seconds),
            start_to_close_timeout=timedelta(seconds=seconds) + SYNC_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=THRICE,
            summary="wait for a change of an EtcdMember",
        )
        calls.may_be_left(watching)
        await workflow.wait_condition(lambda: watching.done() or self._resync or self._is_long())
        if not watching.done():
            watching.cancel()
            return None
        try:
            seen = await watching
        except ActivityError as error:
            self._in_trouble(error)
            self._show()
            await self._pause(timedelta(seconds=back_off(self._setbacks)))
            return None
        if not seen.unchanged or self._seen is None:
            self._seen = seen
        return self._seen

    def _patience(self) -> float:
        """Seconds until all is to be compared again though nothing has changed."""
        now = workflow.now().timestamp()
        limits = [self._request.resync_seconds]
        limits += [back_off(self._setbacks)] * bool(self._setbacks) + [SOON_SECONDS] * self._soon
        limits += [retry.at_seconds - now for retry in self._retries.values() if retry.at_seconds > now]
        return min(limits)

    async def _compare(self, seen: Seen, *, confirmed: bool) -> None:
        """Hold etcd's list against everything that is known, then act on it."""
        self._looks += 1
        report = await workflow.execute_activity_method(
            EtcdActivities.check_leader,
            Look(cluster=self._request.cluster),
            start_to_close_timeout=LOOK_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=THRICE,
            summary="etcd's own member list",
        )
        view = report.view
        if view is None:
            self._in_trouble(report.step.note)
            return
        doubt = self._doubt(view, seen, confirmed=confirmed)
        if doubt is not None:
            remedy = f"{doubt.remedy}; when this is right, run `{drift.CONFIRM}`" if doubt.lasting else doubt.remedy
            self._in_trouble(f"{doubt.kind}: {doubt.text}; {remedy}")
            return
        if not seen.installed:
            self._binding = belief.bound(self._binding, view)
            self._well("EtcdMembers are not installed; install deploy/crd.yaml")
            return
        self._orders = leave_orders.updated(self._orders, seen.members, view)
        self._forget(seen)
        # A removal waits for no correction where it is clear already that nothing is held back.
        held = drift.hold(view, _claims(seen, view), self._removed)
        if held is None or confirmed:
            self._start(seen, view)
        synced = await self._sync(seen, view, confirmed=confirmed)
        self._repaired = [*self._repaired, *synced.changed][-KEPT_REPAIRS:]
        if synced.held:
            self._in_trouble(synced.note)
            return
        self._binding = belief.bound(self._binding, view)
        self._well(synced.note)
        self._soon = synced.again
        self._start(seen, view)

    def _doubt(self, view: ClusterView, seen: Seen, *, confirmed: bool) -> Doubt | None:
        """Why nothing may be concluded from the list; a confirmation settles what would last for ever, nothing else."""
        departed = {asked.member_id for asked in seen.members if asked.joined == "False"} | self._removed.keys()
        departed |= {running.member_id for running in self._running.values()}
        doubt = belief.contradiction(view, Binding(), departed)
        if doubt is not None:
            return doubt
        doubt = self._lasting or belief.contradiction(view, self._binding, departed)
        if doubt is None:
            return None
        if doubt.kind == belief.CLUSTER_RESTORED:  # the restored cluster grows beyond what was known of the old one
            self._lasting = doubt
        if not (confirmed and doubt.lasting):
            return doubt
        self._binding, self._lasting = Binding(), None
        self._orders, self._retries, self._removed = leave_orders.void(seen.members), {}, {}
        return None

    async def _sync(self, seen: Seen, view: ClusterView, *, confirmed: bool) -> Synced:
        return await workflow.execute_activity_method(
            EtcdMemberActivities.sync_members,
            Sync(
                cluster=self._request.cluster,
                before={asked.name: asked.digest for asked in seen.members},
                view=view,
                explained=tuple(self._removed),
                standing=leave_orders.standing(self._orders, seen.members, view),
                confirmed=confirmed,
            ),
            start_to_close_timeout=SYNC_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=THRICE,
            summary="do all EtcdMembers say what it says?",
        )

    def _forget(self, seen: Seen) -> None:
        """What is known of removals whose order is gone, or whose end has been written, is needed no more."""
        self._retries = {uid: retry for uid, retry in self._retries.items() if self._is_ordered(uid)}
        open_ = {asked.member_id for asked in seen.members if asked.joined != "False"}
        self._removed = {member_id: look for member_id, look in self._removed.items() if member_id in open_}

    def _start(self, seen: Seen, view: ClusterView) -> None:
        """Every present member that an order is about is being removed, and nothing else is because of us."""
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

    # --- one removal ----------------------------------------------------------------------------------------------

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
            await self._failed(running, Followed(open=False, state="", doing=_words(error), failed=True))
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
            calls.may_be_left(following)
            await workflow.wait_condition(lambda: following.done() or not self._still(running))  # noqa: B023
            if not following.done() and not await self._cancel(running):
                following.cancel()
                return Followed(open=True, state="", member_id="")
            try:
                return await following
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._unfollowed[running.uid] = f"the removal of {running.label} cannot be followed: {_words(error)}"
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
            )
            calls.may_be_left(removal)  # the activity that follows it says how it ended, whoever started it
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
        # Whoever was terminated cannot tell whether the member was out already.
        what = "Ended" if followed.cancelled else "Not removed"
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

    # --- small things ---------------------------------------------------------------------------------------------

    def _in_trouble(self, why: str | ActivityError) -> None:
        """The round could not be done; the next one waits a little longer each time."""
        if isinstance(why, ActivityError):
            if is_cancelled_exception(why):
                raise why
            why = _words(why)
        self._trouble, self._setbacks, self._soon = why, self._setbacks + 1, False

    def _well(self, note: str) -> None:
        self._trouble, self._setbacks, self._soon = note, 0, False

    async def _pause(self, pause: timedelta) -> None:
        try:
            await workflow.wait_condition(lambda: self._resync, timeout=pause, timeout_summary="after a failed round")
        except TimeoutError:
            return

    def _show(self) -> None:
        installed = self._seen is None or self._seen.installed
        workflow.set_current_details(watch_page.details(self.watching(), installed=installed))


def _claims(seen: Seen, view: ClusterView) -> list[ResourceClaim]:
    """What EtcdMembers say of who is a member."""
    return [
        ResourceClaim(name=a.name, member_id=as_listed(a.member_id, view.members), joined=a.joined)
        for a in seen.members
    ]


def _words(error: FailureError) -> str:
    """What failed, and why."""
    what = f"{error.activity_type}: " if isinstance(error, ActivityError) else ""
    return f"{what}{error.cause or error}"

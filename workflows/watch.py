"""The workflow `WatchEtcdMembers`: what EtcdMembers ask for is done, and what they say is true.

Level-triggered: each round takes all EtcdMembers as they are now, and nothing depends on having seen every change. A
round reads the EtcdMembers first and etcd's list second, so that a patch that carries the resourceVersion of the first
can only store what the second knew (invariant 5). Nothing is concluded from a list before `etcd_handoff.belief` and
`etcd_handoff.drift` have no objection (invariant 9). Removals are workflows of their own and live on without this one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

if TYPE_CHECKING:
    from etcd_handoff.view import ClusterView, Doubt

with workflow.unsafe.imports_passed_through():
    from activities.etcd import EtcdActivities
    from activities.etcdmembers import EtcdMemberActivities
    from etcd_handoff import belief, drift, leave_orders
    from etcd_handoff.belief import Binding, ResourceClaim
    from etcd_handoff.etcdmember import as_listed
    from etcd_handoff.leave_requests import (
        ResyncRequest,
        Seen,
        Sync,
        Synced,
        Watch,
        Watching,
        WatchRequest,
        WatchState,
        back_off,
    )
    from etcd_handoff.model import Look
    from etcd_handoff.temporal.converter import invalid_input
    from workflows import execute, watch_page
    from workflows.ordered_removals import HEARTBEAT, THRICE, OrderedRemovals, words_of

LOOK_TIMEOUT: Final = timedelta(minutes=4)
"""As of a removal: an attempt ends by itself, in a time that follows from the profile."""
SYNC_TIMEOUT: Final = timedelta(seconds=60)
SOON_SECONDS: Final = 1.0
LONGEST_HISTORY: Final = 4_000
"""Events after which it continues as new; to replay so many takes about a second of computing."""
LARGEST_HISTORY: Final = 8 << 20
"""Bytes after which it continues as new; the server ends a run at 50 MB."""
KEPT_REPAIRS: Final = 20


@workflow.defn
class WatchEtcdMembers(OrderedRemovals):
    """Watches the EtcdMembers of one cluster profile; the contract is in docs/reference.md."""

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        super().__init__()
        self._lasting: Doubt | None = None
        self._repaired: list[str] = []
        self._trouble = ""
        self._setbacks = 0
        self._seen: Seen | None = None
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
        execute.may_be_left(watching)
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
            self._in_trouble(f"{doubt.kind}: {doubt.text}; {drift.remedy_for(doubt)}")
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
            self._binding = belief.bound(self._binding, view)
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

    # --- small things ---------------------------------------------------------------------------------------------

    def _in_trouble(self, why: str | ActivityError) -> None:
        """The round could not be done; the next one waits a little longer each time."""
        if isinstance(why, ActivityError):
            if is_cancelled_exception(why):
                raise why
            why = words_of(why)
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

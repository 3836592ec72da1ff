"""The workflow `ReconcileEtcdMembers`: follow the requests of EtcdMembers, and keep their status true.

It is level-triggered: a round reads all EtcdMembers as they are, and does not need to see every change. It reads them
first and etcd's list second. So a patch with the resourceVersion of the first can only store what the second knew
(invariant 5). A list counts once `etcd_handoff.doubts` and `reconciler.drift` have no objection (invariant 9).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, Doubt

with workflow.unsafe.imports_passed_through():
    from activities.etcdmembers import EtcdMemberActivities
    from etcd_handoff import doubts, time_limits
    from etcd_handoff.command_lines import with_cluster
    from etcd_handoff.etcdmember_messages import NOT_INSTALLED
    from etcd_handoff.reconciler import drift, page, pauses, rounds
    from etcd_handoff.reconciler.member_resources import SyncMembersResult, WatchMembersInput, WatchMembersResult
    from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest, ReconcilerStatus, ResyncRequest
    from etcd_handoff.temporal.converter import invalid_input
    from etcd_handoff.unawaited import mark_exception_retrieved
    from workflows import continuation, patches, reread_resources, retries
    from workflows.cluster_look import ClusterLook
    from workflows.requested_removals import RequestedRemovals, error_text


@workflow.defn
class ReconcileEtcdMembers(RequestedRemovals):
    """Reconciles the EtcdMembers of one cluster profile. The contract is in docs/reference.md."""

    @continuation.takes_input
    def __init__(self, request: ReconcileEtcdMembersRequest | None = None) -> None:
        """Take over the state of the run before, since updates may come before `run`."""
        patches.begin()
        super().__init__(request)
        self._seen: WatchMembersResult | None = None
        self._look = ClusterLook(self._state.far_nodes)

    @workflow.run
    async def run(self, request: ReconcileEtcdMembersRequest | None = None) -> None:
        """Reconcile until cancelled. Without the default, a start without input would fail its task for ever.

        Raises:
            ApplicationError: There is no input.
        """
        if request is None:
            raise invalid_input('input: missing; give {"cluster": "<profile>"}')
        for removal in self._state.running.values():
            self._supervise(removal, resumed=True)
        while not continuation.watcher_is_long():
            await self._reconcile_once()
        await workflow.wait_condition(lambda: not self._starting and workflow.all_handlers_finished())
        next_run = request.model_copy(update={"state": self._state})
        for task in self._tasks.values():
            task.cancel()
        workflow.continue_as_new(next_run)

    @workflow.query
    def status(self) -> ReconcilerStatus:
        """Return what EtcdMembers ask for, what failed, what was corrected, and what is wrong."""
        resources = self._seen.resources if self._seen else ()
        return rounds.status(self._request, self._state, resources, self._follow_errors.values())

    @workflow.update(
        description="Compare all EtcdMembers with etcd's list at once. With confirm, write what etcd says although a"
        " doubt holds it back. `digest` is the doubt_digest that the query `status` answers. Example:"
        ' {"confirm": true, "digest": "3f9a1c2b", "reason": "three nodes were lost"}'
    )
    def resync(self, request: ResyncRequest | None = None) -> str:
        """Compare all EtcdMembers with etcd's member list at once."""
        self._resync = True
        doubt = self._state.doubt if request is not None and request.confirm else None
        if doubt is None:
            return "all EtcdMembers are compared with the member list"
        self._update(confirmed=doubt)
        return f"confirmed, and written in the next round unless something else comes up: {doubt.kind}: {doubt.text}"

    @resync.validator
    def _may_resync(self, request: ResyncRequest | None = None) -> None:
        if request is None or not request.confirm:
            return
        if why := drift.why_not_confirm(self._state.doubt, request.doubt, request.digest):
            raise invalid_input(with_cluster(why, self._request.cluster))

    # --- one round ------------------------------------------------------------------------------------------------

    async def _reconcile_once(self) -> None:
        """Read the requests, start the removals, and correct the status of EtcdMembers."""
        seen = await self._watch()
        if seen is None:
            return
        if not seen.was_read_elsewhere(self._state.binding.cluster_id):
            self._seen = seen
            if seen.installed:  # else no order was taken back
                self._state = rounds.without_orders_taken_back(self._state, seen.resources)
        try:
            await self._compare(seen)
        except ActivityError as error:
            self._round_failed(error)
        self._show()
        if self._seen is seen:
            await self._waiting.write_reasons(self._request.cluster, self._state, seen.resources)
        else:
            await self._wait_for_next_round()

    async def _watch(self) -> WatchMembersResult | None:
        """Return all EtcdMembers once one has changed or it is time to compare them again, else None."""
        known = self._seen.digest if self._seen is not None and not self._resync else ""
        seconds = pauses.seconds_to_next_round(
            self._state, self._request.resync_seconds, workflow.now().timestamp(), soon=self._resync_soon
        )
        self._resync = False
        watching = workflow.start_activity_method(
            EtcdMemberActivities.watch_members,
            WatchMembersInput(cluster=self._request.cluster, known_digest=known, seconds=seconds),
            start_to_close_timeout=timedelta(seconds=seconds) + time_limits.WORKFLOWS.sync_timeout,
            heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
            retry_policy=retries.WATCHER_STEP,
            summary="wait for a change of an EtcdMember",
        )
        mark_exception_retrieved(watching)
        await workflow.wait_condition(lambda: watching.done() or self._resync or continuation.watcher_is_long())
        if not watching.done():
            watching.cancel()
            return None
        try:
            seen = await watching
        except ActivityError as error:
            self._round_failed(error)
            self._show()
            await self._wait_for_next_round()
            return None
        return self._seen if seen.unchanged and self._seen is not None else seen

    async def _compare(self, seen: WatchMembersResult) -> None:
        """Compare etcd's list with everything that is known, then act on it."""
        self._update(looks=self._state.looks + 1)
        report = await self._look.take(self._request.cluster, self._state.binding.cluster_id)
        self._update(far_nodes=self._look.far_nodes)
        view = report.view
        if seen.was_read_elsewhere(self._state.binding.cluster_id, view.cluster_id if view else ""):
            self._round_failed(
                f"EtcdMembers were read on a node of another etcd cluster, {seen.reached}: stop its worker"
            )
            return
        self._seen = seen
        if view is None:
            self._round_failed(report.step.note)
        elif (doubt := self._doubt(view, seen)) is not None:
            self._hold_back(doubt)
        elif not seen.installed:
            self._round_done(view, NOT_INSTALLED)
        else:
            await self._act_on(view, seen)

    async def _act_on(self, view: ClusterView, seen: WatchMembersResult) -> None:
        """Start removals and correct EtcdMembers, by a list that nothing contradicts."""
        self._state = rounds.with_orders(self._state, seen.resources, view)
        # A removal does not wait for corrections if it is clear already that nothing is held back.
        claims, bound = rounds.claims(seen.resources, view), bool(self._state.binding.cluster_id)
        held = drift.hold(view, claims, self._state.removed, bound=bound)
        if believed := held is None or drift.is_confirmed(held.doubt, self._state.confirmed):
            self._state = rounds.believing(self._state, view)
            await self._start_confirmed_removals(seen, view)
        result = await self._sync(seen, view)
        self._state = rounds.with_repairs(self._state, result.repairs)
        if result.doubt is not None:
            self._hold_back(result.doubt)
            return
        if believed or not result.retry_soon:  # else the list has changed before it was judged
            self._round_done(view, result.note)
        self._resync_soon = result.retry_soon
        await self._start_confirmed_removals(seen, view)

    async def _start_confirmed_removals(self, seen: WatchMembersResult, view: ClusterView) -> None:
        """Start the removals whose EtcdMembers have not changed since they were read.

        A removal reads no order, so it would follow one that was taken back while the read waited for a worker.
        """
        now, resources = workflow.now().timestamp(), seen.resources
        _, removals = rounds.removals_to_start(self._state, self._request.cluster, resources, view, now)
        if removals and view.leadership is not None and patches.is_on(patches.ASKED_STILL):
            resources = await reread_resources.unchanged(self._request.cluster, seen)
            self._resync |= len(resources) < len(seen.resources)
        self._start_requested_removals(resources, view)

    def _doubt(self, view: ClusterView, seen: WatchMembersResult) -> Doubt | None:
        """Return why nothing may be concluded from the list. A confirmation settles doubts about the cluster."""
        if (doubt := rounds.list_doubt(self._state, seen.resources, view)) is not None:
            return doubt
        left = patches.is_on(patches.LISTED_AGAIN)
        if (doubt := rounds.cluster_doubt(self._state, seen.resources, view, counts_left=left)) is None:
            return None
        if doubt != self._state.confirmed:
            self._update(restored=doubt if doubt.kind == doubts.CLUSTER_RESTORED else None)
            return doubt
        self._state = rounds.after_change_of_cluster(self._state, seen.resources)
        return None

    async def _sync(self, seen: WatchMembersResult, view: ClusterView) -> SyncMembersResult:
        return await workflow.execute_activity_method(
            EtcdMemberActivities.sync_members,
            rounds.sync_input(self._state, self._request.cluster, seen.resources, view),
            start_to_close_timeout=time_limits.WORKFLOWS.sync_timeout,
            heartbeat_timeout=time_limits.WORKFLOWS.follow_heartbeat_timeout,
            retry_policy=retries.SYNC,
            summary="make all EtcdMembers agree with etcd's member list",
        )

    # --- how a round ended ------------------------------------------------------------------------------------------

    def _hold_back(self, doubt: Doubt) -> None:
        """End the round without a write because of a doubt. A confirmation of another doubt has lapsed."""
        confirmed = self._state.confirmed if self._state.confirmed == doubt else None
        self._update(doubt=doubt, confirmed=confirmed)
        self._round_failed(with_cluster(drift.in_words(doubt), self._request.cluster))

    def _round_failed(self, why: str | ActivityError) -> None:
        """Note that the round failed. The next one waits a little longer each time."""
        if isinstance(why, ActivityError):
            if is_cancelled_exception(why):
                raise why
            why = error_text(why)
        self._update(trouble=why, failed_rounds=self._state.failed_rounds + 1)
        self._resync_soon = False

    def _round_done(self, view: ClusterView, note: str) -> None:
        """Note that the round is done and no doubt is left."""
        installed = self._seen is None or self._seen.installed
        self._state = rounds.believing(self._state, view, installed=installed)
        self._update(doubt=None, confirmed=None, trouble=note, failed_rounds=0)
        self._resync_soon = False

    async def _wait_for_next_round(self) -> None:
        pause = timedelta(seconds=pauses.back_off(self._state.failed_rounds))
        try:
            await workflow.wait_condition(lambda: self._resync, timeout=pause, timeout_summary="wait after a failure")
        except TimeoutError:
            return

    def _show(self) -> None:
        installed = self._seen is None or self._seen.installed
        workflow.set_current_details(page.details(self.status(), installed=installed))

"""The workflow `RemoveMember`: observe, plan, do one step, plan again, until the member is gone and its record is true.

The decisions are `etcd_handoff.planning`'s, the effects are the activities'. Here stand the order, the waiting and the
point of no return; the classes below it hold what a removal does on the way, one concern each:

    Desk         what people see and say              workflows/desk.py
    Effects      calling activities, what they saw    workflows/effects.py
    Ending       recording, failing, the result       workflows/ending.py
    Gates        approval, hash check, snapshot       workflows/gates.py
    TurnTaking   the queue of the etcd cluster        workflows/turn_taking.py
    AskingK0s    where k0s removes the member         workflows/asking_k0s.py

The planner runs inside the workflow: editing it is editing this.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.planning import (
        Ambiguous,
        Blocked,
        Decision,
        Done,
        NotFound,
        Refused,
        Remove,
        Transfer,
        canonical_id,
        doubted,
        is_member_id,
        plan,
        resolve,
    )

    from activities.etcd import EtcdActivities
    from etcd_handoff import belief
    from etcd_handoff.belief import Binding
    from etcd_handoff.etcdmember import resource_name
    from etcd_handoff.model import (
        AwaitElection,
        Carried,
        FailureType,
        HandoffState,
        Pinned,
        RemovalRequest,
        RemovalResult,
        Report,
        ResourceQuery,
        StepOutcome,
        WorkerTraits,
    )
    from etcd_handoff.temporal.converter import invalid_input
    from etcd_handoff.view import ClusterView, MemberView
    from workflows import calls, outcome
    from workflows.asking_k0s import AskingK0s
    from workflows.proposal import Proposal
    from workflows.step_log import StepLog, within
    from workflows.turn_taking import CARRIED_MEMO
    from workflows.waiting import WaitBudget

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUND_MEMO: Final = "etcd-handoff-bound"
"""Key in the memo: the cluster that the order was given in, as far as the watcher had seen it."""


@workflow.defn
class RemoveMember(AskingK0s):
    """Takes one member out of a live cluster; the contract is in docs/reference.md."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        super().__init__()
        self._steps_since_pause = 0
        self._listing: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, request: RemovalRequest | None = None) -> RemovalResult:
        """Remove `request.member`; without a default, a start without input would fail its task for ever."""
        if request is None:
            raise invalid_input('input: missing; give {"cluster": "<profile>", "member": "<name or hex ID>"}')
        self._request = request
        self._waiting = WaitBudget(request.blocked_timeout_seconds)
        self._began = workflow.info().start_time.isoformat(timespec="seconds")
        self._binding = workflow.memo_value(BOUND_MEMO, Binding(), type_hint=Binding)
        self._take_over()
        self._listing = asyncio.create_task(self._list_what_lasts())  # goes with the run: to cancel it is an event more
        removal = asyncio.create_task(self._remove())
        try:
            result = await self._unless_cancelled(removal)
        except ApplicationError as error:
            refused = error.type in (FailureType.REMOVAL_REFUSED, FailureType.UNKNOWN_MEMBER)
            await self._know_worker()
            self._show(HandoffState.REFUSED if refused else HandoffState.FAILED, error.message)
            raise
        except (ActivityError, asyncio.CancelledError) as error:
            if not is_cancelled_exception(error):
                raise
            if (removed := await self._call_off()) is None:
                raise
            result = removed
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    # --- the loop -------------------------------------------------------------------------------------------------

    async def _remove(self) -> RemovalResult:
        """One thing after the other until it has ended; a step that keeps failing is waited for like anything else."""
        blocked: Blocked | None = None
        try:
            while True:
                try:
                    if blocked is not None:
                        await self._pause(blocked)
                    elif self._view is None:
                        await self._look()
                    ended = await self._go_on()
                except calls.StepFailedError as error:
                    blocked = self._blocked_by(error)
                else:
                    if isinstance(ended, RemovalResult):
                        return ended
                    blocked = ended
        except ApplicationError as failure:
            return await self._end_badly(failure)

    async def _go_on(self) -> Blocked | RemovalResult | None:
        """One thing that brings the removal on, or its result, or what it has to wait for."""
        if self._cancel_requested and not self._proposal.point_of_no_return:
            raise asyncio.CancelledError  # it came too late at first, and nothing has come of the proposal
        decision = await self._decision()
        if isinstance(decision, Refused):
            raise outcome.refusal(decision)
        if self._request.dry_run and self._view is not None:
            return self._planned(decision)
        if isinstance(decision, Blocked):
            await self._withdraw_unsafe_order(decision)
            return decision
        return await self._finish() if isinstance(decision, Done) else await self._advance(decision)

    async def _decision(self) -> Decision:
        """What is to be done next; names are resolved before that, once."""
        if self._view is None:
            known = self._absent and not self._request.dry_run  # what has left once is out for good
            return Done() if known else outcome.unavailable(self._log.steps)
        if self._pinned is None:
            return await self._pin(self._view) or await self._decision()
        return self._decide(self._view)

    def _decide(self, view: ClusterView) -> Decision:
        """The planner's word on what was seen last.

        Raises:
            ApplicationError: The member has joined since it was asked for.
        """
        intent, pinned = self._intent(), self._pin_or_fail()
        if not pinned.present and self._undoubted and view.member(pinned.member_id):
            raise outcome.joined_since(self._request.member, pinned.member_id)
        self._was_leader = self._was_leader or outcome.leads(view, intent.target_id)
        return plan(view, intent)

    async def _advance(self, step: Transfer | Remove) -> Blocked | None:
        """What has to come before the step, or the step; ends with a fresh look, or with what blocks it."""
        self._let_gates_lapse()
        if self._awaits_approval and not self._gates_passed:
            await self._await_approval()
            return None
        if not self._turn.granted:
            return await self._take_turn()
        if not self._gates_passed:
            return await self._pass_gates()
        if self._steps_since_pause >= outcome.STEPS_WITHOUT_PAUSE:
            return outcome.unsettled(self._log.steps)
        self._steps_since_pause += 1
        return await self._do(step)

    async def _do(self, step: Transfer | Remove) -> Blocked | None:
        if isinstance(step, Transfer):
            await self._transfer(step)
            return None
        if self._traits is not None and self._traits.remover == "k0s":
            return await self._leave_to_k0s()
        return await self._take_out(step)

    async def _pin(self, view: ClusterView) -> Blocked | Refused | None:
        """Pin the member that is meant, as etcd lists it or as an EtcdMember remembers it.

        Returns:
            What stands against believing this view; then nothing is pinned.

        Raises:
            ApplicationError: No member fits, or more than one does.
        """
        found, wanted = resolve(view, self._request.member), self._request.member
        departed = belief.silent_outsiders(view)  # they forbid a change, and leave no doubt about who has the name
        if isinstance(found, MemberView):
            pinned = outcome.pinned(view, found)
        elif isinstance(found, Ambiguous):
            if doubt := self._doubt(view):
                return doubt
            raise outcome.ambiguous(wanted, found)
        else:
            try:
                pinned = await self._find(view, found)
            except ApplicationError:
                if doubt := self._doubt(view):
                    return doubt
                raise
            departed = () if pinned.present else (pinned.member_id,)
        if doubt := self._doubt(view, departed):
            return doubt
        known = self._binding if self._binding.cluster_id else Binding(cluster_id=view.cluster_id)
        self._pinned, self._binding = pinned, belief.bound(known, view)
        if not pinned.present:  # it may have joined after the list was read, and before its EtcdMember was
            await self._look()
        return None

    async def _find(self, view: ClusterView, found: NotFound) -> Pinned:
        """The member that no list shows, as its EtcdMember remembers it."""
        wanted = self._request.member
        query = ResourceQuery(cluster=self._request.cluster, member=wanted)
        resource = await calls.find(query, patient=not self._request.dry_run)
        self._log.append(resource.step)
        member_id = canonical_id(resource.member_id)
        if not is_member_id(member_id):
            raise outcome.unknown(self._request, found, resource.step.note or "its EtcdMember has no member ID")
        if listed := view.member(member_id):
            if resource_name(listed.name) != resource_name(wanted):
                raise outcome.another_name(wanted, resource.name, listed)
            return outcome.pinned(view, listed)
        peers = (resource.peer_address,) if "://" in resource.peer_address else ()
        absent = MemberView(id=member_id, name=resource.name, peer_urls=peers)
        return outcome.pinned(view, absent).model_copy(update={"present": False})

    def _doubt(self, view: ClusterView, departed: Sequence[str] = ()) -> Blocked | Refused | None:
        """What stands against believing the view that a member is to be pinned in."""
        doubt = belief.contradiction(view, self._binding, departed)
        if doubt is None and self._traits is not None and not self._traits.cluster_id:
            doubt = belief.witness(view, self._claims or ())
        return doubted(doubt) if doubt else None

    # --- steps ----------------------------------------------------------------------------------------------------

    async def _transfer(self, step: Transfer) -> None:
        """Leadership moves from the target to another voter, and a majority says so.

        The election is awaited beside the transfer and not after it, which saves a way through Temporal.
        """
        label = self._label(step.transferee_id)
        self._show(HandoffState.TRANSFERRING, f"handing leadership from {self._label()} to {label}")
        electing = asyncio.create_task(self._await_election(step, label))
        calls.may_be_left(electing)
        try:
            report = await self._act(EtcdActivities.move_leader, f"hand leadership from {self._label()} to {label}")
            if report.step.outcome == StepOutcome.TRANSFER_FAILED:
                self._avoid = (*self._avoid, report.transferee_id)
            if report.step.outcome == StepOutcome.MOVED:
                elected = await electing
                if elected.step.outcome != StepOutcome.ELECTED:  # it has waited for a transfer that came late
                    elected = await self._await_election(step, label)
                self._log.append(elected.step)
                self._see(elected.view)
            elif report.view is not None:
                self._see(report.view)
            else:
                await self._look()
        finally:
            electing.cancel()

    async def _await_election(self, step: Transfer, label: str) -> Report:
        target_id, voters = self._pin_or_fail().member_id, self._view.healthy_voters if self._view else ()
        ask = AwaitElection(
            **dict(self._act_input()),
            term_before=step.term,
            others=tuple(m.id for m in voters if m.id != target_id),
        )
        return await calls.act(EtcdActivities.await_election, ask, f"a majority follows {label}", calls.CHANGE_TIMEOUT)

    async def _take_out(self, step: Remove) -> Blocked | None:
        """The target leaves the membership: the point of no return, unless it turns out that nothing was proposed."""
        doing = f"removing {self._label()} through {self._label(step.via_id)}"
        self._proposal.in_flight, may_be_pending = True, True
        self._show(HandoffState.REMOVING, f"{doing}{outcome.alarmed(self._view)}")
        try:
            report = await self._act(EtcdActivities.remove_member, doing.replace("removing", "remove", 1))
            # A second attempt may come after one that has proposed it and could not say so.
            may_be_pending = report.proposed or report.step.attempts > 1
        except calls.StepFailedError as error:
            # etcd denies it instead of proposing it; but an attempt before may have proposed it and died.
            may_be_pending = error.kind != FailureType.PERMISSION_DENIED or error.attempts > 1
            raise
        finally:
            self._proposal.ended(workflow.time(), may_be_pending=may_be_pending)
        self._see(report.view)
        if report.writes_acknowledged is not None:
            self._writes_acknowledged = report.writes_acknowledged
        if report.step.outcome == StepOutcome.REFUSED_BY_ETCD:
            return outcome.refused_by_etcd(report.step.note)
        return outcome.locked(report.step.note) if report.step.outcome == StepOutcome.LOCKED else None

    async def _pause(self, blocked: Blocked) -> None:
        """Wait durably, then look again; give up when the time for waiting is used up."""
        self._last_blocked = blocked
        self._show(HandoffState.BLOCKED, f"{blocked.reason}: {blocked.seen}", blocked.unblocks)
        if self._waiting.seconds_left <= 0:
            raise outcome.blocked_too_long(blocked, self._request.blocked_timeout_seconds)
        if self._pinned is not None and not self._change_pending:
            # What it waits for may be the very removal that stands behind it; and the queue tells the EtcdMember.
            await self._give_turn_up(wakes=True)
        self._continue_if_long()
        began = workflow.time()
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._recheck,
                timeout=self._waiting.pause_seconds(),
                timeout_summary=f"blocked: {blocked.reason}",
            )
        self._waiting.waited(workflow.time() - began, rechecked=self._recheck)
        self._recheck = False
        self._avoid, self._steps_since_pause = (), 0
        await self._look(patient=True)

    def _blocked_by(self, error: calls.StepFailedError) -> Blocked:
        """What a step that keeps failing is waited for.

        Raises:
            ApplicationError: No wait can mend it.
        """
        kind = "" if error.step == "read_leave" else error.kind  # it was allowed to ask, so it will be to look again
        if failure := outcome.failed_step(kind, error.text, pinned=self._pinned is not None):
            raise failure from error
        blocked = outcome.step_fails(error.step, error.text)
        if self._request.dry_run and error.step == "find_resource":
            raise outcome.blocked_too_long(blocked, calls.DRY_RUN_SECONDS) from error
        return blocked

    # --- cancelling, and going on as a new run ----------------------------------------------------------------------

    async def _unless_cancelled(self, removal: asyncio.Task[RemovalResult]) -> RemovalResult:
        """The removal's result; a cancellation ends it as long as nothing has been proposed."""
        while True:
            try:
                return await asyncio.shield(removal)
            except asyncio.CancelledError:
                if removal.done():
                    raise
                self._cancel_requested = True
                if not self._proposal.point_of_no_return:
                    removal.cancel()
                    return await removal

    async def _call_off(self) -> RemovalResult | None:
        """It has been cancelled; the result, where it turns out that k0s, which was asked, has taken the member out."""
        if self._leave_asked:
            await self._withdraw()
            await self._settle()
            if self._absent:
                return await self._finish()
        stands = f", but spec.leave of {self._label()} stands: k0s may still remove it" if self._leave_asked else ""
        self._show(HandoffState.FAILED, f"cancelled before anything was removed{stands}")
        return None

    def _hand_on(self) -> Carried:
        return within(
            Carried(
                began=self._began,
                run_id=workflow.info().run_id,
                traits=self._traits or WorkerTraits(search_attributes=False),
                pinned=self._pinned,
                binding=self._binding,
                steps=self._log.steps,
                steps_left_out=self._log.left_out,
                blocked_seconds_left=self._waiting.seconds_left,
                was_leader=self._was_leader,
                approval=self._approval,
                gates_passed_at=self._gates_passed_at if self._gates_passed else None,
                snapshot=self._snapshot,
                pending_since=self._proposal.pending_since,
                absent=self._absent,
                writes_acknowledged=self._writes_acknowledged,
                recording_seconds=self._recording_seconds,
                turn_request=self._turn_request,
                wants_turn=self._turn_wanted,
                holds_turn=self._turn.granted,
                leave_asked=self._leave_asked,
                cancel_requested=self._cancel_requested,
            )
        )

    def _take_over(self) -> None:
        """Go on where the run before stood, if it has handed anything on.

        A run that Temporal made from it (cron, a retry policy, a Schedule) sees the memo too, and starts afresh.
        """
        before = workflow.info().continued_run_id
        carried = workflow.memo_value(CARRIED_MEMO, None, type_hint=Carried) if before else None
        if carried is None or carried.run_id != before:
            return
        self._began = carried.began or self._began
        self._traits, self._pinned, self._binding = carried.traits, carried.pinned, carried.binding
        self._log = StepLog(carried.steps, carried.steps_left_out)
        self._waiting, self._was_leader = WaitBudget(carried.blocked_seconds_left), carried.was_leader
        self._approval, self._gates_passed = carried.approval, carried.gates_passed_at is not None
        self._gates_passed_at, self._snapshot = carried.gates_passed_at or 0.0, carried.snapshot
        self._proposal, self._absent = Proposal(pending_since=carried.pending_since), carried.absent
        self._writes_acknowledged, self._recording_seconds = carried.writes_acknowledged, carried.recording_seconds
        self._take_place(carried)
        self._leave_asked = self._leave_stored = carried.leave_asked
        self._cancel_requested = carried.cancel_requested

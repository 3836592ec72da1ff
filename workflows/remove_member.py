"""The workflow `RemoveMember`: observe, plan, do one step, plan again, until the member is gone and its record is true.

The decisions are `etcd_handoff.planner`'s, the effects are the activities'. Here stand the order, the waiting, the
point of no return, and what people see meanwhile. The planner runs inside the workflow: editing it is editing this.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.etcd import EtcdActivities
    from activities.worker import WorkerActivities
    from etcd_handoff.change_queue import rejoin_after
    from etcd_handoff.etcdmember import MESSAGE_REMOVED
    from etcd_handoff.model import (
        Act,
        AwaitElection,
        Carried,
        FailureType,
        HandoffState,
        LeaveRequest,
        Look,
        Outcome,
        Pinned,
        Record,
        Recorded,
        RemovalRequest,
        RemovalResult,
        Report,
        ResourceQuery,
        StepOutcome,
        WorkerTraits,
    )
    from etcd_handoff.payloads import invalid_input
    from etcd_handoff.planner import (
        Ambiguous,
        Blocked,
        Decision,
        Done,
        Intent,
        Reason,
        Refused,
        Remove,
        Transfer,
        canonical_id,
        is_member_id,
        plan,
        resolve,
    )
    from etcd_handoff.view import ClusterView, MemberView
    from workflows import calls, outcome
    from workflows.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RECORD_AT_LEAST_SECONDS: Final = 60.0
"""How long at least the status is tried to be recorded, when blocked_timeout_seconds is shorter."""
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 30.0
PAUSE_GROWTH: Final = 1.6
CARRIED_MEMO: Final = "carried"


@workflow.defn
class RemoveMember(Desk):
    """Takes one member out of a live cluster; the contract is in docs/reference.md."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        super().__init__()
        self._avoid: tuple[str, ...] = ()
        self._was_leader = False
        self._gates_passed = False
        self._cancel_requested = False
        self._snapshot = ""
        self._leave_requested = False
        self._blocked_seconds_left = 0.0
        self._pauses = 0
        self._steps_since_pause = 0
        self._listing: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, request: RemovalRequest | None = None) -> RemovalResult:
        """Remove `request.member`; without a default, a start without input would fail its task for ever."""
        if request is None:
            raise invalid_input('input: missing; give {"cluster": "<profile>", "member": "<name or hex ID>"}')
        self._request = request
        self._blocked_seconds_left = request.blocked_timeout_seconds
        if workflow.info().continued_run_id is not None:
            self._take_over(workflow.memo_value(CARRIED_MEMO, type_hint=Carried))
        self._listing = asyncio.create_task(self._list_what_lasts())  # goes with the run: to cancel it is an event more
        removal = asyncio.create_task(self._remove())
        try:
            result = await self._unless_cancelled(removal)
        except ActivityError as error:
            cause = error.cause
            if is_cancelled_exception(error) or not isinstance(cause, ApplicationError):
                self._show(HandoffState.FAILED, "cancelled before anything was removed")
                raise
            await self._know_worker()
            self._show(HandoffState.FAILED, cause.message)
            raise ApplicationError(cause.message, type=cause.type, non_retryable=True) from error
        except ApplicationError as error:
            refused = error.type in (FailureType.REMOVAL_REFUSED, FailureType.UNKNOWN_MEMBER)
            self._show(HandoffState.REFUSED if refused else HandoffState.FAILED, error.message)
            raise
        except asyncio.CancelledError:
            self._show(HandoffState.FAILED, "cancelled before anything was removed")
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    # --- the loop -------------------------------------------------------------------------------------------------

    async def _remove(self) -> RemovalResult:
        await self._look()
        while self._pinned is None:
            if self._view is None:
                await self._pause(outcome.unavailable(self._steps))
            else:
                self._pinned = await self._pin(self._view)
        while not isinstance(decision := self._decide(), Done):
            if isinstance(decision, Refused):
                raise outcome.refusal(decision)
            if self._request.dry_run:
                return self._planned(decision)
            await self._advance(decision)
        return await self._finish()

    async def _advance(self, decision: Transfer | Remove | Blocked) -> None:
        """One thing that brings the removal on, after which the cluster is looked at again."""
        if isinstance(decision, Blocked):
            await self._pause(decision)
        elif self._request.require_approval and self._approval is None and not self._gates_passed:
            await self._await_approval()
        elif not self._turn.granted:
            await self._take_turn()
        elif not self._gates_passed:
            await self._pass_gates()
        elif self._steps_since_pause >= outcome.STEPS_WITHOUT_PAUSE:
            await self._pause(outcome.unsettled(self._steps))
        else:
            self._steps_since_pause += 1
            if isinstance(decision, Transfer):
                await self._transfer(decision)
            elif self._traits is not None and self._traits.remover == "k0s":
                await self._leave_to_k0s()
            else:
                await self._take_out(decision)

    def _decide(self) -> Decision:
        """The planner's word on the last view."""
        if self._view is None:
            return outcome.unavailable(self._steps)
        intent = self._intent()
        self._was_leader = self._was_leader or outcome.leads(self._view, intent.target_id)
        return plan(self._view, intent)

    async def _pin(self, view: ClusterView) -> Pinned:
        """The member that is meant: as etcd lists it, or as an EtcdMember remembers it."""
        found, wanted = resolve(view, self._request.member), self._request.member
        if isinstance(found, Ambiguous):
            raise outcome.ambiguous(wanted, found)
        if isinstance(found, MemberView):
            return outcome.pinned(view, found)
        query = ResourceQuery(cluster=self._request.cluster, member=wanted)
        resource = await calls.find(query, max(1.0, self._request.blocked_timeout_seconds))
        self._steps.append(resource.step)
        member_id = canonical_id(resource.member_id)
        if not is_member_id(member_id):
            raise outcome.unknown(self._request, found, resource.step.note or "its EtcdMember has no member ID")
        if listed := view.member(member_id):
            return outcome.pinned(view, listed)
        peers = (resource.peer_address,) if "://" in resource.peer_address else ()
        absent = MemberView(id=member_id, name=resource.name, peer_urls=peers)
        return outcome.pinned(view, absent).model_copy(update={"present": False})

    async def _await_approval(self) -> None:
        """Others may have their turn meanwhile; ends with a fresh look."""
        self._show(HandoffState.AWAITING_APPROVAL, "everything is ready", "the update `approve`")
        await workflow.wait_condition(lambda: self._approval is not None)
        await self._look(patient=True)

    async def _take_turn(self) -> None:
        """Nobody else changes this etcd cluster now; ends with a fresh look when others did meanwhile."""
        place, times = await self._join(self._pin_or_fail()), 0
        if self._has_turn():
            return
        while not self._has_turn():
            if place.silent:
                await self._pause(outcome.queue_silent(place.silent))
                return
            behind = ", ".join(self._turn.behind) or "another removal"
            self._show(HandoffState.QUEUED, f"waiting for its turn behind {behind}", "they have ended or are blocked")
            if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
                workflow.continue_as_new(self._request, memo={CARRIED_MEMO: self._hand_on()})
            self._turn_news = False
            try:
                await workflow.wait_condition(
                    lambda: self._turn_news or self._recheck, timeout=rejoin_after(times), timeout_summary="rejoin"
                )
            except TimeoutError:
                times += 1
            if not self._turn_news:
                # Whoever terminated the queue made it forget this removal.
                self._recheck = False
                place = await self._join(self._pin_or_fail())
        await self._look(patient=True)

    def _has_turn(self) -> bool:
        return self._turn.granted

    async def _pass_gates(self) -> None:
        """What was asked to happen before anything is changed; ends with a fresh look."""
        if self._request.snapshot or self._request.hash_check:
            self._show(HandoffState.CHECKING, "making sure that it may begin")
        if self._request.hash_check:
            report = await self._act(EtcdActivities.check_hash, "do all members hold the same data?")
            if report.step.outcome is StepOutcome.INCONSISTENT:
                raise outcome.inconsistent(report.step.note)
            if report.step.outcome is not StepOutcome.CONSISTENT:
                await self._pause(outcome.hash_unknown(report.step.note))
                return
        if self._request.snapshot and not self._snapshot:
            report = await self._act(EtcdActivities.take_snapshot, "store a snapshot first", calls.SNAPSHOT_TIMEOUT)
            if report.step.outcome is StepOutcome.FAILED:
                raise invalid_input(f"snapshot: {report.step.note}")
            if report.step.outcome is not StepOutcome.SAVED:
                await self._pause(outcome.no_snapshot(report.step.note))
                return
            self._snapshot = report.step.note
        self._gates_passed = True
        if self._request.snapshot or self._request.hash_check:
            await self._look()

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
            if report.step.outcome is StepOutcome.TRANSFER_FAILED:
                self._avoid = (*self._avoid, report.transferee_id)
            if report.step.outcome is StepOutcome.MOVED:
                elected = await electing
                if elected.step.outcome is not StepOutcome.ELECTED:  # it has waited for a transfer that came late
                    elected = await self._await_election(step, label)
                self._steps.append(elected.step)
                self._view = elected.view
            elif report.view is not None:
                self._view = report.view
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

    async def _take_out(self, step: Remove) -> None:
        """The target leaves the membership. From here on a cancellation comes too late, unless nothing was proposed."""
        proposed_before, self._committed = self._committed, True
        self._show(HandoffState.REMOVING, f"removing {self._label()} through {self._label(step.via_id)}")
        report = await self._act(
            EtcdActivities.remove_member, f"remove {self._label()} through {self._label(step.via_id)}"
        )
        self._view = report.view
        gone = report.step.outcome in (StepOutcome.REMOVED, StepOutcome.ALREADY_ABSENT)
        self._committed = proposed_before or report.proposed or gone or report.step.attempts > 1
        if self._cancel_requested and not self._committed:
            raise asyncio.CancelledError
        if report.step.outcome is StepOutcome.REFUSED_BY_ETCD:
            await self._pause(outcome.refused_by_etcd(report.step.note))

    async def _leave_to_k0s(self) -> None:
        """k0s takes the member out once its EtcdMember asks for it; whether it has is read from etcd alone."""
        pinned = self._pin_or_fail()
        if not self._leave_requested:
            self._committed = True
            self._show(HandoffState.REMOVING, f"asking k0s to remove {self._label()}")
            ask = LeaveRequest(
                cluster=self._request.cluster, member_name=pinned.member_name, member_id=pinned.member_id
            )
            step = await calls.request_leave(ask)
            self._steps.append(step)
            if step.outcome is not StepOutcome.REQUESTED:
                self._committed = False
                raise outcome.no_leave(step.note)
            self._leave_requested, self._pauses = True, 0
        await self._pause(outcome.awaiting_k0s(self._label()))

    async def _finish(self) -> RemovalResult:
        """Record the truth and tell it."""
        pinned, view = self._pin_or_fail(), self._view
        if self._request.dry_run:
            return self._planned(Done())
        self._committed = True
        if self._turn.granted:
            await self._join(pinned, waits=False, wakes=False)
        name = pinned.member_name or pinned.member_id
        self._show(HandoffState.RECORDING, f"recording that {name} is not a member any more")
        members = tuple(m.id for m in view.members) if view else ()
        recorded = await self._record(pinned, members, joined=False, message=MESSAGE_REMOVED)
        said = "its EtcdMember says so" if recorded.recorded else recorded.note
        self._show(HandoffState.DONE, f"{name} is out; {said}")
        return self._result(Outcome.REMOVED if pinned.present else Outcome.ALREADY_ABSENT, recorded)

    async def _pause(self, blocked: Blocked) -> None:
        """Wait durably, then look again; give up when the time for waiting is used up."""
        self._show(HandoffState.BLOCKED, f"{blocked.reason}: {blocked.seen}", blocked.unblocks)
        if self._blocked_seconds_left <= 0:
            await self._give_up(blocked)
        silent = blocked.reason is Reason.QUEUE_SILENT
        if self._pinned and not silent and not self._committed and (self._turn.granted or not self._queue_knows):
            # What it waits for may be the very removal that stands behind it; and the queue tells the EtcdMember.
            self._queue_knows = True
            await self._join(self._pinned, waits=False)
        if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
            workflow.continue_as_new(self._request, memo={CARRIED_MEMO: self._hand_on()})
        pause = min(FIRST_PAUSE_SECONDS * PAUSE_GROWTH**self._pauses, LONGEST_PAUSE_SECONDS, self._blocked_seconds_left)
        began = workflow.now()
        try:
            await workflow.wait_condition(
                lambda: self._recheck or (silent and self._has_turn()),
                timeout=timedelta(seconds=pause),
                timeout_summary=f"blocked: {blocked.reason}",
            )
        except TimeoutError:
            self._pauses += 1
        else:
            self._pauses = 0
        self._recheck = False
        self._blocked_seconds_left -= max(0.001, (workflow.now() - began).total_seconds())
        self._avoid, self._steps_since_pause = (), 0
        await self._look(patient=True)

    async def _give_up(self, blocked: Blocked) -> None:
        pinned, view = self._pinned, self._view
        if pinned is not None and view is not None and view.member(pinned.member_id) is not None:
            ids = tuple(m.id for m in view.members)
            said = f"Not removed: {blocked.reason}: {blocked.seen}"
            await self._record(pinned, ids, joined=True, message=said, failed=True)
        raise outcome.blocked_too_long(blocked, self._request.blocked_timeout_seconds, proposed=self._committed)

    # --- calling activities ---------------------------------------------------------------------------------------

    async def _look(self, *, patient: bool = False) -> None:
        """A fresh view; `patient` gives members that did not answer the last time their full time-out again."""
        self._show(HandoffState.CHECKING if not patient else self._state, self._doing, self._waiting_for)
        look = Look(cluster=self._request.cluster, doubtful=() if patient else self._doubtful())
        report = await calls.look(look)
        # A removal that is blocked for hours looks hundreds of times; the last look says it all.
        if patient and self._steps and self._steps[-1].name == report.step.name:
            self._steps.pop()
        self._steps.append(report.step)
        self._view = report.view
        await self._know_worker(report)

    async def _know_worker(self, report: Report | None = None) -> None:
        """What the worker that took this up knows stands in the history: replay elsewhere must see the same."""
        if self._traits is None and report is not None:
            self._traits = report.traits
        if self._traits is None:
            self._traits = await workflow.execute_local_activity_method(
                WorkerActivities.describe_worker, self._request.cluster, start_to_close_timeout=timedelta(seconds=5)
            )

    async def _act(
        self,
        method: Callable[..., Awaitable[Report]],
        summary: str,
        timeout: timedelta = calls.CHANGE_TIMEOUT,
    ) -> Report:
        report = await calls.act(method, self._act_input(), summary, timeout)
        self._steps.append(report.step)
        return report

    async def _record(
        self, pinned: Pinned, members: tuple[str, ...], *, joined: bool, message: str, failed: bool = False
    ) -> Recorded:
        """Write the EtcdMember; an API that stays away ends as a note, since what etcd says is true all the same."""
        record = Record(
            cluster=self._request.cluster,
            member_name=pinned.member_name,
            member_id=pinned.member_id,
            peer_urls=pinned.peer_urls,
            joined=joined,
            members=members,
            message=message,
            failed=failed,
            run_id=workflow.info().first_execution_run_id,
            steps=tuple(self._steps),
        )
        patience_seconds = max(RECORD_AT_LEAST_SECONDS, 0 if failed else self._request.blocked_timeout_seconds)
        recorded = await calls.record(record, patience_seconds, f"{self._label()}: Joined={joined}")
        self._steps.append(recorded.step)
        return recorded

    async def _unless_cancelled(self, removal: asyncio.Task[RemovalResult]) -> RemovalResult:
        """The removal's result; a cancellation ends it as long as nothing has been proposed."""
        while True:
            try:
                return await asyncio.shield(removal)
            except asyncio.CancelledError:
                if removal.done():
                    raise
                self._cancel_requested = True
                if not self._committed:
                    removal.cancel()
                    return await removal

    # --- small things ---------------------------------------------------------------------------------------------

    def _act_input(self) -> Act:
        intent = self._intent()
        return Act(
            cluster=self._request.cluster,
            cluster_id=intent.cluster_id,
            target_id=intent.target_id,
            avoid=self._avoid,
            doubtful=self._doubtful(),
        )

    def _intent(self) -> Intent:
        pinned = self._pin_or_fail()
        return Intent(pinned.cluster_id, pinned.member_id, frozenset(self._avoid))

    def _pin_or_fail(self) -> Pinned:
        if self._pinned is None:
            msg = "a step was asked for before the member was pinned"
            raise RuntimeError(msg)
        return self._pinned

    def _doubtful(self) -> tuple[str, ...]:
        return tuple(m.id for m in self._view.members if not m.reachable) if self._view else ()

    def _label(self, member_id: str | None = None) -> str:
        pinned = self._pinned
        if member_id is None:
            return (pinned.member_name or pinned.member_id) if pinned else self._request.member
        return self._view.label(member_id) if self._view else member_id

    def _planned(self, decision: Transfer | Remove | Blocked | Done) -> RemovalResult:
        """What a dry run answers: the steps in words, or what it would have to wait for."""
        lines = outcome.plan_lines(decision, self._label(), self._label)
        blocked = outcome.in_words(decision) if isinstance(decision, Blocked) else ""
        self._show(HandoffState.DONE, f"dry run: {blocked or '; '.join(lines)}")
        unwritten = Recorded(step=self._steps[-1], recorded=False, note="dry run: nothing was written")
        return self._result(Outcome.PLANNED, unwritten).model_copy(update={"plan": lines, "blocked_by": blocked})

    def _result(self, how: Outcome, recorded: Recorded) -> RemovalResult:
        pinned = self._pin_or_fail()
        leadership = self._view.leadership if self._view else None
        return RemovalResult(
            outcome=how,
            cluster=self._request.cluster,
            cluster_id=pinned.cluster_id,
            member_id=pinned.member_id,
            member_name=pinned.member_name,
            peer_urls=pinned.peer_urls,
            was_leader=self._was_leader,
            leader_before=pinned.leader_before,
            leader_after=leadership.id if leadership else None,
            term_before=pinned.term_before,
            term_after=leadership.term if leadership else 0,
            status_recorded=recorded.recorded,
            status_note=recorded.note,
            steps=tuple(self._steps),
            snapshot=self._snapshot,
        )

    def _hand_on(self) -> Carried:
        return Carried(
            traits=self._traits or WorkerTraits(search_attributes=False),
            pinned=self._pinned,
            steps=tuple(self._steps),
            blocked_seconds_left=self._blocked_seconds_left,
            was_leader=self._was_leader,
            approval=self._approval,
            gates_passed=self._gates_passed,
            committed=self._committed,
            snapshot=self._snapshot,
            turn_request=self._turn_request,
        )

    def _take_over(self, carried: Carried) -> None:
        self._traits, self._pinned, self._steps = carried.traits, carried.pinned, list(carried.steps)
        self._blocked_seconds_left, self._was_leader = carried.blocked_seconds_left, carried.was_leader
        self._approval, self._gates_passed = carried.approval, carried.gates_passed
        self._committed, self._snapshot = carried.committed, carried.snapshot
        self._turn_request = carried.turn_request

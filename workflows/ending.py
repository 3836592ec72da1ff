"""How a removal ends: the truth is recorded, by this workflow or by one that goes on after it, and the result told."""

from __future__ import annotations

from typing import Final

from temporalio import workflow
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from etcd_handoff.etcdmember import MESSAGE_REMOVED
    from etcd_handoff.model import (
        FailureType,
        HandoffState,
        Outcome,
        Record,
        Recorded,
        RemovalResult,
        Step,
        StepOutcome,
        record_id,
    )
    from etcd_handoff.planning import Blocked, Decision
    from workflows import calls, outcome
    from workflows.effects import Effects
    from workflows.record_status import RecordStatus
    from workflows.waiting import WaitBudget

RECORD_AT_LEAST_SECONDS: Final = 60.0
"""How long at least the status is tried to be recorded, when blocked_timeout_seconds is shorter."""
FIRST_CALL_SECONDS: Final = 2.0
"""How long the status is tried before the turn is given to others. To give it up at once would cost each removal a
round trip for the sake of the few whose status cannot be written at once."""
CALL_SECONDS: Final = 15.0
LONGEST_CALL_SECONDS: Final = 60.0
"""How long the status is tried before people are told why it is not written: what the API servers answer is seen only
when a call has ended."""
BREATH_SECONDS: Final = 5.0
"""Longest pause after a call that failed before its time, as one does on a worker whose configuration is wrong."""


class Ending(Effects):
    """The part of a removal that ends it."""

    def __init__(self) -> None:
        """Nothing has been recorded yet."""
        super().__init__()
        self._began = ""
        self._snapshot = ""
        self._cancel_requested = False
        self._recording_seconds = 0.0
        self._waiting = WaitBudget(0)
        self._last_blocked: Blocked | None = None

    # --- ends ---------------------------------------------------------------------------------------------------------

    async def _finish(self) -> RemovalResult:
        """The member is out: record it and tell it."""
        pinned = self._pin_or_fail()
        self._proposal.in_flight = True
        self._show(HandoffState.RECORDING, f"recording that {self._label()} is not a member any more")
        patience = max(RECORD_AT_LEAST_SECONDS, self._request.blocked_timeout_seconds)
        record = self._record(joined=False, message=MESSAGE_REMOVED)
        recorded = await self._write(record, patience)
        if not recorded.recorded:
            await self._are_writes_acknowledged()
            note = f"{recorded.note}{outcome.alarmed(self._view)}"
            recorded = recorded.model_copy(update={"note": note})
        said = "its EtcdMember says so" if recorded.recorded else recorded.note
        lost = outcome.no_writes(self._writes_acknowledged)
        self._show(HandoffState.DONE, f"{self._label()} is out; {said}{lost}")
        return self._result(Outcome.REMOVED if pinned.present else Outcome.ALREADY_ABSENT, recorded)

    async def _end_badly(self, failure: ApplicationError) -> RemovalResult:
        """The removal has failed; what is true of the member is recorded where it may have been touched.

        Returns:
            The result, where it turns out that the member is out.

        Raises:
            ApplicationError: The failure.
        """
        if self._pinned is None:
            raise failure
        await self._withdraw()
        proposed = self._proposal.pending_since is not None
        if proposed:
            await self._settle()
        if self._absent:
            return await self._finish()
        pending = self._proposal.pending_since is not None
        told = failure.type == FailureType.BLOCKED_TOO_LONG and self._view is not None and not self._request.dry_run
        if not proposed and not told:
            raise failure
        blocked = self._last_blocked if failure.type == FailureType.BLOCKED_TOO_LONG else None
        why = f"{blocked.reason}: {blocked.seen}" if blocked else failure.message
        joined = not pending and self._undoubted is not None
        message = f"Removal was proposed, not confirmed: {why}" if pending else f"Not removed: {why}"
        record = self._record(joined=True if joined else None, message=message, failed=True)
        recorded = await self._write(record, RECORD_AT_LEAST_SECONDS)
        raise outcome.ended(failure, pending=pending, unwritten=recorded.note if recorded.step.attempts == 0 else "")

    async def _settle(self) -> None:
        """A fresh look, late enough to tell whether what was proposed can still take place."""
        if seconds := self._proposal.seconds_to_settle(workflow.time()):
            await workflow.sleep(seconds, summary="until etcd has given up what was proposed")
        try:
            await self._look(patient=True)
        except calls.StepFailedError as error:
            workflow.logger.info("no last look: %s", error)

    async def _are_writes_acknowledged(self) -> None:
        """Whether the members that remain commit anything: it may be why nothing can be recorded."""
        if self._writes_acknowledged is None:
            try:
                await self._look(patient=True, probe=True)
            except calls.StepFailedError as error:
                workflow.logger.info("no last look: %s", error)

    # --- recording ----------------------------------------------------------------------------------------------------

    def _record(self, *, joined: bool | None, message: str, failed: bool = False) -> Record:
        pinned, view = self._pin_or_fail(), self._view
        return Record(
            cluster=self._request.cluster,
            member_name=pinned.member_name,
            member_id=pinned.member_id,
            peer_urls=pinned.peer_urls,
            joined=joined,
            members=tuple(m.id for m in view.members) if view else (),
            present_names=tuple(m.name for m in view.members if m.name) if view else (),
            since=self._began,
            message=message,
            failed=failed,
            run_id=workflow.info().first_execution_run_id,
            steps=self._log.steps,
            kubernetes=self._traits is not None and self._traits.kubernetes,
        )

    async def _write(self, record: Record, patience_seconds: float) -> Recorded:
        """Write the EtcdMember; one that cannot be written in that time ends as a note, as etcd's word is true anyway.

        The time counts only while it is tried: a call that no worker takes costs no more than its own length.
        """
        summary, most = f"{self._label()}: Joined={record.joined}", FIRST_CALL_SECONDS
        while True:
            most = max(0.1, min(most, patience_seconds - self._recording_seconds))
            began = workflow.time()
            try:
                recorded = await calls.record(record, most, summary)
            except calls.StepFailedError as error:
                text = error.text
            else:
                self._log.append(recorded.step)
                return recorded
            took = workflow.time() - began
            self._recording_seconds += min(max(took, 0.1), most)
            out = record.joined is False
            if self._recording_seconds >= patience_seconds or (out and self._cancel_requested):
                return await self._hand_over(record, text) if out else self._unwritten(text)
            self._show(self._state, self._doing, f"an API server takes the status; until now: {text}")
            if out:
                await self._give_turn_up()
                self._continue_if_long()
            if took < most:
                await workflow.sleep(min(BREATH_SECONDS, most - took), summary="until the status is tried again")
            most = CALL_SECONDS if most < CALL_SECONDS else min(2 * most, LONGEST_CALL_SECONDS)

    async def _hand_over(self, record: Record, text: str) -> Recorded:
        """Another workflow goes on with it, while this one ends."""
        name = record_id(record.cluster, record.member_id)
        try:
            await workflow.start_child_workflow(
                RecordStatus.run,
                record,
                id=name,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                task_timeout=workflow.info().task_timeout,
                static_summary=f"Record that {self._label()} is not a member of {record.cluster} any more",
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("%s runs already", name)
        return self._unwritten(f"{text}; it goes on: workflow {name}")

    def _unwritten(self, text: str) -> Recorded:
        note = f"the EtcdMember could not be written within {self._recording_seconds:.0f} s: {text}"
        step = Step(
            name="update_status",
            started=workflow.now().isoformat(timespec="milliseconds"),
            milliseconds=self._recording_seconds * 1000,
            attempts=0,
            node="",
            outcome=StepOutcome.FAILED,
            note=note,
        )
        self._log.append(step)
        return Recorded(step=step, recorded=False, note=note)

    async def _withdraw(self) -> None:
        """What somebody else was asked to do is not asked for any more; the removal itself says how."""
        raise NotImplementedError

    async def _give_turn_up(self, *, wakes: bool = False) -> None:
        """Others may change the cluster; the removal itself says how."""
        raise NotImplementedError

    def _continue_if_long(self) -> None:
        """Continue as a new run where the history has grown long; the removal itself says how."""
        raise NotImplementedError

    # --- the result ---------------------------------------------------------------------------------------------------

    def _planned(self, decision: Decision) -> RemovalResult:
        """What a dry run answers: the steps in words, or what it would have to wait for."""
        lines = outcome.plan_lines(decision, self._label(), self._label, self._view)
        blocked = outcome.in_words(decision) if isinstance(decision, Blocked) else ""
        self._show(HandoffState.DONE, f"dry run: {blocked or '; '.join(lines)}")
        unwritten = Recorded(step=self._log.steps[-1], recorded=False, note="dry run: nothing was written")
        return self._result(Outcome.PLANNED, unwritten).model_copy(update={"plan": lines, "blocked_by": blocked})

    def _result(self, how: Outcome, recorded: Recorded) -> RemovalResult:
        pinned, view = self._pinned, self._view
        leadership = view.leadership if view else None
        return RemovalResult(
            outcome=how,
            cluster=self._request.cluster,
            cluster_id=pinned.cluster_id if pinned else (view.cluster_id if view else ""),
            member_id=pinned.member_id if pinned else "",
            member_name=pinned.member_name if pinned else self._request.member,
            peer_urls=pinned.peer_urls if pinned else (),
            was_leader=self._was_leader,
            leader_before=pinned.leader_before if pinned else None,
            leader_after=leadership.id if leadership else None,
            term_before=pinned.term_before if pinned else 0,
            term_after=leadership.term if leadership else 0,
            status_recorded=recorded.recorded,
            status_note=recorded.note,
            steps=self._log.steps,
            steps_left_out=self._log.left_out,
            writes_acknowledged=self._writes_acknowledged,
            snapshot=self._snapshot,
        )

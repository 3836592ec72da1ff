"""The workflow `WatchEtcdMembers`: what EtcdMembers ask for is done, and what they say is true.

Level-triggered: each round takes all EtcdMembers as they are now, and nothing depends on having seen every change. A
round reads the EtcdMembers first and etcd's list second, so that a patch that carries the resourceVersion of the first
can only store what the second knew (invariant 5). Removals are workflows of their own and live on without this one.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError, is_cancelled_exception
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

if TYPE_CHECKING:
    from etcd_handoff.view import ClusterView

with workflow.unsafe.imports_passed_through():
    from activities.etcd import EtcdActivities
    from activities.etcdmembers import EtcdMemberActivities
    from activities.temporal import TemporalActivities
    from etcd_handoff.leave_requests import (
        Asked,
        Retry,
        Seen,
        Sync,
        Watch,
        Watching,
        WatchRequest,
        retry_after,
        to_remove,
        wanted,
    )
    from etcd_handoff.model import TASK_TIMEOUT, Look, Outcome, RemovalRequest, workflow_id
    from etcd_handoff.payloads import invalid_input
    from etcd_handoff.removal_progress import Follow, Followed, Note
    from workflows import calls
    from workflows.remove_member import RemoveMember

HEARTBEAT: Final = timedelta(seconds=5)
LOOK_TIMEOUT: Final = timedelta(seconds=10)
SYNC_TIMEOUT: Final = timedelta(seconds=60)
NOTE_TIMEOUT: Final = timedelta(seconds=20)
FOLLOW_TIMEOUT: Final = timedelta(days=7)
SOON: Final = timedelta(seconds=1)
TROUBLE: Final = timedelta(seconds=10)
"""Pause after a round that could not be done at all."""
LONGEST_HISTORY: Final = 20_000
"""Events after which it continues as new in any case; the server ends a run at 51,200."""
RETRY: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))
TWICE: Final = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)


@workflow.defn
class WatchEtcdMembers:
    """Watches the EtcdMembers of one cluster profile; the contract is in docs/reference.md."""

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        self._request = WatchRequest.model_construct(cluster="")
        self._seen: Seen | None = None
        self._view: ClusterView | None = None
        self._tending: dict[str, asyncio.Task[None]] = {}
        self._flagged: dict[str, Asked] = {}
        self._retries: dict[str, Retry] = {}
        self._out: dict[str, str] = {}
        self._trouble = ""
        self._repaired: list[str] = []
        self._soon = False
        self._resync = False

    @workflow.run
    async def run(self, request: WatchRequest | None = None) -> None:
        """Watch until cancelled; a default, since a start without input would fail its task for ever."""
        if request is None:
            raise invalid_input('input: missing; give {"cluster": "<profile>"}')
        self._request = request
        self._retries = {retry.uid: retry for retry in request.retries}
        while not self._should_continue_as_new():
            try:
                await self._round()
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._trouble = str(error.cause or error)
                self._show()
                await self._pause(TROUBLE)
        for task in self._tending.values():
            task.cancel()
        retries = tuple(self._retries.values())
        workflow.continue_as_new(request.model_copy(update={"retries": retries}))

    @workflow.query
    def watching(self) -> Watching:
        """What is asked for, what failed, what was put right."""
        return Watching(
            cluster=self._request.cluster,
            members=self._seen.members if self._seen else (),
            removing=tuple(self._tending),
            retries=tuple(self._retries.values()),
            trouble=self._trouble,
            repaired=tuple(self._repaired),
        )

    @workflow.update(description="Compare all EtcdMembers with etcd's list at once. Takes no input.")
    def resync(self) -> str:
        """Compare all EtcdMembers with etcd's list at once."""
        self._resync = True
        return "all EtcdMembers are compared with the member list"

    # --- one round ------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        """See what is asked for, start what is to be started, put right what is not true."""
        seen = await self._watch()
        self._seen = seen
        if seen.installed:  # else nobody has taken anything back
            self._flagged = {asked.uid: asked for asked in seen.members if asked.leave}
            self._retries = {uid: retry for uid, retry in self._retries.items() if uid in self._flagged}
        if self._view is not None:
            # What the last round saw of etcd is good enough to start a removal: that looks for itself.
            self._settle(seen, self._view)
        report = await workflow.execute_activity_method(
            EtcdActivities.check_leader,
            Look(cluster=self._request.cluster),
            start_to_close_timeout=LOOK_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=TWICE,
            summary="etcd's own member list",
        )
        self._soon = False
        if report.view is None:
            self._soon, self._trouble = True, report.step.note
        else:
            self._view = report.view
            synced = await workflow.execute_activity_method(
                EtcdMemberActivities.sync_members,
                Sync(cluster=self._request.cluster, seen=seen, view=report.view),
                start_to_close_timeout=SYNC_TIMEOUT,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=TWICE,
                summary="do all EtcdMembers say what it says?",
            )
            self._soon, self._trouble = synced.again, synced.note
            self._repaired = [*self._repaired, *synced.changed][-20:]
            self._settle(seen, report.view)
        self._show()

    async def _watch(self) -> Seen:
        """All EtcdMembers, when there is news of them or it is time to compare them again."""
        seconds = SOON.total_seconds() if self._soon else self._request.resync_seconds
        watching = workflow.start_activity_method(
            EtcdMemberActivities.watch_members,
            Watch(cluster=self._request.cluster, known=None if self._resync else self._seen, seconds=seconds),
            start_to_close_timeout=timedelta(seconds=seconds) + SYNC_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            summary="wait for a change of an EtcdMember",
        )
        calls.may_be_left(watching)
        self._resync = False
        await workflow.wait_condition(lambda: watching.done() or self._resync)
        if not watching.done():
            watching.cancel()
            return await self._watch()
        return await watching

    def _settle(self, seen: Seen, view: ClusterView) -> None:
        """Every flagged member that is present is being removed, and nothing else is because of us."""
        for name, asked in wanted(seen.members, view).items():
            # A list that was read before the removal ended may still show the member.
            out = bool(asked.member_id) and self._out.get(asked.uid) == asked.member_id
            if asked.uid not in self._tending and not out:
                self._tending[asked.uid] = asyncio.create_task(self._tend(name, asked))

    # --- one removal ----------------------------------------------------------------------------------------------

    async def _tend(self, member: str, asked: Asked) -> None:
        """Until the member is out or its EtcdMember no longer asks for it."""
        try:
            while self._still(asked):
                await self._await_retry(asked)
                if not self._still(asked) or not self._meant(member, asked):
                    break
                generation = self._flagged[asked.uid].generation
                followed = await self._remove(member, asked)
                if followed.failed:
                    await self._failed(member, asked, followed, generation)
                elif followed.doing != Outcome.PLANNED:  # somebody's dry run removes nothing
                    self._retries.pop(asked.uid, None)
                    self._out[asked.uid] = asked.member_id
                    break
        finally:
            self._tending.pop(asked.uid, None)
            self._resync = True

    def _still(self, asked: Asked) -> bool:
        return asked.uid in self._flagged

    def _meant(self, member: str, asked: Asked) -> bool:
        """Whether the name still means the member: while a removal rested, it may have passed to another one."""
        return self._view is None or to_remove(self._flagged[asked.uid], self._view) == member

    async def _await_retry(self, asked: Asked) -> None:
        """A removal that failed before rests for a while, unless somebody changed the EtcdMember's spec."""
        retry = self._retries.get(asked.uid)
        if retry is None:
            return
        rest = retry.at_seconds - workflow.now().timestamp()

        def over() -> bool:
            now = self._flagged.get(asked.uid)
            return now is None or now.generation != retry.generation

        if rest > 0:
            try:
                await workflow.wait_condition(over, timeout=timedelta(seconds=rest), timeout_summary="try again")
            except TimeoutError:
                return

    async def _remove(self, member: str, asked: Asked) -> Followed:
        """The removal has ended; it is cancelled when it is no longer asked for and that is still in time."""
        removal_id = workflow_id(self._request.cluster, member)
        # The ID, since by the removal's first look another member may have the name.
        request = RemovalRequest(
            cluster=self._request.cluster,
            member=asked.member_id or member,
            reason=f"spec.leave of EtcdMember {asked.name}",
        )
        try:
            removal = await workflow.start_child_workflow(
                RemoveMember.run,
                request,
                id=removal_id,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                parent_close_policy=ParentClosePolicy.ABANDON,
                task_timeout=TASK_TIMEOUT,
                static_summary=f"Take member {member} out of etcd cluster {request.cluster}",
                static_details=request.reason,
            )
            calls.may_be_left(removal)  # the activity below says how it ended, whoever started it
        except WorkflowAlreadyStartedError:
            workflow.logger.info("joined the removal of %s that runs", member)
        following = workflow.start_activity_method(
            TemporalActivities.follow_removal,
            Follow(workflow_id=removal_id, to_the_end=True),
            start_to_close_timeout=FOLLOW_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            summary=f"the removal of {member}",
        )
        calls.may_be_left(following)
        await workflow.wait_condition(lambda: following.done() or not self._still(asked))
        if not following.done():
            try:
                await workflow.get_external_workflow_handle(removal_id).cancel()
            except ApplicationError:
                workflow.logger.info("the removal of %s had ended already", member)
        return await following

    async def _failed(self, member: str, asked: Asked, followed: Followed, generation: int) -> None:
        """Say so on the EtcdMember, and when it will be tried again.

        Args:
            member: What the removal calls the member.
            asked: The EtcdMember that asks for it.
            followed: How the removal ended.
            generation: Generation of the EtcdMember when the removal began: after a change of its spec meanwhile, such
                as a flag taken back and set again, there is nothing to wait for.
        """
        if not self._still(asked):
            said = "Leave was taken back; the member stays" if followed.cancelled else f"Not removed: {followed.doing}"
            await self._note(member, asked, said, failed=False)
            return
        now, before = self._flagged[asked.uid], self._retries.get(asked.uid)
        if now.generation != generation:
            return
        again = before is not None and before.generation == now.generation
        failures = before.failures + 1 if before and again else 1
        pause = retry_after(failures)
        at_seconds = workflow.now().timestamp() + pause
        self._retries[asked.uid] = Retry(
            uid=asked.uid, generation=now.generation, failures=failures, at_seconds=at_seconds
        )
        # Whoever was terminated cannot tell whether the member was out already.
        what = "Ended" if followed.cancelled else "Not removed"
        text = f"{what}: {followed.doing}; it is tried again in {pause:g} s, or at once when the spec changes"
        await self._note(member, asked, text, failed=True)

    async def _note(self, member: str, asked: Asked, message: str, *, failed: bool) -> None:
        note = Note(
            cluster=self._request.cluster,
            resource=asked.name,
            member_id=asked.member_id,
            message=message,
            failed=failed,
        )
        try:
            await workflow.execute_activity_method(
                EtcdMemberActivities.note_progress,
                note,
                start_to_close_timeout=NOTE_TIMEOUT,
                retry_policy=TWICE,
                summary=f"{member}: {message[:80]}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("not noted on EtcdMember %s: %s", asked.name, error.cause)

    # --- small things ---------------------------------------------------------------------------------------------

    def _should_continue_as_new(self) -> bool:
        """Between removals where that is possible: one whose flag is taken back meanwhile would not be cancelled."""
        info = workflow.info()
        late = info.get_current_history_length() > LONGEST_HISTORY
        return info.is_continue_as_new_suggested() and workflow.all_handlers_finished() and (late or not self._tending)

    async def _pause(self, pause: timedelta) -> None:
        self._resync = False
        try:
            await workflow.wait_condition(lambda: self._resync, timeout=pause, timeout_summary="after a failed round")
        except TimeoutError:
            return

    def _show(self) -> None:
        lines = [f"### EtcdMembers of cluster {self._request.cluster}", ""]
        if self._trouble:
            lines += [f"**Trouble:** {self._trouble}", ""]
        seen = self._seen
        if seen is not None and not seen.installed:
            lines += ["The API servers do not serve EtcdMembers: install `deploy/crd.yaml`.", ""]
        lines += [
            f"- **{a.name}** `{a.member_id or 'no ID'}` Joined={a.joined}{', asked to leave' if a.leave else ''}"
            for a in (seen.members if seen else ())
        ]
        if self._repaired:
            lines += ["", "**Put right**", "", *(f"- {text}" for text in self._repaired)]
        workflow.set_current_details("\n".join(lines))

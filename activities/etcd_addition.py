"""The steps of an addition: add the learner, wait until it is in sync, promote it.

The order up to each proposal is the one of every change (`activities.etcd_proposal`). The lock is released after the
change, by an entry that the members commit in their new membership. The wait between the two changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from activities.etcd_looks import SeenBefore
from activities.etcd_proposal import Proposal
from activities.leave_to_other_worker import leave_reading_to_another_if_blind
from etcd_handoff import failpoints, time_limits
from etcd_handoff.activity_io import StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import (
    ChangeRefusedError,
    EtcdError,
    EtcdPermissionError,
    MemberNotFoundError,
    NotEnoughStartedError,
    UnhealthyClusterError,
    UnreachableError,
)
from etcd_handoff.planning import AddLearner, Blocked, MemberPresent, PromoteLearner, plan
from etcd_handoff.temporal.server_errors import counting_etcd_errors

if TYPE_CHECKING:
    from activities.attempts import WhyVoid
    from activities.etcd_looks import Looks
    from activities.interceptor import StepClock
    from etcd_handoff.activity_io import AdditionInput, AwaitSyncInput
    from etcd_handoff.cluster_view import ClusterView, MemberView

ENTRIES_TO_FOLLOW: Final = 2
"""How many entries the second voter must follow before its promotion, one after the other."""
REFUSALS: Final = (ChangeRefusedError, MemberNotFoundError, NotEnoughStartedError, UnhealthyClusterError)
"""Answers of etcd after which nothing is pending. MemberAddAsLearner answers `member not found` when the ID that it has
derived from the peer URLs and the second is one that was removed (etcd `membership.ErrIDRemoved`)."""


def goal_of(ask: AdditionInput) -> MemberPresent:
    """Return the planner's goal: the member that must be present."""
    return MemberPresent(
        ask.cluster_id, ask.name, ask.peer_urls, ask.seen_term, ask.seen_index, departing=ask.departing
    )


class LearnerChange(Proposal[AddLearner | PromoteLearner]):
    """One attempt to add the learner, or to promote it.

    Args:
        looks: The cluster.
        ask: Which member, and for which operation.
        clock: Times the step.
        kind: The step that the planner must decide on. After any other decision nothing is changed.
        why_void: As for any change.
    """

    def __init__(
        self,
        looks: Looks,
        ask: AdditionInput,
        clock: StepClock,
        kind: type[AddLearner | PromoteLearner],
        why_void: WhyVoid | None = None,
    ) -> None:
        super().__init__(looks, ask, clock, why_void)
        self._goal = goal_of(ask)
        self._learner_id = ask.learner_id
        self._seen = SeenBefore(ask)
        self._kind = kind
        self._followed, self._furthest = 0, 0

    def _why_behind(self, view: ClusterView, decision: AddLearner | PromoteLearner, before: ClusterView | None) -> str:
        """Return why the learner must not be promoted yet, or "" once it follows the voter entry by entry.

        From its promotion on, a single voter commits nothing without the learner, so the learner could not be removed
        again. A learner whose disk hangs still answers, with the raft index at which it hangs. Learners serve no
        linearizable read. So the learner has to know of an entry that was committed before this look, and then of
        another one. etcd reports an entry before it is on disk (etcd `server/etcdserver/raft.go`,
        updateCommittedIndex). It takes no further entry while it writes that one.

        Args:
            view: The look.
            decision: What is to be done.
            before: The look before the first of these entries.
        """
        alone = len(view.voters) == 1 and self._change.seen is None  # else the workflow asks through the learner's node
        learner = view.member(decision.learner_id) if isinstance(decision, PromoteLearner) and alone else None
        if learner is None:
            return ""
        self._furthest = self._furthest or _furthest(before)
        if learner.raft_index <= self._furthest:
            return f"{learner.label} has not followed a committed entry: it stands at raft index {learner.raft_index}"
        self._followed, self._furthest = self._followed + 1, max(_furthest(view), learner.raft_index)
        if self._followed < ENTRIES_TO_FOLLOW:
            return f"{learner.label} has followed {self._followed} of {ENTRIES_TO_FOLLOW} committed entries"
        return ""

    async def _plan(self) -> tuple[ClusterView | None, AddLearner | PromoteLearner | None, str]:
        view, note = await self._looks.look(self._change.doubtful, seen=self._seen.view)
        if view is None:
            return None, None, note
        seen = self._change.seen
        if seen is not None and {m.id for m in view.members} != {m.id for m in seen.members}:
            return view, None, "this worker's own member lists others than were seen through all nodes"
        decision = plan(view, self._goal)
        if isinstance(decision, PromoteLearner) and decision.learner_id != self._learner_id:
            return view, None, f"learner {decision.learner_id} has its peer URLs, and {self._learner_id} was added"
        if isinstance(decision, self._kind):
            return view, decision, ""
        return view, None, "the planner wants no such step any more"

    async def _propose(self, view: ClusterView, decision: AddLearner | PromoteLearner) -> StepResult:
        via, added_id, note, refused, proposed = view.label(decision.via_id), "", "", False, True
        self._may_be_pending = True  # a step that is cancelled from here on does not release the lock
        try:
            with counting_etcd_errors(self._looks.cluster):
                if isinstance(decision, AddLearner):
                    added_id = await self._gateway.add_learner(self._goal.peer_urls, decision.via_id)
                    await failpoints.reach("add_learner.during")
                else:
                    await self._gateway.promote_member(decision.learner_id, decision.via_id)
                    await failpoints.reach("promote_member.during")
            self._may_be_pending = False
        except REFUSALS as error:
            note, refused, self._may_be_pending, proposed = f"{via} answers: {error}", True, False, False
        except EtcdPermissionError:
            self._may_be_pending = False
            raise
        except UnreachableError as error:  # it was not sent
            note, self._may_be_pending, proposed = f"{via} could not be asked: {error}", False, False
        except EtcdError as error:
            note = f"{via} gave no definite answer: {error}"
        after, unread = await self._look_again()
        member = self._goal.member_in(after) if after else None
        # etcd was not asked, or the peer URL is taken: another client has added this member.
        foreign = not proposed and self._kind is AddLearner
        if self._is_done(member) and not foreign:
            outcome = StepOutcome.ADDED if self._kind is AddLearner else StepOutcome.PROMOTED
            self._may_be_pending = False
            text = "; ".join(text for text in (f"through {via}", note) if text)
            member_id = added_id or (member.id if member else "")
            own = bool(added_id) or self._kind is PromoteLearner  # only etcd's answer shows who added the learner
            return StepResult(step=self._clock.step(outcome, text), view=after, added_id=member_id, proposed=own)
        if refused:
            return StepResult(step=self._clock.step(StepOutcome.REFUSED_BY_ETCD, note), view=after)
        text = note or unread or f"{via} agreed, but the member list does not show it"
        return StepResult(
            step=self._clock.step(StepOutcome.REPLAN, text), view=after, added_id=added_id, proposed=proposed
        )

    async def _look_again(self) -> tuple[ClusterView | None, str]:
        try:
            return await self._looks.look(self._change.doubtful)
        except EtcdPermissionError as error:  # the proposal was sent, although nothing may be read now
            return None, str(error)

    def _is_done(self, member: MemberView | None) -> bool:
        return member is not None and (self._kind is AddLearner or not member.is_learner)


def _furthest(view: ClusterView | None) -> int:
    """Return the highest raft index of a voter."""
    return max((m.raft_index for m in view.voters), default=0) if view else 0


class SyncWait:
    """A wait for the learner: until it is in sync in two looks, something else has changed, or the time is up.

    Args:
        looks: The cluster.
        ask: Which learner, and what is known of it.
        clock: Times the step.
    """

    def __init__(self, looks: Looks, ask: AwaitSyncInput, clock: StepClock) -> None:
        self._looks, self._ask, self._clock = looks, ask, clock
        self._goal = goal_of(ask)

    async def run(self) -> StepResult:
        """Look repeatedly, and return the last view."""
        loop = asyncio.get_running_loop()
        ends, before, (view, note) = loop.time() + self._ask.seconds, False, (None, "")
        is_first = True
        while True:
            if self._ask.seen is not None:
                now_in_sync, note = await self._by_own_word()
            else:
                view, note = await self._looks.look(self._ask.doubtful)
                if view is None and is_first:
                    await leave_reading_to_another_if_blind(self._looks, note)
                now_in_sync, changed, note = self._judged(view, note)
                if changed:
                    return self._ended(StepOutcome.NOT_IN_SYNC, note, view)
            is_first = False
            await failpoints.reach("await_sync.during")
            if now_in_sync and before:
                return self._ended(StepOutcome.IN_SYNC, note, view)
            before = now_in_sync
            if not before and loop.time() >= ends:
                return self._ended(StepOutcome.NOT_IN_SYNC, note, view)
            await asyncio.sleep(time_limits.STEPS.sync_pause_seconds)

    def _judged(self, view: ClusterView | None, note: str) -> tuple[bool, bool, str]:
        """Return whether the learner is in sync, whether anything else has changed, and a note."""
        if view is None:
            return False, False, note
        decision = plan(view, self._goal)
        if isinstance(decision, PromoteLearner) and decision.learner_id == self._ask.learner_id:
            learner = view.member(decision.learner_id)
            return True, False, f"it stands at raft index {learner.raft_index}" if learner else ""
        if not isinstance(decision, Blocked):
            return False, True, "it is no learner of this addition any more"
        same = decision.reason == self._ask.waits_for and {m.id for m in view.members} == {*self._ask.listed}
        return False, not same, f"{decision.reason}: {decision.seen}"

    async def _by_own_word(self) -> tuple[bool, str]:
        """Return whether the learner has the log, by its own status, and a note. Only this worker reaches it."""
        own = next((m for m in await self._looks.self_reports() if m.id == self._ask.learner_id), None)
        if own is None or own.cluster_id != self._ask.cluster_id or own.leader_id is None:
            return False, "it does not answer, or follows no leader"
        return own.raft_index >= self._ask.own_index, f"it stands at raft index {own.raft_index}"

    def _ended(self, outcome: StepOutcome, note: str, view: ClusterView | None) -> StepResult:
        return StepResult(step=self._clock.step(outcome, note), view=view)

"""Follow the learner of an addition: its identity, its progress, and the step that waits for it. Pure.

It waits for one of three: a start, an answer, or the log. A learner that only has to catch up, and does, blocks
nothing. One without progress for `progress_timeout_seconds` has a separate reason (`LearnerStalls`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.activity_io import AdditionInput, AwaitSyncInput
from etcd_handoff.contract import AdditionRequest, HandoffState
from etcd_handoff.operation import join, observation, view_doubts
from etcd_handoff.operation.commands import LONGEST_SUMMARY, Activity
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.operation.step_log import cut
from etcd_handoff.planning import CAUGHT_UP_ENTRIES, Blocked, MemberPresent, Reason, lag, learner_lags, plan

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import MemberView
    from etcd_handoff.operation.state import OperationState

WAITS: Final = frozenset(
    {Reason.LEARNER_NOT_STARTED, Reason.LEARNER_UNREACHABLE, Reason.LEARNER_LAGS, Reason.LEARNER_STALLS}
)
"""Reasons that the learner itself can end."""


class AwaitSync(Activity):
    """Wait until the learner is in sync, or its state changes otherwise; the result is a `StepResult`."""

    ask: AwaitSyncInput


def request_of(state: OperationState) -> AdditionRequest:
    """Return the request.

    Raises:
        TypeError: It is no addition.
    """
    if not isinstance(state.request, AdditionRequest):
        msg = f"{state.request} asks for no addition"
        raise TypeError(msg)
    return state.request


def goal(state: OperationState, cluster_id: str) -> MemberPresent:
    """Return the goal for the planner: the member that is to be present."""
    request, seen = request_of(state), state.binding
    return MemberPresent(
        cluster_id,
        request.name,
        request.peer_urls,
        seen.term,
        seen.raft_index,
        departing=view_doubts.leaving(state),
    )


def ask(state: OperationState) -> AdditionInput:
    """Return the input of the addition's activities; each of them waits for the learner's own answer."""
    joiner, given = goal(state, state.target.cluster_id), observation.change_input(state)
    sure = tuple(member_id for member_id in given.doubtful if member_id != state.target.member_id)
    return AdditionInput(
        **dict(given.model_copy(update={"doubtful": sure})),
        name=joiner.name,
        peer_urls=joiner.peer_urls,
        learner_id=state.target.member_id,
        departing=joiner.departing,
    )


def member_of(state: OperationState) -> MemberView | None:
    """Return the member that joins, as it was last seen."""
    member_id = state.pinned.member_id if state.pinned else ""
    return state.view.member(member_id) if state.view is not None and member_id else None


def noted(state: OperationState) -> OperationState:
    """Return the state with the learner's progress: it has started, or lags less than before.

    A growing raft index is no progress: a learner may still fall behind. After it was down, or near enough for its
    promotion, its lag is measured anew.
    """
    member, known = member_of(state), state.joining
    if member is None or state.view is None:
        return state
    starts = bool(member.name) and not known.has_started
    least, was_down, progresses = known.least_lag, known.was_down, known.mark_at is None or starts
    if member.name and not member.reachable:
        was_down = True
    elif member.name and state.view.healthy_voters:
        behind = max(0, lag(state.view, member))
        is_near = learner_lags(state.view, member) is None
        progresses = progresses or is_near or least is None or behind < least
        known_lag = behind if was_down or least is None else least
        least = None if is_near else min(known_lag, behind)
        was_down = False
    mark_at = state.since if progresses else known.mark_at
    return state.with_joining(has_started=bool(member.name), least_lag=least, was_down=was_down, mark_at=mark_at)


def waits(state: OperationState, decision: Blocked) -> OperationState:
    """Return the state that waits, with how to start the member, or as stalled where it makes no progress."""
    state = noted(state)
    if decision.reason not in WAITS:
        return state.blocked_by(decision)
    if settings := join.configuration(state):
        state = state.with_joining(settings=settings)
        decision = Blocked(decision.reason, decision.seen, join.in_words(settings))
    stalls = _idle_seconds(state) >= request_of(state).progress_timeout_seconds
    progresses = decision.reason is Reason.LEARNER_LAGS and not stalls
    return state.blocked_by(_stalls(state, decision) if stalls else decision).with_joining(progresses=progresses)


def pause(state: OperationState, blocked: Blocked, most_seconds: float) -> AwaitSync | None:
    """Return the step that waits for the learner in place of a timer; None where that would be useless.

    Where no worker reaches all members, the whole cluster has to be looked at each time. While a promotion may still
    take place, only a look that commits an entry first can settle it.
    """
    view = state.view
    waits_for_learner = blocked.reason in WAITS and state.pending_since is None
    if not waits_for_learner or view is None or view.merged or member_of(state) is None:
        return None
    decision = plan(view, goal(state, state.target.cluster_id))
    seconds = most_seconds
    if blocked.reason is not Reason.LEARNER_STALLS:  # which is to be told in time
        remaining = request_of(state).progress_timeout_seconds - _idle_seconds(state)
        seconds = min(most_seconds, max(remaining, 0.1))
    given = AwaitSyncInput(
        **dict(ask(state)),
        waits_for=decision.reason if isinstance(decision, Blocked) else "",
        seconds=seconds,
        listed=tuple(m.id for m in view.members),
    )
    return AwaitSync(
        ask=given, summary=cut(f"wait: {blocked.reason}, until {blocked.unblocks}", LONGEST_SUMMARY), resumable=True
    )


def confirm(state: OperationState, now: float) -> NextCommand:
    """Make sure that the learner is in sync in two looks, by its own answer."""
    if is_second_voter(state) and observation.wants_entry_first(state):  # which a learner that hangs does not get
        return observation.look(state, now, before_change=True)
    member, view = member_of(state), state.view
    furthest = max((m.raft_index for m in view.healthy_voters), default=0) if view else 0
    slack = 0 if is_second_voter(state) else CAUGHT_UP_ENTRIES
    given = AwaitSyncInput(
        **dict(ask(state)),
        seconds=time_limits.OPERATION.confirm_seconds,
        listed=tuple(m.id for m in view.members) if view else (),
        own_index=max(0, furthest - slack),
    )
    doing = f"making sure that {state.label} is in sync"
    summary = f"make sure that {state.label} is in sync"
    node = member.through_node if member else ""
    return NextCommand(state.showing(HandoffState.SYNCING, doing), AwaitSync(ask=given, node=node, summary=summary))


def follows(state: OperationState) -> bool:
    """Whether the second voter knows an entry after the one that it had to know.

    This is asked only where its own node alone reaches it. etcd reports an entry before it is on disk (etcd
    `server/etcdserver/raft.go`, updateCommittedIndex), and takes no further one while it writes that. Where a worker
    reaches all members, the promotion makes sure of it.
    """
    member = member_of(state)
    if state.view is None or not state.view.merged or not is_second_voter(state):
        return True
    return member is not None and member.raft_index > state.joining.followed


def is_out_of_reach(state: OperationState) -> bool:
    """Whether the member has been started, and the last view does not reach it."""
    member = member_of(state)
    return member is not None and bool(member.name) and not member.reachable


def is_second_voter(state: OperationState) -> bool:
    """Whether nothing is committed without the member once it is promoted, so that it must not lag at all."""
    return state.view is not None and len(state.view.voters) == 1


def _idle_seconds(state: OperationState) -> float:
    """Return for how long the learner has made no progress."""
    since = state.joining.mark_at
    return 0.0 if since is None else state.since - since


def _stalls(state: OperationState, decision: Blocked) -> Blocked:
    limit = request_of(state).progress_timeout_seconds
    return Blocked(
        Reason.LEARNER_STALLS,
        f"no progress for more than {limit:g} s (progress_timeout_seconds): {decision.reason}, {decision.seen}",
        decision.unblocks,
    )

"""Order looks at the cluster, and take from a look what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import doubts, time_limits
from etcd_handoff.activity_io import ChangeInput, CheckLeaderInput, StepInput
from etcd_handoff.contract import HandoffState
from etcd_handoff.operation import proposal, view_doubts
from etcd_handoff.operation.commands import Observe
from etcd_handoff.operation.membership_goal import members_changed
from etcd_handoff.operation.phases import LookDue
from etcd_handoff.operation.queue_messages import NO_MEMBER
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import MemberAbsent, MemberPresent
from etcd_handoff.planning.part_order import min_voters_after_removal

if TYPE_CHECKING:
    from etcd_handoff.activity_io import StepResult, Target
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState


def look(
    state: OperationState, now: float, *, patient: bool = False, probe: bool = False, before_change: bool = False
) -> NextCommand:
    """Order a fresh view.

    Args:
        state: The state.
        now: Workflow time in seconds.
        patient: Members that did not answer the last time get their full time-out again.
        probe: An entry is committed first, also when nothing can be pending.
        before_change: An entry is committed first because a change follows that no worker can judge alone.
    """
    cluster = state.request.cluster
    ask = CheckLeaderInput(
        cluster=cluster,
        doubtful=() if patient else doubtful(state),
        claims=state.pinned is None or view_doubts.shorter_list(state) is not None,
        patient_claims=patient and state.pinned is None and _few_confirm(state),
        probe=probe or before_change or proposal.wants_probe(state, now),
        rights=state.request.dry_run,
        cluster_id=state.binding.cluster_id,
    )
    if not patient:
        state = state.showing(HandoffState.CHECKING, state.doing, state.waiting_for)
    summary = f"look at members, leader and health of {cluster}"
    command = Observe(ask=ask, patient=patient, before_change=before_change, summary=summary)
    return NextCommand(state.changed(look_due=LookDue.NO, looked_at=now), command)


def _few_confirm(state: OperationState) -> bool:
    """Whether EtcdMembers may be needed as a witness of the last list."""
    return state.view is not None and (state.view.few_answer or state.own_member_alone)


def observed(state: OperationState, command: Observe, report: StepResult) -> OperationState:
    """Return the state after a look."""
    # A removal that is blocked for hours looks hundreds of times. The last look is enough.
    state = state.with_step(report.step, instead_of_last=command.patient)
    state = state.changed(claims=report.claims, resource=None)
    state = seen(state, report.view)
    acknowledged = report.writes_acknowledged
    state = state.changed(entry_committed=acknowledged is True)
    if not command.ask.probe:
        return state
    if not command.before_change:
        state = state.changed(writes_acknowledged=acknowledged)
    if not proposal.wants_probe(state, state.since):
        return state
    view = view_doubts.undoubted(state)
    # After that entry, what the list shows of an addition or a promotion stays so.
    shows = view is not None and (state.request.adds or view.member(state.target.member_id) is not None)
    state = proposal.settled(state, acknowledged=acknowledged, unchanged=shows)
    if state.pending_since is None and state.request.adds and not state.target.member_id:
        state = state.with_joining(sent=False)  # a learner that is found from here on was added by somebody else
    return state


def seen(state: OperationState, view: ClusterView | None) -> OperationState:
    """Return the state with this view; an undoubted one also shows how far the cluster has come."""
    state = state.changed(view=view)
    believed = view_doubts.undoubted(state)
    if believed is None or state.pinned is None:
        return state
    pinned, voters = state.pinned, tuple(member.id for member in believed.voters)
    state = state.changed(binding=doubts.bound(state.binding, believed), voters_seen=voters)
    if state.request.of_parts:
        return state
    if state.request.adds:
        return _joining(state, pinned, believed)
    return state.changed(absent=state.absent or believed.member(pinned.member_id) is None)


def _joining(state: OperationState, pinned: Target, view: ClusterView) -> OperationState:
    """Return the state with what is seen of the member that joins, which is then no longer pending.

    The member is found by its peer URLs once, then by its ID.
    """
    if not pinned.member_id:
        goal = MemberPresent(pinned.cluster_id, pinned.member_name, pinned.peer_urls)
        found = goal.member_in(view)
        if found is None:
            return state
        pinned = pinned.model_copy(update={"member_id": found.id})
        state = state.changed(pinned=pinned, pending_since=None)
    member = view.member(pinned.member_id)
    if member is None or member.is_learner:
        return state
    return state.changed(pending_since=None).with_joining(has_vote=not pinned.present)


def doubtful(state: OperationState) -> tuple[str, ...]:
    """Return the members that gave no full answer to the last look: one that hangs would delay every look."""
    if state.view is None:
        return ()
    return tuple(
        m.id for m in state.view.members if not m.reachable or m.through_node or not (m.serves_reads or m.is_learner)
    )


def intent(state: OperationState) -> MemberAbsent:
    """Return the goal of a removal for the planner."""
    part = state.whole.part if state.whole else None
    return MemberAbsent(
        state.target.cluster_id,
        state.target.member_id,
        frozenset(state.avoid),
        seen_term=state.binding.term,
        seen_index=state.binding.raft_index,
        leaving_later=frozenset(view_doubts.leaving(state)) - {state.target.member_id},
        min_voters=_min_voters(state),
        successors=frozenset(part.successors if part else ()),
    )


def _min_voters(state: OperationState) -> int:
    """Return how many voters must remain."""
    if state.whole is None:
        return state.worker_info.min_voters if state.worker_info else 1
    return min_voters_after_removal(state.view, members_changed(state)) if state.view else 1


def staying_node(state: OperationState) -> str:
    """Return the node of a healthy voter that stays; empty where any worker reaches one."""
    leave = {state.target.member_id, *view_doubts.leaving(state)}
    voters = state.view.healthy_voters if state.view else ()
    return next((m.through_node for m in voters if m.id not in leave), "")


def change_input(state: OperationState) -> ChangeInput:
    """Return the input that every activity gets that changes the cluster, whatever the operation."""
    return ChangeInput(
        cluster=state.request.cluster,
        cluster_id=state.target.cluster_id,
        doubtful=doubtful(state),
        seen_term=state.binding.term,
        seen_index=state.binding.raft_index,
        holder=state.chain_id,
        holder_label=f"{state.title}, Temporal namespace {state.namespace}",
        seen=state.view if state.view and state.view.merged else None,
    )


def act_input(state: OperationState) -> StepInput:
    """Return the input that every activity of a removal gets that changes or checks the cluster."""
    goal = intent(state)
    return StepInput(
        **dict(change_input(state)),
        target_id=goal.target_id or NO_MEMBER,
        avoid=state.avoid,
        leaving_later=tuple(sorted(goal.leaving_later)),
        successors=tuple(sorted(goal.successors)),
        min_voters=goal.min_voters,
    )


def after_step(state: OperationState, view: ClusterView | None, *, removed: bool = False) -> OperationState:
    """Return the state after a step, with what its worker saw.

    Where no worker reaches all members, that is not enough to decide on, or to call a member out. The worker's own
    member may have been forced into a new cluster. So the cluster is looked at again, unless the step has removed the
    target.
    """
    if state.view is not None and state.view.merged:
        view = state.view.only({m.id for m in view.members}) if view is not None and removed else None
    return looking_again(seen(state, view))


def wants_entry_first(state: OperationState) -> bool:
    """Whether the look before a change has to follow a committed entry.

    A worker that reaches only its own member cannot make sure that the others take part in writes. A look through all
    nodes does, as its reads come after the entry.
    """
    return state.view is not None and state.view.merged and not state.entry_committed


def is_old(state: OperationState, now: float) -> bool:
    """Whether the last look was ordered a while ago, so that its view may have waited for workers."""
    return now - state.looked_at > time_limits.OPERATION.old_look_seconds


def may_be_late(state: OperationState) -> bool:
    """Whether a voter that a dry run's only look found sick may have been slow for a second."""
    view = state.view
    return not state.looked_twice and view is not None and len(view.healthy_voters) < len(view.voters)


def looking_twice(state: OperationState) -> OperationState:
    """Return the state that looks again, once, where the first look may have had too little time."""
    return state.changed(looked_twice=True, look_due=LookDue.PATIENT)


def looking_again(state: OperationState) -> OperationState:
    """Return the state with a look due where an activity has seen nothing."""
    return state.changed(look_due=LookDue.QUICK) if state.view is None else state

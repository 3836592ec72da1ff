"""Decide which voters a hash check compares, and compare their hashes. Pure.

Where one worker reaches all members, it hashes them itself (`activities.hash_and_snapshot`). Else each node's worker
hashes its own member: the first voter at its newest revision, then the others at that revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.activity_io import CheckHashInput, StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.operation import failures, texts, view_doubts
from etcd_handoff.operation.commands import CheckHash, HashThroughNodes, StepFailure
from etcd_handoff.operation.observation import act_input
from etcd_handoff.operation.phases import HashCheck
from etcd_handoff.operation.state import NextCommand

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from etcd_handoff.activity_io import MemberHash
    from etcd_handoff.cluster_view import MemberView
    from etcd_handoff.operation.state import OperationState


def decide(state: OperationState) -> NextCommand | OperationState:
    """Compare the voters through one worker, or hash the next of them through their own nodes."""
    ask = CheckHashInput(**dict(act_input(state)), omitted=omitted(state))
    whole = CheckHash(ask=ask, summary="compare the data of the voters")
    if state.view is None or not state.view.merged:
        return NextCommand(state, whole)
    first, *others = voters = _compared_voters(state)
    if missing := silent(voters):
        return state.blocked_by(texts.hash_unknown(missing))
    newest = state.hashing.newest
    if newest is None or not others:
        return NextCommand(state, HashThroughNodes(checks=(_check(first, ask),), whole=whole))
    at = ask.model_copy(update={"newest": newest.keyspace})
    return NextCommand(state, HashThroughNodes(checks=tuple(_check(member, at) for member in others), whole=whole))


def unchecked(state: OperationState) -> OperationState:
    """Return the state after a wait without the turn: earlier hashes count no more."""
    return state.changed(hash_checked=False, hashing=HashCheck())


def _check(member: MemberView, ask: CheckHashInput) -> CheckHash:
    return CheckHash(
        ask=ask.model_copy(update={"member_id": member.id}),
        node=member.through_node,
        summary=f"hash the data of {member.label}",
    )


def answered(state: OperationState, results: Sequence[StepResult | StepFailure]) -> StepResult | OperationState:
    """Return the result of the check, or the state that goes on with it or waits for missing hashes."""
    for result in results:
        if isinstance(result, StepFailure):
            final = failures.failed_step(result.kind, result.text, pinned=True)
            return state.failing(final) if final else state.blocked_by(texts.hash_unknown(result.text))
    voters, hashing = _compared_voters(state), state.hashing
    first = (hashing.newest,) if hashing.newest else ()
    reports = [*first, *(result for result in results if isinstance(result, StepResult))]
    hashes = [(m.label, r.keyspace) for m, r in zip(voters, reports, strict=False) if r.keyspace]
    outcome, note = StepOutcome.UNAVAILABLE, "; ".join(r.step.note for r in reports if r.keyspace is None)
    if not note and len(hashes) < len(voters):
        return state.changed(hashing=hashing.model_copy(update={"newest": reports[0]}))
    if not note:
        outcome, note = compared(hashes)
    if outcome is StepOutcome.UNAVAILABLE and hashing.tries + 1 < time_limits.OPERATION.hash_check_attempts:
        return state.changed(hashing=HashCheck(tries=hashing.tries + 1))
    step = reports[0].step.model_copy(update={"outcome": outcome, "note": note})
    return StepResult(step=step)


def voters_to_compare(voters: Sequence[MemberView], omitted: Collection[str]) -> tuple[MemberView, ...]:
    """Return the voters whose data are compared: all but those left out, if these are most of the voters; else all.

    A member that leaves takes its copy along. So one that is down, or whose data are the ones that differ, can be
    removed. Where those that stay are no majority, their copies do not show which data are right.

    Args:
        voters: All voters.
        omitted: IDs of members that leave by the change.
    """
    stay = tuple(m for m in voters if m.id not in omitted)
    return stay if 2 * len(stay) > len(voters) else tuple(voters)


def _compared_voters(state: OperationState) -> tuple[MemberView, ...]:
    return voters_to_compare(state.view.voters, omitted(state)) if state.view else ()


def omitted(state: OperationState) -> tuple[str, ...]:
    """Return the IDs of the members whose data need not be compared, since they leave.

    In a larger change a new member may join before one leaves, and it copies the data of the leader. So a member that
    works, or leads, is compared there.
    """
    leaving = {state.target.member_id, *view_doubts.leaving(state)} - {""}
    return tuple(sorted(leaving if state.whole is None else leaving - _may_be_copied(state)))


def is_left_out_at_work(state: OperationState) -> bool:
    """Whether a new member may copy the data of a member that the last hash check left out: it has come back."""
    return bool(_may_be_copied(state) & {*state.hash_omitted})


def _may_be_copied(state: OperationState) -> set[str]:
    """Return the IDs of the voters that lead, or may do so soon."""
    if state.view is None:
        return set()
    leader = state.view.leadership
    return {m.id for m in state.view.healthy_voters} | ({leader.id} if leader else set())


def silent(voters: Iterable[MemberView]) -> str:
    """Return the voters that do not answer, any of whose copies may differ; empty when all do."""
    return ", ".join(f"{m.label} does not answer ({m.note})" for m in voters if not m.reachable)


def compared(hashes: Sequence[tuple[str, MemberHash]]) -> tuple[StepOutcome, str]:
    """Return whether keyspaces are the same, and what was seen.

    Where they were compacted differently, that is unknown.

    Args:
        hashes: Each with a name for people; the first is the one at whose revision all were taken.
    """
    if len({keyspace.compact_revision for _, keyspace in hashes}) > 1:
        compacted = ", ".join(f"{name} {keyspace.compact_revision}" for name, keyspace in hashes)
        return StepOutcome.UNAVAILABLE, f"members have compacted up to different revisions: {compacted}"
    shown = ", ".join(f"{name} {keyspace.hash:08x}" for name, keyspace in hashes)
    same = len({keyspace.hash for _, keyspace in hashes}) == 1
    return StepOutcome.CONSISTENT if same else StepOutcome.INCONSISTENT, f"revision {hashes[0][1].revision}: {shown}"

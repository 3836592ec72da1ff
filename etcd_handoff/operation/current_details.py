"""Render what an operator reads of an operation: the Temporal Web UI page and the `progress` answer. Pure.

The pages of the workflows beside it are here too: its queue, its late record, its notices. `etcd_handoff.reconciler`
has that of the watcher.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from etcd_handoff.contract import HandoffState, Progress
from etcd_handoff.operation import change_queue, join, people, texts
from etcd_handoff.operation.phases import LastingState
from etcd_handoff.operation.unblocking_commands import command, remedies
from etcd_handoff.planning import warnings

if TYPE_CHECKING:
    from etcd_handoff.activity_io import UpdateStatusInput
    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.contract import Step
    from etcd_handoff.operation.queue_messages import ChangeQueueState
    from etcd_handoff.operation.state import OperationState


def progress(state: OperationState) -> Progress:
    """Return the answer of the query `progress`."""
    lasting, _, reason = state.lasting.what.partition(": ")
    lasts = bool(lasting) and state.handoff_state in (lasting, HandoffState.CHECKING)
    return Progress(
        state=state.handoff_state,
        cluster=state.request.cluster,
        member=state.original_request.subject,
        member_id=state.pinned.member_id if state.pinned else "",
        doing=state.doing,
        waiting_for=state.waiting_for,
        blocked_reason=reason if lasts else "",
        since=datetime.fromtimestamp(state.lasting.since, UTC).isoformat(timespec="seconds") if lasts else "",
        part=state.whole.part.words if state.whole and state.whole.part else "",
        point_of_no_return=state.point_of_no_return,
        join_configuration=join.configuration(state),
        steps=state.steps,
        steps_left_out=state.steps_left_out,
    )


def lasting_since(state: OperationState, now: float) -> OperationState:
    """Return the state with the time since when it has been in its handoff state.

    Looks in between do not end that time.
    """
    what = f"{state.handoff_state}: {state.blocked.reason}" if state.blocked else str(state.handoff_state)
    if state.handoff_state is HandoffState.CHECKING or what == state.lasting.what:
        return state
    return state.changed(lasting=LastingState(what=what, since=now))


def details(state: OperationState) -> str:
    """Return the page: state, reason, remedies, what follows, the members, the steps so far.

    It uses bullets of one level: the Web UI draws tables without lines, and runs nested bullets together.
    """
    parts = (_facts(state), _remedies(state), _settings(state), _decision(state), _members(state), _steps(state))
    return "\n\n".join([f"### {state.original_request.summary}", *("\n".join(lines) for lines in parts if lines)])


def queue_details(state: ChangeQueueState) -> str:
    """Return the page of a change queue: who has the turn, who may have it, who waits."""
    holder = next((e for e in state.entries if e.chain_id == state.holder), None)
    lines = [f"**Turn:** {holder.label if holder else 'nobody'}", ""]
    lines += [f"- may have it: {change_queue.holder_label(name)}" for name in state.possible_holders]
    return "\n".join([*lines, *(f"- waits: {entry.label}" for entry in change_queue.waiters(state))])


def record_details(member: str, record: UpdateStatusInput) -> str:
    """Return the page of the workflow that writes one EtcdMember after its operation has ended."""
    where = "The pending activity `update_status` tells what the API servers answered last."
    return f"### {texts.record_summary(member, record)}\n\n{where}"


def notice_details(about: str) -> str:
    """Return the page of the workflow that delivers a notice. `about` is the notice in one line."""
    return f"### Send to the webhook: {about}\n\nThe pending activity `send_notice` tells what it answered last."


# --- the parts of an operation's page ---------------------------------------------------------------------------------


def _facts(state: OperationState) -> list[str]:
    """Return what is true now, the state first."""
    noun, lasts = state.original_request.noun, state.lasting.what.partition(":")[0] == state.handoff_state
    since = f", since {_moment(state.lasting.since)}" if lasts else ""
    part, _, does = (state.whole.part.words if state.whole and state.whole.part else "").partition(": ")
    facts = [
        (part.capitalize(), does),
        ("What unblocks it", state.waiting_for),
        ("Looks again", _looks_again(state)),
        ("Queue", _place(state)),
        ("Cancel", f"no longer possible: the {state.request.noun} was proposed to etcd")
        if state.point_of_no_return
        else ("", ""),
        *(("Warning", warning) for warning in (warnings(state.view) if state.view else ())),
        ("Why", state.original_request.reason),
        (f"Asked for the {noun}", " at ".join(filter(None, (state.person, _moment_of(state.began))))),
        ("Approved by", people.approver(state.approval, state.approved)),
    ]
    return [f"- **{state.handoff_state}**{since}: {state.doing}", *(f"- **{k}:** {text}" for k, text in facts if text)]


def _looks_again(state: OperationState) -> str:
    """Return how long it waits before it gives up; empty where it is not blocked."""
    if state.handoff_state is not HandoffState.BLOCKED or state.blocked is None:
        return ""
    return f"by itself; it gives up at {_moment(state.since + state.blocked_remaining_seconds)}"


def _place(state: OperationState) -> str:
    """Return its place in the cluster's queue; empty where it has none."""
    if state.holds_turn and state.ending is None:
        return "first: it may change the cluster"
    if state.handoff_state is HandoffState.QUEUED:
        return f"number {len(state.behind) + 1}, behind {', '.join(state.behind)}" if state.behind else ""
    return ""


def _remedies(state: OperationState) -> list[str]:
    """Return what a person can do: each command to copy, and the update with the same effect and its input."""
    request, lines = state.original_request, []
    for remedy in remedies(state.handoff_state, final=state.point_of_no_return, waits=bool(state.waiting_for)):
        lines.append(
            f"- {remedy.purpose}: `{command(remedy.name, request.cluster, request.subject, request.start_id)}`"
        )
        if remedy.example:
            lines.append(f"- or here: More Actions, Send an Update, `{remedy.name}`, with the input `{remedy.example}`")
    return ["**What you can do**", "", *lines] if lines else []


def _settings(state: OperationState) -> list[str]:
    settings = join.configuration(state)
    return ["**Start etcd with**", "", *(f"- `{name}={value}`" for name, value in settings.items())] if settings else []


def _decision(state: OperationState) -> list[str]:
    """Return the steps that follow, which an approver has to know."""
    if not state.planned or state.ending is not None:
        return []
    return ["**What follows**", "", *(f"{number}. {line}" for number, line in enumerate(state.planned, 1))]


def _members(state: OperationState) -> list[str]:
    view = state.view
    if view is None:
        return []
    moves = "joins" if state.request.adds else "leaves"
    bullets = [f"- {_member(view, m, moves if _is_target(state, m) else '')}" for m in view.members]
    return [f"**Members** of cluster `{view.cluster_id}`", "", *bullets]


def _is_target(state: OperationState, member: MemberView) -> bool:
    return state.pinned is not None and state.pinned.member_id == member.id


def _member(view: ClusterView, member: MemberView, moves: str) -> str:
    """`**node0** (leaves): leader, healthy; raft index 4711, ID 8211f1d0f64f3269`."""
    leader = view.leadership
    role = "learner" if member.is_learner else ("leader" if leader and leader.id == member.id else "voter")
    works = member in view.healthy_voters
    hangs = member.reachable and not (member.serves_reads or member.is_learner)
    answers = "answers, but no linearizable read" if hangs else "answers"
    health = "healthy" if works else (member.note or (answers if member.reachable else "no answer"))
    index = f"raft index {member.raft_index}, " if member.raft_index else ""
    return f"**{member.label}**{f' ({moves})' if moves else ''}: {role}, {_line(health)}; {index}ID `{member.id}`"


def _steps(state: OperationState) -> list[str]:
    if not state.steps:
        return []
    omitted = f" (without {state.steps_left_out} in between)" if state.steps_left_out else ""
    return [f"**Steps**{omitted}", "", *map(_step, state.steps)]


def _step(step: Step) -> str:
    attempts = f", {step.attempts} attempts" if step.attempts > 1 else ""
    note = f": {step.note}" if step.note else ""
    return f"- `{step.name}` {step.outcome}, {step.milliseconds:.0f} ms on {step.node}{attempts}{note}"


def _moment(time: float) -> str:
    """`2026-11-28 03:52:01 UTC`."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _moment_of(time: str) -> str:
    """Return a time in ISO 8601 as `_moment` does; empty for an empty one."""
    return _moment(datetime.fromisoformat(time).timestamp()) if time else ""


def _line(text: str) -> str:
    """Return the text in one line."""
    return " ".join(text.split())

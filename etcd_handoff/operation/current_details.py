"""What an operator reads of an operation: the page in the Temporal Web UI, and the answer of `progress`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.contract import Progress
from etcd_handoff.operation import join, people
from etcd_handoff.operation.remedies import command, remedies
from etcd_handoff.planning import warnings

if TYPE_CHECKING:
    from etcd_handoff.activity_io import Target
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.remedies import Remedy
    from etcd_handoff.operation.state import OperationState


def progress(state: OperationState) -> Progress:
    """Answer of the query `progress`."""
    return Progress(
        state=state.handoff_state,
        cluster=state.request.cluster,
        member=state.asked.subject,
        member_id=state.pinned.member_id if state.pinned else "",
        doing=state.doing,
        waiting_for=state.waiting_for,
        part=state.whole.part.words if state.whole and state.whole.part else "",
        point_of_no_return=state.point_of_no_return,
        join_configuration=join.configuration(state),
        steps=state.steps,
        steps_left_out=state.steps_left_out,
    )


def details(state: OperationState) -> str:
    """The page: what is happening, why, the members, the steps so far."""
    request, view = state.asked, state.view
    lines = [f"### {request.summary}", "", f"**{state.handoff_state}**: {state.doing}"]
    if state.whole and state.whole.part:
        lines[1:1] = ["", f"**{state.whole.part.words.capitalize()}**"]
    if state.waiting_for:
        lines += ["", f"**Goes on when:** {state.waiting_for}"]
    if can_do := remedies(state.handoff_state, final=state.change_pending, waits=bool(state.waiting_for)):
        lines += ["", "**What you can do**", "", *(_remedy(state, remedy) for remedy in can_do)]
    if request.reason:
        lines += ["", f"**Reason given:** {request.reason}"]
    if approver := people.approver(state.approval, state.approved):
        lines += ["", f"**Approved by:** {approver}"]
    if state.point_of_no_return:
        lines += ["", f"The {state.request.noun} has been proposed: from here it only rolls forward."]
    if settings := join.configuration(state):
        lines += ["", "**Start etcd with**", "", *(f"- `{name}={value}`" for name, value in settings.items())]
    if view is not None:
        lines += [line for warning in warnings(view) for line in ("", f"**Warning:** {warning}")]
        lines += ["", *_members(view, state.pinned, "joins" if state.request.adds else "leaves")]
    if state.steps:
        left_out = f" (without {state.steps_left_out} in between)" if state.steps_left_out else ""
        lines += ["", f"**Steps**{left_out}", ""]
        lines += [
            f"- `{s.name}` {s.outcome}, {s.milliseconds:.0f} ms on {s.node}"
            + (f", {s.attempts} attempts" if s.attempts > 1 else "")
            + (f": {s.note}" if s.note else "")
            for s in state.steps
        ]
    return "\n".join(lines)


def _remedy(state: OperationState, remedy: Remedy) -> str:
    """One bullet: the command to copy, and the update that does the same."""
    asked = state.asked
    text = f"- {remedy.purpose}: `{command(remedy.name, asked.cluster, asked.subject, asked.start_id)}`"
    return f"{text}, or {remedy.update}" if remedy.update else text


def _members(view: ClusterView, pinned: Target | None, moves: str) -> list[str]:
    leader = view.leadership
    rows = [
        f"**Members of cluster `{view.cluster_id}`**",
        "",
        "| member | ID | role | state | raft index |",
        "| --- | --- | --- | --- | --- |",
    ]
    for m in view.members:
        role = "learner" if m.is_learner else ("leader" if leader and leader.id == m.id else "voter")
        leaving = f" ({moves})" if pinned and pinned.member_id == m.id else ""
        state = "healthy" if m in view.healthy_voters else (m.note or ("answers" if m.reachable else "no answer"))
        rows.append(f"| **{_cell(m.label)}**{leaving} | `{m.id}` | {role} | {_cell(state)} | {m.raft_index} |")
    return rows


def _cell(text: str) -> str:
    """Text that does not break a table."""
    return " ".join(text.split()).replace("|", "\\|")

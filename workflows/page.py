"""What an operator reads in the Temporal Web UI: Markdown made from what the workflow knows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.planning import warnings

if TYPE_CHECKING:
    from etcd_handoff.model import Pinned, Progress, RemovalRequest
    from etcd_handoff.view import ClusterView


def summary(request: RemovalRequest) -> str:
    """One line on what the workflow is for."""
    return f"Take member {request.member} out of etcd cluster {request.cluster}"


def details(request: RemovalRequest, progress: Progress, pinned: Pinned | None, view: ClusterView | None) -> str:
    """The page: what is happening, why, the members, the steps so far."""
    lines = [f"### {summary(request)}", "", f"**{progress.state}**: {progress.doing}"]
    if progress.waiting_for:
        lines += ["", f"**Goes on when:** {progress.waiting_for}"]
    if request.reason:
        lines += ["", f"**Reason given:** {request.reason}"]
    if progress.point_of_no_return:
        lines += ["", "The removal has been proposed: from here it only rolls forward."]
    if view is not None:
        lines += [line for warning in warnings(view) for line in ("", f"**Warning:** {warning}")]
        lines += ["", *_members(view, pinned)]
    if progress.steps:
        left_out = f" (without {progress.steps_left_out} in between)" if progress.steps_left_out else ""
        lines += ["", f"**Steps**{left_out}", ""]
        lines += [
            f"- `{s.name}` {s.outcome}, {s.milliseconds:.0f} ms on {s.node}"
            + (f", {s.attempts} attempts" if s.attempts > 1 else "")
            + (f": {s.note}" if s.note else "")
            for s in progress.steps
        ]
    return "\n".join(lines)


def _members(view: ClusterView, pinned: Pinned | None) -> list[str]:
    leader = view.leadership
    rows = [
        f"**Members of cluster `{view.cluster_id}`**",
        "",
        "| member | ID | role | state | raft index |",
        "| --- | --- | --- | --- | --- |",
    ]
    for m in view.members:
        role = "learner" if m.is_learner else ("leader" if leader and leader.id == m.id else "voter")
        leaving = " (leaves)" if pinned and pinned.member_id == m.id else ""
        state = "healthy" if m in view.healthy_voters else (m.note or ("answers" if m.reachable else "no answer"))
        rows.append(f"| **{_cell(m.label)}**{leaving} | `{m.id}` | {role} | {_cell(state)} | {m.raft_index} |")
    return rows


def _cell(text: str) -> str:
    """Text that does not break a table."""
    return " ".join(text.split()).replace("|", "\\|")

"""What an operator reads of a watcher in the Temporal Web UI: Markdown made from what the workflow knows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etcd_handoff.leave_requests import Asked, LeaveOrder, Watching


def details(watching: Watching, *, installed: bool) -> str:
    """The page: trouble first, then all EtcdMembers, then what was put right.

    Args:
        watching: What the query answers.
        installed: The API servers serve EtcdMembers.
    """
    lines = [f"### EtcdMembers of cluster {watching.cluster}", ""]
    if watching.trouble:
        lines += [f"**Trouble:** {watching.trouble}", ""]
    if not installed:
        lines += ["The API servers do not serve EtcdMembers: install `deploy/crd.yaml`.", ""]
    orders = {order.uid: order for order in watching.orders}
    lines += [_line(asked, orders) for asked in watching.members]
    if watching.repaired:
        lines += ["", "**Put right**", "", *(f"- {text}" for text in watching.repaired)]
    return "\n".join(lines)


def _line(asked: Asked, orders: Mapping[str, LeaveOrder]) -> str:
    order = orders.get(asked.uid)
    wish = ""
    if asked.leave:
        whom = order.member_id if order else ""
        wish = ", asked to leave" if whom == asked.member_id else f", an old request for {whom or 'nobody'}"
    return f"- **{asked.name}** `{asked.member_id or 'no ID'}` Joined={asked.joined}{wish}"

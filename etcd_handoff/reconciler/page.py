"""Render the page of a reconciler in the Temporal Web UI, as Markdown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import ReconcilerStatus


def details(status: ReconcilerStatus, *, installed: bool) -> str:
    """Return the page: trouble first, then all EtcdMembers, then the corrections.

    Args:
        status: The answer of the query.
        installed: The API servers serve EtcdMembers.
    """
    lines = [f"### EtcdMembers of cluster {status.cluster}", ""]
    if status.trouble:
        lines += [f"**Trouble:** {status.trouble}", ""]
    if not installed:
        lines += ["The API servers do not serve EtcdMembers: install `deploy/crd.yaml`.", ""]
    lines += [_line(status, resource) for resource in status.members]
    if status.repaired:
        lines += ["", "**Corrected**", "", *(f"- {text}" for text in status.repaired)]
    return "\n".join(lines)


def _line(status: ReconcilerStatus, resource: MemberResource) -> str:
    whom, request = status.about(resource), ""
    if whom is not None and whom != resource.member_id:
        request = f", an old request for {whom or 'nobody'}"
    elif whom is not None:
        request = f", {status.request_text(resource)}"
    return f"- **{resource.name}** `{resource.member_id or 'no ID'}` Joined={resource.joined}{request}"

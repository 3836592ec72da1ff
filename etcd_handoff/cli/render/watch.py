"""The output of `watch status`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli.render.table import table
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED
from etcd_handoff.reconciler import drift

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import Doubt
    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import ReconcilerStatus


def status_exit(status: ReconcilerStatus) -> int:
    """Return 3 if a doubt holds corrections back, 1 if anything else is wrong, otherwise 0."""
    if status.doubt is not None:
        return EXIT_REFUSED
    return EXIT_FAILED if status.trouble else EXIT_DONE


def status_lines(status: ReconcilerStatus) -> list[str]:
    """Return lines on trouble, then on all EtcdMembers, then on corrections."""
    lines = [f"cluster {status.cluster} is watched, every {status.resync_seconds:g} s"]
    if status.trouble:
        lines.append(f"trouble: {status.trouble}")
    failures = {retry.uid: retry.failures for retry in status.retries}
    rows = [
        [
            resource.name,
            resource.member_id or "-",
            resource.joined,
            _request(status, resource),
            f"failed {failures[resource.uid]} times, tried again" if resource.uid in failures else "",
        ]
        for resource in status.members
    ]
    if rows or not status.trouble:
        lines += table(("ETCDMEMBER", "MEMBER ID", "JOINED", "ASKED", ""), rows)
    return [*lines, *(f"corrected: {text}" for text in status.repaired)]


def held_back(doubt: Doubt, cluster: str) -> str:
    """Describe what holds corrections back, with the command that confirms it if there is one."""
    return with_cluster(f"this holds corrections back: {drift.in_words(doubt)}", cluster)


def _request(status: ReconcilerStatus, resource: MemberResource) -> str:
    """Describe what an EtcdMember asks for."""
    about = status.about(resource)
    if about is None:
        return ""
    return status.request_text(resource) if about == resource.member_id else f"old request for {about or 'nobody'}"

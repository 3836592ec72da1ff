"""The output of `status`.

`etcd_handoff.cli.render.members` has the table of members, which `plan` prints too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.etcdmembers import compare_resources
from etcd_handoff.cli.render.members import cluster_line, cluster_object, member_lines
from etcd_handoff.cli.render.operations import temporal_lines, temporal_object
from etcd_handoff.cli.render.table import table
from etcd_handoff.cli.render.troubles import trouble_lines
from etcd_handoff.command_lines import with_cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.cli.render.operations import TemporalParts
    from etcd_handoff.cluster_view import ClusterView, Doubt

TEMPORAL_PARTS: Final = ("operations", "records", "last", "workers", "watcher")
RESOURCE_HEADINGS: Final = ("ETCDMEMBER", "JOINED", "MEMBER ID", "MESSAGE")


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The data that `status` prints.

    Attributes:
        cluster: Cluster profile.
        view: What etcd says; None if it cannot be read.
        resources: EtcdMembers; None if they cannot be read, or if the profile has no Kubernetes.
        temporal: Operations, workers and watcher; None if Temporal does not answer.
        errors: Why a part is missing, by `etcd`, `kubernetes`, `temporal`.
        doubt: Why the view cannot be trusted; None if nothing contradicts it.
        statuses: The exit status for each missing part.
        options: The options that name cluster and configuration, for commands in messages.
    """

    cluster: str
    view: ClusterView | None
    resources: Sequence[dict[str, Any]] | None
    temporal: TemporalParts | None
    errors: dict[str, str]
    doubt: Doubt | None = None
    statuses: tuple[int, ...] = ()
    options: str = ""

    @property
    def trusted_view(self) -> ClusterView | None:
        """The view, if EtcdMembers may be compared with it; otherwise None."""
        return None if self.doubt else self.view


def status_lines(report: StatusReport) -> list[str]:
    """Return all parts, with an error in place of a missing one."""
    if report.view is None:
        lines = [f"cluster {report.cluster}: {report.errors.get('etcd', 'etcd was not read')}"]
    else:
        lines = [cluster_line(report.cluster, report.view), *member_lines(report.view)]
        options = report.options or f"-c {report.cluster}"
        lines += trouble_lines(report.view, options, alarms_alone=report.doubt is not None)
    if report.doubt is not None:
        remedy = with_cluster(report.doubt.remedy, report.cluster)
        lines += [f"! {report.doubt.kind}: {report.doubt.text}", f"  remedy: {remedy}"]
    health = report.temporal.watcher if report.temporal else None
    watcher = (
        [health.line(report.options or f"-c {report.cluster}")]
        if health and (health.trouble or report.resources is not None)
        else []
    )
    return [*lines, "", *_resource_lines(report), *watcher, "", *_temporal_lines(report)]


def _resource_lines(report: StatusReport) -> list[str]:
    if report.resources is None:
        return [f"EtcdMembers: {report.errors.get('kubernetes', 'the cluster profile has no kubernetes')}"]
    compared = compare_resources(report.trusted_view, report.resources)
    rows = [[r.name, r.joined, r.member_id or "-", r.message or "-"] for r in compared]
    # Below the table, because a long message beside it would hide it.
    marks = [f"! {r.name}: {r.wrong}" for r in compared if r.wrong]
    return [*table(RESOURCE_HEADINGS, rows), *marks] if rows else ["EtcdMembers: none"]


def _temporal_lines(report: StatusReport) -> list[str]:
    if report.temporal is None:
        return [f"Operations: {report.errors.get('temporal', 'Temporal was not asked')}"]
    return temporal_lines(report.temporal)


def status_object(report: StatusReport) -> dict[str, Any]:
    """Return all parts for JSON. A missing part is null, and `errors` has its error."""
    view, resources, doubt = report.view, report.resources, report.doubt
    return {
        **(cluster_object(report.cluster, view) if view else {"cluster": report.cluster, "members": None}),
        "doubt": doubt.model_dump(mode="json", include={"kind", "text", "remedy"}) if doubt else None,
        "etcdmembers": None
        if resources is None
        else [asdict(r) for r in compare_resources(report.trusted_view, resources)],
        **(temporal_object(report.temporal) if report.temporal else dict.fromkeys(TEMPORAL_PARTS)),
        "errors": report.errors,
    }

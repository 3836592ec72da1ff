"""What the command line says of a cluster: tables, plans, status. Pure; it prints nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.records import RECORD_HEADINGS, compare, record_rows
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE
from etcd_handoff.planning import lag, warnings
from etcd_handoff.view import CORRUPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.view import ClusterView, Doubt, MemberView

REMEDY_OF_ALARM: Final[dict[str, str]] = {
    "NOSPACE": "compact and defragment, then `etcdctl alarm disarm`",
    "CORRUPT": "find the corrupt member with `etcdctl endpoint hashkv --cluster`, and replace it",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as their widest cell."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


# --- members ------------------------------------------------------------------------------------------------


def role(view: ClusterView, member: MemberView) -> str:
    """`leader` only where a majority says so."""
    if member.is_learner:
        return "learner"
    return "leader" if view.leadership and view.leadership.id == member.id else "voter"


def health(view: ClusterView, member: MemberView) -> str:
    """`healthy` where it counts towards the quorum, otherwise why it does not."""
    if _well(view, member):
        return f"healthy, {member.note}" if member.note else "healthy"
    if member.note or not member.reachable:
        return member.note or "no answer"
    if not member.serves_reads and not member.is_learner:
        return "answers, but no linearizable read"
    return "does not follow the agreed leader" if view.leadership else "answers, but no leader is agreed"


def _well(view: ClusterView, member: MemberView) -> bool:
    """A healthy voter, or a learner that answers."""
    return member in view.healthy_voters or (member.is_learner and member.reachable)


def cluster_line(cluster: str, view: ClusterView) -> str:
    """The cluster in one line."""
    lead = view.leadership
    led = f"{view.label(lead.id)} leads at term {lead.term}" if lead else "no leader that a majority agrees on"
    return f"cluster {cluster} (ID {view.cluster_id}): {count(len(view.members), 'member')}, {led}"


def member_rows(view: ClusterView) -> list[list[str]]:
    """One row for each member, in the columns of `MEMBER_HEADINGS`."""
    return [
        [
            m.name or "(not started)",
            m.id,
            role(view, m),
            health(view, m),
            str(m.term) if m.reachable else "-",
            str(m.raft_index) if m.reachable else "-",
            m.version or "-",
        ]
        for m in view.members
    ]


MEMBER_HEADINGS: Final = ("NAME", "ID", "ROLE", "HEALTH", "TERM", "RAFT INDEX", "VERSION")


def view_object(cluster: str, view: ClusterView) -> dict[str, Any]:
    """The cluster for JSON."""
    lead = view.leadership
    return {
        "cluster": cluster,
        "cluster_id": view.cluster_id,
        "leader_id": lead.id if lead else None,
        "term": lead.term if lead else None,
        "foreign": list(view.foreign),
        "alarms": alarm_lines(view),
        "members": [
            {
                **m.model_dump(mode="json"),
                "role": role(view, m),
                "healthy": _well(view, m),
                "lag": lag(view, m) if m.reachable else None,
            }
            for m in view.members
        ],
    }


def alarm_lines(view: ClusterView) -> list[str]:
    """All alarms that etcd has raised, those of the whole cluster and of members that have left included."""
    raised = [(m.label, kind) for m in view.members for kind in m.alarms]
    for alarm in view.alarms:
        whose = view.label(alarm.member_id) if alarm.member_id else "the whole cluster"
        gone = alarm.member_id and view.member(alarm.member_id) is None
        raised.append((f"{whose}, which has left" if gone else whose, alarm.kind))
    return [f"{whose}: {kind}" for whose, kind in dict.fromkeys(raised)]


def remarks(view: ClusterView) -> list[str]:
    """What an operator must know of the cluster before any change."""
    corrupt = [line for line in alarm_lines(view) if line.endswith(f": {CORRUPT}")]
    return [*warnings(view), *(f"etcd has raised an alarm: {line}" for line in corrupt)]


# --- status -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenRemoval:
    """A removal that runs: its workflow ID, whom it is about, where it stands, since when (UTC, ISO 8601)."""

    workflow_id: str
    member: str
    state: str
    started: str


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` could read.

    Attributes:
        cluster: Cluster profile.
        view: What etcd says; None when it could not be read.
        resources: EtcdMembers as read; None when they could not be, or the profile has no Kubernetes.
        removals: Open removals; None when Temporal could not be asked.
        errors: Why a part is missing, by `etcd`, `kubernetes`, `temporal`.
        doubt: Why nothing may be concluded from the view; None when nothing contradicts it.
        statuses: The exit status that each missing part calls for.
        watcher_trouble: What is wrong with the watcher; empty when nothing is, or when nothing watches the cluster.
    """

    cluster: str
    view: ClusterView | None
    resources: Sequence[dict[str, Any]] | None
    removals: Sequence[OpenRemoval] | None
    errors: dict[str, str]
    doubt: Doubt | None = None
    statuses: tuple[int, ...] = ()
    watcher_trouble: str = ""

    @property
    def believed(self) -> ClusterView | None:
        """The view, where EtcdMembers may be judged by it."""
        return None if self.doubt else self.view


def status_lines(seen: Status) -> list[str]:
    """All parts; a missing one says why in its place."""
    if seen.view is None:
        lines = [f"cluster {seen.cluster}: {seen.errors.get('etcd', 'etcd was not read')}"]
    else:
        lines = [cluster_line(seen.cluster, seen.view), *table(MEMBER_HEADINGS, member_rows(seen.view))]
        lines += [f"! {remark}" for remark in remarks(seen.view)]
    if seen.doubt is not None:
        lines += [f"! {seen.doubt.kind}: {seen.doubt.text}", f"  remedy: {seen.doubt.remedy}"]
    watcher = [f"! trouble of the watcher: {seen.watcher_trouble}"] if seen.watcher_trouble else []
    return [*lines, "", *_record_lines(seen), *watcher, "", *_removal_lines(seen)]


def _record_lines(seen: Status) -> list[str]:
    if seen.resources is None:
        return [f"EtcdMembers: {seen.errors.get('kubernetes', 'the cluster profile has no kubernetes')}"]
    records = compare(seen.believed, seen.resources)
    return table(RECORD_HEADINGS, record_rows(records)) if records else ["EtcdMembers: none"]


def _removal_lines(seen: Status) -> list[str]:
    if seen.removals is None:
        return [f"Removals: {seen.errors.get('temporal', 'Temporal was not asked')}"]
    rows = [[r.workflow_id, r.member, r.state, r.started] for r in seen.removals]
    return table(("OPEN REMOVAL", "MEMBER", "STATE", "STARTED"), rows) if rows else ["Removals: none is running"]


def status_object(seen: Status) -> dict[str, Any]:
    """All parts for JSON; a missing one is null, and `errors` says why."""
    about = view_object(seen.cluster, seen.view) if seen.view else {"cluster": seen.cluster, "members": None}
    records = None if seen.resources is None else [asdict(r) for r in compare(seen.believed, seen.resources)]
    removals = None if seen.removals is None else [asdict(r) for r in seen.removals]
    doubt = seen.doubt.model_dump(mode="json", include={"kind", "text", "remedy"}) if seen.doubt else None
    return {
        **about,
        "doubt": doubt,
        "etcdmembers": records,
        "watcher_trouble": seen.watcher_trouble,
        "removals": removals,
        "errors": seen.errors,
    }


def status_exit(seen: Status) -> int:
    """4 when a server cannot be reached, 1 when etcd's answers contradict each other or a server refuses us."""
    return worst([*seen.statuses, EXIT_FAILED if seen.doubt else EXIT_DONE])


def worst(statuses: Iterable[int]) -> int:
    """Of several exit statuses: configuration comes first, then servers that cannot be reached, then all others."""
    seen = set(statuses)
    order = (EXIT_USAGE, EXIT_UNREACHABLE, EXIT_FAILED)
    return next((status for status in order if status in seen), EXIT_DONE)


def count(number: int, thing: str) -> str:
    """`1 member`, `3 members`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"

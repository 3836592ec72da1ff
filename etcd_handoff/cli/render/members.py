"""A cluster and its members, as a table and for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.render.table import count, table
from etcd_handoff.cluster_view import CORRUPT, quorum
from etcd_handoff.planning import lag, warnings

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView

HEADINGS: Final = ("NAME", "ID", "ROLE", "HEALTH", "TERM", "RAFT INDEX", "VERSION")
NO_LEADER: Final = "no leader that a majority agrees on"


def cluster_line(cluster: str, view: ClusterView) -> str:
    """Return the cluster in one line."""
    return f"cluster {cluster} (ID {view.cluster_id}): {count(len(view.members), 'member')}, {_leader(view)}"


def _leader(view: ClusterView) -> str:
    """Return the leader.

    If only a minority is reached, as on a controller of k0s, the text names the members that report the leader. A
    member that answers a linearizable read has a leader and a quorum.
    """
    if lead := view.leadership:
        return f"{view.label(lead.id)} leads at term {lead.term}"
    if (few := seen_by_few(view)) is None:
        return NO_LEADER
    leader, term, here = few
    return f"{view.label(leader)} leads at term {term} according to {', '.join(m.label for m in here)} alone"


def seen_by_few(view: ClusterView) -> tuple[str, int, list[MemberView]] | None:
    """Return leader, term and the members that report them, if only a minority is reached; otherwise None."""
    here = [m for m in view.voters if m.reachable and m.serves_reads]
    named = {(m.leader_id, m.term) for m in here if m.leader_id}
    if len(named) != 1 or sum(m.reachable for m in view.voters) >= quorum(len(view.voters)):
        return None
    ((leader, term),) = named
    return leader, term, here


def member_lines(view: ClusterView) -> list[str]:
    """Return the table of members."""
    return table(HEADINGS, member_rows(view))


def member_rows(view: ClusterView) -> list[list[str]]:
    """Return one row for each member, in the columns of `HEADINGS`."""
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


def role(view: ClusterView, member: MemberView) -> str:
    """Return `leader`, `voter` or `learner`; `leader` only if a majority says so."""
    if member.is_learner:
        return "learner"
    return "leader" if view.leadership and view.leadership.id == member.id else "voter"


def health(view: ClusterView, member: MemberView) -> str:
    """Return `healthy` if the member counts towards the quorum, otherwise why it does not."""
    if is_healthy(view, member):
        return f"healthy, {member.note}" if member.note else "healthy"
    if member.note or not member.reachable:
        return member.note or "no answer"
    if not member.serves_reads and not member.is_learner:
        return "answers, but no linearizable read"
    if CORRUPT in member.alarms:
        return f"answers, and has raised the alarm {CORRUPT}"
    if (few := seen_by_few(view)) is not None and member in few[2]:
        return "answers linearizable reads"  # there is a quorum, though not enough of it is reached to be counted
    return "does not follow the agreed leader" if view.leadership else "answers, but no leader is agreed"


def is_healthy(view: ClusterView, member: MemberView) -> bool:
    """Return whether the member counts towards the quorum; for a learner, whether it answers."""
    return member in view.healthy_voters or (member.is_learner and member.reachable)


def cluster_object(cluster: str, view: ClusterView) -> dict[str, Any]:
    """Return the cluster for JSON."""
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
                "healthy": is_healthy(view, m),
                "lag": lag(view, m) if m.reachable else None,
            }
            for m in view.members
        ],
    }


def alarm_lines(view: ClusterView) -> list[str]:
    """Return all alarms, including those of the whole cluster and of members that have left."""
    alarms = [(m.label, kind) for m in view.members for kind in m.alarms]
    for alarm in view.alarms:
        owner = view.label(alarm.member_id) if alarm.member_id else "the whole cluster"
        gone = alarm.member_id and view.member(alarm.member_id) is None
        alarms.append((f"{owner}, which has left" if gone else owner, alarm.kind))
    return [f"{owner}: {kind}" for owner, kind in dict.fromkeys(alarms)]


def cluster_warnings(view: ClusterView) -> list[str]:
    """Return warnings that an operator needs before any change."""
    corrupt = [line for line in alarm_lines(view) if line.endswith(f": {CORRUPT}")]
    return [*warnings(view), *(f"etcd has raised an alarm: {line}" for line in corrupt)]

"""What `doctor` says of what it saw. Pure; it prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.output import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    REMEDY_OF_ALARM,
    SEARCH_ATTRIBUTES,
    Record,
    count,
    health,
)
from etcd_handoff.view import quorum

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from etcd_handoff.view import ClusterView


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of `doctor`.

    Attributes:
        check: What was checked.
        detail: What was found.
        remedy: What to do about it; empty when all is well.
        status: 0 when all is well, otherwise the exit status that it calls for.
    """

    check: str
    detail: str
    remedy: str = ""
    status: int = EXIT_DONE


def judge_cluster(view: ClusterView) -> list[Finding]:
    """Identity, leader, quorum, alarms and versions of a cluster that gave a linearizable list."""
    return [_one_cluster(view), _leader(view), _quorum(view), _alarms(view), _versions(view)]


def _one_cluster(view: ClusterView) -> Finding:
    if view.foreign:
        remedy = "take the foreign endpoint out of the cluster profile"
        return Finding("one cluster", "; ".join(view.foreign), remedy, EXIT_USAGE)
    return Finding("one cluster", f"all that answer belong to {view.cluster_id}")


def _leader(view: ClusterView) -> Finding:
    lead = view.leadership
    if lead is None:
        text = "no leader that a majority agrees on"
        return Finding("leader", text, "look at the logs of the members", EXIT_FAILED)
    return Finding("leader", f"{view.label(lead.id)} at term {lead.term}")


def _quorum(view: ClusterView) -> Finding:
    voters, healthy = len(view.voters), len(view.healthy_voters)
    sick = [f"{m.label}: {health(view, m)}" for m in view.voters if m not in view.healthy_voters]
    detail = "; ".join([f"{healthy} of {count(voters, 'voter')} healthy, {quorum(voters)} needed", *sick])
    if sick:
        return Finding("quorum", detail, "bring the sick voters back, or remove them first", EXIT_FAILED)
    return Finding("quorum", detail)


def _alarms(view: ClusterView) -> Finding:
    raised = [f"{m.label}: {alarm}" for m in view.members for alarm in m.alarms]
    kinds = sorted({alarm for m in view.members for alarm in m.alarms})
    if raised:
        remedy = "; ".join(REMEDY_OF_ALARM.get(kind, f"look {kind} up in etcd's manual") for kind in kinds)
        return Finding("alarms", ", ".join(raised), remedy, EXIT_FAILED)
    return Finding("alarms", "none")


def _versions(view: ClusterView) -> Finding:
    versions = sorted({m.version for m in view.members if m.version})
    if len(versions) > 1:
        detail = ", ".join(f"{m.label}: {m.version or 'unknown'}" for m in view.members)
        remedy = "finish the upgrade first, unless a member leaves because of it"
        return Finding("version", detail, remedy, EXIT_FAILED)
    return Finding("version", f"etcd {', '.join(versions) or 'unknown'}")


def judge_records(check: str, records: Sequence[Record]) -> Finding:
    """Whether the EtcdMembers agree with etcd."""
    wrong = [f"{r.name}: {r.wrong}" for r in records if r.wrong]
    if wrong:
        remedy = "k0s repairs what it manages; run `etcd-handoff remove` again for a member that has left"
        return Finding(check, "; ".join(wrong), remedy, EXIT_FAILED)
    return Finding(check, f"{count(len(records), 'EtcdMember')}, all agree with etcd")


def judge_pollers(task_queue: str, identities: Sequence[str]) -> Finding:
    """Whether workers take removals up."""
    if not identities:
        remedy = "start `etcd-handoff worker` on the nodes, with the same task_queue and Temporal"
        return Finding("workers", f"none asks for work on task queue {task_queue}", remedy, EXIT_FAILED)
    return Finding("workers", f"{count(len(identities), 'worker')} on task queue {task_queue}")


def judge_attributes(known: Container[str], odd: Sequence[str] = ()) -> Finding:
    """Whether the search attributes are registered, and none of them is `odd`: registered with another type."""
    if odd:
        remedy = f"temporal operator search-attribute remove --name {' --name '.join(odd)}; then restart the workers"
        return Finding("search attributes", f"not of type Keyword: {', '.join(odd)}", remedy, EXIT_FAILED)
    missing = [name for name in SEARCH_ATTRIBUTES if name not in known]
    if missing:
        names = " ".join(f"--name {name} --type Keyword" for name in missing)
        remedy = f"temporal operator search-attribute create {names}; then restart the workers"
        return Finding("search attributes", f"not registered: {', '.join(missing)}", remedy, EXIT_FAILED)
    return Finding("search attributes", f"{', '.join(SEARCH_ATTRIBUTES)} are registered")


def finding_object(found: Finding) -> dict[str, Any]:
    """One finding for JSON."""
    return {"check": found.check, "ok": not found.status, "detail": found.detail, "remedy": found.remedy}


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """One line for each check, the remedy below a failed one."""
    lines = []
    for found in findings:
        first, *more = found.detail.splitlines() or [""]
        lines.append(f"{'FAILED' if found.status else 'ok':<6}  {found.check:<20}  {first}".rstrip())
        more += [f"remedy: {found.remedy}"] if found.remedy else []
        lines += [f"{'':<30}{line}" for line in more]
    return lines


def findings_exit(findings: Iterable[Finding]) -> int:
    """Configuration comes first, then servers that cannot be reached, then everything else."""
    seen = {found.status for found in findings}
    order = (EXIT_USAGE, EXIT_UNREACHABLE, EXIT_FAILED)
    return next((status for status in order if status in seen), EXIT_DONE)

"""What `doctor` says of what it saw. Pure; it prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.output import REMEDY_OF_ALARM, alarm_lines, count, health, worst
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from etcd_handoff.search_attributes import SEARCH_ATTRIBUTES
from etcd_handoff.view import quorum

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from datetime import datetime

    from etcd_handoff.cli.records import Record
    from etcd_handoff.view import ClusterView, Doubt

SOON_DAYS = 30
"""From so many days before its end on a certificate is worth a remark."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of `doctor`.

    Attributes:
        check: What was checked.
        detail: What was found.
        remedy: What to do about it; with status 0 a hint that can wait.
        status: 0 when all is well, otherwise the exit status that it calls for.
    """

    check: str
    detail: str
    remedy: str = ""
    status: int = EXIT_DONE


def judge_cluster(view: ClusterView, doubt: Doubt | None) -> list[Finding]:
    """Identity, leader, quorum, alarms and versions of a cluster that gave a linearizable list.

    Args:
        view: What was seen.
        doubt: What contradicts it.
    """
    return [_one_cluster(view, doubt), _leader(view), _quorum(view), _alarms(view), _versions(view)]


def _one_cluster(view: ClusterView, doubt: Doubt | None) -> Finding:
    if doubt is not None:
        return Finding("one cluster", f"{doubt.kind}: {doubt.text}", doubt.remedy, EXIT_USAGE)
    return Finding("one cluster", f"all that answer belong to {view.cluster_id}")


def _leader(view: ClusterView) -> Finding:
    lead = view.leadership
    if lead is None:
        text = "no leader that a majority agrees on"
        return Finding("leader", text, "look at the logs of the members", EXIT_FAILED)
    return Finding("leader", f"{view.label(lead.id)} at term {lead.term}")


def _quorum(view: ClusterView) -> Finding:
    voters, healthy = len(view.voters), len(view.healthy_voters)
    sick = [m for m in view.voters if m not in view.healthy_voters]
    texts = [f"{m.label}: {health(view, m)}" for m in sick]
    detail = "; ".join([f"{healthy} of {count(voters, 'voter')} healthy, {quorum(voters)} needed", *texts])
    if not sick:
        return Finding("quorum", detail)
    joining = [m.label for m in sick if not m.name]
    remedy = f"start {', '.join(joining)}, which was added and has not joined yet" if joining else ""
    if len(joining) < len(sick):
        more = "bring the sick voters back, or make them reachable from here; remove one only when it is gone for good"
        remedy = f"{remedy}; {more}" if remedy else more
    return Finding("quorum", detail, remedy, EXIT_FAILED)


def _alarms(view: ClusterView) -> Finding:
    raised = alarm_lines(view)
    kinds = sorted({alarm for m in view.members for alarm in m.alarms} | {alarm.kind for alarm in view.alarms})
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


def judge_rights(denied: str, remedy: str) -> Finding:
    """Whether we may change the membership: `denied` is etcd's word against it, empty when there is none."""
    if denied:
        return Finding("rights in etcd", f"may not change the membership: {denied}", remedy, EXIT_FAILED)
    return Finding("rights in etcd", "may change the membership")


def judge_certificates(ends: Iterable[tuple[str, datetime]], now: datetime) -> Finding:
    """Whether any certificate has ended, or will soon.

    Args:
        ends: What each certificate is, with its file, and until when it is valid.
        now: The time, UTC.
    """
    ends = sorted(ends, key=lambda end: end[1])
    if not ends:
        return Finding("certificates", "none named")
    lines = [(f"{what} until {when:%Y-%m-%d %H:%M} UTC", (when - now).total_seconds()) for what, when in ends]
    over = [text for text, left in lines if left <= 0]
    soon = [text for text, left in lines if 0 < left <= SOON_DAYS * 86_400]
    remedy = "renew them; workers read files again when they change"
    if over:
        return Finding("certificates", f"ended: {'; '.join([*over, *soon])}", remedy, EXIT_FAILED)
    if soon:
        return Finding("certificates", f"end within {SOON_DAYS} days: {'; '.join(soon)}", remedy)
    return Finding("certificates", f"{count(len(ends), 'certificate')}; the first to end is {lines[0][0]}")


def judge_records(check: str, records: Sequence[Record]) -> Finding:
    """Whether the EtcdMembers agree with etcd."""
    wrong = [f"{r.name}: {r.wrong}" for r in records if r.wrong]
    if wrong:
        remedy = "`etcd-handoff watch start` puts EtcdMembers right and makes missing ones; k0s does so for its own"
        return Finding(check, "; ".join(wrong), remedy, EXIT_FAILED)
    return Finding(check, f"{count(len(records), 'EtcdMember')}, all agree with etcd")


def judge_contexts(strangers: dict[str, str]) -> Finding:
    """Whether all contexts belong to one Kubernetes cluster.

    Args:
        strangers: Contexts that do not, each with what shows it.
    """
    if strangers:
        detail = "; ".join(f"{context}: {why}" for context, why in strangers.items())
        return Finding("one kubernetes", detail, "take contexts of other clusters out of the profile", EXIT_USAGE)
    return Finding("one kubernetes", "all contexts that tell belong to one cluster")


def judge_pollers(task_queue: str, identities: Sequence[str]) -> Finding:
    """Whether workers take removals up."""
    if not identities:
        remedy = "start `etcd-handoff worker` on the nodes, with the same task_queue and Temporal"
        return Finding("workers", f"none asks for work on task queue {task_queue}", remedy, EXIT_FAILED)
    return Finding("workers", f"{count(len(identities), 'worker')} on task queue {task_queue}")


def judge_queue(name: str, task_queue: str, own_task_queue: str, identities: Sequence[str]) -> Finding:
    """Whether workers serve the queue of changes of this etcd cluster, which is open.

    Args:
        name: Its workflow ID.
        task_queue: The task queue that it runs on: that of whoever started it.
        own_task_queue: The configuration's.
        identities: Who asks for work there.
    """
    if not identities:
        detail = f"{name} waits on task queue {task_queue}, where nobody asks for work: every removal waits behind it"
        remedy = f"start its workers again, or end it: `temporal workflow terminate -w {name}`"
        return Finding("queue of changes", detail, remedy, EXIT_FAILED)
    other = "" if task_queue == own_task_queue else f"; another fleet's workers serve it on task queue {task_queue}"
    hint = "give all workers of one etcd cluster one task_queue" if other else ""
    return Finding("queue of changes", f"{name} is served by {count(len(identities), 'worker')}{other}", hint)


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
    """One line for each check, the remedy below a failed one, a hint below one that is well."""
    lines = []
    for found in findings:
        first, *more = found.detail.splitlines() or [""]
        label = "FAILED" if found.status else ("hint" if found.remedy else "ok")
        lines.append(f"{label:<6}  {found.check:<20}  {first}".rstrip())
        more += [f"{'remedy' if found.status else 'hint'}: {found.remedy}"] if found.remedy else []
        lines += [f"{'':<30}{line}" for line in more]
    return lines


def findings_exit(findings: Iterable[Finding]) -> int:
    """Configuration comes first, then servers that cannot be reached, then everything else."""
    return worst(found.status for found in findings)

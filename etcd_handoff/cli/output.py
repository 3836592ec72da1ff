"""What the command line says: tables, sentences and findings from what was seen. Pure; it prints nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.etcdmember import member_id_of, resource_name, says
from etcd_handoff.model import FailureType, HandoffState, Outcome
from etcd_handoff.planner import (
    Ambiguous,
    Blocked,
    NotFound,
    Refused,
    Remove,
    Transfer,
    canonical_id,
    lag,
    resolve,
)
from etcd_handoff.view import quorum

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.model import Progress, RemovalResult, Step
    from etcd_handoff.planner import Decision
    from etcd_handoff.view import ClusterView, MemberView

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_UNREACHABLE = 0, 1, 2, 3, 4

EXIT_BY_FAILURE: Final[dict[str, int]] = {
    FailureType.REMOVAL_REFUSED: EXIT_REFUSED,
    FailureType.BLOCKED_TOO_LONG: EXIT_REFUSED,
    FailureType.INVALID_INPUT: EXIT_USAGE,
    FailureType.UNKNOWN_CLUSTER: EXIT_USAGE,
    FailureType.UNKNOWN_MEMBER: EXIT_USAGE,
}
"""Exit status for the type that a removal fails with; every other type is 1."""

QUIET: Final = (HandoffState.CHECKING, HandoffState.DONE, HandoffState.REFUSED, HandoffState.FAILED)
"""States that need no line of their own: steps, or the end of the removal, say as much."""

SEARCH_ATTRIBUTES: Final = ("EtcdCluster", "EtcdMember", "HandoffState")

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


def find(view: ClusterView, wanted: str) -> MemberView | str:
    """The member that is meant, or why that is not clear."""
    found = resolve(view, wanted)
    if isinstance(found, NotFound):
        return f"member: {wanted!r} is no member; members are {', '.join(found.known)}"
    if isinstance(found, Ambiguous):
        return f"member: {wanted!r} fits {', '.join(found.fits)}; give the ID of the one meant"
    return found


# --- plan ---------------------------------------------------------------------------------------------------


def plan_steps(view: ClusterView, target: MemberView, decision: Decision, *, records: bool) -> list[str]:
    """What a removal would do, in words; empty when it is blocked or refused."""
    if isinstance(decision, Blocked | Refused):
        return []
    steps = []
    via = view.label(decision.via_id) if isinstance(decision, Remove) else ""
    if isinstance(decision, Transfer):
        via = view.label(decision.transferee_id)
        steps.append(f"hand leadership from {target.label} to {via}")
        steps.append(f"wait until a majority follows {via} at a term above {decision.term}")
    steps.append(f"remove {target.label} ({target.id}) through {via}; {_afterwards(view, target)}")
    steps.append(
        f"record Joined=False on the EtcdMember of {target.label}"
        if records
        else "record nothing: the cluster profile has no kubernetes"
    )
    return steps


def _afterwards(view: ClusterView, target: MemberView) -> str:
    voters = [m for m in view.voters if m.id != target.id]
    spare = sum(m in view.healthy_voters for m in voters) - quorum(len(voters))
    return f"{count(len(voters), 'voter')} remain{'s' if len(voters) == 1 else ''}, {spare} of them may fail"


def plan_object(view: ClusterView, target: MemberView, decision: Decision, *, records: bool) -> dict[str, Any]:
    """The decision for JSON."""
    planned: dict[str, Any] = {
        "member_id": target.id,
        "member_name": target.name,
        "decision": type(decision).__name__.lower(),
        "steps": plan_steps(view, target, decision, records=records),
    }
    if isinstance(decision, Blocked):
        planned |= {"reason": decision.reason.value, "seen": decision.seen, "unblocks": decision.unblocks}
    if isinstance(decision, Refused):
        planned |= {"reason": decision.reason.value, "seen": decision.seen, "remedy": decision.remedy}
    return planned


def plan_lines(view: ClusterView, target: MemberView, decision: Decision, *, records: bool) -> list[str]:
    """The decision for people."""
    if isinstance(decision, Blocked):
        lines = [f"A removal of {target.label} would wait now: {decision.reason}"]
        return [*lines, f"  seen:          {decision.seen}", f"  goes on when:  {decision.unblocks}"]
    if isinstance(decision, Refused):
        lines = [f"A removal of {target.label} would be refused: {decision.reason}"]
        return [*lines, f"  seen:    {decision.seen}", f"  remedy:  {decision.remedy}"]
    steps = plan_steps(view, target, decision, records=records)
    return [f"A removal of {target.label} would:", *(f"  {i}. {step}" for i, step in enumerate(steps, 1))]


def plan_exit(decision: Decision) -> int:
    """3 where a removal would not go on now."""
    return EXIT_REFUSED if isinstance(decision, Blocked | Refused) else EXIT_DONE


# --- following a removal ------------------------------------------------------------------------------------


def start_line(workflow_id: str, *, joined: bool) -> str:
    """What is followed from here on."""
    if joined:
        return f"Joined the removal that runs already, with the options that it was started with: {workflow_id}"
    return f"Started {workflow_id}"


class Story:
    """Turns one `progress` after the other into lines, each thing said once."""

    def __init__(self, workflow_id: str) -> None:
        self._workflow_id = workflow_id
        self._told = 0
        self._last: tuple[str, str] = ("", "")
        self._remarks: set[str] = set()

    def steps(self, steps: Sequence[Step]) -> list[str]:
        """Lines for the steps that were not told yet."""
        fresh, self._told = steps[self._told :], max(self._told, len(steps))
        return [step_line(step) for step in fresh]

    def lines(self, progress: Progress) -> list[str]:
        """Lines for what is new: steps that have ended, and the state when it changed."""
        lines, now = self.steps(progress.steps), (str(progress.state), progress.waiting_for)
        if now == self._last:
            return lines
        self._last = now
        if progress.state not in QUIET:
            lines.append(f"  {progress.state}: {progress.doing}")
            lines += [f"    goes on when: {progress.waiting_for}"] if progress.waiting_for else []
        if progress.state is HandoffState.AWAITING_APPROVAL:
            command = f"temporal workflow update execute --name approve -w {self._workflow_id}"
            lines.append(f"    approve with: {command}")
        return lines

    def once(self, remark: str) -> list[str]:
        """The remark, unless it has been made before."""
        fresh = remark not in self._remarks
        self._remarks.add(remark)
        return [f"  {remark}"] if fresh else []


def step_line(step: Step) -> str:
    """One finished step."""
    attempts = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    note = f": {step.note}" if step.note else ""
    node = f" on {step.node}" if step.node else ""
    return f"  {step.name:<14} {step.milliseconds:>6.0f} ms{node}  {step.outcome}{attempts}{note}"


def result_lines(result: RemovalResult) -> list[str]:
    """How a removal ended."""
    who = f"{result.member_name or result.member_id} ({result.member_id})"
    if result.outcome is Outcome.PLANNED:
        if result.blocked_by:
            return [f"Dry run, nothing was changed. A removal of {who} would wait now: {result.blocked_by}"]
        steps = (f"  {i}. {step}" for i, step in enumerate(result.plan, 1))
        return [f"Dry run, nothing was changed. A removal of {who} would:", *steps]
    gone = "was no member already" if result.outcome is Outcome.ALREADY_ABSENT else "is out"
    led = result.was_leader and result.leader_after not in (None, result.member_id)
    lines = [f"{who} {gone}, cluster {result.cluster}."]
    if led:
        terms = f"term {result.term_before} to {result.term_after}"
        lines.append(f"It led; {result.leader_after} took over, {terms}.")
    if result.snapshot:
        lines.append(f"Snapshot: {result.snapshot}")
    recorded = "says so" if result.status_recorded else f"was not written: {result.status_note}"
    return [*lines, f"Its EtcdMember {recorded}."]


def result_exit(result: RemovalResult) -> int:
    """3 for a dry run that found the removal blocked, as `plan` has it."""
    return EXIT_REFUSED if result.blocked_by else EXIT_DONE


def failure_exit(failure_type: str | None) -> int:
    """Exit status for the type of the failure that a removal ended with."""
    return EXIT_BY_FAILURE.get(failure_type or "", EXIT_FAILED)


# --- members and EtcdMembers --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """What one EtcdMember says beside what is true.

    Attributes:
        name: Name of the EtcdMember, or of the member that has none.
        joined: Its condition Joined: `True`, `False`, `Unknown`; `-` where there is no EtcdMember.
        member_id: The member ID in its status.
        message: Its message.
        wrong: How it disagrees with etcd; empty when it does not.
    """

    name: str
    joined: str
    member_id: str
    message: str
    wrong: str = ""


RECORD_HEADINGS: Final = ("ETCDMEMBER", "JOINED", "MEMBER ID", "MESSAGE", "")


def record_rows(records: Iterable[Record]) -> list[list[str]]:
    """One row for each record, in the columns of `RECORD_HEADINGS`."""
    marked = ((r, f"! {r.wrong}" if r.wrong else "") for r in records)
    return [[r.name, r.joined, r.member_id or "-", r.message or "-", mark] for r, mark in marked]


def compare(view: ClusterView | None, resources: Iterable[dict[str, Any]]) -> list[Record]:
    """All EtcdMembers against the member list; without a view nothing counts as wrong."""
    found = sorted(resources, key=lambda resource: str(resource["metadata"]["name"]))
    records = [_record(view, resource) for resource in found]
    named = {record.name for record in records} | {record.member_id for record in records}
    missing = [m for m in view.members if not {resource_name(m.name), m.id} & named] if view else []
    return [*records, *(Record(m.label, "-", m.id, "", "a member without an EtcdMember") for m in missing)]


def _record(view: ClusterView | None, resource: dict[str, Any]) -> Record:
    name, member_id = str(resource["metadata"]["name"]), canonical_id(member_id_of(resource))
    joined, message = says(resource), str((resource.get("status") or {}).get("message") or "")
    return Record(name, joined, member_id, message, _wrong(view, name, member_id, joined) if view else "")


def _wrong(view: ClusterView, name: str, member_id: str, joined: str) -> str:
    member = view.member(member_id)
    namesake = next((m for m in view.members if m.name and resource_name(m.name) == name), None)
    if member is None and namesake is not None:
        return f"member {namesake.name} has the ID {namesake.id}"
    if member is None and joined != "False":
        return f"says Joined={joined}, but etcd has no such member"
    if member is not None and joined != "True":
        return f"says Joined={joined}, but etcd has this member"
    return ""


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
    """

    cluster: str
    view: ClusterView | None
    resources: Sequence[dict[str, Any]] | None
    removals: Sequence[OpenRemoval] | None
    errors: dict[str, str]


def status_lines(seen: Status) -> list[str]:
    """All parts; a missing one says why in its place."""
    if seen.view is None:
        lines = [f"cluster {seen.cluster}: {seen.errors.get('etcd', 'etcd was not read')}"]
    else:
        lines = [cluster_line(seen.cluster, seen.view), *table(MEMBER_HEADINGS, member_rows(seen.view))]
        lines += [f"! {foreign}" for foreign in seen.view.foreign]
    return [*lines, "", *_record_lines(seen), "", *_removal_lines(seen)]


def _record_lines(seen: Status) -> list[str]:
    if seen.resources is None:
        return [f"EtcdMembers: {seen.errors.get('kubernetes', 'the cluster profile has no kubernetes')}"]
    records = compare(seen.view, seen.resources)
    return table(RECORD_HEADINGS, record_rows(records)) if records else ["EtcdMembers: none"]


def _removal_lines(seen: Status) -> list[str]:
    if seen.removals is None:
        return [f"Removals: {seen.errors.get('temporal', 'Temporal was not asked')}"]
    rows = [[r.workflow_id, r.member, r.state, r.started] for r in seen.removals]
    return table(("OPEN REMOVAL", "MEMBER", "STATE", "STARTED"), rows) if rows else ["Removals: none is running"]


def status_object(seen: Status) -> dict[str, Any]:
    """All parts for JSON; a missing one is null, and `errors` says why."""
    about = view_object(seen.cluster, seen.view) if seen.view else {"cluster": seen.cluster, "members": None}
    records = None if seen.resources is None else [asdict(r) for r in compare(seen.view, seen.resources)]
    removals = None if seen.removals is None else [asdict(r) for r in seen.removals]
    return {**about, "etcdmembers": records, "removals": removals, "errors": seen.errors}


def count(number: int, thing: str) -> str:
    """`1 member`, `3 members`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"

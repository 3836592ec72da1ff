"""What `plan` says of a removal. Pure; it prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.output import count, remarks
from etcd_handoff.cli.records import claim_for, doubt_of, other_subject
from etcd_handoff.cli.remedies import remedy_for
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE
from etcd_handoff.planning import (
    Ambiguous,
    Blocked,
    MemberAbsent,
    NotFound,
    Refused,
    Remove,
    Transfer,
    doubted,
    plan,
    resolve,
)
from etcd_handoff.view import quorum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.belief import ResourceClaim
    from etcd_handoff.planning import Decision
    from etcd_handoff.view import ClusterView, MemberView


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that `plan` goes by.

    Attributes:
        view: What etcd says.
        cluster_id: The cluster that the profile names; empty when it names none.
        records: The profile has a Kubernetes.
        claims: What EtcdMembers say; None when they could not be read.
        unread: Why they could not be.
        denied: Why we may not change the membership; empty when we may, or nobody knows.
    """

    view: ClusterView
    cluster_id: str = ""
    records: bool = True
    claims: tuple[ResourceClaim, ...] | None = ()
    unread: str = ""
    denied: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """A removal would fail at once with PermissionDenied.

    Attributes:
        seen: etcd's own words.
        remedy: What gives the right.
    """

    seen: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What a removal would do.

    Attributes:
        member_id: The member that is meant; empty when that is not clear.
        label: How people speak of it.
        decision: What would be done first; None when the member is no member any more, or not clear.
        steps: What would be done, in words.
        notes: What else to know before it.
        text: In place of a decision.
        status: Exit status.
    """

    member_id: str
    label: str
    decision: Decision | Denied | None
    steps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    text: str = ""
    status: int = EXIT_DONE


def planned(outlook: Outlook, wanted: str) -> Planned:
    """What a removal of `wanted`, a name or an ID, would do now."""
    view, claims = outlook.view, outlook.claims or ()
    notes = [*remarks(view), *([f"EtcdMembers were not read: {outlook.unread}"] if outlook.unread else [])]
    found = resolve(view, wanted)
    if isinstance(found, NotFound | Ambiguous):
        claim = claim_for(claims, wanted) if isinstance(found, NotFound) else None
        if doubt := doubt_of(view, outlook.cluster_id, claims, [claim.member_id] if claim else []):
            return _decided(outlook, claim.member_id if claim else "", wanted, doubted(doubt), notes)
        if claim is not None and claim.member_id and view.member(claim.member_id) is None:
            return Planned(claim.member_id, wanted, None, notes=tuple(notes), text=_absent(wanted, claim))
        return Planned("", wanted, None, notes=tuple(notes), text=not_found(wanted, found), status=EXIT_USAGE)
    doubt = doubt_of(view, outlook.cluster_id, claims, [found.id])
    decision: Decision | Denied = (
        doubted(doubt) if doubt else plan(view, MemberAbsent(outlook.cluster_id or view.cluster_id, found.id))
    )
    if outlook.denied and not isinstance(decision, Blocked | Refused):
        decision = Denied(outlook.denied, remedy_for(outlook.denied))
    if other := other_subject(claims, found):
        notes.append(other)
    return _decided(outlook, found.id, found.label, decision, notes)


def _decided(
    outlook: Outlook, member_id: str, label: str, decision: Decision | Denied, notes: Sequence[str]
) -> Planned:
    status = {Blocked: EXIT_REFUSED, Refused: EXIT_REFUSED, Denied: EXIT_FAILED}.get(type(decision), EXIT_DONE)
    target = outlook.view.member(member_id)
    steps = plan_steps(outlook.view, target, decision, records=outlook.records) if target else []
    return Planned(member_id, label, decision, tuple(steps), tuple(notes), status=status)


def not_found(wanted: str, found: NotFound | Ambiguous) -> str:
    """Why it is not clear who is meant."""
    if isinstance(found, Ambiguous):
        way = "the host and port of a peer URL" if _is_id_of_another(wanted, found) else "the ID of the one meant"
        return f"member: {wanted!r} fits {'; '.join(found.fits)}; give {way}"
    hint = f"; {found.hint}" if found.hint else ""
    return f"member: {wanted!r} is no member; members are {', '.join(found.known)}{hint}"


def _is_id_of_another(wanted: str, found: Ambiguous) -> bool:
    """Whether an ID was given already, and another member carries it as its name."""
    return any(fit.startswith(f"{wanted.lower().removeprefix('0x')} ") for fit in found.fits)


def _absent(wanted: str, claim: ResourceClaim) -> str:
    record = (
        "says Joined=False already" if claim.joined == "False" else f"says Joined={claim.joined} and would be written"
    )
    return (
        f"{wanted} is no member any more: EtcdMember {claim.name} speaks of {claim.member_id}, which is not in the"
        f" member list, and {record}. A removal would end as already-absent."
    )


def plan_steps(view: ClusterView, target: MemberView, decision: Decision | Denied, *, records: bool) -> list[str]:
    """What a removal would do, in words; empty when it is blocked, refused or denied."""
    if isinstance(decision, Blocked | Refused | Denied):
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


def plan_object(plan_: Planned, view: ClusterView) -> dict[str, Any]:
    """The decision for JSON."""
    decision = plan_.decision
    member = view.member(plan_.member_id)
    shown: dict[str, Any] = {
        "member_id": plan_.member_id or None,
        "member_name": member.name if member else "",
        "decision": type(decision).__name__.lower() if decision else ("unknown" if plan_.status else "done"),
        "steps": list(plan_.steps),
        "warnings": list(plan_.notes),
    }
    if plan_.text:
        shown["text"] = plan_.text
    if isinstance(decision, Blocked):
        shown |= {"reason": decision.reason.value, "seen": decision.seen, "unblocks": decision.unblocks}
    if isinstance(decision, Refused):
        shown |= {"reason": decision.reason.value, "seen": decision.seen, "remedy": decision.remedy}
    if isinstance(decision, Denied):
        shown |= {"reason": "PermissionDenied", "seen": decision.seen, "remedy": decision.remedy}
    return shown


def plan_lines(plan_: Planned) -> list[str]:
    """The decision for people."""
    decision, notes = plan_.decision, [f"! {note}" for note in plan_.notes]
    if isinstance(decision, Blocked):
        lines = [f"A removal of {plan_.label} would wait now: {decision.reason}"]
        lines += [f"  seen:          {decision.seen}", f"  goes on when:  {decision.unblocks}"]
    elif isinstance(decision, Refused):
        lines = [f"A removal of {plan_.label} would be refused: {decision.reason}"]
        lines += [f"  seen:    {decision.seen}", f"  remedy:  {decision.remedy}"]
    elif isinstance(decision, Denied):
        lines = [f"A removal of {plan_.label} would fail: etcd does not allow it"]
        lines += [f"  seen:    {decision.seen}", f"  remedy:  {decision.remedy}"]
    elif decision is None:
        lines = [plan_.text]
    else:
        steps = (f"  {i}. {step}" for i, step in enumerate(plan_.steps, 1))
        lines = [f"A removal of {plan_.label} would:", *steps]
    return [*notes, *lines]

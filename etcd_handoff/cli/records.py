"""What EtcdMembers say beside what etcd says. Pure; it prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.belief import Binding, ResourceClaim, contradiction, witness
from etcd_handoff.etcdmember import joined_condition, member_id_of, resource_name
from etcd_handoff.operation.matching import claim_of, member_of, resource_asked_for, without_resource
from etcd_handoff.planning import canonical_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etcd_handoff.view import ClusterView, Doubt, MemberView


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
    missing = without_resource(view.members, claims_of(found)) if view else []
    return [*records, *(Record(m.label, "-", m.id, "", "a member without an EtcdMember") for m in missing)]


def _record(view: ClusterView | None, resource: dict[str, Any]) -> Record:
    name, member_id = str(resource["metadata"]["name"]), member_id_of(resource)
    joined, message = joined_condition(resource), str((resource.get("status") or {}).get("message") or "")
    return Record(name, joined, member_id, message, _wrong(view, name, member_id, joined) if view else "")


def _wrong(view: ClusterView, name: str, member_id: str, joined: str) -> str:
    member = member_of(name, member_id, view.members)
    if member is not None and member.id != member_id:
        return f"member {member.name} has the ID {member.id}"
    if member is None and joined != "False":
        return f"says Joined={joined}, but etcd has no such member"
    if member is not None and joined != "True":
        return f"says Joined={joined}, but etcd has this member"
    return ""


def claims_of(resources: Iterable[dict[str, Any]]) -> tuple[ResourceClaim, ...]:
    """What all EtcdMembers say of who is a member, as a second witness."""
    return tuple(map(claim_of, resources))


def claim_for(claims: Iterable[ResourceClaim], wanted: str) -> ResourceClaim | None:
    """The EtcdMember that has this name, or carries this member ID."""
    return resource_asked_for(wanted, canonical_id(wanted), claims)


def other_subject(claims: Iterable[ResourceClaim], target: MemberView) -> str:
    """Whom the EtcdMember that is named like a member speaks of, where that is not the member; else empty."""
    claim = next((c for c in claims if target.name and c.name == resource_name(target.name)), None)
    if claim is None or claim.member_id in ("", target.id):
        return ""
    return (
        f"EtcdMember {claim.name} speaks of member {claim.member_id} (Joined={claim.joined}), and not of {target.label}"
        f" ({target.id}): nothing of this removal is recorded on it until `etcd-handoff watch start` has put it right"
    )


def doubt_of(
    view: ClusterView, cluster_id: str, claims: Iterable[ResourceClaim], leaving: Iterable[str] = ()
) -> Doubt | None:
    """Why nothing may be concluded from a view; None when nothing contradicts it.

    Args:
        view: What was seen.
        cluster_id: The cluster that the profile names. Where it names none, EtcdMembers are the second witness.
        claims: What EtcdMembers say.
        leaving: Members that may still run without being listed, beside those that have left by their EtcdMembers.
    """
    claims = tuple(claims)
    departed = {*leaving, *(claim.member_id for claim in claims if claim.joined == "False")}
    doubt = contradiction(view, Binding(cluster_id=cluster_id), departed)
    return doubt or (None if cluster_id else witness(view, claims))

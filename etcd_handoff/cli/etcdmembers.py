"""Compare EtcdMembers with etcd's member list. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etcd_handoff.doubts import Binding, contradiction, resources_doubt
from etcd_handoff.errors import KindGoneError
from etcd_handoff.etcdmember import joined_condition, member_id_of, resource_name
from etcd_handoff.etcdmember_matching import claim_of, member_of, resource_asked_for, without_resource
from etcd_handoff.planning import canonical_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etcd_handoff.cluster_view import ClusterView, Doubt, MemberView
    from etcd_handoff.doubts import ResourceClaim

    Resources = list[dict[str, Any]] | Exception


@dataclass(frozen=True, slots=True)
class ComparedResource:
    """One EtcdMember, and how it differs from etcd.

    Attributes:
        name: Name of the EtcdMember, or of the member without one.
        joined: Its condition Joined: `True`, `False`, `Unknown`; `-` if there is no EtcdMember.
        member_id: The member ID in its status.
        message: Its message.
        wrong: How it disagrees with etcd; empty if it agrees.
    """

    name: str
    joined: str
    member_id: str
    message: str
    wrong: str = ""


def compare_resources(view: ClusterView | None, resources: Iterable[dict[str, Any]]) -> list[ComparedResource]:
    """Compare all EtcdMembers with the member list; without a view none is wrong."""
    by_name = sorted(resources, key=lambda resource: str(resource["metadata"]["name"]))
    compared = [_compare(view, resource) for resource in by_name]
    missing = without_resource(view.members, claims_of(by_name)) if view else []
    return [*compared, *(ComparedResource(m.label, "-", m.id, "", "a member without an EtcdMember") for m in missing)]


def _compare(view: ClusterView | None, resource: dict[str, Any]) -> ComparedResource:
    name, member_id = str(resource["metadata"]["name"]), member_id_of(resource)
    joined, message = joined_condition(resource), str((resource.get("status") or {}).get("message") or "")
    wrong = _difference(view, name, member_id, joined) if view else ""
    return ComparedResource(name, joined, member_id, message, wrong)


def _difference(view: ClusterView, name: str, member_id: str, joined: str) -> str:
    member = member_of(name, member_id, view.members)
    if member is not None and member.id != member_id:
        return f"member {member.name} has the ID {member.id}"
    if member is None and joined != "False":
        return f"says Joined={joined}, but etcd has no such member"
    if member is not None and joined != "True":
        return f"says Joined={joined}, but etcd has this member"
    return ""


def first_read(reads: Iterable[Resources], *, optional: bool) -> list[dict[str, Any]] | None:
    """Return the first EtcdMembers that could be read; None if every read failed.

    Args:
        reads: The result or the error of each context.
        optional: The profile has no Kubernetes, or need not have EtcdMembers.
    """
    reads = list(reads)
    none_installed = optional and all(isinstance(read, KindGoneError) for read in reads)
    return next((read for read in reads if not isinstance(read, Exception)), [] if none_installed else None)


def claims_of(resources: Iterable[dict[str, Any]]) -> tuple[ResourceClaim, ...]:
    """Return what each EtcdMember says about its member."""
    return tuple(map(claim_of, resources))


def claim_for(claims: Iterable[ResourceClaim], member: str) -> ResourceClaim | None:
    """Return the EtcdMember with this name, otherwise the one with this member ID."""
    return resource_asked_for(member, canonical_id(member), claims)


def name_conflict(claims: Iterable[ResourceClaim], target: MemberView) -> str:
    """Return a warning if the EtcdMember with the target's name describes another member; otherwise empty."""
    claim = next((c for c in claims if target.name and c.name == resource_name(target.name)), None)
    if claim is None or claim.member_id in ("", target.id):
        return ""
    return (
        f"EtcdMember {claim.name} describes member {claim.member_id} (Joined={claim.joined}), not {target.label}"
        f" ({target.id}): this removal cannot be recorded on it; `etcd-handoff watch start` corrects it"
    )


def doubt_of(
    view: ClusterView,
    cluster_id: str,
    claims: Iterable[ResourceClaim] | None,
    leaving: Iterable[str] = (),
    *,
    only_witness: bool = False,
) -> Doubt | None:
    """Return why a view cannot be trusted; None if nothing contradicts it.

    Args:
        view: The view.
        cluster_id: The cluster ID in the profile. Without one, the view is checked against EtcdMembers.
        claims: What EtcdMembers say; None if the profile has them and they cannot be read.
        leaving: Unlisted members that may still run, besides those whose EtcdMembers say that they have left.
        only_witness: Only EtcdMembers can show which cluster is meant, as in the first look of an operation.
    """
    claims = None if claims is None else tuple(claims)
    departed = {*leaving, *(claim.member_id for claim in claims or () if claim.joined == "False")}
    doubt = contradiction(view, Binding(cluster_id=cluster_id), departed)
    return doubt or (None if cluster_id else resources_doubt(view, claims, only=only_witness or claims is None))


def peer_addresses(resources: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Return the peer address in each EtcdMember, by its name; malformed entries are left out."""
    addresses = {}
    for resource in resources:
        metadata, status = resource.get("metadata"), resource.get("status")
        if isinstance(metadata, dict) and isinstance(status, dict):
            addresses[str(metadata.get("name"))] = str(status.get("peerAddress") or "").lower()
    return addresses

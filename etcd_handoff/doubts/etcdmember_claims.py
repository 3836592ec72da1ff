"""Use EtcdMembers as a second witness of which cluster this is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import Doubt
from etcd_handoff.doubts.kinds import LISTS_DIFFER, RESOURCES_DISAGREE, WRONG_CLUSTER
from etcd_handoff.wire import WireModel

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from etcd_handoff.cluster_view import ClusterView


class ResourceClaim(WireModel):
    """What an EtcdMember says about a member.

    Attributes:
        name: Name of the EtcdMember.
        member_id: The ID in its status; empty when it has none.
        joined: Its condition Joined: `True`, `False` or `Unknown`.
    """

    name: str
    member_id: str = ""
    joined: str = "Unknown"


def resources_doubt(view: ClusterView, claims: Iterable[ResourceClaim] | None, *, only: bool = False) -> Doubt | None:
    """Return the doubt that no EtcdMember with Joined=True describes a member of this cluster.

    One with Joined=Unknown is a witness where its member is listed: IDs are never used twice.

    Args:
        view: The view.
        claims: What EtcdMembers say; None where they could not be read.
        only: Nothing else shows which cluster is meant. Then most endpoints must answer for this cluster where no
            EtcdMember confirms it: a single one may lead to another.
    """
    known = [claim for claim in claims or () if claim.joined != "False" and claim.member_id]
    joined_claims = [claim for claim in known if claim.joined == "True"]
    if any(view.member(claim.member_id) for claim in known):
        return None
    if not joined_claims:
        return _unwitnessed(view, were_read=claims is not None) if only and view.few_answer else None
    spoken = ", ".join(f"{claim.name} of {claim.member_id}" for claim in joined_claims)
    return Doubt(
        kind=RESOURCES_DISAGREE,
        text=f"no EtcdMember that says Joined=True speaks of a member of cluster {view.cluster_id}:"
        f" EtcdMembers speak of {spoken}, members are {_members(view)}",
        remedy="check that etcd endpoints and Kubernetes contexts of the profile belong together; when this is the"
        " right cluster, set cluster_id in the profile, or run `etcd-handoff watch resync --confirm`",
    )


def found_elsewhere(name: str, claims: Iterable[ResourceClaim] | None) -> Doubt | None:
    """Return the doubt that an EtcdMember was read alone, but not beside the member list.

    Another worker may have read it from another Kubernetes. On a node that has become a separate cluster, etcd's list
    and the EtcdMembers agree only with each other.

    Args:
        name: Name of the EtcdMember.
        claims: What EtcdMembers said beside the list; None where they were not read.
    """
    if claims is None or any(claim.name == name for claim in claims):
        return None
    return Doubt(
        kind=RESOURCES_DISAGREE,
        text=f"EtcdMember {name} exists, and was not among those that were read with the member list: one worker may"
        " reach another cluster than the others",
        remedy="wait for the next look if the EtcdMember is new; else stop the worker on the node that has become a"
        " cluster of its own",
    )


def lone_list(
    view: ClusterView,
    claims: Iterable[ResourceClaim] | None,
    leaving: Container[str],
    described: Container[str] = (),
    *,
    alone: bool = False,
) -> Doubt | None:
    """Return the doubt that a list of one voter is that of a member which was forced into a cluster of its own.

    Few endpoints give it, and it lacks members whose EtcdMembers say Joined=True. This is for a list that is to show
    that a member has left (see `etcd_handoff.doubts.known_before.shorter_list`).

    Args:
        view: The view.
        claims: What EtcdMembers say; None where they could not be read.
        leaving: IDs of members that may be missing.
        described: Names of the EtcdMembers of listed members; one of them may have an old ID.
        alone: Each worker sees its own member alone: nobody else has given this list.
    """
    if len(view.voters) > 1 or not (alone or view.few_answer):
        return None
    joined = [claim for claim in claims or () if claim.joined == "True" and claim.name not in described]
    absent = [claim for claim in joined if claim.member_id and view.member(claim.member_id) is None]
    missing = sorted(claim.name for claim in absent if claim.member_id not in leaving)
    if claims is not None and not missing:
        return None
    give = "nobody else confirms it" if alone else f"{view.answering} of {view.endpoints} endpoints confirm it"
    if missing:
        against = f"EtcdMembers {', '.join(missing)} say Joined=True"
        way_out = (
            "if these members have left, run `etcd-handoff watch start`, then `etcd-handoff watch resync`, and confirm"
            " what it holds back"
        )
    else:
        against, way_out = "the EtcdMembers could not be read", "make an API server reachable"
    nearer = "start the workers on other nodes" if alone else "make more of the endpoints reachable"
    return Doubt(
        kind=LISTS_DIFFER,
        text=f"the member list has {_members(view)} alone, {give}, and {against}: it may be that of a member which was"
        " forced into a cluster of its own",
        remedy=f"{nearer}; {way_out}" if missing else f"{way_out}, or {nearer}",
    )


def _unwitnessed(view: ClusterView, *, were_read: bool) -> Doubt:
    silent = "no EtcdMember describes a present member" if were_read else "the EtcdMembers could not be read"
    way_out = f"make {'' if were_read else 'an API server or '}more of the endpoints reachable"
    return Doubt(
        kind=WRONG_CLUSTER,
        text=f"cluster {view.cluster_id} ({_members(view)}) answers at {view.answering} of {view.endpoints} endpoints"
        f" of the profile, and {silent}: nothing else shows that it is the one that is meant",
        remedy=f'{way_out}; when this is the right cluster, set cluster_id = "{view.cluster_id}" in the profile',
    )


def _members(view: ClusterView) -> str:
    return ", ".join(f"{m.label} ({m.id})" for m in view.members)

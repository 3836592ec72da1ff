"""EtcdMembers as a second witness of which cluster this is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import Doubt
from etcd_handoff.doubts.kinds import RESOURCES_DISAGREE
from etcd_handoff.wire import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etcd_handoff.cluster_view import ClusterView


class ResourceClaim(Message):
    """What an EtcdMember says of who is a member.

    Attributes:
        name: Name of the EtcdMember.
        member_id: The ID in its status; empty when it has none.
        joined: Its condition Joined: `True`, `False` or `Unknown`.
    """

    name: str
    member_id: str = ""
    joined: str = "Unknown"


def witness(view: ClusterView, claims: Iterable[ResourceClaim]) -> Doubt | None:
    """EtcdMembers as a second witness of which cluster this is: a doubt when all with Joined=True speak of others.

    One with Joined=Unknown is a witness where its member is listed: IDs are never used twice.
    """
    claims = [claim for claim in claims if claim.joined != "False" and claim.member_id]
    joined_claims = [claim for claim in claims if claim.joined == "True"]
    if not joined_claims or any(view.member(claim.member_id) for claim in claims):
        return None
    spoken = ", ".join(f"{claim.name} of {claim.member_id}" for claim in joined_claims)
    members = ", ".join(f"{m.label} ({m.id})" for m in view.members)
    return Doubt(
        kind=RESOURCES_DISAGREE,
        text=f"no EtcdMember that says Joined=True speaks of a member of cluster {view.cluster_id}:"
        f" EtcdMembers speak of {spoken}, members are {members}",
        remedy="check that etcd endpoints and Kubernetes contexts of the profile belong together; when this is the"
        " right cluster, set cluster_id in the profile, or run `etcd-handoff watch resync --confirm`",
    )

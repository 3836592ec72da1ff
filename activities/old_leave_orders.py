"""`spec.leave` that still stands where the EtcdMember comes to say Joined=True, and that k0s would follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.etcdmember import asks_to_leave, member_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.cluster_view import MemberView
    from etcd_handoff.kubernetes.port import KubernetesPort

Resource = dict[str, Any]


def would_follow(resource: Resource, member_id: str, members: Sequence[MemberView] = ()) -> bool:
    """Whether k0s would take a member out as soon as this EtcdMember speaks of it, by an order that is about another.

    k0s goes by `spec.leave` and `status.memberID` alone (k0s
    `pkg/component/controller/etcd_member_reconciler.go`, reconcileMember). A node that joins again clears the flag of
    its old member itself (createMemberObject), but not before its own API server answers: until then the flag stands,
    which may be one that we have set after the old member's removal.

    Args:
        resource: The EtcdMember.
        member_id: The member that it is to speak of.
        members: The member list, where it is known.
    """
    return asks_to_leave(resource) and member_id_of(resource, members) != member_id


async def clear_leave(gateway: KubernetesPort, resource: Resource, departing: str = "") -> Resource:
    """The EtcdMember as it is stored, without `spec.leave`.

    Raises:
        ConflictError: It has changed since it was read.
        KubernetesError: It may not be written now.
    """
    return await gateway.patch_spec(resource, {"leave": False}, departing=departing)

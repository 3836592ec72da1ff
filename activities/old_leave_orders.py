"""`spec.leave` that is still set when the EtcdMember gets Joined=True, and that k0s would follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.etcdmember import asks_to_leave, member_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.cluster_view import MemberView
    from etcd_handoff.kubernetes.port import KubernetesPort

Resource = dict[str, Any]


def would_follow(resource: Resource, member_id: str, members: Sequence[MemberView] = ()) -> bool:
    """Return whether k0s would remove this member by an order that is about another one.

    k0s removes a member by `spec.leave` and `status.memberID` alone (k0s
    `pkg/component/controller/etcd_member_reconciler.go`, reconcileMember). A node that joins again clears the flag of
    its old member (createMemberObject), but only once its own API server answers. Until then the flag stays. It may be
    one that we have set after the old member's removal.

    Args:
        resource: The EtcdMember.
        member_id: The member whose ID it is to get.
        members: The member list, where it is known.
    """
    return asks_to_leave(resource) and member_id_of(resource, members) != member_id


async def clear_leave(gateway: KubernetesPort, resource: Resource, departing: str = "") -> Resource:
    """Clear `spec.leave`, and return the EtcdMember as it is stored.

    Raises:
        ConflictError: It has changed since it was read.
        KubernetesError: It may not be written now.
    """
    return await gateway.patch_spec(resource, {"leave": False}, departing=departing)

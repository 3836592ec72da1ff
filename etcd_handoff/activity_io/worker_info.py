"""What a worker knows of a cluster profile."""

from __future__ import annotations

from etcd_handoff import time_limits
from etcd_handoff.change_windows import ChangeWindow
from etcd_handoff.contract import Remover
from etcd_handoff.wire import WireModel


class WorkerInfo(WireModel):
    """What the first worker of a removal knows. It is read once, so that a replay on another worker sees the same.

    Attributes:
        search_attributes: Whether the namespace has our search attributes.
        remover: What removes members: `etcd` (this project) or `k0s`, which is asked for it. With `both`, k0s is asked
            so that it stops the node, and not waited for.
        cluster_id: The profile's `cluster_id`; empty when it names none. Then EtcdMembers are the second source.
        kubernetes: Whether the profile has Kubernetes.
        nodes: Node of each member whose name differs from its node's, by the member's name.
        sets_leave: Whether to set `spec.leave` of a member that has left, as k0s does it.
        k0s: Whether k0s runs the members' nodes.
        require_approval: Whether every change waits for an approval.
        snapshot: Whether every change stores a snapshot first.
        hash_check: Whether every change compares the voters' data first.
        min_voters: Nothing is done that would leave fewer voters.
        change_windows: When changes may begin; empty for any time.
        time_zone: The time zone of these windows, by its name.
        four_eyes: Whether a person other than its starter must approve every change.
        approval_lapses_after_seconds: How long an approval counts.
        notifies: Events of operations that a webhook gets; empty without a webhook.
    """

    search_attributes: bool
    remover: Remover = "etcd"
    cluster_id: str = ""
    kubernetes: bool = False
    nodes: dict[str, str] = {}  # noqa: RUF012  # pydantic copies a default
    sets_leave: bool = False
    k0s: bool = False
    require_approval: bool = False
    snapshot: bool = False
    hash_check: bool = False
    min_voters: int = 1
    change_windows: tuple[ChangeWindow, ...] = ()
    time_zone: str = "UTC"
    four_eyes: bool = False
    approval_lapses_after_seconds: float = time_limits.OPERATION.approval_lapses_after_seconds
    notifies: tuple[str, ...] = ()


def known_worker_info(known: WorkerInfo | None, from_look: WorkerInfo | None) -> WorkerInfo | None:
    """Return what is known after a look: the first worker's policies, and the later words on where things are.

    An operation keeps the policies that it began with. But remedies ask for a `cluster_id` or a table `nodes` in the
    profile, so a waiting operation takes these from later looks. While a profile's Kubernetes is rolled out, the first
    worker may not have it yet. Others can write the record.
    """
    if known is None or from_look is None:
        return known or from_look
    return known.model_copy(
        update={
            "kubernetes": known.kubernetes or from_look.kubernetes,
            "cluster_id": from_look.cluster_id or known.cluster_id,
            "nodes": {**known.nodes, **from_look.nodes},
        }
    )

"""What a worker knows of a cluster profile."""

from __future__ import annotations

from typing import Final

from etcd_handoff.change_windows import ChangeWindow
from etcd_handoff.contract import Remover
from etcd_handoff.wire import Message

APPROVAL_LAPSES_AFTER_SECONDS: Final = 86400.0
"""How long an approval counts where the profile says nothing else: a day."""


class WorkerInfo(Message):
    """What the worker that takes a removal up knows; read once, so that replay on another worker sees the same.

    Attributes:
        search_attributes: The namespace has our search attributes.
        remover: Who takes members out: `etcd`, this project itself, or `k0s`, which is only asked to; `both`: k0s is
            asked to, so that it stops the node, and not waited for.
        cluster_id: The profile's `cluster_id`; empty when it names none, and then EtcdMembers are the second witness.
        kubernetes: The profile has Kubernetes.
        nodes: Name of the node on which a member runs, by the member's name, where it is called otherwise.
        sets_leave: `spec.leave` of a member that is out is to be true, as k0s has it.
        k0s: k0s runs the members' nodes.
        require_approval: The profile has every change wait for an approval.
        snapshot: The profile has every change store a snapshot first.
        hash_check: The profile has every change compare all voters' data first.
        min_voters: Nothing is done that would leave fewer voters.
        change_windows: When the profile lets changes begin; empty for any time.
        time_zone: The time zone of these windows, by its name.
        four_eyes: The profile has somebody else than its starter approve every change.
        approval_lapses_after_seconds: How long an approval counts.
        notifies: Events of operations that a webhook is told; empty where there is none.
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
    approval_lapses_after_seconds: float = APPROVAL_LAPSES_AFTER_SECONDS
    notifies: tuple[str, ...] = ()


def known_traits(known: WorkerInfo | None, from_look: WorkerInfo | None) -> WorkerInfo | None:
    """Return what is known of the profile after a look: what the first worker knew, and what says where things are.

    An operation keeps the policies that it began with. But remedies ask for a `cluster_id` or a table `nodes` in the
    profile, so a waiting operation takes these from later looks. While a profile's Kubernetes is rolled out, the first
    worker may not have it yet; others can write the record.
    """
    if known is None or from_look is None:
        return known or from_look
    return known.model_copy(
        update={
            "kubernetes": known.kubernetes or from_look.kubernetes,
            "cluster_id": known.cluster_id or from_look.cluster_id,
            "nodes": from_look.nodes or known.nodes,
        }
    )

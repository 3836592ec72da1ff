"""What every activity on etcd answers."""

from __future__ import annotations

from etcd_handoff.activity_io.etcd_steps import MemberHash
from etcd_handoff.activity_io.worker_info import WorkerInfo
from etcd_handoff.cluster_view import ClusterView, HeardMember
from etcd_handoff.contract import Step
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.wire import Message


class StepResult(Message):
    """What an etcd activity answers.

    Attributes:
        step: How it went.
        view: What it saw last; None when nobody gave a linearizable member list.
        transferee_id: Whom leadership was offered to; empty when to nobody.
        added_id: ID that etcd has given to the learner; empty when it has not said so.
        proposed: A change was sent and not turned down: it may have taken effect.
        traits: What `check_leader`'s worker knows.
        claims: What EtcdMembers say of who is a member; None when they were not asked for or could not be read.
        heard: What members of that worker say of themselves, where nobody gave it a member list.
        alone: The profile of `check_leader`'s worker names its own node's member and no other.
        idle_nodes: Nodes of members that `check_leader`'s worker does not reach for which Temporal lists no worker.
        worker_nodes: Nodes of all workers that have the profile, as Temporal lists them. `check_leader` gives them
            where each worker asks its own member alone, as long as it is not known which cluster is meant.
        writes_acknowledged: After a removal: whether a write was committed through those that remain; None when that
            was not tried.
        keyspace: The hash of the one member that was asked for it; None when there is none.
    """

    step: Step
    view: ClusterView | None = None
    transferee_id: str = ""
    added_id: str = ""
    proposed: bool = False
    traits: WorkerInfo | None = None
    claims: tuple[ResourceClaim, ...] | None = None
    heard: tuple[HeardMember, ...] = ()
    alone: bool = False
    idle_nodes: tuple[str, ...] = ()
    worker_nodes: tuple[str, ...] = ()
    writes_acknowledged: bool | None = None
    keyspace: MemberHash | None = None

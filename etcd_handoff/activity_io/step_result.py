"""The answer of every activity on etcd."""

from __future__ import annotations

from etcd_handoff.activity_io.etcd_steps import MemberHash
from etcd_handoff.activity_io.worker_info import WorkerInfo
from etcd_handoff.cluster_view import ClusterView, MemberSelfReport
from etcd_handoff.contract import Step
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.wire import MemberId, WireModel


class DataOwner(WireModel):
    """The member whose etcd data lie on a node, whether or not it runs.

    Attributes:
        cluster_id: Its cluster.
        member_id: Its ID.
    """

    cluster_id: MemberId
    member_id: MemberId


class StepResult(WireModel):
    """The answer of an etcd activity.

    Attributes:
        step: How it went.
        view: The last view; None when no member gave a linearizable member list.
        transferee_id: The member that leadership was offered to; empty for none.
        added_id: ID that etcd has given to the learner; empty without that answer.
        proposed: Whether a change was sent and not refused: it may have taken effect.
        worker_info: What `check_leader`'s worker knows.
        claims: What EtcdMembers say about membership; None when they were not requested or could not be read.
        self_reports: What members of that worker say of themselves, if no member gave it a member list.
        data_owner: Owner of the etcd data on that worker's node, if no member gave it a member list; None where that is
            not known.
        data_error: Why the data there could not be read; empty where they were, or were not needed.
        alone: Whether the profile of `check_leader`'s worker names only its own node's member.
        idle_nodes: Nodes of members that `check_leader`'s worker does not reach and for which Temporal lists no worker.
        worker_nodes: Nodes of all workers that have the profile, as Temporal lists them. `check_leader` returns them if
            each worker asks only its own member, as long as the meant cluster is not known.
        workers_unlisted: Whether Temporal was asked for these nodes, and gave no answer.
        writes_acknowledged: After a removal: whether the remaining members have committed a write; None when that was
            not tried.
        keyspace: The hash of the one member that was asked for it; None when there is none.
    """

    step: Step
    view: ClusterView | None = None
    transferee_id: str = ""
    added_id: str = ""
    proposed: bool = False
    worker_info: WorkerInfo | None = None
    claims: tuple[ResourceClaim, ...] | None = None
    self_reports: tuple[MemberSelfReport, ...] = ()
    data_owner: DataOwner | None = None
    data_error: str = ""
    alone: bool = False
    idle_nodes: tuple[str, ...] = ()
    worker_nodes: tuple[str, ...] = ()
    workers_unlisted: bool = False
    writes_acknowledged: bool | None = None
    keyspace: MemberHash | None = None

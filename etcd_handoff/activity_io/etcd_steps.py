"""Inputs of the activities on etcd."""

from __future__ import annotations

from typing import Literal

from etcd_handoff.activity_io.etcdmembers import UpdateStatusInput
from etcd_handoff.cluster_view import ClusterView
from etcd_handoff.wire import MemberId, WireModel


class CheckLeaderInput(WireModel):
    """Input of `check_leader`.

    Attributes:
        cluster: Cluster profile.
        doubtful: IDs of members that did not answer the last look. They are not waited for.
        claims: Whether to read EtcdMembers too, as a second source for which cluster this is.
        patient_claims: Whether to wait longer for them, since the look before could not read them.
        probe: Whether to commit an entry first, so that any earlier proposal has taken effect or never will.
        for_node: Whether it is for the worker of one node. Then no other one is to look in its place.
        rights: Whether the look fails if the worker may not change the membership, as a change would: for a dry run.
        cluster_id: The etcd cluster that is meant. A worker whose own node is of another one leaves the look to others.
            Empty when it is not known yet.
    """

    cluster: str
    doubtful: tuple[MemberId, ...] = ()
    claims: bool = False
    patient_claims: bool = False
    probe: bool = False
    for_node: bool = False
    rights: bool = False
    cluster_id: str = ""


class ReleaseLockInput(WireModel):
    """Input of `release_lock`.

    Attributes:
        cluster: Cluster profile.
        cluster_id: The cluster that the operation was planned in. No other one is touched.
        holder: The lock's holder, as in `ChangeInput`.
        doubtful: IDs of members that did not answer the last look. They are not waited for.
    """

    cluster: str
    cluster_id: MemberId
    holder: str
    doubtful: tuple[MemberId, ...] = ()


class ReleaseLockResult(WireModel):
    """Answer of `release_lock`: whether a member has acknowledged that this operation does not have the lock."""

    released: bool


class ChangeInput(CheckLeaderInput):
    """The common input of all activities that change the pinned cluster.

    Attributes:
        cluster_id: The cluster that the operation was planned in.
        seen_term: Highest term at which the cluster has been seen.
        seen_index: Highest index of a leader that has been seen.
        holder: The lock's holder in etcd: ID of the operation's first run.
        holder_label: The holder's name for people.
        seen: The merged view of the decision, where no worker reaches all members; None where one does.
        begin_before: Until when the change may begin, in seconds since 1970; 0 for any time.
    """

    cluster_id: MemberId
    seen_term: int = 0
    seen_index: int = 0
    holder: str = ""
    holder_label: str = ""
    seen: ClusterView | None = None
    begin_before: float = 0.0


class StepInput(ChangeInput):
    """Input of the activities of a removal that change or check the pinned cluster.

    Attributes:
        target_id: The member that leaves.
        avoid: Transferees that were tried since the last wait and did not take over.
        learner_only: Whether the target leaves only as long as it is a learner.
        leaving_later: Members that leave after it. None of them gets the leadership.
        successors: Members that are to stay. While one of them does not work, a target that works stays as well.
        min_voters: The target does not leave where fewer voters would remain.
        record: What is to be recorded once etcd has confirmed that the target has left. The member list is added then.
            None for no record.
    """

    target_id: MemberId
    learner_only: bool = False
    avoid: tuple[MemberId, ...] = ()
    leaving_later: tuple[MemberId, ...] = ()
    successors: tuple[MemberId, ...] = ()
    min_voters: int = 1
    record: UpdateStatusInput | None = None


class MemberHash(WireModel):
    """A hash of one member's keyspace. Two are comparable if they have the same revision and compact revision.

    Attributes:
        hash: etcd's HashKV.
        revision: The member's revision.
        compact_revision: The revision up to which it had compacted.
    """

    hash: int
    revision: int
    compact_revision: int


class CheckHashInput(StepInput):
    """Input of `check_hash`.

    Attributes:
        member_id: The one member to hash, if only its own node's worker reaches it; empty to compare all voters.
        omitted: IDs of members that leave: they are not compared where the others are most of the voters.
        newest: Another member's hash, at whose revision this one is hashed; None for its newest revision.
    """

    member_id: MemberId | Literal[""] = ""
    omitted: tuple[str, ...] = ()
    newest: MemberHash | None = None


class AdditionInput(ChangeInput):
    """Input of the activities that add a learner and promote it.

    Attributes:
        name: Name that the member will have.
        peer_urls: All its peer URLs.
        learner_id: ID of the learner that was added; empty before. No other one is promoted.
        departing: Members that leave, or have left, by the change that this is a part of. They may still run.
    """

    name: str
    peer_urls: tuple[str, ...]
    learner_id: MemberId | Literal[""] = ""
    departing: tuple[MemberId, ...] = ()


class AwaitSyncInput(AdditionInput):
    """Input of `await_sync`.

    Attributes:
        waits_for: Why the learner could not be promoted when the step was ordered, a `planning.Reason`; empty when it
            could. The step ends when this changes.
        seconds: How long it waits at most.
        listed: The members that were listed then. The step ends when they change.
        own_index: Raft index that the learner must reach, if only its own node's worker reaches it.
    """

    waits_for: str = ""
    seconds: float = 0.0
    listed: tuple[MemberId, ...] = ()
    own_index: int = 0


class AwaitElectionInput(StepInput):
    """Input of `await_election`.

    Attributes:
        term_before: The term at which the target led.
        others: IDs of the other healthy voters, which are asked for their leader until each names a new one.
    """

    term_before: int
    others: tuple[MemberId, ...] = ()

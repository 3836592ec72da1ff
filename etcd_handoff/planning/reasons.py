"""Name the reasons why the planner decides on no change now.

They are given, with their texts, where they are found:

- what a view shows: `obstacles.py`, `joining.py`, `removal.py`, `part_order.py` and `safety.py` beside this module
- what contradicts a view: `etcd_handoff.doubts`, by way of `decisions.doubted`
- what an operation meets otherwise: `etcd_handoff.operation.texts`, and beside it `addition`, `failures`, `learner`,
  `member_process` and `replaced`
"""

from __future__ import annotations

from enum import StrEnum

from etcd_handoff import doubts


class Reason(StrEnum):
    """A reason why no change is decided on now, in one word: enum value, failure text, and heading in the docs."""

    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    MIXED_CLUSTERS = doubts.MIXED_CLUSTERS
    WRONG_CLUSTER = doubts.WRONG_CLUSTER
    LISTS_DIFFER = doubts.LISTS_DIFFER
    UNLISTED_MEMBER = doubts.UNLISTED_MEMBER
    ZERO_ID = doubts.ZERO_ID
    RESOURCES_DISAGREE = doubts.RESOURCES_DISAGREE
    NO_LEADER = "NoLeader"
    NO_QUORUM = "NoQuorum"
    QUORUM_AT_RISK = "QuorumAtRisk"
    VOTER_HANGS = "VoterHangs"
    VOTER_LAGS = "VoterLags"
    CLUSTER_CORRUPT = "ClusterCorrupt"
    LEADER_UNREACHABLE = "LeaderUnreachable"
    NO_TRANSFEREE = "NoTransferee"
    TRANSFER_FAILED = "TransferFailed"
    REFUSED_BY_ETCD = "RefusedByEtcd"
    UNSETTLED = "Unsettled"
    STEP_FAILS = "StepFails"
    CHANGE_UNDER_WAY = "ChangeUnderWay"
    QUEUE_SILENT = "QueueSilent"
    AWAITING_K0S = "AwaitingK0s"
    NO_ETCDMEMBER = "NoEtcdMember"
    LEAVE_REVOKED = "LeaveRevoked"
    HASH_UNKNOWN = "HashUnknown"
    SNAPSHOT_FAILED = "SnapshotFailed"
    LAST_VOTER = "LastVoter"
    CLUSTER_CHANGED = doubts.CLUSTER_CHANGED
    CLUSTER_RESTORED = doubts.CLUSTER_RESTORED
    OLD_ETCD = doubts.OLD_ETCD
    DATA_INCONSISTENT = "DataInconsistent"
    LEARNER_NOT_STARTED = "LearnerNotStarted"
    LEARNER_MISNAMED = "LearnerMisnamed"
    LEARNER_UNREACHABLE = "LearnerUnreachable"
    LEARNER_LAGS = "LearnerLags"
    NODE_NOT_READY = "NodeNotReady"
    LEARNER_STALLS = "LearnerStalls"
    LEARNER_IN_THE_WAY = "LearnerInTheWay"
    CHANGE_PENDING = "ChangePending"
    ADD_WOULD_BE_REFUSED = "AddWouldBeRefused"
    ETCD_BUG = "EtcdBug"
    NOT_VERIFIED = "NotVerified"
    NO_SPACE = "NoSpace"
    PEER_URL_TAKEN = "PeerUrlTaken"
    NAME_TAKEN = "NameTaken"
    SAME_MEMBER = "SameMember"
    TOO_FEW_VOTERS = "TooFewVoters"
    UNPLANNED_MEMBER = "UnplannedMember"
    UNSAFE_STEP = "UnsafeStep"

"""Decide whether a look at a cluster may be believed. Pure.

A member list counts only while nothing contradicts it. `contradictions` compares the answers of one look. Views of
several workers are compared in `etcd_handoff.merged_view` and `operation.node_doubts`, as doubts of the merged view.
`contradiction` adds earlier knowledge: which cluster is meant, and how far it had come. The planner, the reconciler of
EtcdMembers and the command line ask `contradiction` before they conclude anything from a view.
"""

from etcd_handoff.cluster_view import MIXED_CLUSTERS
from etcd_handoff.doubts.etcdmember_claims import ResourceClaim, found_elsewhere, lone_list, resources_doubt
from etcd_handoff.doubts.kinds import (
    CLUSTER_CHANGED,
    CLUSTER_RESTORED,
    LISTS_DIFFER,
    OLD_ETCD,
    RESOURCES_DISAGREE,
    UNLISTED_MEMBER,
    WRONG_CLUSTER,
    ZERO_ID,
)
from etcd_handoff.doubts.known_before import Binding, bound, contradiction, expected, listed_again, shorter_list
from etcd_handoff.doubts.one_look import Answer, contradictions, silent_outsiders

__all__ = [
    "CLUSTER_CHANGED",
    "CLUSTER_RESTORED",
    "LISTS_DIFFER",
    "MIXED_CLUSTERS",
    "OLD_ETCD",
    "RESOURCES_DISAGREE",
    "UNLISTED_MEMBER",
    "WRONG_CLUSTER",
    "ZERO_ID",
    "Answer",
    "Binding",
    "ResourceClaim",
    "bound",
    "contradiction",
    "contradictions",
    "expected",
    "found_elsewhere",
    "listed_again",
    "lone_list",
    "resources_doubt",
    "shorter_list",
    "silent_outsiders",
]

"""What may be believed of a look at a cluster: the one place where answers are held against each other. Pure.

A member list counts only while nothing contradicts it. `contradictions` compares the answers of one look;
`contradiction` adds what was known before: which cluster is meant, and how far it had come. Everything that concludes
something from a view asks `contradiction` first: the planner, the reconciler of EtcdMembers, the command line.
"""

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
from etcd_handoff.doubts.second_witness import ResourceClaim, found_elsewhere, witness

__all__ = [
    "CLUSTER_CHANGED",
    "CLUSTER_RESTORED",
    "LISTS_DIFFER",
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
    "shorter_list",
    "silent_outsiders",
    "witness",
]

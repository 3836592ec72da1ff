"""Name the kinds of doubts, for code that treats one of them differently.

Their texts are where they are found: in this package, and in `merged_view` and `operation.node_doubts` for answers of
several workers. `MIXED_CLUSTERS` is in `cluster_view`, since a view shows which doubts are of this kind.
"""

from __future__ import annotations

from typing import Final

WRONG_CLUSTER: Final = "WrongCluster"
LISTS_DIFFER: Final = "ListsDiffer"
UNLISTED_MEMBER: Final = "UnlistedMember"
ZERO_ID: Final = "ZeroId"
CLUSTER_CHANGED: Final = "ClusterChanged"
CLUSTER_RESTORED: Final = "ClusterRestored"
RESOURCES_DISAGREE: Final = "ResourcesDisagree"
OLD_ETCD: Final = "OldEtcd"

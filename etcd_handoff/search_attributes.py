"""Name the search attributes (contract), by which lists in the Web UI and the command line select workflows."""

from __future__ import annotations

from typing import Final

CLUSTER_ATTRIBUTE: Final = "EtcdCluster"
MEMBER_ATTRIBUTE: Final = "EtcdMember"
STATE_ATTRIBUTE: Final = "HandoffState"
SEARCH_ATTRIBUTES: Final = (CLUSTER_ATTRIBUTE, MEMBER_ATTRIBUTE, STATE_ATTRIBUTE)

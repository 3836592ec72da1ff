"""What may happen to a cluster of the model, and to whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """What happens at a call."""

    ANSWER_LOST = "the effect takes place, its answer is lost"
    NO_EFFECT = "nothing takes place, and no answer comes"
    CRASH = "the effect takes place, and the worker dies"
    LATE = "the removal gets no answer, and takes place some calls later"
    REFUSED = "etcd refuses changes for now"
    LEADER_MOVES = "somebody moves leadership"
    NO_LEADER = "the leader is lost, and nobody is elected"
    LEFT_BEHIND = "another voter is cut off from its peers, and does not hear that leadership went round"
    OTHER_DIES = "another voter dies"
    OTHER_HANGS = "another voter answers from memory, and commits nothing"
    OTHER_WOULD_HANG = "another voter's disk is gone, which shows once something is to be written"
    OTHER_LAGS = "another voter comes back far behind"
    TARGET_DIES = "the target dies"
    TARGET_HANGS = "the target answers from memory, and commits nothing"
    TARGET_REMOVED = "somebody removes the target"
    OTHER_REMOVED = "somebody removes another voter"
    RUNS_ON = "members that are removed from now on do not hear of it, and run on"
    NAMESAKE = "somebody replaces the target by a new member of the same name"
    REJOINED = "the target's node joins again under its name, and k0s writes that into its EtcdMember"
    ADDED = "somebody adds a voter that has not started"
    FOREIGN_LIST = "another cluster's member gives the list, and the members answer too"
    FOREIGN_ALONE = "another cluster's member is the only one that answers"
    LISTS_DIFFER = "another voter was forced into a cluster of its own, and gives the list"
    LONE_LIST = "another voter was forced into a cluster of its own, and is the only one that answers"
    ROLES_DIFFER = "another voter takes one more for a learner, as it has forgotten a promotion, and gives the list"
    RESTORED = "somebody restores the cluster: its members stay, term and index go back"
    LOCK_HELD = "somebody else takes the lock in etcd"
    API_GONE = "no API server answers"
    API_REFUSES = "the API servers refuse the credentials"
    CONFLICT = "somebody writes the EtcdMember at the same moment"
    RESOURCE_DELETED = "somebody deletes the target's EtcdMember"
    LIE = "somebody writes what is not true into an EtcdMember"
    DIVERGES = "another voter comes to hold other data"
    NODE_IDLE = "the worker on another voter's node is down"
    TARGET_IDLE = "the worker on the target's node is down"
    TAKEN_LATE = "the next step waits so long for its worker that nothing counts any more that others saw before"


TO_CALLS: Final = (Fault.ANSWER_LOST, Fault.NO_EFFECT, Fault.CRASH, Fault.LATE, Fault.REFUSED)
"""What a call itself runs into."""
TO_API_CALLS: Final = (Fault.API_GONE, Fault.API_REFUSES, Fault.CONFLICT)
"""What a call to API servers runs into."""
TO_NODES: Final = (Fault.NODE_IDLE, Fault.TARGET_IDLE, Fault.TAKEN_LATE)
"""What happens to workers that reach their own node's member alone, where that is so."""
OF_MUTANTS: Final = (Fault.LONE_LIST, Fault.ROLES_DIFFER)
"""What only the scenarios of mutants meet."""
TO_CLUSTERS: Final = tuple(fault for fault in Fault if fault not in (*TO_NODES, *OF_MUTANTS))
TO_REMOVALS: Final = tuple(fault for fault in TO_CLUSTERS if fault not in (Fault.LIE, Fault.DIVERGES))
"""What a removal must bear; what others write into an EtcdMember is for the watcher to put right."""
TO_GATES: Final = (*TO_REMOVALS, Fault.DIVERGES)
"""What a removal must bear that is to make sure of the data first."""

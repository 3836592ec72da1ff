"""Which changes of its workflow a run takes part in: all that existed when it began.

A patch may be missed on replay if it is asked for first while a local activity runs. On a busy machine the SDK
completes a workflow task while the activity runs. The patch's marker then belongs to a later task than the one in which
the replay asks for it. The run fails for ever (TMPRL1100). So a run asks once, in its first task.
"""

from __future__ import annotations

from typing import Final

from temporalio import workflow

AT_START: Final = "patches-at-start"
"""Name of the patch that stands for those of `FIRST`.

A run that began without it, or without `AT_START_2`, asks for each by its own name.
"""
AT_START_2: Final = "patches-at-start-2"
"""Name of the patch that stands for those of `FIRST` and `SECOND`. No other patch may be added to them."""

NODE_QUEUES: Final = "node-queues"
"""Nodes are asked through their own task queues."""
NODE_HASHES: Final = "node-hashes"
"""Nodes are asked for hashes of their own members."""
DEPARTED: Final = "departed-etcd"
"""A node is asked whether the etcd of a removed member still runs."""
MEMBER_PROCESSES: Final = "member-processes"
"""Nodes are asked about the etcd of members that join."""
MEMBER_ENDS: Final = "member-ends"
"""Nodes are asked about the etcd of removed members."""
APPROVALS_LAPSE: Final = "approvals-lapse"
"""An approval lapses."""
ASKED_STILL: Final = "asked-still"
"""EtcdMembers are read again before a removal starts."""
REQUESTS_BY_TIME: Final = "queue-requests-by-time"
"""Requests to the queue have numbers that a reset does not repeat."""
EARLY_TURNS: Final = "turns-before-run"
"""A turn counts even if it comes before a continued run has begun to run."""
LEFT_LOCKS: Final = "left-locks"
"""An abandoned lock in etcd is released at the end."""
APPROVALS_SHOWN: Final = "approvals-shown"
"""EtcdMembers show that an operation waits for an approval."""
WAITS_TOLD: Final = "waits-told"
"""EtcdMembers that ask for a removal show why it has not begun, or waits, before any queue knows of it."""
FAILED_RECORDS: Final = "failed-records"
"""The record of a removal that failed after its proposal is handed over too."""
LISTED_AGAIN: Final = "listed-again"
"""A watcher holds a member list back that contains a removed member again."""
TURN_WITH_TRANSFER: Final = "turn-with-transfer"
"""The turn is taken together with the transfer that follows it."""
PUT_OFF_ENDS: Final = "put-off-ends"
"""Nodes are asked about the etcd of a learner whose part was put off, once it has left."""
ADDITION_RECORDS: Final = "addition-records"
"""The record of an addition is handed over too."""
FIRST: Final = (
    NODE_QUEUES,
    NODE_HASHES,
    DEPARTED,
    MEMBER_PROCESSES,
    MEMBER_ENDS,
    APPROVALS_LAPSE,
    ASKED_STILL,
    REQUESTS_BY_TIME,
    EARLY_TURNS,
)
SINGLE: Final = (LEFT_LOCKS, APPROVALS_SHOWN, WAITS_TOLD, FAILED_RECORDS, LISTED_AGAIN)
"""Patches between the two names. A run without `AT_START_2` asks for each of them, in its first task too."""
SECOND: Final = (*SINGLE, TURN_WITH_TRANSFER)


def begin() -> None:
    """Note which patches the run knows. Call it before anything else in the run.

    Ask for each new patch here as well, by its own name.
    """
    workflow.patched(PUT_OFF_ENDS)
    workflow.patched(ADDITION_RECORDS)
    if workflow.patched(AT_START_2):
        return
    workflow.patched(AT_START)
    for patch in SINGLE:
        workflow.patched(patch)


def is_on(patch: str) -> bool:
    """Return whether the run takes part in this change."""
    together = patch in FIRST or patch in SECOND
    if together and workflow.patched(AT_START_2):
        return True
    if patch == TURN_WITH_TRANSFER:
        return False  # it came with the second name, so no older run takes part in it
    if patch in FIRST and workflow.patched(AT_START):
        return True
    return workflow.patched(patch)

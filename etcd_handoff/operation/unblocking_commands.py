"""Make the commands that unblock an operation, ready to be copied. Pure.

The page and the command line show the same ones.
"""

from __future__ import annotations

import shlex
from typing import Final, NamedTuple

from etcd_handoff.contract import HandoffState


class Remedy(NamedTuple):
    """An action that a person can take on an operation.

    Attributes:
        purpose: What it does, in the imperative.
        name: Our command for it.
        example: JSON input of the update of the same name; empty where there is none.
    """

    purpose: str
    name: str
    example: str = ""


APPROVE: Final = Remedy("approve", "approve", '{"by": "<your name>"}')
RECHECK: Final = Remedy("look again now", "recheck", '{"reason": "<why>"}')
RESUME: Final = Remedy("let it go on", "resume", '{"by": "<your name>"}')
CANCEL: Final = Remedy("cancel", "cancel")
DIAGNOSE: Final = Remedy("find what keeps it", "doctor")
REMEDIES: Final[dict[str, tuple[Remedy, ...]]] = {
    HandoffState.AWAITING_APPROVAL: (APPROVE, CANCEL),
    HandoffState.AWAITING_WINDOW: (RECHECK, CANCEL),
    HandoffState.BLOCKED: (RECHECK, CANCEL),
    HandoffState.QUEUED: (CANCEL,),
    HandoffState.SYNCING: (CANCEL,),
    HandoffState.RECORDING: (DIAGNOSE,),
    HandoffState.PAUSED: (RESUME, CANCEL),
}
"""What a person can do in each state that waits for something."""


def command(name: str, cluster: str, member: str, workflow_id: str = "") -> str:
    """Return our command on an operation.

    Args:
        name: The command.
        cluster: Cluster profile.
        member: The member of the operation, or the names of several.
        workflow_id: The argument to use where there is not exactly one member.
    """
    if name == DIAGNOSE.name:
        return f"etcd-handoff {name} -c {shlex.quote(cluster)}"
    if workflow_id and (not member or ", " in member):
        return f"etcd-handoff {name} {shlex.quote(workflow_id)}"
    return f"etcd-handoff {name} {shlex.quote(member)} -c {shlex.quote(cluster)}"


def remedies(state: str, *, final: bool, waits: bool = True) -> tuple[Remedy, ...]:
    """Return what a person can do now.

    Args:
        state: State of the operation.
        final: It is past the point of no return, so that it can't be cancelled.
        waits: It waits for something. An operation that waited for an approval and waits no more is approved, and one
            that records meets no obstacle.
    """
    useless = (CANCEL,) * final + (APPROVE, DIAGNOSE) * (not waits)
    return tuple(remedy for remedy in REMEDIES.get(state, ()) if remedy not in useless)

"""Identify people by what Temporal recorded of them and by the name that they give. Pure.

An identity in Temporal's records is what a client says of itself. Our command line, our client for scripts and
Temporal's command line name user and host. The SDKs name process and host by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from etcd_handoff.contract import Approval
    from etcd_handoff.operation.phases import ApprovalState

COMMAND_LINE: Final = "etcd-handoff:"
SCRIPT: Final = "etcd-handoff-client:"
TEMPORAL_CLI: Final = "temporal-cli:"
REQUESTER_MEMO: Final = "etcd-handoff-requester"
"""Key in the memo of a removal that a watcher starts: who gave the order on the EtcdMember, for people."""
PROGRAMS: Final = (COMMAND_LINE, SCRIPT, TEMPORAL_CLI)
"""How identities begin that name a user and a host, by the program that gives them."""


def user_of(identity: str) -> str:
    """Return the user that an identity names; empty where it names a process, or no user."""
    for program in PROGRAMS:
        identity = identity.removeprefix(program)
    user = identity.rpartition("@")[0] or identity
    return "" if user.isdigit() else user


def named(by: str, identity: str) -> str:
    """Return a person's name and identity, for people.

    Args:
        by: The name that was given.
        identity: The identity that was recorded.
    """
    if not by or not identity or by == user_of(identity):
        return identity or by
    return f"{by} (as {identity})"


def approver(approval: Approval | None, given: ApprovalState | None) -> str:
    """Return who approved an operation, for people; empty when it is not approved.

    Args:
        approval: The approver's input.
        given: What was recorded of that.
    """
    return named(approval.by, given.identity if given else "") if approval else ""


def doubt(started_by: str, by: str, identity: str) -> str:
    """Return why an approval may not come from a second person; empty when it does.

    Args:
        started_by: The identity that was recorded for the start; empty where none was.
        by: The name that the approver gives.
        identity: The identity that was recorded for the approval.
    """
    starter, approver = user_of(started_by), user_of(identity)
    if not approver:
        return (
            f"the approver is recorded as {identity or 'nobody'}, which names no user; approve with"
            " `etcd-handoff approve`, or give the client an identity such as ann@host"
        )
    if started_by and starter and starter.casefold() in (approver.casefold(), by.casefold()):
        return f"{starter} has started it, recorded as {started_by}; somebody else has to approve"
    return ""

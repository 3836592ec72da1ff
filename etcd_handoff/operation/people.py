"""Who somebody is, by what Temporal has recorded of them and by the name that they give. Pure.

An identity in Temporal's records is what a client says of itself: our command line, our client for scripts and
Temporal's command line name user and host, the SDKs name process and host unless they are told otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from etcd_handoff.contract import Approval
    from etcd_handoff.operation.phases import Approved

COMMAND_LINE: Final = "etcd-handoff:"
SCRIPT: Final = "etcd-handoff-client:"
TEMPORAL_CLI: Final = "temporal-cli:"
REQUESTER_MEMO: Final = "etcd-handoff-requester"
"""Key in the memo of a removal that a watcher starts: who has given the order on the EtcdMember, for people."""
PROGRAMS: Final = (COMMAND_LINE, SCRIPT, TEMPORAL_CLI)
"""How identities begin that name a user and a host, by the program that gives them."""


def user_of(identity: str) -> str:
    """The user that an identity names; empty where it names a process, or nobody."""
    for program in PROGRAMS:
        identity = identity.removeprefix(program)
    user = identity.rpartition("@")[0] or identity
    return "" if user.isdigit() else user


def named(by: str, identity: str) -> str:
    """Who has said something, for people.

    Args:
        by: The name that was given.
        identity: The identity that was recorded.
    """
    if not by or not identity or by == user_of(identity):
        return identity or by
    return f"{by} (as {identity})"


def approver(approval: Approval | None, given: Approved | None) -> str:
    """Who has approved an operation, for people; empty when nobody has.

    Args:
        approval: What the approver has said.
        given: What was recorded of that.
    """
    return named(approval.by, given.identity if given else "") if approval else ""


def doubt(started_by: str, by: str, identity: str) -> str:
    """Why an approval may not be by somebody else than the one who has started it; empty when it is.

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

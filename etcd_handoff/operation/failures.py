"""Describe why an operation fails: each function makes one of the contract's failures. Pure.

The remedy comes before what was seen, which may be long: lists and pages cut a text at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import FailureType
from etcd_handoff.operation.commands import Failure
from etcd_handoff.planning import Reason

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import MemberView
    from etcd_handoff.contract import OperationRequest
    from etcd_handoff.planning import Ambiguous, Blocked, NotFound, Refused

SAFE_BEFORE_PINNED: Final = frozenset({FailureType.UNKNOWN_CLUSTER, FailureType.INVALID_INPUT})
"""Mistakes that a start may contain. Once a worker knew the profile, such a failure only means that another worker does
not."""


def refusal(refused: Refused, kind: FailureType = FailureType.REMOVAL_REFUSED) -> Failure:
    """Return the contract's failure for what will never be safe."""
    text = f"{refused.reason}: {refused.remedy}. Seen: {refused.seen}"
    return Failure(kind, text)


def failed_step(kind: str, text: str, *, pinned: bool) -> Failure | None:
    """Return the contract's failure for a step that no wait can mend; None for all others.

    Args:
        kind: Type of the failure of its last attempt.
        text: The cause, as far as it is known.
        pinned: A worker has known the cluster profile before.
    """
    if kind != FailureType.PERMISSION_DENIED and (pinned or kind not in SAFE_BEFORE_PINNED):
        return None
    return Failure(kind, text)


def inconsistent(note: str, *, adds: bool = False) -> Failure:
    """Return the contract's failure for members that do not hold the same data."""
    before = "another one copies them" if adds else "one leaves"
    text = (
        f"{Reason.DATA_INCONSISTENT}: find the member whose data are wrong before {before}, as a rule the one that"
        " differs from the rest. Remove it with `etcd-handoff remove MEMBER`, and add it anew with `etcd-handoff add"
        f" NAME --peer-url URL`. Seen: the members' data differ at {note}"
    )
    return Failure(FailureType.CHANGE_REFUSED if adds else FailureType.REMOVAL_REFUSED, text)


def no_leave(note: str) -> Failure:
    """Return the contract's failure for a member that k0s cannot be asked to remove."""
    text = (
        f"{Reason.NO_ETCDMEMBER}: k0s removes a member through its EtcdMember alone, but {note}. Create the EtcdMember,"
        ' or set remover = "etcd" in the profile'
    )
    return Failure(FailureType.REMOVAL_REFUSED, text)


def taken_back(resource: str, manager: str) -> Failure:
    """Return the contract's failure for an order to k0s that another field manager revoked."""
    text = (
        f"{Reason.LEAVE_REVOKED}: spec.leave of EtcdMember {resource} was taken back by {manager}, so the member stays;"
        " start the removal again if it is to leave all the same"
    )
    return Failure(FailureType.REMOVAL_REFUSED, text)


def blocked_too_long(blocked: Blocked, waited_seconds: float, noun: str = "removal") -> Failure:
    """Return the contract's failure for an obstacle that did not pass in time."""
    text = (
        f"{blocked.reason}: waited {waited_seconds:g} s. What unblocks it: {blocked.unblocks}. Then start the {noun}"
        f" again. Seen: {blocked.seen}"
    )
    return Failure(FailureType.BLOCKED_TOO_LONG, text, short=f"{blocked.reason}: {blocked.seen}")


def ended(failure: Failure, *, pending: bool, unwritten: str) -> Failure:
    """Return the same failure, with what is true at the end.

    Args:
        failure: Why the removal failed.
        pending: Etcd may still carry it out.
        unwritten: Why the EtcdMember does not show it; empty when it does.
    """
    text = failure.text + f"; {unwritten}" * bool(unwritten)
    text += ". The removal was proposed before that and may have taken place" * pending
    return Failure(failure.kind, text)


def ambiguous(name_or_id: str, found: Ambiguous) -> Failure:
    """Return the contract's failure for a name or ID that fits more than one member."""
    text = (
        f"member: {name_or_id!r} fits more than one member: {', '.join(found.fits)}; give the ID of one, or the host"
        " and port of its peer URL"
    )
    return Failure(FailureType.UNKNOWN_MEMBER, text)


def unknown(request: OperationRequest, found: NotFound, because: str) -> Failure:
    """Return the contract's failure for a member that neither etcd nor an EtcdMember knows."""
    hint = f"; {found.hint}" if found.hint else ""
    text = (
        f"member: {request.subject!r} is no member of cluster {request.cluster}, and {because}{hint}; "
        f"members are {', '.join(found.known)}"
    )
    return Failure(FailureType.UNKNOWN_MEMBER, text)


def another_name(name: str, resource: str, member: MemberView) -> Failure:
    """Return the contract's failure for a name whose EtcdMember describes a present member of another name."""
    text = (
        f"member: no member is called {name!r}, and EtcdMember {resource} describes {member.label} (ID {member.id});"
        " give the ID if that one is meant"
    )
    return Failure(FailureType.UNKNOWN_MEMBER, text)


def joined_since(request: OperationRequest, member_id: str) -> Failure:
    """Return the contract's failure for a member that joined after the request was made."""
    noun = request.noun
    text = (
        f"member: no member was called {request.subject!r} when its {noun} was asked for, and member {member_id} has"
        f" joined under that name since; start the {noun} again if that one is meant"
    )
    return Failure(FailureType.UNKNOWN_MEMBER, text)

"""What a removal says when it waits, refuses, plans or ends: pure, made from what it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.planning import Blocked, Reason, Refused, Remove, Transfer, warnings
from temporalio import exceptions
from temporalio.exceptions import ApplicationError, TimeoutType

from etcd_handoff.model import FailureType, Pinned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etcd_handoff.planning import Ambiguous, Decision, NotFound
    from temporalio.exceptions import ActivityError

    from etcd_handoff.model import RemovalRequest, Step
    from etcd_handoff.view import ClusterView, MemberView

SAFE_BEFORE_PINNED: Final = frozenset({FailureType.UNKNOWN_CLUSTER, FailureType.INVALID_INPUT})
"""What a start may simply have wrong. Once a worker knew the profile, it is only another worker that does not."""
TIME_OUTS: Final = {
    TimeoutType.START_TO_CLOSE: "it took too long",
    TimeoutType.HEARTBEAT: "the worker that ran it fell silent",
    TimeoutType.SCHEDULE_TO_CLOSE: "its time is over",
    TimeoutType.SCHEDULE_TO_START: "no worker took it",
}
STEPS_WITHOUT_PAUSE: Final = 8
"""After so many steps that did not end it, the cluster is left alone for a moment before the next."""


def pinned(view: ClusterView, member: MemberView) -> Pinned:
    """The member that leaves, as it was seen first."""
    leadership = view.leadership
    return Pinned(
        cluster_id=view.cluster_id,
        member_id=member.id,
        member_name=member.name,
        peer_urls=member.peer_urls,
        leader_before=leadership.id if leadership else None,
        term_before=leadership.term if leadership else 0,
    )


def leads(view: ClusterView, member_id: str) -> bool:
    """Whether this member leads."""
    leadership = view.leadership
    return leadership is not None and leadership.id == member_id


def unavailable(steps: Sequence[Step]) -> Blocked:
    """Nobody gives a linearizable member list."""
    note = steps[-1].note if steps else ""
    return Blocked(
        Reason.CLUSTER_UNAVAILABLE,
        f"no linearizable member list can be read{f': {note}' if note else ''}",
        "a majority of the members runs and this cluster's endpoints can be reached from a worker",
    )


def why_it_failed(error: ActivityError) -> tuple[str, str]:
    """The type and the text of what ended an activity's last attempt.

    Where a time-out has ended it, what the attempt before said is the text, as far as there is any.
    """
    cause: BaseException | None = error.cause
    said = ""
    while isinstance(cause, exceptions.TimeoutError):
        said = said or TIME_OUTS.get(cause.type or TimeoutType.START_TO_CLOSE, str(cause))
        cause = cause.__cause__
    if isinstance(cause, ApplicationError):
        return cause.type or "", f"{said}; before that: {cause.message}" if said else cause.message
    return "", said or str(cause or error)


def attempts_of(error: ActivityError) -> int:
    """How many attempts an activity had; 1 where the last one has not said so."""
    cause = error.cause
    told = cause.details[0] if isinstance(cause, ApplicationError) and cause.details else 1
    return told if isinstance(told, int) else 1


def step_fails(step: str, text: str) -> Blocked:
    """An activity has failed in all its attempts."""
    return Blocked(
        Reason.STEP_FAILS, f"{step} keeps failing: {text}", "what the text names is mended; it is tried again"
    )


def failed_step(kind: str, text: str, *, pinned: bool) -> ApplicationError | None:
    """The contract's failure for a step that no wait can mend; None for all others.

    Args:
        kind: Type of the failure that its last attempt ended with.
        text: What is known about the cause.
        pinned: A worker has known the cluster profile before.
    """
    if kind != FailureType.PERMISSION_DENIED and (pinned or kind not in SAFE_BEFORE_PINNED):
        return None
    return ApplicationError(text, type=kind, non_retryable=True)


def locked(note: str) -> Blocked:
    """Somebody else holds the lock that lies in the etcd cluster itself."""
    return Blocked(Reason.CHANGE_UNDER_WAY, note, "the other change ends; a holder that died is passed over after 20 s")


def unsettled(steps: Sequence[Step]) -> Blocked:
    """Steps are done and undone."""
    return Blocked(
        Reason.UNSETTLED,
        f"{STEPS_WITHOUT_PAUSE} steps in a row did not end it, the last one: {steps[-1].note or steps[-1].outcome}",
        "the cluster settles; it is tried again after a pause",
    )


def refusal(refused: Refused) -> ApplicationError:
    """The contract's failure for what will never be safe."""
    text = f"{refused.reason}: {refused.seen}; {refused.remedy}"
    return ApplicationError(text, type=FailureType.REMOVAL_REFUSED, non_retryable=True)


def inconsistent(note: str) -> ApplicationError:
    """The contract's failure for members that do not hold the same data."""
    text = f"{Reason.DATA_INCONSISTENT}: the members' data differ at {note}; find the sick member before one leaves"
    return ApplicationError(text, type=FailureType.REMOVAL_REFUSED, non_retryable=True)


def hash_unknown(note: str) -> Blocked:
    """Not every member gives its hash."""
    return Blocked(Reason.HASH_UNKNOWN, f"the hashes are not known: {note}", "all members answer")


def no_snapshot(note: str) -> Blocked:
    """The snapshot that was asked for could not be taken."""
    return Blocked(Reason.SNAPSHOT_FAILED, f"no snapshot yet: {note}", "one succeeds")


def refused_by_etcd(note: str) -> Blocked:
    """Etcd's own guard does not let the removal through."""
    return Blocked(Reason.REFUSED_BY_ETCD, note, "etcd has seen its members connected for 5 s")


def queue_silent(text: str) -> Blocked:
    """Nobody says whose turn it is."""
    return Blocked(
        Reason.QUEUE_SILENT,
        text,
        "a worker serves its task queue, or somebody terminates the queue's workflow, after which a new one is started",
    )


def awaiting_k0s(target: str) -> Blocked:
    """k0s has been asked; whether it has done it is read from etcd alone."""
    return Blocked(Reason.AWAITING_K0S, f"k0s was asked to remove {target}", "k0s's reconciler has removed it")


def no_leave(note: str) -> ApplicationError:
    """The contract's failure for a member that k0s cannot be asked for."""
    text = f"{Reason.AWAITING_K0S}: k0s removes what its EtcdMember asks for, but {note}; create it, or change remover"
    return ApplicationError(text, type=FailureType.REMOVAL_REFUSED, non_retryable=True)


def taken_back(resource: str, manager: str) -> ApplicationError:
    """The contract's failure for an order to k0s that somebody else has taken back."""
    text = (
        f"{Reason.AWAITING_K0S}: spec.leave of EtcdMember {resource} was taken back by {manager}, so the member stays;"
        " start the removal again if it is to leave all the same"
    )
    return ApplicationError(text, type=FailureType.REMOVAL_REFUSED, non_retryable=True)


def blocked_too_long(blocked: Blocked, waited_seconds: float) -> ApplicationError:
    """The contract's failure for what did not pass by itself."""
    text = (
        f"{blocked.reason}: {blocked.seen}; waited {waited_seconds:g} s for: {blocked.unblocks}. "
        "Start the removal again when that has happened"
    )
    return ApplicationError(text, type=FailureType.BLOCKED_TOO_LONG, non_retryable=True)


def ended(failure: ApplicationError, *, pending: bool, unwritten: str) -> ApplicationError:
    """The same failure, with what is true at the end.

    Args:
        failure: Why the removal has failed.
        pending: Etcd may still carry it out.
        unwritten: Why the EtcdMember does not say so; empty when it does.
    """
    text = failure.message + f"; {unwritten}" * bool(unwritten)
    text += ". The removal was proposed before that and may have taken place" * pending
    return ApplicationError(text, type=failure.type, non_retryable=True)


def ambiguous(wanted: str, found: Ambiguous) -> ApplicationError:
    """The contract's failure for a name or ID that fits more than one member."""
    text = f"member: {wanted!r} fits more than one member: {', '.join(found.fits)}; give the ID of the one meant"
    return ApplicationError(text, type=FailureType.UNKNOWN_MEMBER, non_retryable=True)


def unknown(request: RemovalRequest, found: NotFound, because: str) -> ApplicationError:
    """The contract's failure for a member that neither etcd nor an EtcdMember knows."""
    hint = f"; {found.hint}" if found.hint else ""
    text = (
        f"member: {request.member!r} is no member of cluster {request.cluster}, and {because}{hint}; "
        f"members are {', '.join(found.known)}"
    )
    return ApplicationError(text, type=FailureType.UNKNOWN_MEMBER, non_retryable=True)


def another_name(wanted: str, resource: str, member: MemberView) -> ApplicationError:
    """The contract's failure for a name whose EtcdMember speaks of a present member of another name."""
    text = (
        f"member: no member is called {wanted!r}, and EtcdMember {resource} speaks of {member.label} (ID {member.id});"
        " give the ID if that one is meant"
    )
    return ApplicationError(text, type=FailureType.UNKNOWN_MEMBER, non_retryable=True)


def joined_since(wanted: str, member_id: str) -> ApplicationError:
    """The contract's failure for a member that was not there when it was asked for, and is now."""
    text = (
        f"member: no member was called {wanted!r} when its removal was asked for, and member {member_id} has joined"
        " under that name since; start the removal again if that one is meant"
    )
    return ApplicationError(text, type=FailureType.UNKNOWN_MEMBER, non_retryable=True)


def alarmed(view: ClusterView | None) -> str:
    """What an operator must know before a removal, as the end of a sentence; empty when there is nothing."""
    return "".join(f"; WARNING: {line}" for line in (warnings(view) if view else ()))


def no_writes(acknowledged: bool | None) -> str:  # noqa: FBT001  # None counts too
    """The end of a sentence on a removal after which the cluster commits nothing; empty otherwise."""
    if acknowledged is not False:
        return ""
    return "; WARNING: the members that remain have acknowledged no write since it left"


def in_words(blocked: Blocked) -> str:
    """What blocks, and until when."""
    return f"{blocked.reason}: {blocked.seen}; {blocked.unblocks}"


def plan_lines(
    decision: Decision, target: str, label: Callable[[str], str], view: ClusterView | None = None
) -> tuple[str, ...]:
    """The steps that lie before the removal, in order, after what to know before it; none while it is blocked."""
    if isinstance(decision, Blocked | Refused):
        return ()
    lines = [f"WARNING: {line}" for line in (warnings(view) if view else ())]
    if isinstance(decision, Transfer):
        successor = label(decision.transferee_id)
        lines += [
            f"hand leadership from {target} to {successor}",
            f"await that a majority follows {successor} at a term above {decision.term}",
            f"remove {target} through {successor}",
        ]
    if isinstance(decision, Remove):
        lines.append(f"remove {target} through {label(decision.via_id)}")
    return (*lines, f"record Joined=False on the EtcdMember of {target}")

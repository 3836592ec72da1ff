"""Make the texts of an operation that waits or plans. Pure.

The texts of failures are in `etcd_handoff.operation.failures`. The texts on EtcdMembers, after a removal in k0s's own
words, are in `etcd_handoff.etcdmember_messages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff import time_limits
from etcd_handoff.cluster_view import quorum
from etcd_handoff.command_lines import HOW_TO_START
from etcd_handoff.etcdmember_matching import resource_of
from etcd_handoff.operation.queue_messages import change_queue_id
from etcd_handoff.planning import Blocked, Reason, Refused, Remove, Transfer, warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etcd_handoff.activity_io import UpdateStatusInput
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.contract import Step
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.planning import Decision


NO_INPUT: Final = "input: missing; operations start this workflow themselves"


def unavailable(steps: Sequence[Step]) -> Blocked:
    """Return the obstacle that no linearizable member list can be read."""
    note = steps[-1].note if steps else ""
    return Blocked(
        Reason.CLUSTER_UNAVAILABLE,
        f"no linearizable member list can be read{f': {note}' if note else ''}",
        "start members until a majority runs, and make their endpoints reachable from a worker",
    )


def no_worker(node: str) -> str:
    """Return that no worker runs on this node, for work that only that one can do."""
    return f"no worker on {node}: start it there as on the other nodes, {HOW_TO_START}"


def step_fails(step: str, text: str) -> Blocked:
    """Return the obstacle that an activity failed in all its attempts."""
    return Blocked(
        Reason.STEP_FAILS,
        f"{step} keeps failing: {text}",
        "remove the cause that is named; etcd-handoff tries the step again",
    )


def locked(note: str) -> Blocked:
    """Return the obstacle that the lock in the etcd cluster is held by another operation."""
    return Blocked(
        Reason.CHANGE_UNDER_WAY,
        note,
        "wait until the other change ends; if its worker died, the lock is taken over by itself, by default after 24 s",
    )


def unsettled(steps: Sequence[Step]) -> Blocked:
    """Return the obstacle that many steps ended well without reaching the goal: something undoes them."""
    return Blocked(
        Reason.UNSETTLED,
        f"{time_limits.OPERATION.without_pause_steps} steps in a row have not reached the goal;"
        f" the last one: {steps[-1].note or steps[-1].outcome}",
        "wait; it is tried again after a pause",
    )


def hash_unknown(note: str) -> Blocked:
    """Return the obstacle that not every voter gives its hash."""
    return Blocked(
        Reason.HASH_UNKNOWN,
        f"the hashes are not known: {note}",
        "bring back the voters that do not answer; or remove those that are down for good, several of them with one"
        " `etcd-handoff apply`",
    )


def no_snapshot(note: str) -> Blocked:
    """Return the obstacle that the requested snapshot could not be taken."""
    return Blocked(
        Reason.SNAPSHOT_FAILED,
        f"no snapshot yet: {note}",
        "remove the cause that is named; etcd-handoff tries the snapshot again",
    )


def refused_by_etcd(note: str) -> Blocked:
    """Return the obstacle that etcd's own guard refuses the removal."""
    return Blocked(Reason.REFUSED_BY_ETCD, note, "wait until all members have been connected for 5 s")


def queue_silent(text: str, cluster_id: str) -> Blocked:
    """Return the obstacle that the queue of this cluster does not answer."""
    return Blocked(
        Reason.QUEUE_SILENT,
        text,
        "start a worker on its task queue; if that is impossible, run `temporal workflow terminate -w"
        f" {change_queue_id(cluster_id)}`, after which the next change starts a new queue",
    )


def awaiting_k0s(target: str) -> Blocked:
    """Return the obstacle that k0s was asked and has not removed the member yet, by etcd's own list."""
    return Blocked(
        Reason.AWAITING_K0S, f"k0s was asked to remove {target}", "wait until k0s's reconciler has removed it"
    )


def record_summary(member: str, record: UpdateStatusInput) -> str:
    """Return the purpose of the workflow that writes one EtcdMember after its operation has ended."""
    if record.joined and not record.failed:
        return f"Record that {member} is a member of {record.cluster}"
    if record.joined is False:
        return f"Record that {member} is not a member of {record.cluster} any more"
    return f"Record how the removal of {member} from {record.cluster} ended"


def next_steps(target: str, *, leave_asked: bool, runs_on: bool | None = None) -> tuple[str, ...]:
    """Return what is left to do on a removed member's node that k0s runs.

    Args:
        target: The member.
        leave_asked: k0s was asked to let it leave while it was a member.
        runs_on: Its etcd still runs; None when that is not known.
    """
    again = "k0s starts etcd again every 5 s, and etcd exits each time"
    meanwhile = (
        "k0s v1.36 stops its API server and etcd by itself; an older k0s starts etcd again every 5 s, and etcd exits"
        if leave_asked
        else f"until then {again}"
    )
    if runs_on is not None:
        meanwhile = (
            "its etcd still runs, and may answer with old data" if runs_on else f"its etcd has ended; {meanwhile}"
        )
    return (
        f"on {target} run `k0s stop`: {meanwhile}",
        f"on {target} run `k0s reset` before it joins again or is given away",
        f"remove {target} from load balancers, kubeconfigs and the cluster profile",
    )


def namesake(name: str, member_id: str, other_id: str, cluster: str) -> str:
    """Return what is left to decide where another member has joined under the removed member's name."""
    return (
        f"member {other_id} has joined under the name {name}, and this removal was of {member_id}:"
        f" `etcd-handoff remove {other_id} -c {cluster}` if it is to leave too"
    )


def still_runs(target: str, runs_on: bool | None) -> str:  # noqa: FBT001  # None counts too
    """Return a warning that a removed member's etcd still runs, as the end of a sentence; empty otherwise."""
    return f"; WARNING: the etcd of {target} still runs" if runs_on else ""


def alarmed(view: ClusterView | None) -> str:
    """Return what an operator must know before a removal, as the end of a sentence; empty when there is nothing."""
    return "".join(f"; WARNING: {line}" for line in (warnings(view) if view else ()))


def no_writes(acknowledged: bool | None) -> str:  # noqa: FBT001  # None counts too
    """Return a warning that the cluster commits nothing since a removal, as the end of a sentence; empty otherwise."""
    if acknowledged is not False:
        return ""
    return "; WARNING: the members that remain have acknowledged no write since it left"


def in_words(blocked: Blocked) -> str:
    """Return what blocks, and what unblocks it."""
    return f"{blocked.reason}: {blocked.seen}; what unblocks it: {blocked.unblocks}"


def removal_record(
    label: str, name: str, member_id: str, claims: Sequence[ResourceClaim] | None, *, has_kubernetes: bool
) -> str:
    """Return what will be recorded of a member once it has left, or why nothing.

    Args:
        label: The member for people.
        name: Its name.
        member_id: Its ID.
        claims: What all EtcdMembers say; None where they were not read.
        has_kubernetes: The cluster profile has EtcdMembers.
    """
    if not has_kubernetes:
        return "record nothing: the cluster profile has no kubernetes"
    if claims is not None and resource_of(name, member_id, claims) is None:
        return f"record nothing: no EtcdMember describes {label}"
    return f"record Joined=False on the EtcdMember of {label}"


def plan_lines(
    decision: Decision, target: str, label: Callable[[str], str], view: ClusterView | None = None, target_id: str = ""
) -> tuple[str, ...]:
    """Return warnings, then the steps of a removal up to its record; none while it is blocked.

    Args:
        decision: The planner's answer.
        target: The member that leaves, for people.
        label: Returns a member for people, by its ID.
        view: The view, for warnings and for what is left after the removal.
        target_id: The member that leaves.
    """
    if isinstance(decision, Blocked | Refused):
        return ()
    lines = [f"WARNING: {line}" for line in (warnings(view) if view else ())]
    remaining_text = f"; {afterwards(view, target_id)}" if view else ""
    if isinstance(decision, Transfer):
        successor = label(decision.transferee_id)
        lines += [
            hand_over(target, successor),
            f"{election(successor)}, at a term above {decision.term}",
            f"remove {target} through {successor}{remaining_text}",
        ]
    if isinstance(decision, Remove):
        lines.append(f"remove {target} through {label(decision.via_id)}{remaining_text}")
    return tuple(lines)


def hand_over(target: str, successor: str) -> str:
    """Return the purpose of a transfer of leadership."""
    return f"hand leadership from {target} to {successor}"


def election(successor: str) -> str:
    """Return the purpose of the wait after a transfer."""
    return f"wait until a majority of voters names {successor} as leader"


def afterwards(view: ClusterView, target_id: str) -> str:
    """Return what is left after a removal: `2 voters remain, quorum 2, 0 of them may fail`."""
    voters = [member for member in view.voters if member.id != target_id]
    spare = sum(member in view.healthy_voters for member in voters) - quorum(len(voters))
    remain = "voter remains" if len(voters) == 1 else "voters remain"
    return f"{len(voters)} {remain}, quorum {quorum(len(voters))}, {spare} of them may fail"

"""Inputs and results of the activities on EtcdMembers."""

from __future__ import annotations

from etcd_handoff.contract import Step
from etcd_handoff.wire import MemberId, WireModel


class FindResourceInput(WireModel):
    """Input of `find_resource`: an EtcdMember by its name, or by its member ID.

    Attributes:
        cluster: Cluster profile.
        member: The name or the ID.
        cluster_id: The etcd cluster that is meant; empty when not known.
        kubernetes: Whether a worker's profile has Kubernetes. Then a worker without it leaves the step to others.
    """

    cluster: str
    member: str
    cluster_id: str = ""
    kubernetes: bool = False


class LeaveInput(WireModel):
    """Input of `request_leave` and `read_leave`: the EtcdMember whose `spec.leave` is to be set, or read.

    Attributes:
        cluster: Cluster profile.
        member_name: Name that the member has.
        member_id: Its ID. An EtcdMember with another ID is not changed.
        leave: What is to be set: True asks k0s for the removal, False takes that back.
        until_marked: Whether to wait for a short time until k0s has marked the node to stop.
        cluster_id: The etcd cluster of the member; empty when not known.
    """

    cluster: str
    member_name: str
    member_id: MemberId
    leave: bool = True
    until_marked: bool = False
    cluster_id: str = ""


class FindResourceResult(WireModel):
    """Answer of `find_resource`. Its `member_id` is empty when there is no such EtcdMember.

    Attributes:
        step: How it went.
        name: Name of the EtcdMember.
        member_id: The ID in its status.
        peer_address: Its peer address. k0s writes a bare host or IP address.
        leave: Its `spec.leave`.
        joined: Its condition Joined: `True`, `False` or `Unknown`.
        generation: Its `metadata.generation`, which rises with every change of its spec.
        uid: Its UID.
    """

    step: Step
    name: str = ""
    member_id: str = ""
    peer_address: str = ""
    leave: bool = False
    joined: str = "Unknown"
    generation: int = 0
    uid: str = ""


class ReadLeaveResult(WireModel):
    """Answer of `read_leave`: whether a member's EtcdMember still has the order to leave.

    Attributes:
        step: How it went.
        present: Whether there is an EtcdMember with this member's ID.
        name: Its name.
        leave: Its `spec.leave`.
        generation: Its `metadata.generation`, which rises with every change of its spec.
        manager: The field manager that wrote `spec.leave` last (`metadata.managedFields`): `etcd-handoff`,
            `kubectl-patch`, `k0s`; empty when there is none or the API server does not report it.
        since: When that was, RFC 3339 in UTC; empty when it is not known.
        uid: Its UID.
    """

    step: Step
    present: bool = False
    name: str = ""
    leave: bool = False
    generation: int = 0
    manager: str = ""
    since: str = ""
    uid: str = ""


class UpdateStatusInput(WireModel):
    """Input of `update_status`: what is true of a member.

    Attributes:
        cluster: Cluster profile.
        cluster_id: The etcd cluster of the member, 16 hex digits; empty when not known.
        member_name: Name that the member had.
        member_id: The pinned member ID.
        peer_urls: Its peer URLs.
        joined: Whether it is in the linearizable member list; None when that is not known. Then the condition Joined
            stays as it is, and only the message is written.
        members: IDs of that list.
        present_names: Names in that list. An EtcdMember without an ID and with one of these names is not written.
        since: When the removal began, ISO 8601 in UTC. A younger EtcdMember without an ID is not written.
        message: The sentence for people.
        failed: Whether the removal failed.
        run_id: The removal's run, which distinguishes its Events.
        steps: What was done. Each step becomes an Event.
        kubernetes: Whether the worker that looked first has Kubernetes in its profile. Then there is something to
            write, also for a worker without it.
        leave: Whether to set `spec.leave` too; only for a member that has left.
        next_steps: What is left to do by hand, for an Event.
        asked_by: Who asked for it, for an Event; empty where that is not known.
        reason: Why, for the same Event.
        approved_by: Who approved it, for an Event; empty without an approval.
        late: Whether it was true a while ago. A restore since then may have brought a removed member back.
        made: When the removal ended, ISO 8601 in UTC. Later writes of others are newer. Empty when not known.
    """

    cluster: str
    cluster_id: str = ""
    member_name: str
    member_id: MemberId
    peer_urls: tuple[str, ...] = ()
    joined: bool | None
    members: tuple[MemberId, ...] = ()
    present_names: tuple[str, ...] = ()
    since: str = ""
    message: str
    failed: bool = False
    run_id: str = ""
    steps: tuple[Step, ...] = ()
    kubernetes: bool = False
    leave: bool = False
    next_steps: tuple[str, ...] = ()
    asked_by: str = ""
    reason: str = ""
    approved_by: str = ""
    late: bool = False
    made: str = ""


class UpdateStatusResult(WireModel):
    """Answer of `update_status`.

    Attributes:
        step: How it went.
        recorded: Whether the EtcdMember has the true status.
        note: Why it does not, or what else to know.
    """

    step: Step
    recorded: bool
    note: str = ""

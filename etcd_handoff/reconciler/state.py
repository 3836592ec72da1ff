"""Define the state of the workflow `ReconcileEtcdMembers`, and its updates and queries."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from etcd_handoff import time_limits
from etcd_handoff.cluster_view import Doubt
from etcd_handoff.doubts import Binding
from etcd_handoff.reconciler.member_resources import MemberResource
from etcd_handoff.wire import ClusterName, Request, WireModel

LAST_EPOCH_SECOND: Final = 253_402_300_799
"""The end of the year 9999: no timer can be set beyond it."""


class LeaveOrder(WireModel):
    """The member that an EtcdMember's present request orders to leave.

    Attributes:
        uid: The EtcdMember.
        generation: Its generation: a change of its spec is another order.
        member_id: The member that is to leave; empty for none.
        status_digest: Digest of the EtcdMember's status at the last reading.
        annotation: Value of the annotation that gave the order; empty when `spec.leave` gave it.
        k0s_start: k0s's name for its start on the member's node at that time.
        asked_by: The first known requester (`etcd_handoff.leave_requester`); empty when unknown.
        since: The first known time of the order (RFC 3339, UTC); empty when that is not known.
    """

    uid: str
    generation: int
    member_id: str = ""
    status_digest: str = ""
    annotation: str = ""
    k0s_start: str = ""
    asked_by: str = ""
    since: str = ""


class RunningRemoval(WireModel):
    """A removal that was started, or joined, for an EtcdMember.

    Attributes:
        uid: The EtcdMember.
        resource: Its name.
        generation: Its generation then.
        member_id: The member that is to leave.
        label: The member, for people.
        workflow_id: The removal.
        joined: It ran already, and may be for another member.
        source: The part of the EtcdMember that asked for it.
        requester: The person or program that set that part (`etcd_handoff.leave_requester`); empty when unknown.
        since: When it was set (RFC 3339, UTC); empty when that is not known.
    """

    uid: str
    resource: str
    generation: int
    member_id: str
    label: str
    workflow_id: str
    joined: bool = False
    source: str = "spec.leave"
    requester: str = ""
    since: str = ""

    @property
    def reason(self) -> str:
        """Return why the member is removed, for people."""
        return f"{self.source} of EtcdMember {self.resource}{f', set at {self.since}' if self.since else ''}"


class RemovalRetry(WireModel):
    """A removal that failed and will be tried again.

    Attributes:
        uid: The EtcdMember that asks for it.
        generation: Its generation when it failed: a change of its spec is tried at once. 0 where no change counts.
        failures: How often in a row.
        at_seconds: When it is tried again, in seconds of workflow time since the epoch.
    """

    uid: str
    generation: int
    failures: int = Field(ge=1)
    at_seconds: float = Field(ge=0, le=LAST_EPOCH_SECOND, allow_inf_nan=False)


class ReconcilerState(WireModel):
    """The state of a reconciler, which is carried when the workflow continues as new.

    Attributes:
        binding: The etcd cluster that is meant.
        doubt: Why the last complete round wrote nothing; None when it wrote.
        restored: The doubt that the cluster was restored, which only a confirmation ends.
        confirmed: The doubt that was confirmed: it holds nothing back any more. Any other doubt does.
        orders: The member that each EtcdMember asks to leave by `spec.leave`, by UID.
        annotated: The member that each EtcdMember asks to leave by annotation, by UID.
        retries: Removals that failed, by UID of the EtcdMember.
        running: Removals under way, by UID of the EtcdMember.
        removed: Members removed by removals which it started or joined, until their EtcdMembers agree. Each has the
            number of the last look at etcd that had begun then.
        listed: Members in the last list that was believed.
        left: Members that were in a believed list, and not in a later one; the newest.
        looks: How many looks at etcd have begun.
        far_nodes: Nodes whose members only their own workers reach, as far as that has been seen.
        repairs: The last corrections.
        trouble: What is wrong with the last round; empty when nothing is.
        failed_rounds: How many rounds in a row could not be done.
    """

    binding: Binding = Field(default_factory=Binding)
    doubt: Doubt | None = None
    restored: Doubt | None = None
    confirmed: Doubt | None = None
    orders: dict[str, LeaveOrder] = Field(default_factory=dict)
    annotated: dict[str, LeaveOrder] = Field(default_factory=dict)
    retries: dict[str, RemovalRetry] = Field(default_factory=dict)
    running: dict[str, RunningRemoval] = Field(default_factory=dict)
    removed: dict[str, int] = Field(default_factory=dict)
    listed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    looks: int = 0
    far_nodes: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    trouble: str = ""
    failed_rounds: int = 0


class ReconcileEtcdMembersRequest(Request):
    """Input of the workflow `ReconcileEtcdMembers`.

    Attributes:
        cluster: Cluster profile.
        resync_seconds: How often all EtcdMembers are compared with the member list, even if nothing has changed.
        state: Carried from run to run; leave it out.
    """

    cluster: ClusterName
    resync_seconds: float = Field(default=time_limits.WATCHER.resync_seconds, ge=1, le=86400, allow_inf_nan=False)
    state: ReconcilerState | None = None


class ResyncRequest(Request):
    """Input of the update `resync`.

    Attributes:
        confirm: Confirms that etcd's present answers are right, though a doubt holds corrections back. It counts for
            that doubt alone.
        doubt: Kind of the doubt that is confirmed: another one is refused. Empty for the one that `digest` names.
        digest: `doubt_digest` of the doubt that is confirmed, as it was seen. A confirmation without it is refused, and
            so is one that does not match the present doubt.
        reason: Free text for the people who read the history.
    """

    confirm: bool = False
    doubt: str = Field(default="", max_length=100)
    digest: str = Field(default="", max_length=100)
    reason: str = Field(default="", max_length=1000)


class ReconcilerStatus(WireModel):
    """Answer of the query `status`.

    Attributes:
        cluster: Cluster profile.
        cluster_id: The etcd cluster; empty until one has been seen without contradiction.
        resync_seconds: How often all EtcdMembers are compared, even if nothing has changed.
        members: All EtcdMembers as last seen.
        orders: The member that each of them asks to leave.
        removing: UIDs of those whose removal is under way.
        retries: Removals that failed and are tried again.
        doubt: Why nothing is written; None when nothing is held back.
        doubt_digest: The name of this doubt in a confirmation: a doubt with other facts has another. Empty when no
            confirmation settles it.
        trouble: What is wrong with the last round, in words; empty when nothing is.
        repaired: The last corrections.
    """

    cluster: str
    cluster_id: str = ""
    resync_seconds: float = time_limits.WATCHER.resync_seconds
    members: tuple[MemberResource, ...] = ()
    orders: tuple[LeaveOrder, ...] = ()
    removing: tuple[str, ...] = ()
    retries: tuple[RemovalRetry, ...] = ()
    doubt: Doubt | None = None
    doubt_digest: str = ""
    trouble: str = ""
    repaired: tuple[str, ...] = ()

    def request_text(self, resource: MemberResource) -> str:
        """Return that an EtcdMember's member is asked to leave, and by whom; by both if two requests stand."""
        by = [order.asked_by for order in self.orders if order.uid == resource.uid and order.member_id]
        names = " and ".join(dict.fromkeys(name for name in by if name))
        return f"asked to leave by {names}" if names else "asked to leave"

    def about(self, resource: MemberResource) -> str | None:
        """Return the member that an EtcdMember asks to leave; None when it asks for none, empty when it means none.

        If two requests stand, the EtcdMember's own member counts where one of them names it.
        """
        about = [order.member_id for order in self.orders if order.uid == resource.uid]
        if not (resource.leave or resource.annotation):
            return None
        return resource.member_id if resource.member_id in about or not about else about[0]


def watcher_id(cluster: str) -> str:
    """Return the workflow ID of a cluster's reconciler (contract)."""
    return f"etcd-watch/{cluster}"

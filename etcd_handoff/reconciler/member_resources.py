"""Define EtcdMembers as the reconciler sees them, and the inputs and answers of its activities."""

from __future__ import annotations

import hashlib
from typing import Final

from pydantic import Field

from etcd_handoff.cluster_view import ClusterView, Doubt
from etcd_handoff.wire import WireModel

DIGEST_DIGITS: Final = 16


class MemberResource(WireModel):
    """One EtcdMember.

    Attributes:
        name: Name of the resource.
        uid: Identity of the resource: a new one with the same name has another.
        generation: Counts changes of its spec; 1 means that the spec is as it was created.
        leave: `spec.leave`.
        leave_since: When `spec.leave` was set, by its `metadata.managedFields` (RFC 3339, UTC); empty when it is not
            set, or when they do not show it.
        leave_manager: Field manager that cleared `spec.leave`; empty when it is set, or when that is not known.
        leave_by_us: `spec.leave` is set, and we have set it.
        leave_asked_by: The person or program that set `spec.leave` (`etcd_handoff.leave_requester`); empty when
            unknown.
        old_request: `spec.leave` is set, and a message calls it an old request. The message names this generation, or
            is not older than the flag.
        annotation: Value of the annotation that asks the member to leave; empty when it asks for nothing.
        annotation_since: When a manager of the annotation last wrote one of its fields, so that the annotation is not
            younger; empty when it is not set, or that is not known.
        annotation_asked_by: The person or program that set the annotation (`etcd_handoff.leave_requester`); empty when
            unknown.
        old_annotation: A message calls the annotation an old request, whichever is older.
        created: When the resource was created.
        k0s_start: k0s's name for its present start on the member's node; empty where k0s gives none.
        member_id: `status.memberID`, in our form; empty when it has none.
        joined: Condition `Joined`: `True`, `False` or `Unknown`.
        joined_since: `lastTransitionTime` of that condition.
    """

    name: str
    uid: str
    generation: int
    leave: bool
    leave_since: str = ""
    leave_manager: str = ""
    leave_by_us: bool = False
    old_request: bool = False
    annotation: str = ""
    annotation_since: str = ""
    old_annotation: bool = False
    created: str = ""
    k0s_start: str = ""
    member_id: str = ""
    joined: str = "Unknown"
    joined_since: str = ""
    leave_asked_by: str = ""
    annotation_asked_by: str = ""

    @property
    def compared(self) -> str:
        """Return all that may start or end an order, which excludes the requester.

        Workers of an older version do not report the requester. If it counted, the digests of two workers would never
        agree, and rounds would follow each other without a pause.
        """
        return self.model_dump_json(exclude={"leave_asked_by", "annotation_asked_by"})

    @property
    def status_digest(self) -> str:
        """Return a digest of its claim about its member; its spec and its message do not count."""
        return _digest(self.uid, self.member_id, self.joined, self.joined_since)


class WatchMembersInput(WireModel):
    """Input of `watch_members`.

    Attributes:
        cluster: Cluster profile.
        known_digest: Digest of the last answer. The activity ends when there is something else, or when its time is
            over. Empty for an answer at once.
        seconds: Longest time to watch.
    """

    cluster: str
    known_digest: str = ""
    seconds: float


class WatchMembersResult(WireModel):
    """Answer of `watch_members`: all EtcdMembers at one moment.

    Attributes:
        installed: The API serves EtcdMembers.
        unchanged: They still have the digest in the question; `resources` is left empty.
        resources: The EtcdMembers, by name.
        reached: The etcd cluster of the worker's node, where the worker asks no other member; empty where that is not
            known.
    """

    installed: bool = True
    unchanged: bool = False
    resources: tuple[MemberResource, ...] = ()
    reached: str = ""

    @property
    def digest(self) -> str:
        """Return a digest of all that starts a new round when it changes.

        Messages and other fields of a status do not count.
        """
        return _digest(str(self.installed), *(resource.compared for resource in self.resources))

    def was_read_elsewhere(self, cluster_id: str, listed: str = "") -> bool:
        """Whether they were read on a node that has become a separate cluster, unlike other nodes.

        Args:
            cluster_id: The etcd cluster that is meant; empty when that is not known.
            listed: ID of the cluster that a look at all nodes has shown since; empty when there is none.
        """
        return bool(cluster_id) and self.reached not in ("", cluster_id) and listed in ("", cluster_id)


class StandingMessage(WireModel):
    """The message of a present member's EtcdMember while its request starts no removal.

    Attributes:
        generation: Generation of the EtcdMember: the message may be wrong after a change of the spec.
        annotation: Value of its annotation: the same holds for that.
        message: The sentence.
        failed: Whether it says that a request was refused.
    """

    generation: int
    message: str
    failed: bool = False
    annotation: str = ""


class SyncMembersInput(WireModel):
    """Input of `sync_members`: make every EtcdMember agree with a linearizable member list.

    Attributes:
        cluster: Cluster profile.
        status_digests: Digest of each EtcdMember's status before the list was read, by its name. An EtcdMember that has
            changed since is left for the next round, because the list may be older than its status.
        view: The list.
        explained: IDs of members that were removed by removals which the watcher started or joined.
        standing: Messages of EtcdMembers whose request starts no removal, by their names.
        confirmed: The doubt that was confirmed not to matter; None when there is none.
        bound: It was known before this list which cluster is meant.
    """

    cluster: str
    status_digests: dict[str, str]
    view: ClusterView
    explained: tuple[str, ...] = ()
    standing: dict[str, StandingMessage] = Field(default_factory=dict)
    confirmed: Doubt | None = None
    bound: bool = True


class SyncMembersResult(WireModel):
    """Answer of `sync_members`.

    Attributes:
        repairs: The corrections, one sentence each.
        retry_soon: Something could not be judged now.
        doubt: Why nothing was corrected (`etcd_handoff.reconciler.drift`); None when nothing was held back.
        note: What was not corrected, and why; empty when all agree.
    """

    repairs: tuple[str, ...] = ()
    retry_soon: bool = False
    doubt: Doubt | None = None
    note: str = ""


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:DIGEST_DIGITS]

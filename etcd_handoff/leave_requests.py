"""What EtcdMembers ask for and say: the data of the workflow `WatchEtcdMembers` and of its activities."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final

from pydantic import Field

from etcd_handoff.belief import Binding
from etcd_handoff.view import ClusterView, Doubt
from etcd_handoff.wire import ClusterName, Message, Request

RESYNC_SECONDS: Final = 300.0
LATEST: Final = 253_402_300_799
"""The end of the year 9999: no timer can be set beyond it."""
FIRST_RETRY_SECONDS: Final = 15.0
RETRY_GROWTH: Final = 2.0
LONGEST_RETRY_SECONDS: Final = 600.0
FIRST_BACK_OFF_SECONDS: Final = 1.0
LONGEST_BACK_OFF_SECONDS: Final = 60.0
MOST_DOUBLINGS: Final = 30
"""Beyond the longest pause, and far from what a float can hold."""
WATCH_TASK_TIMEOUT: Final = timedelta(seconds=10)
"""Another worker must be able to replay the longest history of a watcher within it, also when it is busy."""


class Asked(Message):
    """One EtcdMember, as far as it is an order.

    Attributes:
        name: Name of the resource.
        uid: Identity of the resource: a new one with the same name is another order.
        generation: Counts changes of its spec.
        leave: `spec.leave`.
        leave_since: When `spec.leave` was set, as its `metadata.managedFields` tell (RFC 3339, UTC); empty when it is
            not set, or they do not tell.
        called_old: It is set, and a watcher has called it an old request.
        member_id: `status.memberID`, in our form; empty when it has none.
        joined: Condition `Joined`: `True`, `False` or `Unknown`.
        since: `lastTransitionTime` of that condition.
    """

    name: str
    uid: str
    generation: int
    leave: bool
    leave_since: str = ""
    called_old: bool = False
    member_id: str = ""
    joined: str = "Unknown"
    since: str = ""

    @property
    def digest(self) -> str:
        """What it says of its member, in a few letters; what it asks for, and its message, do not count."""
        return _digest(self.uid, self.member_id, self.joined, self.since)


class Seen(Message):
    """All EtcdMembers at one moment; answer of `watch_members`.

    Attributes:
        installed: The API serves EtcdMembers.
        unchanged: They are as the question says they were; they are not told again.
        members: The EtcdMembers, by name.
    """

    installed: bool = True
    unchanged: bool = False
    members: tuple[Asked, ...] = ()

    @property
    def digest(self) -> str:
        """All that is news when it changes, in a few letters: a message or another field of a status is none."""
        return _digest(str(self.installed), *(asked.model_dump_json() for asked in self.members))


class Watch(Message):
    """Input of `watch_members`.

    Attributes:
        cluster: Cluster profile.
        known: Digest of what was seen last; the answer comes when there is something else, or at the end of the time.
            Empty for an answer at once.
        seconds: How long to watch at most.
    """

    cluster: str
    known: str = ""
    seconds: float


class Standing(Message):
    """What a present member's EtcdMember has to say as long as its `spec.leave` starts no removal.

    Attributes:
        generation: Of the EtcdMember: a change of its spec may have changed what is right.
        message: The sentence.
        failed: Whether it says that a request was refused.
    """

    generation: int
    message: str
    failed: bool = False


class Sync(Message):
    """Input of `sync_members`: make every EtcdMember agree with a linearizable member list.

    Attributes:
        cluster: Cluster profile.
        before: Digest of what each EtcdMember said before the list was read, by its name: one that says something else
            since is left for the next time, because the list may then be older than what it says.
        view: The list.
        explained: IDs of members that removals of ours have taken out.
        standing: What EtcdMembers have to say whose `spec.leave` starts no removal, by their names.
        confirmed: Somebody has confirmed that the list is right, however many EtcdMembers it contradicts.
    """

    cluster: str
    before: dict[str, str]
    view: ClusterView
    explained: tuple[str, ...] = ()
    standing: dict[str, Standing] = Field(default_factory=dict)
    confirmed: bool = False


class Synced(Message):
    """Answer of `sync_members`.

    Attributes:
        changed: What was put right, one sentence each.
        again: Something could not be judged now: sync again soon.
        held: Why nothing was put right: kind of the doubt (`etcd_handoff.drift`); empty when nothing was held back.
        note: What was not put right, and why; empty when all agree.
    """

    changed: tuple[str, ...] = ()
    again: bool = False
    held: str = ""
    note: str = ""


class Retry(Message):
    """A removal that failed and will be tried again.

    Attributes:
        uid: The EtcdMember that asks for it.
        generation: Its generation when it failed: a change of its spec is tried at once.
        failures: How often in a row.
        at_seconds: When it is tried again, in seconds of workflow time since the epoch.
    """

    uid: str
    generation: int
    failures: int = Field(ge=1)
    at_seconds: float = Field(ge=0, le=LATEST, allow_inf_nan=False)


class LeaveOrder(Message):
    """Whom an EtcdMember's present `spec` is about.

    Attributes:
        uid: The EtcdMember.
        generation: Its generation: a change of its spec is another order.
        member_id: The member that is to leave; empty for nobody.
        said: Digest of what the EtcdMember said of its member when it was read last.
    """

    uid: str
    generation: int
    member_id: str = ""
    said: str = ""


class RunningRemoval(Message):
    """A removal that was started, or joined, for an EtcdMember.

    Attributes:
        uid: The EtcdMember.
        resource: Its name.
        generation: Its generation then.
        member_id: The member that is to leave.
        label: How people speak of it.
        workflow_id: The removal.
        joined: It ran already, and may be about another member.
    """

    uid: str
    resource: str
    generation: int
    member_id: str
    label: str
    workflow_id: str
    joined: bool = False


class WatchState(Message):
    """What a watcher takes along when it continues as a new run.

    Attributes:
        binding: The cluster that is meant.
        lasting: A doubt that only a confirmation ends.
        orders: Whom each EtcdMember's `spec` is about.
        retries: Removals that failed.
        running: Removals under way.
        removed: Members that removals of ours have taken out, as long as an EtcdMember says something else.
        repaired: What was put right lately.
        trouble: Why the last round could not be done.
        setbacks: How many rounds in a row could not be done.
    """

    binding: Binding = Field(default_factory=Binding)
    lasting: Doubt | None = None
    orders: tuple[LeaveOrder, ...] = ()
    retries: tuple[Retry, ...] = ()
    running: tuple[RunningRemoval, ...] = ()
    removed: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    trouble: str = ""
    setbacks: int = 0


class WatchRequest(Request):
    """Input of the workflow `WatchEtcdMembers`.

    Attributes:
        cluster: Cluster profile.
        resync_seconds: How often all EtcdMembers are compared with the member list though nothing has changed.
        state: Carried from run to run; leave it out.
    """

    cluster: ClusterName
    resync_seconds: float = Field(default=RESYNC_SECONDS, ge=1, le=86400, allow_inf_nan=False)
    state: WatchState | None = None


class ResyncRequest(Request):
    """Input of the update `resync`.

    Attributes:
        confirm: What etcd answers now is right: write it though the brake holds, or though the cluster has changed or
            was restored. It counts for the next round alone.
        reason: Free text for the people who read the history.
    """

    confirm: bool = False
    reason: str = Field(default="", max_length=1000)


class Watching(Message):
    """Answer of the query `watching`.

    Attributes:
        cluster: Cluster profile.
        cluster_id: The etcd cluster that is watched; empty until one has been seen and not been contradicted.
        members: All EtcdMembers as seen last.
        orders: Whom they ask to leave.
        removing: UIDs of those whose removal is under way.
        retries: Removals that failed and are tried again.
        trouble: What is wrong with the last round; empty when nothing is.
        repaired: What was put right lately.
    """

    cluster: str
    cluster_id: str = ""
    members: tuple[Asked, ...] = ()
    orders: tuple[LeaveOrder, ...] = ()
    removing: tuple[str, ...] = ()
    retries: tuple[Retry, ...] = ()
    trouble: str = ""
    repaired: tuple[str, ...] = ()


def watch_id(cluster: str) -> str:
    """The workflow ID of a cluster's watcher (contract)."""
    return f"etcd-watch/{cluster}"


def retry_after(failures: int) -> float:
    """Seconds until a removal that failed so often in a row is tried again."""
    return min(FIRST_RETRY_SECONDS * RETRY_GROWTH ** _doublings(failures), LONGEST_RETRY_SECONDS)


def back_off(setbacks: int) -> float:
    """Seconds until a round is repeated after so many in a row that could not be done."""
    return min(FIRST_BACK_OFF_SECONDS * RETRY_GROWTH ** _doublings(setbacks), LONGEST_BACK_OFF_SECONDS)


def _doublings(times: int) -> int:
    return max(0, min(times - 1, MOST_DOUBLINGS))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]

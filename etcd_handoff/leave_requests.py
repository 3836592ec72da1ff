"""What EtcdMembers ask for and say: the data and the pure functions of the workflow `WatchEtcdMembers`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pydantic import Field

from etcd_handoff.message import ClusterName, Message
from etcd_handoff.view import ClusterView

if TYPE_CHECKING:
    from collections.abc import Iterable

RESYNC_SECONDS: Final = 300.0
LATEST: Final = 253_402_300_799
"""The end of the year 9999: a timer beyond it cannot be set, which would end what tends the removal."""
FIRST_RETRY_SECONDS: Final = 15.0
RETRY_GROWTH: Final = 2.0
LONGEST_RETRY_SECONDS: Final = 600.0
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
        member_id: `status.memberID`, in our form; empty when it has none.
        joined: Condition `Joined`: `True`, `False` or `Unknown`.
        since: `lastTransitionTime` of that condition.
    """

    name: str
    uid: str
    generation: int
    leave: bool
    member_id: str = ""
    joined: str = "Unknown"
    since: str = ""

    def speaks_as(self, other: Asked | None) -> bool:
        """Whether both say the same about the member; what they ask for, and their message, may differ."""
        mine = (self.uid, self.member_id, self.joined, self.since)
        return other is not None and mine == (other.uid, other.member_id, other.joined, other.since)


class Seen(Message):
    """All EtcdMembers at one moment; answer of `watch_members`.

    Attributes:
        installed: The API serves EtcdMembers.
        members: The EtcdMembers, by name.
    """

    installed: bool = True
    members: tuple[Asked, ...] = ()

    def says_as(self, other: Seen | None) -> bool:
        """Whether there is nothing new against `other`: a message or another field of a status is not news."""
        return other is not None and (self.installed, self.members) == (other.installed, other.members)


class Watch(Message):
    """Input of `watch_members`.

    Attributes:
        cluster: Cluster profile.
        known: What was seen last; the answer comes when there is something else, or at the end of the time.
        seconds: How long to watch at most.
    """

    cluster: str
    known: Seen | None = None
    seconds: float


class Sync(Message):
    """Input of `sync_members`: make every EtcdMember agree with a linearizable member list.

    Attributes:
        cluster: Cluster profile.
        seen: The EtcdMembers, read before the list: one that says something else since is left for the next time,
            because the list may then be older than what it says.
        view: The list.
    """

    cluster: str
    seen: Seen
    view: ClusterView


class Synced(Message):
    """Answer of `sync_members`.

    Attributes:
        changed: What was put right, one sentence each.
        again: Something could not be judged now: sync again soon.
        note: Why; empty when all agree.
    """

    changed: tuple[str, ...] = ()
    again: bool = False
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


class WatchRequest(Message):
    """Input of the workflow `WatchEtcdMembers`.

    Attributes:
        cluster: Cluster profile.
        resync_seconds: How often all EtcdMembers are compared with the member list though nothing has changed.
        retries: Carried from run to run; leave it empty.
    """

    cluster: ClusterName
    resync_seconds: float = Field(default=RESYNC_SECONDS, ge=1, le=86400, allow_inf_nan=False)
    retries: tuple[Retry, ...] = ()


class Watching(Message):
    """Answer of the query `watching`.

    Attributes:
        cluster: Cluster profile.
        members: All EtcdMembers as seen last.
        removing: UIDs of those whose removal is under way or waits to be tried again.
        retries: Removals that failed.
        trouble: Why the last round could not be done; empty when it was.
        repaired: What was put right lately.
    """

    cluster: str
    members: tuple[Asked, ...] = ()
    removing: tuple[str, ...] = ()
    retries: tuple[Retry, ...] = ()
    trouble: str = ""
    repaired: tuple[str, ...] = ()


def watch_id(cluster: str) -> str:
    """The workflow ID of a cluster's watcher (contract)."""
    return f"etcd-watch/{cluster}"


def retry_after(failures: int) -> float:
    """Seconds until a removal that failed so often in a row is tried again."""
    doublings = min(failures - 1, MOST_DOUBLINGS)
    return min(FIRST_RETRY_SECONDS * RETRY_GROWTH**doublings, LONGEST_RETRY_SECONDS)


def to_remove(asked: Asked, view: ClusterView) -> str | None:
    """How to name the member that a flagged EtcdMember means; None when no member is meant any more.

    The ID in its status decides, because a name may have passed to another member. A name is preferred to the ID where
    both mean the same, so that every front door starts the same workflow.
    """
    by_name = [m for m in view.members if m.name.lower() == asked.name]
    if not asked.member_id:
        return by_name[0].name if len(by_name) == 1 else None
    meant = view.member(asked.member_id)
    if meant is None:
        return None
    same_name = [m for m in view.members if m.name == meant.name]
    return meant.name if meant.name and len(same_name) == 1 else meant.id


def wanted(members: Iterable[Asked], view: ClusterView) -> dict[str, Asked]:
    """Flagged EtcdMembers that mean a present member, by how the removal names it."""
    found = {to_remove(asked, view): asked for asked in members if asked.leave}
    return {name: asked for name, asked in found.items() if name is not None}

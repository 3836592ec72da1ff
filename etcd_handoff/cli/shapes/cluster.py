"""Shapes of what is said of a cluster: `plan`, `doctor`."""

from __future__ import annotations

from etcd_handoff.cli.shapes.base import Document, Shape
from etcd_handoff.cli.shapes.members import ShownMember


class SeenCluster(Shape):
    """A cluster as it was seen.

    Attributes:
        cluster: Cluster profile.
        cluster_id: Cluster ID that etcd reports.
        leader_id: Whom a majority calls the leader; null if there is none.
        term: Its raft term.
        foreign: Members of other clusters that have answered.
        alarms: Alarms that etcd has raised: whose, and which.
        members: All members.
    """

    cluster: str
    cluster_id: str
    leader_id: str | None
    term: int | None
    foreign: tuple[str, ...]
    alarms: tuple[str, ...]
    members: tuple[ShownMember, ...]


class PlanOutput(SeenCluster, Document):
    """Printed by `plan`: the cluster, and what a removal would do now.

    Attributes:
        member_id: The member; null if it is not clear which one is meant.
        member_name: Its name.
        decision: What would be done first, in one word: `transfer`, `remove`, `blocked`, `refused`, `denied`,
            `unseen`, `done`, `unknown`. Words may be added.
        steps: What would be done, in words.
        warnings: What else to know before it.
        text: Why there is no decision.
        reason: Why it would wait, be refused or fail.
        seen: What was seen of that.
        unblocks: What would let it go on.
        remedy: What to do about it.
    """

    member_id: str | None
    member_name: str
    decision: str
    steps: tuple[str, ...]
    warnings: tuple[str, ...]
    text: str = ""
    reason: str = ""
    seen: str = ""
    unblocks: str = ""
    remedy: str = ""


class ShownCheck(Shape):
    """A check of `doctor`.

    Attributes:
        check: Its name.
        ok: Nothing has to be done now.
        detail: What was found.
        remedy: What to do about it; if `ok`, a hint that can wait.
    """

    check: str
    ok: bool
    detail: str
    remedy: str


class DoctorOutput(Document):
    """Printed by `doctor`.

    Attributes:
        cluster: Cluster profile; empty if the configuration does not say which one is meant.
        checks: All checks, in their order.
    """

    cluster: str
    checks: tuple[ShownCheck, ...]

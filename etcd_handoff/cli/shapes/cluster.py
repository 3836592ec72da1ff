"""Shapes of a cluster: `plan`, `doctor`."""

from __future__ import annotations

from etcd_handoff.cli.shapes.base import Document, Shape
from etcd_handoff.cli.shapes.members import ShownMember


class SeenCluster(Shape):
    """A cluster as it was seen.

    Attributes:
        cluster: Cluster profile.
        cluster_id: Cluster ID that etcd reports.
        leader_id: ID of the leader that a majority names; null if there is none.
        term: Its raft term.
        foreign: Members of other clusters that have answered.
        alarms: Alarms that etcd has raised, each with its member.
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
        member_id: The member; null if the name is unknown or ambiguous.
        member_name: Its name.
        decision: The first step, in one word: `transfer`, `remove`, `blocked`, `refused`, `denied`, `unseen`, `done`,
            `unknown`. Words may be added.
        steps: The steps, in words.
        warnings: What to know before the removal.
        text: Why there is no decision.
        reason: Why it would wait, be refused or fail.
        seen: What was seen that explains the reason.
        unblocks: What would unblock it.
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
        ok: Whether nothing has to be done now.
        detail: What was found.
        remedy: How to fix it; if `ok`, a hint that is not urgent.
    """

    check: str
    ok: bool
    detail: str
    remedy: str


class DoctorOutput(Document):
    """Printed by `doctor`.

    Attributes:
        cluster: Cluster profile; empty if the configuration does not decide it.
        checks: All checks, in order.
    """

    cluster: str
    checks: tuple[ShownCheck, ...]

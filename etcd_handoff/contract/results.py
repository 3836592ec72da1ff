"""How operations and their steps end (contract)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from etcd_handoff.wire import WireModel


class StepOutcome(StrEnum):
    """How an activity ended, for the operator."""

    OBSERVED = "observed"
    UNAVAILABLE = "unavailable"
    REPLAN = "replan"
    MOVED = "moved"
    TRANSFER_FAILED = "transfer-failed"
    ELECTED = "elected"
    NO_ELECTION = "no-election"
    REMOVED = "removed"
    ALREADY_ABSENT = "already-absent"
    ADDED = "added"
    IN_SYNC = "in-sync"
    NOT_IN_SYNC = "not-in-sync"
    PROMOTED = "promoted"
    REFUSED_BY_ETCD = "refused-by-etcd"
    LOCKED = "locked"
    RECORDED = "recorded"
    NOT_RECORDED = "not-recorded"
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    SAVED = "saved"
    REQUESTED = "requested"
    STARTED = "started"
    STOPPED = "stopped"
    ARCHIVED = "archived"
    NO_COMMAND = "no-command"
    FAILED = "failed"


Known = Annotated[StepOutcome | str, Field(union_mode="left_to_right")]
"""An outcome. One that only a newer worker knows is text."""


class Step(WireModel):
    """One activity that has ended.

    Attributes:
        name: Activity type.
        started: UTC start of the attempt that ended it, ISO 8601 with milliseconds.
        milliseconds: Duration of that attempt, measured on the node that ran it.
        attempts: How many attempts it took.
        node: The node whose worker ran it.
        outcome: How it ended.
        note: What people should know about it.
    """

    name: str
    started: str
    milliseconds: float
    attempts: int
    node: str
    outcome: Known
    note: str = ""


class Outcome(StrEnum):
    """How an operation ended well."""

    REMOVED = "removed"
    ALREADY_ABSENT = "already-absent"
    ADDED = "added"
    ALREADY_PRESENT = "already-present"
    REPLACED = "replaced"
    ALREADY_REPLACED = "already-replaced"
    APPLIED = "applied"
    ALREADY_APPLIED = "already-applied"
    PLANNED = "planned"


KnownOutcome = Annotated[Outcome | str, Field(union_mode="left_to_right")]
"""How a removal ended well. An outcome that only a newer worker knows is text."""


class OperationResult(WireModel):
    """The common result of all operations (contract).

    Attributes:
        outcome: How it ended; `planned` for a dry run.
        cluster: Cluster profile.
        cluster_id: Cluster ID that etcd reports.
        member_id: The member's ID; empty for one that was to be added and has none yet.
        member_name: The member's name.
        peer_urls: The member's peer URLs.
        leader_before: Leader's ID at the first look, None when there was none.
        leader_after: Leader's ID at the last look.
        term_before: Raft term at the first look.
        term_after: Raft term at the last look.
        status_recorded: Whether the EtcdMember has the true status.
        status_note: Why it does not, or anything else to know about the resource.
        next_steps: What is left to do by hand: with k0s on the node of the member, and where another one has its name.
        steps: The activities in order: the first 20 and the last 50.
        steps_left_out: How many activities between those are left out.
        asked_by: Who started it, by the identity that Temporal has recorded. For an order on an EtcdMember, who gave
            it, as far as the API server reports that. Empty when that is not known.
        reason: Why, in the words of the request.
        approved_by: Who approved it, by the given name and the identity that Temporal has recorded; empty without an
            approval.
        plan: What it would do, in words; only for a dry run.
        blocked_by: Dry run only: what it would have to wait for; empty when nothing.
    """

    outcome: KnownOutcome
    cluster: str
    cluster_id: str
    member_id: str
    member_name: str
    peer_urls: tuple[str, ...] = ()
    leader_before: str | None = None
    leader_after: str | None = None
    term_before: int = 0
    term_after: int = 0
    status_recorded: bool = False
    status_note: str = ""
    next_steps: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
    asked_by: str = ""
    reason: str = ""
    approved_by: str = ""
    plan: tuple[str, ...] = ()
    blocked_by: str = ""


class RemovalResult(OperationResult):
    """Result of the workflow `RemoveMember` (contract): `removed` or `already-absent`.

    Attributes:
        was_leader: True when the member led at any look of this run.
        writes_acknowledged: Whether the remaining members committed a write after the removal; None when that was not
            tried.
        snapshot: Where a requested snapshot was stored: node and file.
    """

    was_leader: bool = False
    writes_acknowledged: bool | None = None
    snapshot: str = ""


class AdditionResult(OperationResult):
    """Result of the workflow `AddMember` (contract): `added` or `already-present`.

    Attributes:
        snapshot: Where a requested snapshot was stored: node and file.
        join_configuration: The last known configuration to start etcd with, by environment variable. For a dry run,
            what it would be now.
    """

    snapshot: str = ""
    join_configuration: dict[str, str] = Field(default_factory=dict)

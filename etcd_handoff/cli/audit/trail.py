"""The audit trail: who started an operation and why, what was seen and done, by whom, and the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.shapes.base import FORMAT
from etcd_handoff.contract import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

PASSING: Final = frozenset({"looked", "waits", "state", "turn"})
"""Entries that an operation repeats while it waits."""
CANCEL_REQUESTED: Final = "cancellation requested: "
"""Start of the text of an entry for a request to cancel; the reason follows."""
REPEATED_WITHIN: Final = 4
"""Largest number of different entries in one round of waiting."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the trail.

    Attributes:
        at: When, by the server's clock: UTC, ISO 8601 with milliseconds. For a step, when it ended.
        event: What kind of entry: `requested`, `looked`, `did`, `failed`, `turn`, `state`, `waits`, `approved`,
            `cancel`, `notified`, `trouble`, `continued`, `ended`, or the name of an update.
        text: What happened, in words.
        by: A person's name or Temporal identity, or the node whose worker it was.
        interface: How a person reached the operation: `command line`, `Temporal CLI`, and so on.
        step: Activity type, for a step.
        outcome: How the step ended.
        began: When the step began.
        milliseconds: Duration of its last attempt, by the node's clock.
        attempts: Number of attempts.
        leader: Name of the leader that was seen; empty if that is unknown.
        term: The raft term then.
        times: How often the same entry was repeated.
        until: When it was repeated last.
    """

    at: str
    event: str
    text: str
    by: str = ""
    interface: str = ""
    step: str = ""
    outcome: str = ""
    began: str = ""
    milliseconds: float | None = None
    attempts: int = 1
    leader: str = ""
    term: int = 0
    times: int = 1
    until: str = ""

    def repeats(self, other: Entry) -> bool:
        """Return whether another entry of a wait says the same."""
        mine, its = ((e.event, e.text, e.by, e.step, e.outcome, e.leader, e.term) for e in (self, other))
        return self.event in PASSING and mine == its


@dataclass(frozen=True, slots=True)
class Trail:
    """The trail of one operation, over all runs of its workflow.

    Attributes:
        workflow_id: Its workflow ID.
        operation: What it is: `removal`, `addition` and so on.
        cluster: Cluster profile.
        member: The member as it was asked for.
        member_name: The member by name where a record has it, else as it was asked for.
        member_id: The member's ID; empty if no record has it.
        dry_run: It was to change nothing.
        asked_at: When it was asked for.
        asked_by: By whom.
        interface: How the requester reached the server.
        reason: Why.
        options: Other options of the request, by field; only those that differ from the default.
        outcome: How it ended: the result's `outcome`, the failure's type, `Cancelled`, `Terminated`, `TimedOut`; empty
            while it runs.
        outcome_text: The outcome in words.
        ended_at: When it ended; empty while it runs.
        runs: Number of runs of the workflow in the trail.
        note: What is missing; empty if nothing is.
        entries: The lines, in the order of time.
        result: The recorded result; None if there is none.
    """

    workflow_id: str
    operation: str
    cluster: str = ""
    member: str = ""
    member_name: str = ""
    member_id: str = ""
    dry_run: bool = False
    asked_at: str = ""
    asked_by: str = ""
    interface: str = ""
    reason: str = ""
    options: dict[str, Any] | None = None
    outcome: str = ""
    outcome_text: str = ""
    ended_at: str = ""
    runs: int = 1
    note: str = ""
    entries: tuple[Entry, ...] = ()
    result: dict[str, Any] | None = None

    @property
    def whom(self) -> str:
        """The member for a sentence: its name, then its ID or the name in the request; empty if there is no member."""
        name, more = self.member_name or self.member, self.member_id or self.member
        return f"{name} ({more})" if name and name.casefold() != more.casefold() else name

    @property
    def label(self) -> str:
        """The member for a table: its name, then the name in the request; empty if there is no member."""
        name = self.member_name or self.member
        return f"{name} ({self.member})" if name.casefold() != self.member.casefold() else name

    @property
    def approved_by(self) -> str:
        """Whose approval was valid at the end; empty if there was none."""
        recorded = (self.result or {}).get("approved_by")
        return "" if recorded == "" else approver(self.entries) or str(recorded or "")

    @property
    def ended_badly(self) -> bool:
        """Whether it ended without the requested change, or left a cluster that acknowledges no write."""
        if self.result is None:
            return bool(self.outcome) and self.outcome not in set(Outcome)
        return self.result.get("writes_acknowledged") is False

    def as_object(self) -> dict[str, Any]:
        """Return the trail for JSON."""
        return {"format": FORMAT, **asdict(self), "options": self.options or {}}


def approver(entries: Iterable[Entry], before: str = "") -> str:
    """Return who approved the operation; empty if it has no approval, or waits for one again.

    Args:
        entries: The entries, in the order of time.
        before: Who had approved before the first entry.
    """
    for entry in entries:
        if entry.event == "approved":
            before = entry.by
        elif entry.event == "state" and entry.text == "AwaitingApproval":
            before = ""
    return before


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Sort the entries by time, and merge those that a wait repeats."""
    kept: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: entry.at):
        last = len(kept) - 1
        place = next((i for i in range(last, max(-1, last - REPEATED_WITHIN), -1) if entry.repeats(kept[i])), None)
        if place is not None and all(e.event in PASSING for e in kept[place:]):
            first = kept[place]
            if entry.event != "turn":  # the queue tells by a signal and in an answer
                kept[place] = replace(first, times=first.times + 1, until=entry.at)
        else:
            kept.append(entry)
    return tuple(kept)

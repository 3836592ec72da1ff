"""What an audit trail says: who asked for an operation and why, what was seen and done, by whom, with which result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.shapes.base import FORMAT
from etcd_handoff.contract import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

PASSING: Final = frozenset({"looked", "waits", "state", "turn"})
"""Entries that an operation repeats while it waits."""
ASKED_TO_CANCEL: Final = "cancellation asked for: "
"""How the text of an entry begins that is a request to cancel; the rest says why."""
REPEATED_WITHIN: Final = 4
"""How many different entries a round of waiting has at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail.

    Attributes:
        at: When, by the server's clock: UTC, ISO 8601 with milliseconds. Of a step, when it ended.
        event: What kind of entry: `asked`, `looked`, `did`, `failed`, `turn`, `state`, `waits`, `approved`, `cancel`,
            `trouble`, `continued`, `ended`, or the name of an update.
        text: What happened, in words.
        by: Who: a person by name or Temporal identity, or the node whose worker it was.
        door: By which way a person came: `command line`, `Temporal CLI`, and so on.
        step: Activity type, for a step.
        outcome: How the step ended.
        began: When the step began.
        milliseconds: How long its last attempt took, by the node's clock.
        attempts: How many attempts it took.
        leader: Who was seen to lead then, by name; empty where that is not known.
        term: The raft term then.
        times: How often the same was repeated.
        until: When it was repeated last.
    """

    at: str
    event: str
    text: str
    by: str = ""
    door: str = ""
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
        """It says the same as another entry of a wait."""
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
        member_id: The member's ID; empty where no record tells.
        dry_run: It was to change nothing.
        asked_at: When it was asked for.
        asked_by: By whom.
        door: By which way.
        reason: Why.
        options: What else was asked for, by field; only what differs from the default.
        outcome: How it ended: the result's `outcome`, the failure's type, `Cancelled`, `Terminated`, `TimedOut`; empty
            while it runs.
        outcome_text: The same in words.
        ended_at: When it ended; empty while it runs.
        runs: How many runs of the workflow there are in the trail.
        note: What is missing; empty when nothing is.
        entries: The lines, in the order of time.
        result: The result as it was recorded; None where it has none.
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
    door: str = ""
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
        """The member in a sentence: its name, and its ID or what else it was asked for by; empty where it has none."""
        name, more = self.member_name or self.member, self.member_id or self.member
        return f"{name} ({more})" if name and name.casefold() != more.casefold() else name

    @property
    def label(self) -> str:
        """The member in a table: its name, and what else it was asked for by; empty where it has none."""
        name = self.member_name or self.member
        return f"{name} ({self.member})" if name.casefold() != self.member.casefold() else name

    @property
    def approved_by(self) -> str:
        """Whose approval counted in the end; empty when nobody's did."""
        recorded = (self.result or {}).get("approved_by")
        return "" if recorded == "" else approver(self.entries) or str(recorded or "")

    @property
    def ended_badly(self) -> bool:
        """It has ended without doing what was asked for, or it left a cluster that acknowledges no write."""
        if self.result is None:
            return bool(self.outcome) and self.outcome not in set(Outcome)
        return self.result.get("writes_acknowledged") is False

    def as_object(self) -> dict[str, Any]:
        """The trail for JSON."""
        return {"format": FORMAT, **asdict(self), "options": self.options or {}}


def approver(entries: Iterable[Entry], before: str = "") -> str:
    """Who has approved, as far as the entries tell; empty when nobody has, or it waits for an approval again.

    Args:
        entries: What happened, in the order of time.
        before: Who had approved before the first of them.
    """
    for entry in entries:
        if entry.event == "approved":
            before = entry.by
        elif entry.event == "state" and entry.text == "AwaitingApproval":
            before = ""
    return before


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries in the order of time, what a wait repeats only once, with how often and until when."""
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

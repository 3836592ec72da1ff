"""What the parts of a larger change share of their state, and what begins anew with each."""

from __future__ import annotations

from typing import Final

from etcd_handoff.operation.parts import SHARED
from etcd_handoff.operation.state import OperationState

PER_PART: Final = frozenset(
    {
        "absent",
        "etcdmember",
        "avoid",
        "blocked",
        "election",
        "ending",
        "entry_committed",
        "half_look",
        "handoff_state",
        "hash_checked",
        "hashing",
        "in_flight",
        "joining",
        "last_note",
        "lasting",
        "leadership_moved",
        "leave_asked",
        "leave_step",
        "leave_stored",
        "look_due",
        "looked_twice",
        "note_again",
        "pending_since",
        "pinned",
        "planned",
        "queueing",
        "recording_seconds",
        "rejoin_due",
        "rejoins",
        "released",
        "request",
        "resource",
        "since",
        "steps_since_pause",
        "to_approve",
        "turn_news",
        "described_id",
        "unlisted_in",
        "view",
        "waiting_for",
        "was_leader",
        "writes_acknowledged",
    }
)
"""Fields that are about one part: its member, its steps, what it waits for, its end."""
HANDED_IN: Final = frozenset({"whole"})
"""What the next part is begun with."""


def test_every_field_is_shared_or_begins_anew_on_purpose() -> None:
    """A field that nobody decided on would be reset between two parts, without a word."""
    assert sorted([*SHARED, *PER_PART, *HANDED_IN]) == sorted(OperationState.model_fields)

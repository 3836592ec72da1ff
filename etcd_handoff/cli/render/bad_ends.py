"""The command to type about an operation that ended badly, since a table's row has no room for the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff.cli.operation_kinds import KINDS, is_dry_run_id, names_of
from etcd_handoff.operation.unblocking_commands import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cli.audit.trail import Trail
    from etcd_handoff.cli.render.operations import OpenOperation

WHY: Final = "why and what to do"
OF_PARTS: Final = frozenset(kind.noun for kind in KINDS if kind.of_parts)
"""Operations that may concern more members than the one in their list entry."""


class Known(NamedTuple):
    """The facts by which `describe MEMBER` chooses an operation.

    Attributes:
        rank: Whether it runs, whether it is no dry run, and when it was started. The greatest rank is shown.
        workflow_id: Its workflow ID.
        operation: Its kind.
        words: Names of its member, in lower case.
    """

    rank: tuple[bool, bool, str]
    workflow_id: str
    operation: str
    words: frozenset[str]


def known(trails: Iterable[Trail], running: Iterable[OpenOperation] = ()) -> list[Known]:
    """Return these facts for all operations that `describe` may choose."""
    of_trails = (_known(t, t.member_name, t.member_id, runs=not t.outcome, began=t.asked_at) for t in trails)
    return [*of_trails, *(_known(operation) for operation in running)]


def _known(run: Trail | OpenOperation, *words: str, runs: bool = True, began: str = "") -> Known:
    names = {word.casefold() for word in (run.member, names_of(run.workflow_id)[1], *words)}
    rank = (runs, not is_dry_run_id(run.workflow_id), began)
    return Known(rank, run.workflow_id, run.operation, frozenset(names - {""}))


def bad_end(trail: Trail, others: Iterable[Known]) -> str:
    """Return the command that explains a bad end and its remedy; empty if the operation ended well.

    Args:
        trail: The operation.
        others: All known operations. `describe` may show another one of the same member.
    """
    if not trail.ended_badly:
        return ""
    (mine,) = known([trail])
    rivals = [other for other in others if other.rank > mine.rank]
    if not any(rival.operation in OF_PARTS or rival.words & mine.words for rival in rivals):
        return f"{WHY}: {command('describe', trail.cluster, trail.member, trail.workflow_id)}"
    if not any(rival.workflow_id == trail.workflow_id for rival in rivals):
        return f"{WHY}: {command('describe', trail.cluster, '', trail.workflow_id)}"
    return f"{WHY}: {command('history', trail.cluster, trail.member) if trail.member else trail.outcome_text}"


def with_bad_ends(table: Sequence[str], trails: Sequence[Trail], running: Iterable[OpenOperation] = ()) -> list[str]:
    """Add a line below each operation in a table that ended badly.

    Args:
        table: The heading, and one line for each trail.
        trails: The operations.
        running: Other operations, which run.
    """
    others = known(trails, running)
    ends = [bad_end(trail, others) for trail in trails]
    rows = [[row, *([f"  {end}"] if end else [])] for row, end in zip(table[1:], ends, strict=True)]
    return [table[0], *(line for lines in rows for line in lines)]

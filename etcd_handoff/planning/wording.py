"""Describe members in decisions: names, lags, and what is wrong with them. Pure.

The sentences of a refusal are in the modules that decide it, which the docstring of `planning.reasons` names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cluster_view import READS_HANG
from etcd_handoff.planning.lagging import lag

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from etcd_handoff.cluster_view import ClusterView, MemberView

FREE_SPACE: Final = (
    "`etcdctl compact REVISION` (the one that `etcdctl endpoint status -w json` shows), `etcdctl defrag --cluster`,"
    " `etcdctl alarm disarm`"
)
"""The commands that end the alarm NOSPACE, in this order."""
NOT_FOLLOWING: Final = "does not follow the agreed leader"
SIGN_OF_LIFE: Final = "TLS "
"""Part of the notes on members that have answered, and that this worker cannot use (`etcd_handoff.etcd.classify`)."""


def takes_no_writes(whose: str) -> str:
    """Return what the alarm NOSPACE means, as the beginning of a sentence."""
    return f"etcd has raised the alarm NOSPACE for {whose}: it takes no writes"


def voters(count: int) -> str:
    """`1 voter`, `3 voters`."""
    return f"{count} {'voter' if count == 1 else 'voters'}"


def names(members: Iterable[MemberView]) -> str:
    """`node0, node1`."""
    return ", ".join(m.label for m in members)


def lags(view: ClusterView, members: Iterable[MemberView]) -> str:
    """`node0 lags by 7000, node1 lags by 9000`."""
    return ", ".join(f"{m.label} lags by {lag(view, m)}" for m in members)


def ailments(view: ClusterView, members: Iterable[MemberView], well: Container[MemberView]) -> str:
    """Return why each of `members` that is not in `well` does not count: `" (node1: connection refused)"`."""
    texts = [f"{m.label}: {_ailment(view, m)}" for m in members if m not in well]
    return f" ({'; '.join(texts)})" if texts else ""


def way_back(sick: Sequence[MemberView]) -> str:
    """Return what to do so that silent or hanging voters work again."""
    hanging = [m for m in sick if m.reachable and not m.serves_reads]
    silent = [m for m in sick if m not in hanging]
    ways = list[str]()
    if silent:
        them = "it" if len(silent) == 1 else "them"
        ways.append(f"bring {names(silent)} back and make sure that workers reach {them}")
    if hanging:
        they = "it answers" if len(hanging) == 1 else "they answer"
        ways.append(
            f"look at disk and load of {names(hanging)} (etcd logs `slow fdatasync`, `apply request took too long`)"
            f" until {they} linearizable reads again"
        )
    return "; ".join(ways)


def may_be_down(member: MemberView) -> bool:
    """Whether nothing shows that the member runs and only this worker cannot use it."""
    return SIGN_OF_LIFE not in member.note


def removals(members: Iterable[MemberView]) -> str:
    """Return the alternative commands that remove one of these members."""
    return " or ".join(f"`etcd-handoff remove {m.label}`" for m in members)


def _ailment(view: ClusterView, member: MemberView) -> str:
    if member.reachable and not member.serves_reads:
        behind = lag(view, member)
        index = f", and stands {behind} log {'entry' if behind == 1 else 'entries'} behind" if behind > 0 else ""
        return f"{member.note or f'it {READS_HANG}'}{index}"
    return member.note or NOT_FOLLOWING

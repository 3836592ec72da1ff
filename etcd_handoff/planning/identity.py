"""Resolve a text to a member: the one place where a name is turned into a member ID. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from etcd_handoff import peer_url

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView, MemberView

ID_DIGITS: Final = 16
"""Hex digits of a uint64."""
DIGITS_OF_UINT64: Final = 20
"""Decimal digits of the largest uint64."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """No member has the name or ID that was asked for.

    Attributes:
        known: The present members.
        hint: What may have been meant; empty when nothing suggests itself.
    """

    known: tuple[str, ...]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """More than one member fits."""

    fits: tuple[str, ...]


def resolve(view: ClusterView, name_or_id: str) -> MemberView | NotFound | Ambiguous:
    """Return the member with this name, hex ID (with or without 0x), or host and port of a peer URL.

    A name that looks like another member's ID fits both, and so is ambiguous. A name in other letter case fits where no
    member has exactly that name, as names of EtcdMembers are lower case.
    """
    at = peer_url.address(name_or_id) if ":" in name_or_id else ""
    exact = [
        m
        for m in view.members
        if m.id == canonical_id(name_or_id) or name_or_id in {m.name} - {""} or at in _addresses(m) - {""}
    ]
    alike = [m for m in view.members if m.name and m.name.strip().lower() == name_or_id.strip().lower()]
    fits = exact or alike
    if len(fits) == 1:
        return fits[0]
    if fits:
        return Ambiguous(tuple(_described(view, m) for m in fits))
    hint = ""
    if (
        len(name_or_id) <= DIGITS_OF_UINT64
        and name_or_id.isdecimal()
        and (by_decimal_id := view.member(format(int(name_or_id), "x")))
    ):
        hint = f"that is decimal; in hex it is {by_decimal_id.id} ({by_decimal_id.label})"
    return NotFound(tuple(f"{m.label} ({m.id})" for m in view.members), hint)


def _peers(member: MemberView) -> tuple[str, ...]:
    return tuple(urlsplit(url).netloc for url in member.peer_urls)


def _addresses(member: MemberView) -> set[str]:
    return {peer_url.address(peer) for peer in _peers(member)}


def _described(view: ClusterView, member: MemberView) -> str:
    """Return a member with what distinguishes it from others of its name."""
    state = "healthy" if member in view.healthy_voters else member.note or "not healthy"
    return f"{member.id} ({', '.join([member.name or 'not started', *_peers(member), state])})"


def is_member_id(text: str) -> bool:
    """Whether `text` is a member ID as we write them: lowercase hex without padding."""
    padded = text.startswith("0") and text != "0"
    return 0 < len(text) <= ID_DIGITS and not padded and all(c in "0123456789abcdef" for c in text)


def canonical_id(text: str) -> str:
    """Return `text` as a member ID in our form, or unchanged if it is no uint64 in hex."""
    digits = text.lower().removeprefix("0x")
    short = digits.lstrip("0") or digits[:1]
    return short if is_member_id(short) else text

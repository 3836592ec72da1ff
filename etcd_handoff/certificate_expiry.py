"""Read when a credential ends: a certificate, or a token that is a JWT (RFC 7519)."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPIRY_HINT_DAYS: Final = 30
"""Days before its end from which a credential becomes a hint."""
LAST_TENTH: Final = 10
PARTS_OF_A_JWT: Final = 3


class Expiry(NamedTuple):
    """The end of a credential.

    Attributes:
        what: The credential and its place.
        when: When it ends.
        lasts: From its issue to its end; None where it does not say so.
    """

    what: str
    when: datetime
    lasts: timedelta | None = None

    @property
    def renewed_by_machines(self) -> bool:
        """Whether its life is shorter than the time of a hint: a program renews it, or it would always be a hint."""
        return self.lasts is not None and self.lasts <= timedelta(days=EXPIRY_HINT_DAYS)

    def is_soon(self, now: datetime) -> bool:
        """Whether people should know that it ends: a month ahead, or in the last tenth of a short life."""
        ahead = timedelta(days=EXPIRY_HINT_DAYS)
        if self.renewed_by_machines and self.lasts is not None:
            ahead = self.lasts / LAST_TENTH
        return self.when - now <= ahead


def certificate_expiries(what: str, text: str) -> Iterator[Expiry]:
    """Yield the end of each certificate in a PEM text; a broken one is left to other checks.

    Args:
        what: The credential and its place.
        text: The PEM text.
    """
    from etcd_handoff.errors import ConfigError  # noqa: PLC0415  # `--help` answers at once
    from etcd_handoff.pem import expiries  # noqa: PLC0415

    try:
        ends = expiries(text)
    except ConfigError:
        return
    for number, end in enumerate(ends, 1):
        of_several = f" ({number} of {len(ends)})" if len(ends) > 1 else ""
        yield Expiry(f"{what}{of_several}", end)


def token_expiries(what: str, token: str) -> Iterator[Expiry]:
    """Yield the end of a token that states it; nothing of any other.

    The token is not verified here: its receiver does that.

    Args:
        what: The credential and its place.
        token: The token.
    """
    claims = _claims(token)
    when, issued = _moment(claims.get("exp")), _moment(claims.get("iat"))
    if when is not None:
        yield Expiry(what, when, when - issued if issued is not None else None)


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT; nothing where the token is none."""
    parts = token.strip().split(".")
    if len(parts) != PARTS_OF_A_JWT:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _moment(seconds: object) -> datetime | None:
    """Return the time that a claim means; None where it means none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None

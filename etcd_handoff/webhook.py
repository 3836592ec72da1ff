"""Deliver a notice to an HTTP server: signed, with a time-out, without redirects, and without its URL in errors.

Each call is one try. Further tries are those of `workflows/notify.py`.

Signatures follow the Standard Webhooks specification, for which receivers find libraries in most languages.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff import __version__
from etcd_handoff.errors import HandoffError
from etcd_handoff.secret_words import remember
from etcd_handoff.webhook_notice import CONTENT_TYPE, body_of

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.config.notifications import NotificationsProfile
    from etcd_handoff.webhook_notice import Notice

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # how a secret begins that is written in base64
SHORTEST_SECRET_BYTES: Final = 16


class DeliveryError(HandoffError):
    """The server did not take the notice, or cannot be asked; the message has no address."""


class AnswerError(DeliveryError):
    """The server answered something else than 2xx.

    Attributes:
        status: The status of its answer.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the webhook answers {status}")
        self.status = status


def read_secret(path: Path) -> bytes:
    """Return the secret in the first line of a file: `whsec_` and base64, or any text.

    Raises:
        DeliveryError: It cannot be read, or is too short.
    """
    try:
        line = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DeliveryError(
            f"notifications.secret_file: cannot be read: {reason}; name a file with the secret"
        ) from None
    remember(line)
    try:
        encoded = line.startswith(SECRET_PREFIX)
        secret = base64.b64decode(line.removeprefix(SECRET_PREFIX), validate=True) if encoded else line.encode()
    except ValueError:  # also of characters that are not ASCII
        raise DeliveryError(f"notifications.secret_file: what follows {SECRET_PREFIX} is no base64") from None
    if len(secret) < SHORTEST_SECRET_BYTES:
        msg = (
            f"notifications.secret_file: has less than {SHORTEST_SECRET_BYTES} bytes in its first line; make it longer"
        )
        raise DeliveryError(msg)
    return secret


def signature(secret: bytes, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` of a body that is sent now.

    Args:
        secret: The secret that the receiver knows too.
        event_id: The header `webhook-id`.
        timestamp: The header `webhook-timestamp`, in seconds since 1970.
        body: The body.
    """
    signed = f"{event_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: only the configured receiver gets a signed message."""

    def redirect_request(self, *_: Any) -> None:
        return None


def deliver(profile: NotificationsProfile, notice: Notice) -> int:
    """Send the notice; it has been accepted when this returns.

    Args:
        profile: The receiver, and the secret.
        notice: The notice.

    Returns:
        The status of the answer, 2xx.

    Raises:
        DeliveryError: It was not accepted, or that is not known.
    """
    remember(profile.url)  # a token may be part of it
    body, now = body_of(notice), int(time.time())
    headers = {
        "Content-Type": CONTENT_TYPE,
        "User-Agent": f"etcd-handoff/{__version__}",
        "webhook-id": notice.event_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(read_secret(profile.secret_file), notice.event_id, now, body),
    }
    request = urllib.request.Request(profile.url, body, headers, method="POST")  # noqa: S310  # http or https, checked
    return _send(profile, request)


def reach(profile: NotificationsProfile) -> int:
    """Check whether the webhook's server answers, by a HEAD request, which has no content and may be refused.

    Returns:
        The status of its answer, whatever it is.

    Raises:
        DeliveryError: It does not answer, or has another identity than it should.
    """
    remember(profile.url)
    headers = {"User-Agent": f"etcd-handoff/{__version__}"}
    request = urllib.request.Request(profile.url, None, headers, method="HEAD")  # noqa: S310  # http or https, checked
    try:
        return _send(profile, request)
    except AnswerError as error:
        return error.status


def _send(profile: NotificationsProfile, request: urllib.request.Request) -> int:
    """Send a request, and return the status of the answer, 2xx."""
    tls = _authorities(profile.ca_file)
    try:
        opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=tls))
        with opener.open(request, timeout=profile.timeout_seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        raise AnswerError(error.code) from None
    except (OSError, HTTPException, ValueError) as error:
        raise DeliveryError(f"the webhook cannot be reached: {_why(error)}") from None


def _authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Return the accepted authorities: those of the file, or the system's.

    Raises:
        DeliveryError: The file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        fault = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
        raise DeliveryError(
            f"notifications.ca_file: {fault}; name a PEM file with the receiver's certificate authority"
        ) from None


def _why(error: Exception) -> str:
    """Return why there was no answer, without the address that a library may have put into its words."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({cause.verify_message})"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return (cause.strerror if isinstance(cause, OSError) else "") or type(cause).__name__

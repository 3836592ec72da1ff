"""Define the table `[notifications]`: the webhook for what needs a person."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from etcd_handoff.config.fields import Location, Seconds, Section, once
from etcd_handoff.webhook_notice import NoticeEvent


def _webhook(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        msg = "is no URL; write it as https://host/path or http://host:port/path"
        raise ValueError(msg)
    if "@" in parts.netloc:
        msg = "a webhook's URL holds no credentials; the receiver checks the signature"
        raise ValueError(msg)
    return url


def _event(name: str) -> str:
    if name not in set(NoticeEvent):
        msg = f"{name!r} is no event; known: {', '.join(NoticeEvent)}"
        raise ValueError(msg)
    return name


class NotificationsProfile(Section):
    """`[notifications]`: a webhook.

    Attributes:
        url: Where CloudEvents are sent with POST.
        secret_file: File whose first line is the secret that signs them.
        events: The events to send: `blocked`, `approval-requested`, `ended`.
        ca_file: PEM file with the certificate authority of the receiver; left out, the system's are used.
        timeout_seconds: Deadline of one attempt.
    """

    url: Annotated[str, AfterValidator(_webhook)]
    secret_file: Location
    events: Annotated[tuple[Annotated[str, AfterValidator(_event)], ...], Field(min_length=1), AfterValidator(once)] = (
        tuple(event.value for event in NoticeEvent)
    )
    ca_file: Location | None = None
    timeout_seconds: Seconds = 10.0

"""The canonical form of a client URL, by which two spellings of one address are recognized. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")


def canonical_url(text: str) -> str:
    """Return `text` as `scheme://host:port` in lower case with a short IPv6 address, or "" if it is no such URL.

    It gets anything that a member advertises: etcd accepts `http://127.0.0.1:237900` without an error.
    """
    try:
        parts = urlsplit(text)
        host = _host(parts.hostname or "")
        if parts.scheme not in ("http", "https") or not parts.port or not host:
            return ""
    except ValueError:
        return ""
    written = f"{parts.scheme}://{parts.netloc}".lower()
    return f"{parts.scheme}://{host}:{parts.port}" if text.removesuffix("/").lower() == written else ""


def is_loopback(url: str) -> bool:
    """Return whether a client URL leads to the machine on which it is used. An unreadable URL does not."""
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(text: str) -> str:
    """Return a host as in URLs: IPv6 addresses in brackets and in their short form (RFC 5952)."""
    if HOST.fullmatch(text):
        return text.lower()
    return f"[{IPv6Address(text)}]"

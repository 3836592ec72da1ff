"""Compare peer URLs regardless of spelling. Pure, and no name is looked up.

etcd compares them as text. So it would give `http://node1:2380` and `http://NODE1:2380` to two members, which then
fight for one port. And a member that was added in another spelling would not be found again.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

PORTS: Final = {"http": 80, "https": 443}
"""Default ports of URLs."""


def canonical(url: str) -> str:
    """Return the URL in the one form of all that mean the same.

    Scheme and host are lower case, an IP address is in its shortest form, the port is there, and no slash ends it. A
    text that is no URL of http or https, or has more than host and port, is returned unchanged.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return url
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    if not plain or not parts.hostname or parts.scheme not in PORTS:
        return url
    return f"{parts.scheme}://{_host(parts.hostname)}:{port}"


def address(host_and_port: str) -> str:
    """Return the host and port of a peer URL in the same form, for a text without a scheme."""
    return canonical(f"http://{host_and_port}").removeprefix("http://")


def same(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether these are the same peer URLs, in any order."""
    return {*map(canonical, one)} == {*map(canonical, other)}


def shared(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    """Return those of `one` that are also in `other`, as `one` spells them, sorted."""
    there = {*map(canonical, other)}
    return tuple(sorted(url for url in one if canonical(url) in there))


def _host(host: str) -> str:
    try:
        found = ip_address(host)
    except ValueError:
        return host
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped) if found.ipv4_mapped else f"[{found}]"
    return str(found)

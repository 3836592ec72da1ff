"""Choose the proxy for a URL by HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Pure.

The rules are those of Go's `golang.org/x/net/http/httpproxy`. So a worker reaches what kubectl reaches with the same
environment. Python's own rules have no networks (`10.0.0.0/8`), which clusters usually need.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS: Final = {"http": 80, "https": 443}
IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and where it is set.

    Attributes:
        url: Its URL. It may contain credentials, so it must never be shown.
        origin: The variable or key that names it, for people.
    """

    url: str
    origin: str


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for requests to `url`, or None for a direct connection.

    Args:
        url: An http or https URL.
        environment: Environment variables. Lower-case names come before upper-case ones; empty ones count as unset.
    """
    parts = urlsplit(url)
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper())
    name = next((n for n in names if environment.get(n)), "")
    if parts.scheme not in PORTS or not name or (name == "HTTP_PROXY" and environment.get("REQUEST_METHOD")):
        return None  # in a CGI program HTTP_PROXY is a header of the request
    bypass = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if not uses_proxy(parts.hostname or "", parts.port or PORTS[parts.scheme], bypass):
        return None
    proxy = environment[name]
    return Proxy(proxy if "://" in proxy else f"http://{proxy}", name)


def is_loopback(host: str) -> bool:
    """Return whether a host name or an IP address without brackets is this machine."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def uses_proxy(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a host is reached through the configured proxy.

    Args:
        host: Host name or IP address without brackets.
        port: The port that is connected to.
        no_proxy: The value of NO_PROXY: `*`, or a comma-separated list of hosts, domains, IP addresses and networks.
            `example.com` and `.example.com` are domains, and `*.example.com` is one without the domain itself. Each
            entry but a network may have a port.
    """
    address = _address(host)
    if is_loopback(host):
        return False
    entries = [entry for part in no_proxy.split(",") if (entry := part.strip().lower())]
    if "*" in entries:
        return False
    name = host.strip().lower()
    return not any(_matches(entry, name, address, port) for entry in entries)


def _matches(entry: str, host: str, address: IpAddress | None, port: int) -> bool:
    """Whether one entry of NO_PROXY covers this host."""
    if "/" in entry:
        return address is not None and _in_network(entry, address)
    entry_host, entry_port = _split(entry)
    if entry_port and entry_port != str(port):
        return False
    if (entry_address := _address(entry_host)) is not None:
        return entry_address == address
    if address is not None or not entry_host:
        return False
    domain = entry_host[1:] if entry_host.startswith("*.") else entry_host
    if domain.startswith("."):
        return host.endswith(domain)
    return host == domain or host.endswith(f".{domain}")


def _in_network(entry: str, address: IpAddress) -> bool:
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False


def _split(entry: str) -> tuple[str, str]:
    """Return host and port of an entry. An IPv6 address has brackets only if it has a port."""
    if entry.startswith("["):
        host, closed, port = entry[1:].partition("]:")
        return (host, port) if closed else (entry, "")
    host, colon, port = entry.partition(":")
    return (host, port) if colon and ":" not in port else (entry, "")


def _address(host: str) -> IpAddress | None:
    """Return the IP address that `host` is. An IPv4 address written as an IPv6 one is the same address."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address

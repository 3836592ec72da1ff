"""What `doctor` says of endpoints and contexts, one by one and side by side. Pure; it prints nothing."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from etcd_handoff.cli.findings import Finding
from etcd_handoff.cli.output import count
from etcd_handoff.cli.remedies import remedy_for
from etcd_handoff.etcdmember import resource_name
from etcd_handoff.exit_status import EXIT_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etcd_handoff.belief import ResourceClaim
    from etcd_handoff.view import ClusterView, MemberView

ON_K0S: Final = (
    "k0s lets etcd listen on 127.0.0.1 alone: on each controller set spec.storage.etcd.extraArgs listen-client-urls"
    ' ("https://127.0.0.1:2379,https://NODE:2379") and advertise-client-urls ("https://NODE:2379"), and in the profile'
    ' these addresses as endpoints with tls_server_name = "localhost", which k0s certificates are for'
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What one endpoint of the profile answered.

    Attributes:
        number: Its place in the profile, 1 for the first.
        url: The endpoint.
        cluster_id: The cluster that it answered for; empty when nobody answered.
        members: Who answered, asked some times on connections of their own.
        advertised: Client URLs in the member list that it gave, by member ID; None when it gave none.
        error: Why nobody answered, or why no list was given.
        status: The exit status that the error calls for.
    """

    number: int
    url: str
    cluster_id: str = ""
    members: frozenset[str] = frozenset()
    advertised: Mapping[str, Sequence[str]] | None = None
    error: str = ""
    status: int = 0

    @property
    def check(self) -> str:
        """How the finding is called."""
        return f"endpoint {self.number}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else is known when endpoints and contexts are judged.

    Attributes:
        view: What etcd says; None when it could not be read, or contradicts itself.
        claims: What EtcdMembers say.
        addresses: The peer address in each EtcdMember, by its name.
    """

    view: ClusterView | None = None
    claims: tuple[ResourceClaim, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def departed(self) -> tuple[ResourceClaim, ...]:
        """EtcdMembers of members that have left, and whose name nobody else has now."""
        if self.view is None:
            return ()
        present = {resource_name(m.name) for m in self.view.members}
        gone = (c for c in self.claims if c.joined == "False" and self.view.member(c.member_id) is None)
        return tuple(claim for claim in gone if claim.name not in present)


def judge_endpoints(endpoints: Sequence[Endpoint], around: Surroundings) -> list[Finding]:
    """One finding for each endpoint, and one for those that lead to the same member."""
    found = [_endpoint(endpoint, endpoints, around) for endpoint in endpoints]
    return [*found, *_shared(endpoints, around.view)]


def _endpoint(endpoint: Endpoint, endpoints: Sequence[Endpoint], around: Surroundings) -> Finding:
    check, url, view = endpoint.check, endpoint.url, around.view
    if len(endpoint.members) > 1:
        who = ", ".join(sorted(view.label(m) if view else m for m in endpoint.members))
        remedy = "name one URL for each member; what is meant for one member must reach that one"
        return Finding(check, f"{url} answers for several members: {who}", remedy, EXIT_FAILED)
    if view is not None and endpoint.cluster_id == view.cluster_id and not _listed(endpoint, view):
        (member,) = endpoint.members
        detail = f"{url} answers for member {member}, which is no member any more"
        return Finding(check, detail, f"stop that etcd, and take {check} out of the profile")
    if endpoint.error and (why := _belongs_to_nobody(endpoint, endpoints, around)):
        return Finding(check, f"{url}: {endpoint.error}; {why}", f"take {check} out of the profile")
    if endpoint.error:
        return Finding(check, f"{url}: {endpoint.error}", remedy_for(endpoint.error), endpoint.status)
    return Finding(check, f"{url} answers and lists {count(len(endpoint.advertised or ()), 'member')}")


def _listed(endpoint: Endpoint, view: ClusterView) -> bool:
    return any(view.member(member) for member in endpoint.members)


def _belongs_to_nobody(endpoint: Endpoint, endpoints: Sequence[Endpoint], around: Surroundings) -> str:
    """Why a silent endpoint is no member's any more; empty when it may be one's."""
    view = around.view
    if view is None or endpoint.members:
        return ""
    host = _host(endpoint.url)
    if host and host not in {_host(url) for m in view.members for url in m.peer_urls}:
        for claim in around.departed:
            if around.addresses.get(claim.name) == host:
                return f"{claim.name} has left"
    elsewhere = {member for other in endpoints for member in other.members}
    return "all members answer at other endpoints" if all(m.id in elsewhere for m in view.members) else ""


def _shared(endpoints: Sequence[Endpoint], view: ClusterView | None) -> list[Finding]:
    """Endpoints that lead to one member."""
    by_member: dict[str, list[int]] = {}
    for endpoint in endpoints:
        for member in endpoint.members if len(endpoint.members) == 1 else ():
            by_member.setdefault(member, []).append(endpoint.number)
    return [
        Finding(
            "endpoints",
            f"endpoints {' and '.join(map(str, numbers))} lead to one member, {view.label(member) if view else member}",
            "name each member once",
        )
        for member, numbers in by_member.items()
        if len(numbers) > 1
    ]


def judge_advertised(endpoints: Sequence[Endpoint], view: ClusterView | None) -> list[Finding]:
    """Whether members advertise client URLs at which others reach them; nothing where all answer or nobody lists."""
    lists = [endpoint.advertised for endpoint in endpoints if endpoint.advertised]
    if view is None or not lists:
        return []
    advertised, reached = lists[0], {member for endpoint in endpoints for member in endpoint.members}
    missing = [m for m in view.members if m.name and m.id in advertised and m.id not in reached and not m.reachable]
    users: dict[str, list[MemberView]] = {}
    for member in view.members:
        for url in advertised.get(member.id, ()):
            users.setdefault(url.rstrip("/"), []).append(member)
    shared = {url: members for url, members in users.items() if len(members) > 1}
    lonely = [m for m in missing if all(_is_loopback(url) for url in advertised[m.id])]
    if lonely:
        names = ", ".join(m.label for m in lonely)
        detail = f"{names}: advertised at addresses that only their own nodes reach, and in no endpoint of the profile"
        return [Finding("advertised URLs", detail, ON_K0S, EXIT_FAILED)]
    if shared:
        url, members = next(iter(shared.items()))
        names = ", ".join(m.label for m in members)
        status = EXIT_FAILED if any(m in missing for m in members) else 0
        remedy = "let each member advertise a URL of its own, or name one endpoint for each in the profile"
        return [Finding("advertised URLs", f"{names} advertise one URL, {url}", remedy, status)]
    return []


def judge_departed_context(check: str, context: str, error: str, around: Surroundings) -> Finding | None:
    """The API server of a member that has left is no failure; None where the context is another's."""
    names = {claim.name for claim in around.departed}
    if not context or resource_name(context) not in names:
        return None
    detail = f"{error}; member {context} has left"
    return Finding(check, detail, f"take context {context} out of the profile")


def unknown_context(check: str, error: str, status: int) -> Finding:
    """A context that cannot be used."""
    remedy = "check the context, its API server, and get and list on etcdmembers"
    return Finding(check, error, remedy, status or EXIT_USAGE)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_loopback(url: str) -> bool:
    host = _host(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def addresses_of(resources: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """The peer address in each EtcdMember, by its name."""
    found = {}
    for resource in resources:
        metadata, status = resource.get("metadata"), resource.get("status")
        if isinstance(metadata, dict) and isinstance(status, dict):
            found[str(metadata.get("name"))] = str(status.get("peerAddress") or "").lower()
    return found

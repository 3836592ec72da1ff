"""The checks of `doctor` on endpoints and contexts, each alone and against each other. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from etcd_handoff.cli.doctor_checks import CheckResult
from etcd_handoff.cli.render.table import count
from etcd_handoff.cli.render.troubles import hangs
from etcd_handoff.etcd.classify import NO_ANSWER_REMEDY, remedy_for
from etcd_handoff.etcd.client_url import is_loopback
from etcd_handoff.etcdmember import resource_name
from etcd_handoff.exit_status import EXIT_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etcd_handoff.cluster_view import ClusterView, MemberView
    from etcd_handoff.doubts import ResourceClaim


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The answers of one endpoint of the profile.

    Attributes:
        number: Its position in the profile, from 1.
        url: The endpoint.
        cluster_id: The ID of the cluster that answered; empty if nothing answered.
        members: IDs of the members that answered, over several connections.
        advertised: Client URLs in its member list, by member ID; None if it returned no list.
        error: Why there was no answer, or no list.
        status: The exit status for the error.
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
        """Name of its check."""
        return f"endpoint {self.number}"


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The facts to check endpoints and contexts against.

    Attributes:
        view: What etcd says; None if it cannot be read, or contradicts itself.
        claims: What EtcdMembers say.
        addresses: The peer address in each EtcdMember, by its name.
    """

    view: ClusterView | None = None
    claims: tuple[ResourceClaim, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def departed(self) -> tuple[ResourceClaim, ...]:
        """EtcdMembers of members that have left, if no other member has their name now."""
        if self.view is None:
            return ()
        present = {resource_name(m.name) for m in self.view.members}
        gone = (c for c in self.claims if c.joined == "False" and self.view.member(c.member_id) is None)
        return tuple(claim for claim in gone if claim.name not in present)


def check_endpoints(endpoints: Sequence[Endpoint], facts: ClusterFacts) -> list[CheckResult]:
    """Check each endpoint, and report endpoints that lead to the same member."""
    results = [_check_endpoint(endpoint, endpoints, facts) for endpoint in endpoints]
    return [*results, *_shared(endpoints, facts.view)]


def _check_endpoint(endpoint: Endpoint, endpoints: Sequence[Endpoint], facts: ClusterFacts) -> CheckResult:
    check, url, view = endpoint.check, endpoint.url, facts.view
    if len(endpoint.members) > 1:
        members = ", ".join(sorted(view.label(m) if view else m for m in endpoint.members))
        remedy = "name one URL for each member: a request for one member must not reach another"
        return CheckResult(check, f"{url} answers for several members: {members}", remedy, EXIT_FAILED)
    if view is not None and endpoint.cluster_id == view.cluster_id and not _listed(endpoint, view):
        (member,) = endpoint.members
        detail = f"{url} answers for member {member}, which is no member any more"
        return CheckResult(check, detail, f"stop that etcd, and remove {check} from the profile")
    if view is not None and endpoint.cluster_id not in ("", view.cluster_id):  # its answer came too late for the look
        detail = f"{url} answers for cluster {endpoint.cluster_id}, and the other endpoints for {view.cluster_id}"
        return CheckResult(check, detail, f"remove {check} from the profile, or stop what runs there", EXIT_FAILED)
    if endpoint.error and (why := _why_unused(endpoint, endpoints, facts)):
        return CheckResult(check, f"{url}: {endpoint.error}; {why}", f"remove {check} from the profile")
    if endpoint.error:
        remedy = remedy_for(endpoint.error)
        if endpoint.members and view is not None and remedy == NO_ANSWER_REMEDY:  # it runs, and others have a leader
            remedy = hangs(", ".join(view.label(member) for member in sorted(endpoint.members)))
        return CheckResult(check, f"{url}: {endpoint.error}", remedy, endpoint.status)
    return CheckResult(check, f"{url} answers and lists {count(len(endpoint.advertised or ()), 'member')}")


def _listed(endpoint: Endpoint, view: ClusterView) -> bool:
    return any(view.member(member) for member in endpoint.members)


def _why_unused(endpoint: Endpoint, endpoints: Sequence[Endpoint], facts: ClusterFacts) -> str:
    """Return why a silent endpoint no longer belongs to a member; empty if it may belong to one."""
    view = facts.view
    if view is None or endpoint.members:
        return ""
    host = _host(endpoint.url)
    if host and host not in {_host(url) for m in view.members for url in m.peer_urls}:
        for claim in facts.departed:
            if facts.addresses.get(claim.name) == host:
                return f"{claim.name} has left"
    elsewhere = {member for other in endpoints for member in other.members}
    return "all members answer at other endpoints" if all(m.id in elsewhere for m in view.members) else ""


def _shared(endpoints: Sequence[Endpoint], view: ClusterView | None) -> list[CheckResult]:
    """Return a hint for each member that several endpoints reach."""
    by_member: dict[str, list[int]] = {}
    for endpoint in endpoints:
        for member in endpoint.members if len(endpoint.members) == 1 else ():
            by_member.setdefault(member, []).append(endpoint.number)
    return [
        CheckResult(
            "endpoints",
            f"endpoints {' and '.join(map(str, numbers))} lead to one member, {view.label(member) if view else member}",
            "name each member once",
        )
        for member, numbers in by_member.items()
        if len(numbers) > 1
    ]


def missing_members(endpoints: Sequence[Endpoint], view: ClusterView) -> list[MemberView]:
    """Return the started members that no endpoint reaches."""
    reached = {member for endpoint in endpoints for member in endpoint.members}
    return [m for m in view.members if m.name and m.id not in reached and not m.reachable]


def check_advertised(endpoints: Sequence[Endpoint], view: ClusterView | None) -> list[CheckResult]:
    """Check that no two members advertise the same URL; `doctor_topology` handles loopback addresses."""
    advertised = next((endpoint.advertised for endpoint in endpoints if endpoint.advertised), None)
    if view is None or advertised is None:
        return []
    missing = missing_members(endpoints, view)
    users: dict[str, list[MemberView]] = {}
    for member in view.members:
        for url in advertised.get(member.id, ()):
            users.setdefault(url.rstrip("/"), []).append(member)
    shared = {url: members for url, members in users.items() if len(members) > 1 and not is_loopback(url)}
    if shared:
        url, members = next(iter(shared.items()))
        names = ", ".join(m.label for m in members)
        status = EXIT_FAILED if any(m in missing for m in members) else 0
        remedy = "let each member advertise a URL of its own, or name one endpoint for each in the profile"
        return [CheckResult("advertised URLs", f"{names} advertise one URL, {url}", remedy, status)]
    return []


def departed_context(check: str, context: str, error: str, facts: ClusterFacts) -> CheckResult | None:
    """Return a hint if the context belongs to a member that has left, otherwise None."""
    names = {claim.name for claim in facts.departed}
    if not context or resource_name(context) not in names:
        return None
    detail = f"{error}; member {context} has left"
    return CheckResult(check, detail, f"remove context {context} from the profile")


def unusable_context(check: str, error: str, status: int) -> CheckResult:
    """Return the failure of a context that cannot be used."""
    remedy = (
        "check that the kubeconfig has this context, that its API server runs, and that its user may get and list"
        " etcdmembers (deploy/rbac.yaml)"
    )
    return CheckResult(check, error, remedy, status or EXIT_USAGE)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def hosts_of(urls: Sequence[str]) -> set[str]:
    """Return the hosts of these URLs."""
    return {_host(url) for url in urls}

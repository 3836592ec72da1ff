"""The checks of `doctor` on which members are in reach, and by whom. Pure.

A member that advertises only loopback addresses answers only on its own node. All members of k0s do. Steps on such a
member go through the node's task queue, so a worker there replaces a connection from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.doctor_checks import CheckResult
from etcd_handoff.cli.doctor_endpoints import hosts_of, missing_members
from etcd_handoff.cli.render.table import count
from etcd_handoff.etcd.client_url import is_loopback
from etcd_handoff.exit_status import EXIT_FAILED
from etcd_handoff.merged_view import node_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etcd_handoff.cli.doctor_endpoints import Endpoint
    from etcd_handoff.cluster_view import ClusterView, MemberView

CHECK: Final = "topology"
OTHER_WAY: Final = (
    "or let each member listen on an address that the workers reach, advertise it (--advertise-client-urls), and name"
    " it as an endpoint in the profile. On k0s: on each controller set spec.storage.etcd.extraArgs listen-client-urls"
    ' ("https://127.0.0.1:2379,https://NODE:2379") and advertise-client-urls ("https://NODE:2379"), and in the profile'
    ' tls_server_name = "localhost", which k0s certificates are for'
)


@dataclass(frozen=True, slots=True)
class Topology:
    """Which members are in reach, and by whom.

    Attributes:
        view: What etcd says, seen from here.
        local: Members that advertise only loopback addresses.
        loopback: The loopback host that all of them advertise; empty if they differ.
        missing: All members that are not reached from here.
    """

    view: ClusterView
    local: tuple[MemberView, ...]
    loopback: str
    missing: tuple[MemberView, ...]

    @property
    def apart(self) -> tuple[MemberView, ...]:
        """Members that are checked through their own nodes, not from here."""
        return tuple(m for m in self.missing if m in self.local)


def topology_of(endpoints: Sequence[Endpoint], view: ClusterView | None) -> Topology | None:
    """Return which members are in reach; None if etcd returned no member list.

    If an endpoint of the profile does not answer, no member counts as local, because the profile expects them in reach.
    """
    advertised = next((endpoint.advertised for endpoint in endpoints if endpoint.advertised), None)
    if view is None or advertised is None:
        return None
    missing = tuple(missing_members(endpoints, view))
    in_reach = any(not endpoint.members for endpoint in endpoints)
    local = tuple(
        m for m in view.members if not in_reach and (urls := advertised.get(m.id)) and all(map(is_loopback, urls))
    )
    hosts = {host for m in local for host in hosts_of(advertised[m.id])}
    return Topology(view, local, hosts.pop() if len(hosts) == 1 else "", missing)


def check_topology(
    topology: Topology, nodes: Mapping[str, str], workers: Mapping[str, int] | None, worker_command: str
) -> CheckResult:
    """Check that each member is reached from here or by a worker on its own node.

    Args:
        topology: Which members are in reach.
        nodes: The profile's table of member names and nodes.
        workers: Number of workers on each node's queue; None if Temporal does not say.
        worker_command: The command that starts a worker there.
    """
    if not topology.missing:
        return CheckResult(CHECK, "every member is reached from here: any worker does every step")
    if not topology.apart:
        names = _names(topology.missing)
        return CheckResult(CHECK, f"not reached from here: {names}; the others are")
    who = "every member advertises" if len(topology.local) == len(topology.view.members) else _advertise(topology)
    detail = f"{who} {topology.loopback or 'loopback addresses'}: steps go through node queues"
    if workers is None:
        return CheckResult(CHECK, f"{detail}; which nodes have a worker is not known")
    idle = [node for m in topology.local if not workers.get(node := node_of(m.name, nodes))]
    if not idle:
        return CheckResult(CHECK, f"{detail}; every node has a worker")
    lacks = f"{', '.join(idle)} {'has' if len(idle) == 1 else 'have'} no worker"
    remedy = f"start `{worker_command}` on {', '.join(idle)}; {OTHER_WAY}"
    return CheckResult(CHECK, f"{detail}; {lacks}", remedy, EXIT_FAILED)


def leader_and_quorum(topology: Topology | None) -> list[CheckResult]:
    """Check leader and quorum by the members in reach; no result if members are missing that should be.

    A member that answers a linearizable read has a leader and a quorum.
    """
    if topology is None or not topology.apart:
        return []
    view = topology.view
    here = [m for m in view.voters if m not in topology.apart]
    named = {(m.leader_id, m.term) for m in here}
    if len(named) != 1 or not all(m.serves_reads and m.leader_id for m in here):
        return []
    ((leader, term),) = named
    answered = f"{_names(here)} {'answers' if len(here) == 1 else 'answer'} a read that needs a quorum"
    elsewhere = f"{_names(topology.apart)} {'is' if len(topology.apart) == 1 else 'are'} asked through node queues"
    return [
        CheckResult("leader", f"{view.label(leader)} at term {term}, according to {_names(here)}"),
        CheckResult("quorum", f"{count(len(view.voters), 'voter')}; {answered}; {elsewhere}"),
    ]


def _advertise(topology: Topology) -> str:
    return f"{_names(topology.local)} {'advertises' if len(topology.local) == 1 else 'advertise'}"


def _names(members: Sequence[MemberView]) -> str:
    return ", ".join(m.label for m in members)

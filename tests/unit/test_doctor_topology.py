"""What `doctor` concludes from who reaches which member: from here, or through the workers on the members' nodes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff.cli import doctor, doctor_endpoints, doctor_temporal, doctor_topology
from etcd_handoff.cli.doctor_endpoints import Endpoint
from etcd_handoff.cli.doctor_topology import check_topology, topology_of
from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.config import ClusterProfile
from tests.unit.builders import member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etcd_handoff.cli.doctor_checks import CheckResult

LOCAL = "https://127.0.0.1:2379"
ALL_LOCAL = dict.fromkeys("123", (LOCAL,))
COMMAND = "etcd-handoff worker --k0s"


def answering(number: int, **fields: Any) -> MemberView:
    """Member `node<number>`, which is reached from here; node1 leads."""
    return member(number, **{"name": f"node{number}", **fields})


def silent(number: int) -> MemberView:
    """A member that is not reached from here."""
    return MemberView(id=f"{number}", name=f"node{number}", note="another member answers at its advertised URL")


def seen(*members: MemberView) -> ClusterView:
    """A view of these members."""
    return ClusterView(cluster_id="abc", members=members)


def local_endpoint(advertised: Mapping[str, Sequence[str]]) -> Endpoint:
    """The one endpoint of a controller, at which node1 answers."""
    return Endpoint(1, LOCAL, "abc", frozenset({"1"}), advertised)


def judged(
    view: ClusterView,
    advertised: Mapping[str, Sequence[str]],
    workers: dict[str, int] | None,
    nodes: dict[str, str] | None = None,
) -> CheckResult:
    """The check on a controller that reaches its own member."""
    topology = topology_of([local_endpoint(advertised)], view)
    assert topology is not None
    return check_topology(topology, nodes or {}, workers, COMMAND)


K0S = seen(answering(1), silent(2), silent(3))


@pytest.mark.parametrize(
    ("workers", "detail", "idle"),
    [
        ({"node1": 1, "node2": 1, "node3": 2}, "every node has a worker", ""),
        ({"node1": 1, "node2": 0, "node3": 1}, "node2 has no worker", "node2"),
        ({"node1": 1}, "node2, node3 have no worker", "node2, node3"),
        ({"node2": 1, "node3": 1}, "node1 has no worker", "node1"),
    ],
)
def test_controllers_as_k0s_sets_them_up_need_a_worker_each(workers: dict[str, int], detail: str, idle: str) -> None:
    """One line says who advertises what, which way steps go, and whose worker is missing; that one is to be started."""
    found = judged(K0S, ALL_LOCAL, workers)
    assert found.detail == f"every member advertises 127.0.0.1: steps go through node queues; {detail}"
    assert found.status == (1 if idle else 0)
    if idle:
        assert found.remedy.startswith(f"start `{COMMAND}` on {idle}; or let each member listen on an address")
        for words in ("spec.storage.etcd.extraArgs", "listen-client-urls", 'tls_server_name = "localhost"'):
            assert words in found.remedy
    assert doctor_endpoints.check_advertised([local_endpoint(ALL_LOCAL)], K0S) == []


def test_node_that_is_called_otherwise_is_looked_up() -> None:
    """The profile's table says whose worker asks a member."""
    workers = {"node1": 1, "second": 1, "node3": 1}
    assert judged(K0S, ALL_LOCAL, workers, {"node2": "second"}).status == 0
    assert "third has no worker" in judged(K0S, ALL_LOCAL, workers, {"node2": "second", "node3": "third"}).detail


def test_without_temporal_nobody_knows_which_nodes_have_a_worker() -> None:
    """That Temporal does not answer is a failure of its own."""
    found = judged(K0S, ALL_LOCAL, None)
    assert (found.status, found.detail.endswith("which nodes have a worker is not known")) == (0, True)


def test_members_that_are_all_reached_need_no_worker_on_their_nodes() -> None:
    """Said in one line; also where they advertise loopback addresses, on one machine or beside true endpoints."""
    own = {n: (f"https://10.0.0.{n}:2379",) for n in "123"}
    for advertised in (own, ALL_LOCAL):
        found = judged(seen(answering(1), answering(2), answering(3)), advertised, {})
        assert (found.status, found.remedy) == (0, "")
        assert found.detail == "every member is reached from here: any worker does every step"


def test_member_that_should_be_in_reach_is_the_matter_of_other_checks() -> None:
    """A dead member at an address of its own is no topology, whether a worker runs there or not."""
    own = {n: (f"https://10.0.0.{n}:2379",) for n in "123"}
    found = judged(seen(answering(1), answering(2), silent(3)), own, {})
    assert (found.status, found.detail) == (0, "not reached from here: node3; the others are")


def test_mixture_names_those_that_answer_on_their_own_node_alone() -> None:
    """One controller that was left as it came."""
    mixed = {"1": ("https://10.0.0.1:2379",), "2": ("https://10.0.0.2:2379",), "3": ("https://localhost:2379",)}
    found = judged(seen(answering(1), answering(2), silent(3)), mixed, {"node3": 0})
    assert found.detail == "node3 advertises localhost: steps go through node queues; node3 has no worker"
    assert judged(seen(answering(1), answering(2), silent(3)), mixed, {"node3": 1}).status == 0


def test_without_a_member_list_there_is_nothing_to_say() -> None:
    """Other checks report that."""
    assert topology_of([local_endpoint(ALL_LOCAL)], None) is None
    assert topology_of([Endpoint(1, LOCAL, error="connection refused", status=4)], K0S) is None


# --- leader and quorum ------------------------------------------------------------------------------------------------


def results(view: ClusterView, advertised: Mapping[str, Sequence[str]]) -> list[CheckResult]:
    """Leader and quorum, where the topology has a say in them."""
    return doctor_topology.leader_and_quorum(topology_of([local_endpoint(advertised)], view))


def test_healthy_controllers_have_a_leader_and_a_quorum_although_one_is_seen() -> None:
    """The local member answers a linearizable read; for the others their own workers speak."""
    leader, quorum = results(K0S, ALL_LOCAL)
    assert (leader.status, leader.detail) == (0, "node1 at term 7, according to node1")
    assert quorum.status == 0
    words = "3 voters; node1 answers a read that needs a quorum; node2, node3 are asked through node queues"
    assert quorum.detail == words


@pytest.mark.parametrize(
    "view",
    [
        seen(answering(1, serves_reads=False), silent(2), silent(3)),
        seen(answering(1, leader_id=None), silent(2), silent(3)),
        seen(answering(1), answering(2), answering(3)),
    ],
)
def test_what_one_member_cannot_show_is_judged_as_everywhere(view: ClusterView) -> None:
    """A local member without a quorum or a leader is a failure, as is any where all should be in reach."""
    assert results(view, ALL_LOCAL) == []


def test_missing_member_in_reach_of_all_is_judged_as_everywhere() -> None:
    """Node2 should answer here and does not: that node3 is elsewhere excuses nothing."""
    mixed = {"1": (LOCAL,), "2": ("https://10.0.0.2:2379",), "3": (LOCAL,)}
    assert results(K0S, mixed) == []


# --- what Temporal says -----------------------------------------------------------------------------------------------


@dataclass
class Poller:
    """A worker that asked for work on some queue just now."""

    identity: str
    last_access_time: Any


class Service:
    """Temporal, which tells who polls which queue for activities."""

    def __init__(self, pollers: dict[str, list[str]]) -> None:
        self.pollers = pollers

    async def describe_task_queue(self, request: Any) -> Any:
        """The pollers of one queue; of workflows there are none."""
        assert request.task_queue_type == 2, "activities"
        name = request.task_queue.name
        now = type("Time", (), {"seconds": time.time()})
        return type("Answer", (), {"pollers": [Poller(each, now) for each in self.pollers.get(name, ())]})


async def test_workers_are_counted_on_the_queue_of_each_node() -> None:
    """`<task queue>/node/<node>`, as the workers serve it."""
    client: Any = type("Client", (), {"namespace": "default"})()
    client.workflow_service = Service({"q/node/node1": ["a"], "q/node/node3": ["b", "c"], "q": ["a", "b"]})
    nodes: Sequence[str] = ("node1", "node2", "node3")
    assert await doctor_temporal._node_workers(client, "q", nodes) == {"node1": 1, "node2": 0, "node3": 2}


def test_remedy_starts_the_worker_as_the_profile_has_it() -> None:
    """With the preset's option where there is one."""
    topology = topology_of([local_endpoint(ALL_LOCAL)], K0S)
    report = doctor_temporal.TemporalReport((), {})
    own = {"endpoints": [LOCAL]}
    for profile, command in ({"preset": "k0s"}, "worker --k0s`"), ({"etcd": own}, "worker`"):
        (found,) = doctor._check_topology(ClusterProfile.model_validate(profile), topology, report)
        assert f"etcd-handoff {command} on node1, node2, node3" in found.remedy
    assert doctor._check_topology(ClusterProfile.model_validate({"etcd": own}), None, report) == []


def test_member_whose_own_endpoint_is_silent_is_judged_as_everywhere() -> None:
    """The profile says that it is in reach, so a queue of its node excuses nothing, whatever it advertises."""
    endpoints = [local_endpoint(ALL_LOCAL), Endpoint(2, "https://127.0.0.1:2381", error="connection refused", status=4)]
    topology = topology_of(endpoints, K0S)
    assert topology is not None
    assert doctor_topology.leader_and_quorum(topology) == []
    assert check_topology(topology, {}, {}, COMMAND).detail == "not reached from here: node2, node3; the others are"

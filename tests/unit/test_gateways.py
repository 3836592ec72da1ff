"""The gateways, and what stands in for them, have one surface."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

from bench.simulated import LEADER, config, simulated_etcd
from etcd_handoff.cluster_view import MemberView
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.etcd.port import EtcdPort
from etcd_handoff.kubernetes.gateway import KubernetesGateway
from etcd_handoff.kubernetes.port import KubernetesPort
from etcd_handoff.planning import MemberAbsent, Transfer, plan, resolve
from tests.fakes.etcd import FakeEtcd
from tests.fakes.kubernetes import FakeKubernetes
from tests.model.gateways import ModelEtcd

if TYPE_CHECKING:

    def etcd_calls(gateway: EtcdGateway) -> EtcdPort:
        """The type checker says whether the gateway has all calls."""
        return gateway

    def kubernetes_calls(gateway: KubernetesGateway) -> KubernetesPort:
        """The type checker says whether the gateway has all calls."""
        return gateway


def calls_of(kind: type) -> dict[str, list[str]]:
    """Names of its calls, each with its parameters' names and whether they have a default."""
    return {
        name: [f"{p.name}{'?' * (p.default is not p.empty)}" for p in inspect.signature(call).parameters.values()]
        for name, call in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(call)
    }


@pytest.mark.parametrize(
    ("surface", "kind"),
    [
        (EtcdPort, EtcdGateway),
        (EtcdPort, ModelEtcd),
        (EtcdPort, FakeEtcd),
        (KubernetesPort, KubernetesGateway),
        (KubernetesPort, FakeKubernetes),
    ],
)
def test_calls_have_the_same_parameters_everywhere(surface: type, kind: type) -> None:
    """A call of the activities fits the gateway, the model and the fakes, by position and by name."""
    there = calls_of(kind)
    assert calls_of(surface) == {name: there.get(name) for name in calls_of(surface)}


def test_simulated_cluster_is_one_that_the_planner_takes() -> None:
    """Its leader may hand over at once, and nothing contradicts the look."""

    async def look() -> None:
        (profile,) = config(1, "queue").clusters.values()
        view = await simulated_etcd(profile.etcd).observe()
        member = resolve(view, LEADER)
        assert isinstance(member, MemberView)
        assert isinstance(plan(view, MemberAbsent(view.cluster_id, member.id)), Transfer)

    asyncio.run(look())

"""EtcdMembers that are not installed, which is no fault where they are optional, and such that come late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import CheckLeaderInput
from etcd_handoff.cli import connections, doctor
from etcd_handoff.cli.doctor_endpoints import ClusterFacts
from etcd_handoff.cli.etcdmembers import first_read
from etcd_handoff.config import ClusterProfile, Config
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.errors import ApiUnavailableError, KindGoneError, KubernetesError
from etcd_handoff.kubernetes.pool import KubernetesGateways
from tests.fakes.etcd import FakeEtcd
from tests.fakes.kubernetes import FakeKubernetes

MISSING = KindGoneError("404: 404 page not found")
SILENT = ApiUnavailableError("no API server answered")


def config_of(*, optional: bool) -> Config:
    """A configuration with that profile."""
    table = {"etcd": {"endpoints": ["http://etcd:2379"]}, "kubernetes": {"optional": optional}}
    return Config.model_validate({"clusters": {"prod": table}})


def profile(*, optional: bool) -> ClusterProfile:
    """A profile with Kubernetes."""
    return config_of(optional=optional).clusters["prod"]


@pytest.mark.parametrize(
    ("optional", "error", "fails"), [(True, MISSING, False), (False, MISSING, True), (True, SILENT, True)]
)
async def test_missing_kind_reads_as_no_resources(
    monkeypatch: pytest.MonkeyPatch, error: KubernetesError, *, optional: bool, fails: bool
) -> None:
    """`status` and `plan` go on; what is silent, or missing against the profile, is an error as ever."""
    monkeypatch.setattr(connections, "open_kubernetes", lambda _: FakeKubernetes(read_error=error))
    if not fails:
        assert await connections.read_resources(profile(optional=optional)) == []
        return
    with pytest.raises(type(error)):
        await connections.read_resources(profile(optional=optional))


@pytest.mark.parametrize(
    ("optional", "error", "read"), [(True, MISSING, True), (False, MISSING, False), (True, SILENT, False)]
)
async def test_missing_kind_claims_nothing_where_it_is_optional(
    error: KubernetesError, *, optional: bool, read: bool
) -> None:
    """There is no second witness then; where there ought to be one, or may be, it is missing."""
    pool = KubernetesGateways(
        config_of(optional=optional), "n1", make=lambda *_, **__: FakeKubernetes(read_error=error)
    )
    assert await pool.claims("prod") == (() if read else None)
    reads: list[Any] = [error, SILENT] if error is SILENT else [error]
    assert first_read(reads, optional=optional) == ([] if read else None)


@pytest.mark.parametrize(("patient", "read"), [(True, True), (False, False)])
async def test_look_waits_longer_for_etcdmembers_that_are_needed(
    monkeypatch: pytest.MonkeyPatch, *, patient: bool, read: bool
) -> None:
    """They come when the short time is over."""
    limits = replace(time_limits.STEPS, claims_seconds=0.0, patient_claims_seconds=60.0)
    monkeypatch.setattr(time_limits, "STEPS", limits)

    async def claims(_cluster: str) -> tuple[ResourceClaim, ...]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return (ResourceClaim(name="n1"),)

    acts = EtcdActivities(config_of(optional=False), "n1", lambda *_: FakeEtcd({"1": "n1"}), claims=claims)
    look = CheckLeaderInput(cluster="prod", claims=True, patient_claims=patient)
    result = await ActivityEnvironment().run(acts.check_leader, look)
    assert (result.claims is not None) == read


@pytest.mark.parametrize(("optional", "status"), [(True, 0), (False, 1)])
def test_doctor_finds_fault_with_a_missing_kind_where_it_is_needed(*, optional: bool, status: int) -> None:
    """And says in both cases that it is not installed."""
    facts = ClusterFacts()
    found = doctor._check_context("node0", MISSING, facts, profile(optional=optional).kubernetes, "-c a")
    assert (found.status, "EtcdMembers are not installed" in found.detail) == (status, True)
    assert "crd.yaml" in found.detail + found.remedy

"""Where EtcdMembers are optional and nobody has installed them, the command line finds no fault in that."""

from __future__ import annotations

import pytest

from etcd_handoff.cli import connections, doctor
from etcd_handoff.cli.doctor_endpoints import ClusterFacts
from etcd_handoff.config import ClusterProfile
from etcd_handoff.errors import ApiUnavailableError, KindGoneError, KubernetesError
from tests.fakes.kubernetes import FakeKubernetes

MISSING = KindGoneError("404: 404 page not found")
SILENT = ApiUnavailableError("no API server answered")


def profile(*, optional: bool) -> ClusterProfile:
    """A profile with Kubernetes."""
    table = {"etcd": {"endpoints": ["http://etcd:2379"]}, "kubernetes": {"optional": optional}}
    return ClusterProfile.model_validate(table)


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


@pytest.mark.parametrize(("optional", "status"), [(True, 0), (False, 1)])
def test_doctor_finds_fault_with_a_missing_kind_where_it_is_needed(*, optional: bool, status: int) -> None:
    """And says in both cases that it is not installed."""
    facts = ClusterFacts()
    found = doctor._check_context("node0", MISSING, facts, profile(optional=optional).kubernetes, "-c a")
    assert (found.status, "EtcdMembers are not installed" in found.detail) == (status, True)
    assert "crd.yaml" in found.detail + found.remedy

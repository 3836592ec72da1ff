"""What `doctor` says of the rights to write EtcdMembers: what the profile needs, and the remedy if one is lacking."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_handoff.cli.doctor_rights import check_writes, kubernetes_rights, parts_to_write
from etcd_handoff.config import ClusterProfile
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED

ETCD = {"endpoints": ["http://127.0.0.1:2379"]}
SETS_LEAVE = {"kubernetes": {"sets_leave": True}}


def profile(**fields: Any) -> ClusterProfile:
    """A cluster profile."""
    return ClusterProfile.model_validate({"etcd": ETCD, "kubernetes": {}, **fields})


@pytest.mark.parametrize(
    ("fields", "parts"),
    [({}, ["status"]), (SETS_LEAVE, ["status", "spec"])]
    + [({"remover": remover}, ["status", "spec"]) for remover in ("k0s", "both")],
)
def test_spec_is_patched_only_where_k0s_is_told_or_asked(fields: dict[str, Any], parts: list[str]) -> None:
    """Elsewhere the right would be more than is needed."""
    assert parts_to_write(profile(**fields)) == parts
    found = check_writes(profile(**fields), [])
    assert (found.status, found.detail) == (EXIT_DONE, f"may patch {' and '.join(parts)} of EtcdMembers")


@pytest.mark.parametrize(("fields", "why"), [(SETS_LEAVE, "sets_leave needs"), ({"remover": "both"}, '"both" needs')])
def test_right_that_is_lacking_is_told_with_what_needs_it(fields: dict[str, Any], why: str) -> None:
    """And with the file that grants it."""
    found = check_writes(profile(**fields), ["spec"])
    assert found.status == EXIT_FAILED
    assert "may not patch spec" in found.detail
    assert why in found.remedy
    assert "deploy/k0s-remover.yaml" in found.remedy
    assert "deploy/rbac.yaml" not in found.remedy
    both = check_writes(profile(**fields), ["status", "spec"]).remedy
    assert both.index("deploy/rbac.yaml") < both.index("deploy/k0s-remover.yaml")


async def test_profile_without_kubernetes_has_no_such_check() -> None:
    """There is nothing to write."""
    assert await kubernetes_rights(ClusterProfile.model_validate({"etcd": ETCD})) == []

"""The checks of `doctor` on our permissions in etcd and Kubernetes."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.connections import denial_reason, open_kubernetes
from etcd_handoff.cli.doctor_checks import CheckResult, check_rights
from etcd_handoff.cli.errors import result_or_error
from etcd_handoff.exit_status import EXIT_FAILED

if TYPE_CHECKING:
    from etcd_handoff.config import ClusterProfile

CHECK: Final = "rights in kubernetes"


async def etcd_rights(profile: ClusterProfile) -> list[CheckResult]:
    """Check that we may change the membership; no result if etcd does not answer, as other checks report that."""
    from etcd_handoff.etcd.classify import permission_remedy

    denied = await result_or_error(denial_reason(profile))
    return [] if isinstance(denied, Exception) else [check_rights(denied, permission_remedy(denied))]


async def kubernetes_rights(profile: ClusterProfile) -> list[CheckResult]:
    """Check that we may write EtcdMembers as the profile needs; no result if no API server answers."""
    gateway = open_kubernetes(profile)
    if gateway is None:
        return []
    try:
        lacking = [part for part in parts_to_write(profile) if not await gateway.may_patch(part)]
    except Exception as error:  # noqa: BLE001  # other checks report an API server that does not answer
        del error
        return []
    finally:
        await gateway.close()
    return [check_writes(profile, lacking)]


def parts_to_write(profile: ClusterProfile) -> list[str]:
    """Return the parts of an EtcdMember that removals patch: its status, and on k0s also its spec."""
    return ["status", *["spec"] * profile.is_k0s]


def check_writes(profile: ClusterProfile, lacking: list[str]) -> CheckResult:
    """Check that we may patch all parts of an EtcdMember that removals patch.

    Args:
        profile: The cluster profile.
        lacking: The parts that we may not patch: `status`, `spec`.
    """
    if not lacking:
        return CheckResult(CHECK, f"may patch {' and '.join(parts_to_write(profile))} of EtcdMembers")
    remedies = []
    if "status" in lacking:
        remedies.append("apply deploy/rbac.yaml, or grant `patch` on etcdmembers/status")
    if "spec" in lacking:
        why = "sets_leave" if profile.sets_leave else 'preset = "k0s"'
        why = f'remover = "{profile.remover}"' if profile.remover != "etcd" else why
        remedies.append(f"apply deploy/k0s-remover.yaml, or grant `patch` on etcdmembers, which {why} needs")
    return CheckResult(CHECK, f"may not patch {' and '.join(lacking)} of EtcdMembers", "; ".join(remedies), EXIT_FAILED)

"""The manifests of deploy/ on a real API server: they are accepted, and grant exactly what a worker needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.config import KubernetesProfile
from etcd_handoff.errors import KubernetesPermissionError
from etcd_handoff.etcdmember import News, Truth, event_for, new_resource, status_for
from etcd_handoff.kubernetes_gateway import KubernetesGateway
from etcd_handoff.lab import Lab, LabOptions, ProcessError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ACCOUNT: Final = "system:serviceaccount:etcd-handoff:etcd-handoff"
NOW: Final = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """One node with the manifests applied."""
    async with Lab(LabOptions(nodes=1, temporal=False, directory=tmp_path / "lab")) as lab:
        yield lab


async def _as_the_account(lab: Lab, folder: Path) -> KubernetesProfile:
    """A profile with a real token of the service account."""
    node = lab.nodes[0].name
    token = await lab.kubectl("create", "token", "etcd-handoff", "--namespace", "etcd-handoff", context=node)
    config = json.loads(lab.kubeconfig_path.read_text())
    config["users"][0]["user"] = {"token": token.strip()}
    path = folder / "account.kubeconfig"
    path.write_text(json.dumps(config))
    return KubernetesProfile(kubeconfig=path, contexts=(node,))


async def test_manifests_are_accepted_and_grant_what_is_needed_and_no_more(lab: Lab, tmp_path: Path) -> None:
    """Every object passes the server's own checks; what a worker calls is allowed, everything else answered 403."""
    node = lab.nodes[0].name

    async def kubectl(*arguments: str) -> str:
        return await lab.kubectl(*arguments, context=node)

    await kubectl("apply", "--server-side", "-f", str(DEPLOY / "namespace.yaml"))
    said = await kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(DEPLOY))
    for kind in ("serviceaccount", "clusterrole", "deployment", "poddisruptionbudget", "configmap"):
        assert kind in said
    await kubectl("apply", "--server-side", "-f", str(DEPLOY / "rbac.yaml"))

    async def may(verb: str, resource: str, *more: str) -> bool:
        try:
            said = await kubectl("auth", "can-i", verb, resource, "--as", ACCOUNT, *more)
        except ProcessError:
            return False
        return said.strip() == "yes"

    members = "etcdmembers.etcd.k0sproject.io"
    for verb in ("get", "list", "watch", "create"):
        assert await may(verb, members), verb
    assert await may("patch", members, "--subresource=status")
    assert await may("create", "events.events.k8s.io", "--namespace=default")
    for verb, resource in (
        ("delete", members),
        ("update", members),
        ("patch", members),
        ("get", "secrets"),
        ("list", "configmaps"),
        ("list", "pods"),
        ("get", "nodes"),
        ("create", "deployments.apps"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("list", "events.events.k8s.io"),
    ):
        assert not await may(verb, resource, "--namespace=default"), f"{verb} {resource}"
    await _drive(KubernetesGateway(await _as_the_account(lab, tmp_path)), node)
    await kubectl("apply", "--server-side", "-f", str(DEPLOY / "k0s-remover.yaml"))
    assert await may("patch", members)


async def _drive(gateway: KubernetesGateway, node: str) -> None:
    """All calls of the product's own gateway, with the rights of the service account."""
    try:
        member = await gateway.get(node)
        _, version = await gateway.list_at()
        created = await gateway.create(new_resource("another"))
        truth = Truth("abc", joined=False, message="Member removed from cluster", peer_urls=("https://10.0.0.9:2380",))
        await gateway.patch_status(created, status_for(created, truth, NOW[:19] + "Z"))
        await gateway.changed(version)
        await gateway.record_event(event_for(member, News("Removed", "said"), NOW))
        with pytest.raises(KubernetesPermissionError):
            await gateway.patch_spec(member, {"leave": True})
    finally:
        await gateway.close()

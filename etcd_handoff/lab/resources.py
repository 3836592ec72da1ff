"""The EtcdMembers of a lab, as k0s keeps them.

They are read and installed over plain HTTP, because each start of kubectl costs a tenth of a second of CPU time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import yaml

from etcd_handoff.lab import http
from etcd_handoff.lab.nodes import HOST, ROOT, Node, bearer
from etcd_handoff.lab.observer import ListedMember
from etcd_handoff.lab.waiting import ProcessError, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

CRD: Final = ROOT / "deploy" / "crd.yaml"
CRD_URL: Final = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/etcdmembers.etcd.k0sproject.io"
MEMBERS_URL: Final = "apis/etcd.k0sproject.io/v1beta1/etcdmembers"
SERVED_SECONDS: Final = 60.0
REQUEST_SECONDS: Final = 10.0
TOO_MANY_REQUESTS: Final = 429
STARTING: Final = "before all known HTTP paths have been installed"
"""An API server's answer just after its start (Kubernetes `k8s.io/apiserver/pkg/server/routes`)."""


class Kubectl(Protocol):
    """Runs kubectl against the API server of one node."""

    async def __call__(self, *arguments: str, context: str, stdin: str | None = None) -> str:
        """Return kubectl's output."""


async def install(nodes: Sequence[Node], members: Sequence[ListedMember], joined_since: datetime) -> None:
    """Install EtcdMembers on every API server, and for each member one with k0s's content.

    Args:
        nodes: All nodes.
        members: The member list.
        joined_since: When the members joined.

    Raises:
        ProcessError: The first node's API server does not take them.
    """
    await _apply(nodes[0], CRD_URL, yaml.safe_load(CRD.read_text()))
    await wait_until(lambda: _established(nodes[0]), "the CRD is established", SERVED_SECONDS)
    await asyncio.gather(*(_served(node) for node in nodes))
    addresses = {node.name: node.address for node in nodes}
    items = [_resource(member, joined_since, addresses.get(member.name, HOST)) for member in members]
    for item in items:
        url = f"{MEMBERS_URL}/{item['metadata']['name']}"
        await _apply(nodes[0], url, item)
        await _apply(nodes[0], f"{url}/status", item)


async def read(node: Node) -> dict[str, dict[str, Any]]:
    """Return EtcdMembers by name, from the API server of this node.

    Raises:
        ProcessError: It did not answer, or with an error.
    """
    answer = await _ask(node, MEMBERS_URL, headers=bearer())
    return {item["metadata"]["name"]: item for item in answer["items"]}


async def _apply(node: Node, url: str, content: dict[str, Any]) -> None:
    """Create or change an object as `kubectl apply --server-side` does."""
    headers = {**bearer(), "Content-Type": "application/apply-patch+yaml"}  # any JSON is YAML
    await _ask(node, f"{url}?fieldManager=kubectl", content, method="PATCH", headers=headers)


async def _ask(node: Node, url: str, body: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    status, text = 0, ""

    async def answers() -> bool:
        """Return whether the answer is final: no request to retry, and not from a server that has just started."""
        nonlocal status, text
        try:
            status, text = await http.request(f"{node.api_url}/{url}", body, timeout_seconds=REQUEST_SECONDS, **options)
        except http.FAILURES as error:
            status, text = 0, str(error)
        return status != TOO_MANY_REQUESTS and STARTING not in text

    await wait_until(answers, f"the API server of {node.name} answers on {url}", SERVED_SECONDS, lambda: text)
    if status not in (200, 201):
        msg = f"the API server of {node.name} on {url}: {text.strip()}"
        raise ProcessError(msg)
    answer: dict[str, Any] = json.loads(text)
    return answer


def joined(resource: dict[str, Any]) -> str:
    """Return the resource's condition Joined: `True`, `False` or `Unknown`."""
    return _condition(resource, "Joined")


def _condition(resource: dict[str, Any], kind: str) -> str:
    conditions = resource.get("status", {}).get("conditions") or []  # null for a moment in a new CRD
    return next((str(c["status"]) for c in conditions if c["type"] == kind), "Unknown")


async def write_joined(kubectl: Kubectl, context: str, name: str, member_id: str, address: str = HOST) -> None:
    """Write the status that k0s writes when a controller starts: this member ID, Joined=True."""
    status = _resource(ListedMember(member_id, name, is_learner=False), datetime.now(UTC), address)["status"]
    patch = ("--subresource=status", "--type", "merge", "-p", json.dumps({"status": status}))
    await kubectl("patch", "etcdmember", name, *patch, context=context)


async def _established(node: Node) -> bool:
    """Return whether the CRD is established.

    `kubectl wait` is no help, because it fails on a CRD without conditions, as a new one is for a moment. See kubectl's
    pkg/cmd/wait/condition.go.
    """
    with contextlib.suppress(*http.FAILURES):
        status, text = await http.request(f"{node.api_url}/{CRD_URL}", headers=bearer())
        return status == 200 and _condition(json.loads(text), "Established") == "True"
    return False


async def _served(node: Node) -> None:
    """Wait until the node's API server serves the CRD, of which it learns through its own watch."""
    url = f"{node.api_url}/{MEMBERS_URL}"
    await wait_until(lambda: http.answers(url, bearer()), f"{node.name} serves EtcdMembers", SERVED_SECONDS)


def _resource(member: ListedMember, joined_since: datetime, address: str) -> dict[str, Any]:
    condition = {
        "type": "Joined",
        "status": "True",
        "message": "Member joined",
        "lastTransitionTime": joined_since.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {
        "apiVersion": "etcd.k0sproject.io/v1beta1",
        "kind": "EtcdMember",
        "metadata": {"name": member.name},
        "spec": {"leave": False},
        "status": {
            "peerAddress": address,
            "memberID": member.id,
            "reconcileStatus": "Success",
            "message": "Member joined",
            "conditions": [condition],
        },
    }

"""The calls that activities make to API servers, as a type that the gateway and its substitutes implement.

The gateway documents what each call does and raises. Nothing runs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import builtins


class KubernetesPort(Protocol):
    """The calls of `etcd_handoff.kubernetes.gateway.KubernetesGateway` that removals and watchers need."""

    async def close(self) -> None:
        """Close all clients."""

    async def warm(self) -> None:
        """Open all clients ahead of use."""

    async def check_contexts(self) -> dict[str, str]:
        """Return the contexts that belong to another Kubernetes cluster, and the evidence."""

    async def get(self, name: str, departing: str = "") -> dict[str, Any]:
        """Return the EtcdMember of this name, from the API server that answers first."""

    async def list(self, departing: str = "") -> builtins.list[dict[str, Any]]:
        """Return all EtcdMembers, from the API server that answers first."""

    async def list_at(self, departing: str = "") -> tuple[builtins.list[dict[str, Any]], str]:
        """Return all EtcdMembers, and the version of the list."""

    async def wait_for_change(self, version: str) -> None:
        """Return when an EtcdMember has changed after that version."""

    async def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Store a new EtcdMember."""

    async def patch_spec(
        self, resource: dict[str, Any], spec: dict[str, Any], departing: str = "", *, without: str = ""
    ) -> dict[str, Any]:
        """Change fields of the spec and remove an annotation, unless the EtcdMember has changed since it was read."""

    async def patch_status(
        self, resource: dict[str, Any], status: dict[str, Any], departing: str = ""
    ) -> dict[str, Any]:
        """Change fields of the status, unless the EtcdMember has changed since it was read."""

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:
        """Store an Event."""

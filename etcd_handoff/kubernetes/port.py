"""What activities ask of API servers, as a type: the gateway has it, and so has whatever stands in for it.

The gateway says what each call does and raises. Here nothing runs.
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
        """Contexts that belong to another Kubernetes cluster, and what shows it."""

    async def get(self, name: str, departing: str = "") -> dict[str, Any]:
        """The EtcdMember of this name, as the API server that answers first has it."""

    async def list(self, departing: str = "") -> builtins.list[dict[str, Any]]:
        """All EtcdMembers, as the API server that answers first has them."""

    async def list_at(self, departing: str = "") -> tuple[builtins.list[dict[str, Any]], str]:
        """All EtcdMembers, and the version of the list."""

    async def wait_for_change(self, version: str) -> None:
        """Return when an EtcdMember has changed after that version."""

    async def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Store a new EtcdMember."""

    async def patch_spec(
        self, resource: dict[str, Any], spec: dict[str, Any], departing: str = "", *, without: str = ""
    ) -> dict[str, Any]:
        """Change fields of the spec and drop an annotation, unless the EtcdMember has changed since it was read."""

    async def patch_status(
        self, resource: dict[str, Any], status: dict[str, Any], departing: str = ""
    ) -> dict[str, Any]:
        """Change fields of the status, unless the EtcdMember has changed since it was read."""

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:
        """Store an Event."""

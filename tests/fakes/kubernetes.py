"""API servers without processes: EtcdMembers in memory, which fail where they are told to, and take time.

It implements `KubernetesPort`, so that mypy notices when the gateway and it differ.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from etcd_handoff.errors import ConflictError, ObjectGoneError
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.kubernetes.port import KubernetesPort

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping

    from etcd_handoff.config import Config
    from etcd_handoff.errors import KubernetesError

Resource = dict[str, Any]


class FakeKubernetes(KubernetesPort):
    """The gateway to one cluster's EtcdMembers.

    Args:
        resources: What there is.
        read_error: What reads raise instead.
        write_errors: What patches raise instead, by the name of the EtcdMember.
        read_seconds: How long a read takes.
        write_seconds: How long a write takes.

    Attributes:
        resources: What there is, by name.
        read_error: As given.
        write_errors: As given.
        patched: Names of EtcdMembers that were patched, in order.
        events: Events that were sent; each waits for `events_pass`.
        events_pass: Whether Events are taken.
        conflicts: How many patches find that somebody has written since.
    """

    def __init__(
        self,
        *resources: Resource,
        read_error: KubernetesError | None = None,
        write_errors: Mapping[str, KubernetesError] | None = None,
        read_seconds: float = 0.0,
        write_seconds: float = 0.0,
    ) -> None:
        self.resources = {resource["metadata"]["name"]: resource for resource in resources}
        self.read_error = read_error
        self.write_errors = dict(write_errors or {})
        self.patched: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.events_pass = asyncio.Event()
        self.events_pass.set()
        self.conflicts = 0
        self._read_seconds, self._write_seconds = read_seconds, write_seconds

    async def close(self) -> None:
        """Nothing is open."""

    async def warm(self) -> None:
        """Nothing is to be opened."""

    async def check_contexts(self) -> dict[str, str]:
        """All contexts belong together."""
        return {}

    async def get(self, name: str, departing: str = "") -> Resource:  # noqa: ARG002
        """One EtcdMember."""
        await self._read()
        if name not in self.resources:
            msg = "there is none"
            raise ObjectGoneError(msg)
        return self.resources[name]

    async def list(self, departing: str = "") -> builtins.list[Resource]:
        """All EtcdMembers."""
        return (await self.list_at(departing))[0]

    async def list_at(self, departing: str = "") -> tuple[builtins.list[Resource], str]:  # noqa: ARG002
        """All EtcdMembers, and a version that never changes."""
        await self._read(ObjectGoneError)  # of one object: a list is not about that
        return [*self.resources.values()], "1"

    async def wait_for_change(self, version: str) -> None:  # noqa: ARG002
        """Nobody else changes anything."""
        await asyncio.Event().wait()

    async def create(self, resource: Resource) -> Resource:
        """A new EtcdMember is stored."""
        await asyncio.sleep(self._write_seconds)
        self.resources[resource["metadata"]["name"]] = resource
        return resource

    async def patch_spec(
        self,
        resource: Resource,
        spec: dict[str, Any],
        departing: str = "",  # noqa: ARG002
        *,
        without: str = "",
    ) -> Resource:
        """Fields of the spec are set, and an annotation is taken away."""
        kept = {k: v for k, v in (resource["metadata"].get("annotations") or {}).items() if k != without}
        metadata = {**resource["metadata"], "annotations": kept} if without else resource["metadata"]
        return await self._patch({**resource, "metadata": metadata}, "spec", spec)

    async def patch_status(self, resource: Resource, status: dict[str, Any], departing: str = "") -> Resource:  # noqa: ARG002
        """Fields of the status are set."""
        return await self._patch(resource, "status", status)

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:  # noqa: ARG002
        """An Event is stored."""
        await asyncio.sleep(self._write_seconds)
        self.events.append(event)
        await self.events_pass.wait()

    async def _read(self, without: type[KubernetesError] | None = None) -> None:
        await asyncio.sleep(self._read_seconds)
        if self.read_error is not None and type(self.read_error) is not without:
            raise self.read_error

    async def _patch(self, resource: Resource, part: str, fields: dict[str, Any]) -> Resource:
        await asyncio.sleep(self._write_seconds)
        name = resource["metadata"]["name"]
        if (error := self.write_errors.get(name)) is not None:
            raise error
        if self.conflicts:
            self.conflicts -= 1
            msg = "it has changed"
            raise ConflictError(msg)
        self.patched.append(name)
        self.resources[name] = {**resource, part: {**resource.get(part, {}), **fields}}
        return self.resources[name]


class FakeGateways(KubernetesGateways):
    """Gateways to fakes, by the name of the cluster profile."""

    def __init__(self, config: Config, node: str, fakes: Mapping[str, KubernetesPort]) -> None:
        super().__init__(config, node)
        self._fakes = fakes

    def get(self, cluster: str) -> KubernetesPort | None:
        """The fake of a profile."""
        return self._fakes[cluster]

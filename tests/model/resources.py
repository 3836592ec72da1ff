"""The EtcdMembers of a model, as gateways to API servers read and write them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from etcd_handoff.errors import (
    ApiUnavailableError,
    ConflictError,
    KubernetesPermissionError,
    ObjectGoneError,
)
from etcd_handoff.etcdmember import status_of
from tests.model.fault_kinds import Fault


class Resources(ABC):
    """The part of a model that stands for API servers."""

    resources: dict[str, dict[str, Any]]
    _writes = 0

    @abstractmethod
    def call(self) -> Fault | None:
        """One more call; what happens at it has happened."""

    @abstractmethod
    def crash_at(self, fault: Fault | None) -> None:
        """The worker dies, where that is what happens."""

    @abstractmethod
    def check_write(self, activity: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """An activity is about to write an EtcdMember."""

    @property
    def version(self) -> str:
        """Counts writes of EtcdMembers."""
        return f"w{self._writes}"

    def get(self, name: str) -> dict[str, Any]:
        """One EtcdMember."""
        self._ask()
        if name not in self.resources:
            msg = "there is none"
            raise ObjectGoneError(msg)
        return self.resources[name]

    def everything(self) -> list[dict[str, Any]]:
        """All EtcdMembers."""
        self._ask()
        return [*self.resources.values()]

    def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """An EtcdMember that has no status yet."""
        fault = self._ask()
        name = resource["metadata"]["name"]
        if name in self.resources:
            msg = "there is one"
            raise ConflictError(msg)
        metadata = {**resource["metadata"], "uid": f"u-{self.version}", "generation": 1}
        self.resources[name] = {**resource, "metadata": metadata}
        self.touch(name)
        return self._stored(name, fault)

    def patch_status(self, activity: str, resource: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """The EtcdMember says so, unless somebody was quicker."""
        fault = self._ask()
        name = resource["metadata"]["name"]
        if name not in self.resources:
            msg = "there is none"
            raise ObjectGoneError(msg)
        if fault is Fault.CONFLICT:
            self.touch(name)
        stored = self.resources[name]
        if stored["metadata"]["resourceVersion"] != resource["metadata"]["resourceVersion"]:
            msg = "it has changed"
            raise ConflictError(msg)
        written = {**stored, "status": {**status_of(stored), **status}}
        self.check_write(activity, stored, written)
        self.resources[name] = written
        self.touch(name)
        return self._stored(name, fault)

    def touch(self, name: str) -> None:
        """An EtcdMember has another resourceVersion."""
        self._writes += 1
        resource = self.resources[name]
        metadata = {**resource["metadata"], "resourceVersion": self.version}
        self.resources[name] = {**resource, "metadata": metadata}

    def _stored(self, name: str, fault: Fault | None) -> dict[str, Any]:
        """An EtcdMember after a write, whose answer may not arrive."""
        if fault is Fault.ANSWER_LOST:
            raise ApiUnavailableError(fault)
        self.crash_at(fault)
        return self.resources[name]

    def _ask(self) -> Fault | None:
        """A call to an API server that answers."""
        fault = self.call()
        if fault in (Fault.API_GONE, Fault.NO_EFFECT):
            raise ApiUnavailableError(fault)
        if fault is Fault.API_REFUSES:
            raise KubernetesPermissionError(fault)
        return fault

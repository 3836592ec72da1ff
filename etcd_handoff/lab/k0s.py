"""A stand-in for k0s's reconcilers and supervisors, one per node, with the behaviour of two releases.

- `v1.31`: the controller that holds k0s's lease removes every member whose EtcdMember asks to leave. It removes the
  member through its own etcd, and writes the status through its own API server. It also removes its own member. Then
  the write hangs, no other controller has the lease, and the resource says Joined for ever. The node's supervisor
  restarts the removed etcd every 5 s.
- `v1.36`: each controller labels its EtcdMember with its present start. If an EtcdMember asks to leave and its member
  is listed, the holder adds a second label with that start. The holder's own EtcdMember waits until another controller
  has the lease. A node that sees its start in the second label, on its own API server, stops that API server, removes
  its member, and does not start its etcd again. The holder's resync, every 10 s, writes the result.

These facts come from measurements of k0s's real reconcilers, and from their source
(`pkg/component/controller/etcd_member_reconciler.go` and `etcd.go`, `pkg/supervisor/supervisor.go`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from etcd_handoff.lab import http
from etcd_handoff.lab.naive import leave, remove_once, write_removed, write_status
from etcd_handoff.lab.nodes import Role, bearer
from etcd_handoff.lab.observer import first_list
from etcd_handoff.lab.resources import joined
from etcd_handoff.lab.waiting import ProcessError

if TYPE_CHECKING:
    from types import TracebackType

    from etcd_handoff.lab.cluster import Lab
    from etcd_handoff.lab.nodes import Node

LOOK_SECONDS: Final = 0.05
RESYNC_SECONDS: Final = 10.0
RESPAWN_SECONDS: Final = 5.0
STOP_SECONDS: Final = 5.0
"""Delay until k0s sends SIGTERM again. An API server without its etcd ends only then."""
HAND_OVER_SECONDS: Final = 2.0
"""Time without a holder after the holder gives up the lease. k0s's own takes up to 7 s."""
REQUEST_SECONDS: Final = 2.0
SHUTDOWN_LABEL: Final = "k0s.k0sproject.io/shutdown"
START_LABEL: Final = "k0s.k0sproject.io/shutdown-on-leave"
RESOURCES: Final = "apis/etcd.k0sproject.io/v1beta1/etcdmembers"
FROM_CACHE: Final = "?resourceVersion=0"
"""Query as watchers see objects (Kubernetes API concepts, "resource versions"): the API server answers without asking
etcd."""

Release = Literal["v1.31", "v1.36"]
FAILURES: Final = (TimeoutError, ProcessError, *http.FAILURES)


class K0sStandIn:
    """k0s on every node of a lab, while the context lasts.

    Args:
        lab: A running lab.
        release: The release whose behaviour it shows.
        holder: The node that holds k0s's lease at first; node0 by default.
        hand_over_seconds: Time without a holder when the holder leaves.

    Attributes:
        holder: The node that holds it now; empty during a hand-over.
        removed: Nodes whose member k0s has begun to remove.
        stopped: Nodes whose API server and etcd k0s has stopped for good.
        respawned: How often k0s has restarted a node's etcd.
    """

    def __init__(
        self, lab: Lab, release: Release, holder: str = "", hand_over_seconds: float = HAND_OVER_SECONDS
    ) -> None:
        self._lab = lab
        self._release = release
        self._hand_over_seconds = hand_over_seconds
        self._starts = {node.name: secrets.token_hex(4) for node in lab.nodes}
        self._tasks: list[asyncio.Task[None]] = []
        self.holder = holder or lab.nodes[0].name
        self.removed: list[str] = []
        self.stopped: set[str] = set()
        self.respawned: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Start reconciling; with v1.36, first label all EtcdMembers with their present start of k0s.

        Raises:
            ProcessError: The holder's API server did not answer, or refused that.
        """
        tasks = [self._supervise(node) for node in self._lab.nodes]
        if self._release == "v1.31":
            tasks.append(self._remove_who_asks())
        else:
            holder = self._lab.node(self.holder)
            for name in await self._lab.etcdmembers(holder.name):
                await self._label(holder, name, START_LABEL, self._starts[name])
            tasks += [self._label_who_asks(), self._resync()]
            tasks += [self._shut_down_when_labelled(node) for node in self._lab.nodes]
        self._tasks = [asyncio.create_task(task) for task in tasks]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all tasks of the stand-in."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # v1.31

    async def _remove_who_asks(self) -> None:
        holder = self._lab.node(self.holder)
        while True:
            for name, resource in (await self._resources(holder)).items():
                if name not in self.removed and _asks_to_leave(resource):
                    await self._remove(holder, name, resource["status"]["memberID"])
            await asyncio.sleep(LOOK_SECONDS)

    async def _remove(self, holder: Node, name: str, member_id: str) -> None:
        """Try once to remove the member, as k0s does."""
        listed, error = await self._listed(holder), ""
        if name in listed:
            self.removed.append(name)
            error = (await remove_once(name, member_id, holder)).error
        elif not listed:
            return
        if error:
            await write_status(holder, name, {"reconcileStatus": "Failed", "message": error}, "the error")
        else:
            await write_removed(holder, name)

    # v1.36

    async def _label_who_asks(self) -> None:
        """Label EtcdMembers that ask to leave, only while their members are listed."""
        while True:
            holder = self._lab.node(self.holder)
            for name, resource in (await self._resources(holder)).items():
                if not _asks_to_leave(resource) or name not in await self._listed(holder):
                    continue
                if name == self.holder:
                    await self._hand_over(holder)
                    break
                if _labels(resource).get(SHUTDOWN_LABEL) != (start := _labels(resource).get(START_LABEL, "")):
                    with contextlib.suppress(*FAILURES):
                        await self._label(holder, name, SHUTDOWN_LABEL, start)
            await asyncio.sleep(LOOK_SECONDS)

    async def _hand_over(self, holder: Node) -> None:
        waiting = {"reconcileStatus": "", "message": "Waiting for another controller to take over"}
        await write_status(holder, holder.name, waiting, "what is waited for")
        await asyncio.sleep(self._hand_over_seconds)
        others = [n.name for n in self._lab.others(holder.name) if n.name not in self.removed]
        self.holder = next(iter(others), holder.name)

    async def _label(self, holder: Node, name: str, key: str, value: str) -> None:
        headers = {**bearer(), "Content-Type": "application/merge-patch+json"}
        url, body = f"{holder.api_url}/{RESOURCES}/{name}", {"metadata": {"labels": {key: value}}}
        status, text = await http.request(url, body, method="PATCH", headers=headers)
        if status != HTTPStatus.OK:
            raise ProcessError(f"{url}: {text}")

    async def _shut_down_when_labelled(self, node: Node) -> None:
        """Watch the node's own API server for the label, then shut the node down.

        The node does not learn what is written after its member was removed. The API server's cache has what its
        watchers have received. A list without a version asks etcd first, and would miss a label that came just before
        the removal.
        """
        resource: dict[str, Any] = {}
        while _labels(resource).get(SHUTDOWN_LABEL) != self._starts[node.name]:
            await asyncio.sleep(LOOK_SECONDS)
            resource = (await self._resources(node, FROM_CACHE)).get(node.name, {})
        self.removed.append(node.name)
        self.stopped.add(node.name)
        server = self._lab.process(Role.APISERVER, node.name)
        server.signal(signal.SIGTERM)
        with contextlib.suppress(ProcessError):
            await server.ended(STOP_SECONDS)
        await server.kill()
        with contextlib.suppress(KeyError, *FAILURES):
            await leave(self._lab, node.name)
        await self._lab.terminate(Role.ETCD, node.name)

    async def _resync(self) -> None:
        """Write Joined=False every 10 s, as the holder, for members that are no longer listed."""
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            holder = self._lab.node(self.holder)
            listed = await self._listed(holder)
            for name, resource in (await self._resources(holder)).items():
                if listed and name not in listed and joined(resource) == "True":
                    await write_removed(holder, name, "No such member ID")

    # both

    async def _supervise(self, node: Node) -> None:
        """Restart an etcd 5 s after it ended by itself; leave one that was killed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._has_ended(node.name):
                await asyncio.sleep(RESPAWN_SECONDS)
                if self._has_ended(node.name):
                    self._lab.process(Role.ETCD, node.name).start()
                    self.respawned[node.name] += 1

    def _has_ended(self, node: str) -> bool:
        process = self._lab.process(Role.ETCD, node)
        killed = process.exit_status is not None and process.exit_status < 0
        return not (process.alive or killed or node in self.stopped)

    async def _resources(self, node: Node, query: str = "") -> dict[str, dict[str, Any]]:
        """Return EtcdMembers by name from the node's own API server; empty if it does not answer."""
        with contextlib.suppress(*FAILURES):
            url = f"{node.api_url}/{RESOURCES}{query}"
            _, text = await http.request(url, headers=bearer(), timeout_seconds=REQUEST_SECONDS)
            return {item["metadata"]["name"]: item for item in json.loads(text).get("items", [])}
        return {}

    async def _listed(self, node: Node) -> set[str]:
        """Return names of the members from the node's own etcd; empty if it does not answer."""
        with contextlib.suppress(*FAILURES):
            return {m.name for m in await first_list([node.etcd_url])}
        return set()


def _labels(resource: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = resource.get("metadata", {}).get("labels", {})
    return labels


def _asks_to_leave(resource: dict[str, Any]) -> bool:
    return bool(resource["spec"].get("leave")) and joined(resource) == "True"

"""A stand-in for k0s's own reconciler, one per node, as two of its releases behave.

- `v1.31`: a node whose EtcdMember asks to leave removes its member through that member, then writes the status through
  its own API server, whose etcd has just left: the write hangs and the resource says Joined for ever.
- `v1.36`: a node takes its member out, and stops its API server and its etcd; what became of it is written by another
  node's resync, every 10 s.

Facts by measurement of k0s's real reconciler; the release decides who writes the status, and that is what matters here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Final, Literal, Self

from etcd_handoff.lab import http
from etcd_handoff.lab.naive import leave, remove_through_itself, write_removed
from etcd_handoff.lab.nodes import Role, bearer
from etcd_handoff.lab.observer import first_list
from etcd_handoff.lab.resources import joined
from etcd_handoff.lab.waiting import ProcessError

if TYPE_CHECKING:
    from types import TracebackType

    from etcd_handoff.lab.cluster import Lab
    from etcd_handoff.lab.nodes import Node

LOOK_SECONDS: Final = 0.1
RESYNC_SECONDS: Final = 10.0
REQUEST_SECONDS: Final = 2.0

Release = Literal["v1.31", "v1.36"]


class K0sStandIn:
    """k0s on every node of a lab, for as long as the context lasts.

    Args:
        lab: A running lab.
        release: CertificateGroup behaviour to show.
    """

    def __init__(self, lab: Lab, release: Release) -> None:
        self._lab = lab
        self._release = release
        self._tasks: list[asyncio.Task[None]] = []
        self.removed: list[str] = []

    async def __aenter__(self) -> Self:
        """Start reconciling."""
        self._tasks = [asyncio.create_task(self._leave_when_asked(node)) for node in self._lab.nodes]
        if self._release == "v1.36":
            self._tasks += [asyncio.create_task(self._resync(node)) for node in self._lab.nodes]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _leave_when_asked(self, node: Node) -> None:
        while not await self._is_asked_to_leave(node):  # noqa: ASYNC110  # what is waited for is in another process
            await asyncio.sleep(LOOK_SECONDS)
        self.removed.append(node.name)
        if self._release == "v1.31":
            await remove_through_itself(self._lab, node.name)
            return
        await leave(self._lab, node.name)
        await self._lab.kill(Role.APISERVER, node.name)
        await self._lab.terminate(Role.ETCD, node.name)

    async def _is_asked_to_leave(self, node: Node) -> bool:
        """Whether the node's own API server shows that its member is to leave."""
        with contextlib.suppress(TimeoutError, ProcessError, *http.FAILURES):
            url = f"{node.api_url}/apis/etcd.k0sproject.io/v1beta1/etcdmembers/{node.name}"
            _, text = await http.request(url, headers=bearer(), timeout_seconds=REQUEST_SECONDS)
            resource = json.loads(text)
            return bool(resource["spec"].get("leave")) and joined(resource) == "True"
        return False

    async def _resync(self, node: Node) -> None:
        """Every 10 s this node writes Joined=False for members that the list no longer has."""
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            with contextlib.suppress(TimeoutError, ProcessError, *http.FAILURES):
                present = {m.name for m in await first_list([node.etcd_url])}
                for other in self._lab.others(node.name):
                    if other.name in self.removed and other.name not in present:
                        await write_removed(node, other.name)

"""The lab: N nodes, each with etcd, an API server on that etcd and a worker, and one Temporal server."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from etcd_handoff.lab import http, observer, resources
from etcd_handoff.lab.commands import Commands
from etcd_handoff.lab.nodes import InitialCluster, Node, Role
from etcd_handoff.lab.options import LabOptions
from etcd_handoff.lab.processes import ProcessError
from etcd_handoff.lab.supervisor import READY_SECONDS
from etcd_handoff.lab.waiting import gather_all, wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from etcd_handoff.lab.network import Network
    from etcd_handoff.lab.observer import ListedMember

__all__ = ["Lab", "LabOptions", "wait_until"]

HEALTH_INTERVAL_SECONDS: Final = 5.5
"""etcd's `HealthInterval`, with some time until all peers are connected."""
NODE_BYTES: Final = 160 << 20
"""Disk space for a node: two segments of 64 MB that a member preallocates (etcd `server/storage/wal/wal.go`), and
logs."""
UNSAID: Final = (Role.WORKER, Role.NAMESPACE)
"""Roles that `progress` does not mention: workers start later, and a namespace is no server."""
NOT_FOR_INSTALLING: Final = "exclude=poststarthook/rbac/bootstrap-roles"
"""The last start-up step of an API server, which an administrator need not wait for."""


class Lab(Commands):
    """A running lab, for `async with`. Every process ends with it, and with this process.

    Raises:
        ValueError: The number of nodes is out of range.
        ProcessError: The disk lacks space, or a process did not become ready; the message has the end of its log.
    """

    def __init__(self, options: LabOptions | None = None) -> None:
        super().__init__(options)
        self._peers_connected = 0.0
        self._members_joined = datetime.now(UTC)
        self._prepared = asyncio.Event()

    # start and end

    async def __aenter__(self) -> Self:
        """Start everything; if a start fails, end what has started."""
        try:
            await self._start()
        except BaseException:
            await self.close(keep_files=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything; keep data and logs after an error, but not after Ctrl-C."""
        await self.close(keep_files=isinstance(error, Exception))

    async def close(self, *, keep_files: bool = False) -> None:
        """Kill all processes and free the ports; delete data and logs unless they are to be kept."""
        await self._end_all()
        if self._isolation is not None:
            await self._isolation.gone()
        self._ports.close()
        for node in self._all_nodes():
            http.forget(node.etcd_url)
        if keep_files:
            self._say(f"data and logs are kept in {self.directory}")
        elif self.options.directory is None:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def _start(self) -> None:
        self._require_space()
        self._write_files()
        if self._network is not None:
            await self._start_network(self._network)
        await self._start_bridge()
        await gather_all(*(self.isolate(node) for node in self.nodes))
        for node in self.nodes:
            self._add_etcd(node, InitialCluster(self.nodes))
            if self.options.kubernetes:
                self._add_apiserver(node)
            self._add_worker(node.name)
        if self.options.temporal:
            self._add_temporal()
        self._say(f"starting {self._inventory()}")
        roles = [key for key in self._processes if key[0] is not Role.WORKER and not self.alive(*key)]
        for key in roles:
            self._processes[key].start()
        # Everything waits for what it needs alone: on two cores the start is mostly spent computing.
        ready = [self.ready(*key) for key in roles]
        await gather_all(*ready, self._note_peers_connected(), self._install_when_possible(), self._start_workers())

    async def _note_peers_connected(self) -> None:
        await gather_all(*(self.ready(Role.ETCD, node.name) for node in self.nodes))
        self._peers_connected = time.monotonic()
        self._members_joined = datetime.now(UTC)

    def _require_space(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        needed, free = NODE_BYTES * len(self.nodes), shutil.disk_usage(self.directory).free
        if free < needed:
            raise ProcessError(
                f"{self.directory} has {free >> 20} MiB free; {len(self.nodes)} nodes need {needed >> 20} MiB. "
                "Remedy: free some, or set TMPDIR to a folder on another disk."
            )

    async def _start_network(self, network: Network) -> None:
        for role, process in network.processes(self.directory / "logs").items():
            self._processes[role, ""] = process
            await self.start(role)
        await network.connect()

    async def _install_when_possible(self) -> None:
        if self.options.kubernetes:
            first = self.nodes[0].name
            await gather_all(*(self.ready(Role.ETCD, node.name) for node in self.nodes))
            server = self.process(Role.APISERVER, first)
            await server.ready_when(lambda: self._api_serves(first, NOT_FOR_INSTALLING), READY_SECONDS)
            await self.install_resources()
        if self.options.rbac or self.options.etcd_user:
            await gather_all(*(self.ready(Role.ETCD, node.name) for node in self.nodes))
            await self.credentials.prepare(self.kubectl, self.nodes[0])
        self._prepared.set()

    async def _start_workers(self) -> None:
        if self.options.workers:
            await self.ready(Role.TEMPORAL)
            if self.options.rbac or self.options.etcd_user:
                await self._prepared.wait()
            await gather_all(*(self.start_worker(name) for name in self.options.workers))

    def _inventory(self) -> str:
        counts = Counter(role for role, _ in self._processes if role not in UNSAID)
        return ", ".join(f"{count} {role}" for role, count in counts.items())

    def _say(self, text: str) -> None:
        if self.options.progress is not None:
            self.options.progress(text)

    async def wait_for_health_interval(self) -> None:
        """Wait until etcd accepts membership changes, if no member was restarted since the start.

        etcd refuses them until its peers have been connected for 5 s (`HealthInterval` in etcd's
        server/etcdserver/server.go). No API shows when that is over, so this waits by the clock. The start of the other
        processes takes most of the time.
        """
        await asyncio.sleep(max(0.0, self._peers_connected + HEALTH_INTERVAL_SECONDS - time.monotonic()))

    # a further member

    async def add_learner(self) -> Node:
        """Add a node that runs only a learner of etcd, and return once it is ready; it is the last of `nodes`.

        The product's configuration does not name it. Such a member is found through the member list.

        Raises:
            OSError: etcd refuses; it takes one learner at a time.
            ValueError: The lab's network has no links for another one.
        """
        node = self._learner
        if node in self.nodes:
            if self._network is not None:
                msg = "a lab with a network has one learner"
                raise ValueError(msg)
            node = self._new_node(len(self.nodes))
            self.credentials.grant(node)
        members = {m.name for m in await self.members()}
        via = next(n for n in self.nodes if n.name in members and self.alive(Role.ETCD, n.name))
        body = {"peerURLs": [node.peer_url], "isLearner": True}
        await observer.change_members(f"{via.etcd_url}/v3/cluster/member/add", body)
        present = [n for n in self.nodes if n.name in members]
        self.nodes.append(node)
        await self.start_etcd(node, InitialCluster([*present, node], "existing"))
        return node

    # what is true of the cluster

    async def members(self, via: str | None = None) -> list[ListedMember]:
        """Return the linearizable member list from the node `via`, or from the first node that answers.

        Raises:
            OSError: No member answers.
        """
        return await observer.patient_list([n.etcd_url for n in ([self.node(via)] if via else self.nodes)])

    async def member_id(self, node: str) -> str:
        """Return the ID of a node's member.

        Raises:
            KeyError: It is no member.
        """
        return {m.name: m.id for m in await self.members()}[node]

    async def leader(self) -> str:
        """Wait until a majority of the voters names one raft leader at one term; return its node."""
        name, _ = await self.leader_and_term()
        return name

    async def leader_and_term(self) -> tuple[str, int]:
        """Return the same, with the term.

        Raises:
            ProcessError: They do not agree within 30 s; the message has what each said.
        """
        return await observer.leader_and_term({n.name: n.etcd_url for n in self.nodes})

    async def etcdmembers(self, context: str) -> dict[str, dict[str, Any]]:
        """Return EtcdMembers by name, from the API server of the node `context`.

        Raises:
            ProcessError: It did not answer, or with an error.
        """
        return await resources.read(self.node(context))

    async def joined(self, name: str, context: str) -> str:
        """Return the condition Joined of an EtcdMember on that API server: `True`, `False` or `Unknown`."""
        return resources.joined((await self.etcdmembers(context))[name])

    async def install_resources(self) -> None:
        """Install the CRD, and for each member an EtcdMember like k0s's."""
        await resources.install(self.nodes, await self.members(), self._members_joined)

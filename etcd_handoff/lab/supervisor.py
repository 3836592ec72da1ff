"""The processes of a lab by role and node: started, ended, stopped and continued one by one."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab import disk, http, namespace, observer, peer_proxy
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.forks import AVAILABLE, PROGRAM, ForkedProcess
from etcd_handoff.lab.isolation import BRIDGE
from etcd_handoff.lab.layout import Layout
from etcd_handoff.lab.nodes import (
    APISERVER_ENVIRONMENT,
    EVERYWHERE,
    HOST,
    ROOT,
    InitialCluster,
    Node,
    Role,
    apiserver_command,
    bearer,
    etcd_command,
    temporal_command,
)
from etcd_handoff.lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from etcd_handoff.lab.isolation import Isolation
    from etcd_handoff.lab.options import LabOptions

READY_SECONDS: Final = 120.0
"""Time limit of a start, far above its duration even on a busy machine."""
WORKER_CODE: Final = "from worker import main; main()"
WORKER_READY: Final = "etcd-handoff worker ready"
IP_REPAIR_FAILED: Final = "Running ipallocator repair failed with not retryable error"
"""What an API server logs that will never be ready, and ends after a minute.

Of several that start at once on an empty etcd, one may find that another has created the IPAddress of the service
`kubernetes` meanwhile (`doRunOnce` in pkg/registry/core/service/ipallocator/controller/repairip.go of Kubernetes).
"""


class Supervisor(Layout):
    """The processes of all nodes, of Temporal and of the network."""

    def __init__(self, options: LabOptions | None = None) -> None:
        self._binaries = locate_binaries()  # first: without them nothing else is made
        super().__init__(options)
        self._processes: dict[tuple[Role, str], Process] = {}

    def process(self, role: Role, node: str = "") -> Process:
        """Return the process of a role on a node. Temporal has no node."""
        return self._processes[role, node]

    def nodes_with(self, role: Role) -> list[str]:
        """Return the names of the nodes with a process of this role, running or not."""
        return [node for r, node in self._processes if r is role]

    def alive(self, role: Role, node: str = "") -> bool:
        """Return whether it runs, stopped or not."""
        return self.process(role, node).alive

    async def start(self, role: Role, node: str = "") -> None:
        """Start it with its former data and ports, and wait until it is ready.

        An etcd member is ready once there is a quorum, so start several members with `asyncio.gather`.
        """
        self.process(role, node).start()
        await self.ready(role, node)

    async def restart(self, role: Role, node: str = "") -> None:
        """Kill it if it runs, and `start` it again."""
        await self.kill(role, node)
        await self.start(role, node)

    async def start_worker(self, node: str, env: Mapping[str, str] | None = None) -> None:
        """Start the worker of a node, with additional environment if given, and wait until it is ready."""
        if env:
            self._add_worker(node, env)
        await self.start(Role.WORKER, node)

    async def start_etcd(self, node: Node, initial: InitialCluster) -> None:
        """Start the etcd of a node, on its data if it has any, and wait until it is ready."""
        await self.isolate(node)
        self._add_etcd(node, initial)
        await self.start(Role.ETCD, node.name)

    async def isolate(self, node: Node) -> None:
        """Give the node its namespace, unless it has one or the lab's nodes are not isolated."""
        isolation = self._isolation
        if isolation is None or isolation.has(node.name):
            return
        ports = (node.observed_client_port, node.client_port)
        await self._start_namespace(isolation, node.name, self.node_name(node.name), *ports)
        await isolation.connect(node)

    async def _start_bridge(self) -> None:
        if self._isolation is not None:
            await self._start_namespace(self._isolation, BRIDGE, BRIDGE)
            await self._isolation.connect_bridge()

    async def _start_namespace(self, isolation: Isolation, name: str, host_name: str, *ports: int) -> None:
        holder = isolation.holder(name, host_name, self.directory / "logs", *ports)
        self._processes[Role.NAMESPACE, name] = holder
        await self.start(Role.NAMESPACE, name)

    async def kill(self, role: Role, node: str = "") -> None:
        """Send SIGKILL and wait for the exit."""
        await self.process(role, node).kill()

    async def terminate(self, role: Role, node: str = "") -> None:
        """Send SIGTERM and wait for the exit.

        Raises:
            ProcessError: It still runs after 30 s, as an API server does whose etcd is gone.
        """
        await self.process(role, node).terminate()

    def stop(self, role: Role, node: str = "") -> None:
        """Send SIGSTOP, and wait until it takes effect. The process stays connected and answers nothing."""
        process = self.process(role, node)
        process.signal(signal.SIGSTOP)
        if process.pid is not None and hasattr(os, "waitid"):
            # The signal may still be on its way, and the process answers until it has arrived.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self, role: Role, node: str = "") -> None:
        """Send SIGCONT."""
        self.process(role, node).signal(signal.SIGCONT)

    async def ready(self, role: Role, node: str = "") -> None:
        """Wait until the process serves.

        Raises:
            ProcessError: It ended, or took too long; the message has the end of its log.
        """
        checks: dict[Role, Callable[[], Awaitable[bool]]] = {
            Role.ETCD: lambda: observer.serves(self.node(node).etcd_url),
            Role.APISERVER: lambda: self._api_serves(node),
            # Through the Web UI's server, which asks the frontend: both serve then.
            Role.TEMPORAL: lambda: http.answers(f"{self.ui_url}/api/v1/namespaces/default"),
            Role.WORKER: lambda: self._log_contains(Role.WORKER, node, WORKER_READY),
            Role.NAMESPACE: lambda: self._log_contains(Role.NAMESPACE, node, namespace.READY),
            Role.TOXIPROXY: lambda: http.answers(self.network.version_url),
            Role.PEER_PROXY: lambda: self._log_contains(Role.PEER_PROXY, node, peer_proxy.READY),
        }
        await self.process(role, node).ready_when(checks[role], READY_SECONDS)

    async def _api_serves(self, node: str, query: str = "") -> bool:
        server = self.process(Role.APISERVER, node)
        if server.log_contains(IP_REPAIR_FAILED):  # its supervisor would start it again, only later
            server.start_over()
        return await http.answers(f"{self.node(node).api_url}/readyz?{query}", bearer())

    async def _log_contains(self, role: Role, node: str, line: str) -> bool:
        return self.process(role, node).log_contains(line)

    async def _end_all(self) -> None:
        """Send SIGKILL to all, because an API server without its etcd ignores SIGTERM."""
        for process in self._processes.values():
            process.signal(signal.SIGKILL)
        for process in self._processes.values():
            await process.ended()

    def _add(self, role: Role, node: str, command: list[str], env: Mapping[str, str] | None = None) -> None:
        log = self._log(role, node)
        if self._forks:
            where = self.namespaces(node or BRIDGE)
            self._processes[role, node] = ForkedProcess(log.stem, PROGRAM, command, log, env, where)
            return
        self._processes[role, node] = Process(log.stem, [*self.inside(node or BRIDGE), *command], log, env, ROOT)

    def _log(self, role: Role, node: str) -> Path:
        return self.directory / "logs" / f"{f'{role}-{node}'.rstrip('-')}.log"

    @property
    def _forks(self) -> bool:
        """Whether Python processes are forks."""
        return self.options.forked and AVAILABLE

    def inside(self, node: str) -> list[str]:
        """Return the prefix of a command that runs it on an isolated node; empty for other nodes."""
        return self._isolation.inside(node) if self._isolation is not None and node else []

    def namespaces(self, node: str) -> list[str]:
        """Return the files of an isolated node's namespaces; empty for other nodes."""
        return self._isolation.namespaces(node) if self._isolation is not None and node else []

    def _add_etcd(self, node: Node, initial: InitialCluster) -> None:
        folder = self.directory / node.name
        command = etcd_command(self._binaries, node, initial, folder, self.credentials.etcd_flags(node))
        if self.options.hanging_disks:
            command = [sys.executable, "-I", "-S", disk.__file__, str(disk.control(folder)), *command]
        env = self._network.environment(node.name) if self._network is not None else None
        self._add(Role.ETCD, node.name, [*command, *self.options.etcd_flags], env)

    def _add_apiserver(self, node: Node) -> None:
        folder = self.directory / node.name
        flags = self.credentials.apiserver_flags(node)
        command = apiserver_command(self._binaries, node, folder, self._shared, flags)
        self._add(Role.APISERVER, node.name, command, APISERVER_ENVIRONMENT)

    def _add_worker(self, node: str, env: Mapping[str, str] | None = None) -> None:
        arguments = ["--node", self.node_name(node)]
        all_env = {**self.environment_on(node), **dict(self.options.worker_env), **(env or {})}
        if self._forks:
            log = self._log(Role.WORKER, node)
            self._processes[Role.WORKER, node] = ForkedProcess(
                log.stem, WORKER_CODE, arguments, log, all_env, self.namespaces(node)
            )
            return
        command = [sys.executable, str(ROOT / "worker.py"), *arguments]
        self._add(Role.WORKER, node, command, all_env)

    def _add_temporal(self) -> None:
        listener = HOST if self._isolation is None else EVERYWHERE
        command = temporal_command(self._binaries, self.directory, self._temporal_port, self._ui_port, listener)
        self._add(Role.TEMPORAL, "", [*command, *self.options.temporal_flags])

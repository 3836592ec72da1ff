"""The lab: N nodes, each with etcd, an API server on that etcd and a worker, and one Temporal server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from etcd_handoff.lab import disk, forwarder, http, judge, parts, resources
from etcd_handoff.lab.credentials import Credentials
from etcd_handoff.lab.network import Network
from etcd_handoff.lab.nodes import (
    HOST,
    ROOT,
    TOKEN,
    Beginning,
    Node,
    Role,
    apiserver_command,
    bearer,
    etcd_command,
    temporal_command,
    write_config,
    write_kubeconfig,
    write_shared_files,
)
from etcd_handoff.lab.options import LabOptions
from etcd_handoff.lab.ports import Ports
from etcd_handoff.lab.processes import Process, ProcessError, run
from etcd_handoff.lab.waiting import together, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from etcd_handoff.lab.judge import ListedMember

__all__ = ["Lab", "LabOptions", "wait_until"]

READY_SECONDS: Final = 120.0
"""Far beyond what a start takes, even on a busy machine: reaching it means that something is broken."""
YOUNG_SECONDS: Final = 5.5
"""etcd's `HealthInterval`, and some more until all peers are connected."""
MOST_NODES: Final = 7
NODE_BYTES: Final = 160 << 20
"""What a node needs: two segments of 64 MB that a member preallocates (etcd `server/storage/wal/wal.go`), and logs."""
WORKER_READY: Final = "etcd-handoff worker ready"
NOT_FOR_INSTALLING: Final = "exclude=poststarthook/rbac/bootstrap-roles"
"""The last thing that an API server does when it starts, which an administrator need not wait for."""
GIVEN_UP: Final = "Running ipallocator repair failed with not retryable error"
"""What an API server says that will never be ready, and ends after a minute.

Of several that start at once on an empty etcd, one may find that another has created the IPAddress of the service
`kubernetes` meanwhile (`doRunOnce` in pkg/registry/core/service/ipallocator/controller/repairip.go of Kubernetes).
"""


class Lab:
    """A running lab; use it with `async with`. Every process ends with it, and with this process.

    Attributes:
        options: What it was asked to start.
        nodes: Its nodes, node0 first.
        directory: Data, configuration and, in `logs`, one log for each process.
        credentials: Certificates, etcd's users, and the product's account in Kubernetes.

    Raises:
        ValueError: The number of nodes is out of range.
        ProcessError: The disk lacks space, or a process did not become ready; the message has the end of its log.
    """

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        if not 1 <= self.options.nodes <= MOST_NODES:
            msg = f"nodes: {self.options.nodes} is out of range; give 1 to {MOST_NODES}"
            raise ValueError(msg)
        self._parts = parts.locate()
        self.directory = self.options.directory or Path(tempfile.mkdtemp(prefix="etcd-handoff-lab-"))
        self._ports = Ports(HOST)
        self.nodes = [self._new_node(i) for i in range(self.options.nodes)]
        self._network, self._learner = None, self._new_node(self.options.nodes)
        if self.options.network:
            self._network = Network(self._ports, [*self.nodes, self._learner])
        self._temporal_port, self._ui_port = self._ports.take(2)
        self._processes: dict[tuple[Role, str], Process] = {}
        self._born = 0.0
        self._strangers: list[Node] = []
        self.credentials = Credentials(self.options, self.directory)
        self._prepared = asyncio.Event()

    # where things are

    @property
    def cluster(self) -> str:
        """Name of the cluster profile."""
        return self.options.cluster

    @property
    def temporal_address(self) -> str:
        """Host and port of Temporal's frontend."""
        return f"{HOST}:{self._temporal_port}"

    @property
    def ui_url(self) -> str:
        """URL of the Web UI."""
        return f"http://{HOST}:{self._ui_port}"

    @property
    def config_path(self) -> Path:
        """The product's configuration file."""
        return self.directory / "etcd-handoff.toml"

    @property
    def kubeconfig_path(self) -> Path:
        """The kubeconfig file with one context per node, of an administrator."""
        return self.directory / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """What a worker, a client or the command line needs in its environment."""
        return {"ETCD_HANDOFF_CONFIG": str(self.config_path), "TEMPORAL_ADDRESS": self.temporal_address}

    def node(self, name: str) -> Node:
        """The node called `name`.

        Raises:
            KeyError: There is none.
        """
        return {n.name: n for n in [*self.nodes, *self._strangers]}[name]

    def others(self, name: str) -> list[Node]:
        """All nodes but `name`."""
        return [n for n in self.nodes if n.name != name]

    @property
    def network(self) -> Network:
        """The network between the nodes.

        Raises:
            ValueError: The lab was started without.
        """
        if self._network is None:
            msg = "the lab has no network between its nodes; start it with network=True"
            raise ValueError(msg)
        return self._network

    def process(self, role: Role, node: str = "") -> Process:
        """The process of a role on a node; Temporal has no node."""
        return self._processes[role, node]

    def having(self, role: Role) -> list[str]:
        """Names of the nodes that have a process of this role, whether it runs or not."""
        return [node for r, node in self._processes if r is role]

    # coming and going

    async def __aenter__(self) -> Self:
        """Start everything; what has started ends again when something does not."""
        try:
            await self._start()
        except BaseException:
            await self.close(keep_files=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything; data and logs stay after an error, but not after Ctrl-C."""
        await self.close(keep_files=isinstance(error, Exception))

    async def close(self, *, keep_files: bool = False) -> None:
        """SIGKILL for all: nothing here is kept, and an API server without its etcd ignores SIGTERM."""
        for process in self._processes.values():
            process.signal(signal.SIGKILL)
        for process in self._processes.values():
            await process.ended()
        self._ports.close()
        for node in [*self.nodes, self._learner, *self._strangers]:
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
        for node in self.nodes:
            self._add_etcd(node, Beginning(self.nodes))
            if self.options.kubernetes:
                folder = self.directory / node.name
                command = apiserver_command(self._parts, node, folder, self._shared, self.credentials.certificates)
                self._add(Role.APISERVER, node.name, command)
            self._add_worker(node.name)
        if self.options.temporal:
            command = temporal_command(self._parts, self.directory, self._temporal_port, self._ui_port)
            self._add(Role.TEMPORAL, "", [*command, *self.options.temporal_flags])
        self._say(f"starting {self._inventory()}")
        roles = [key for key in self._processes if key[0] is not Role.WORKER and not self.alive(*key)]
        for key in roles:
            self._processes[key].start()
        # Everything waits for what it needs alone: on two cores the start is mostly spent computing.
        ready = [self.ready(*key) for key in roles]
        await together(*ready, self._see_birth(), self._install_when_possible(), self._start_workers())

    async def _see_birth(self) -> None:
        await together(*(self.ready(Role.ETCD, node.name) for node in self.nodes))
        self._born = time.monotonic()

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

    def _new_node(self, number: int) -> Node:
        name = f"node{number}"
        return Node.on(name, self._ports, network=self.options.network, secure=self.options.tls)

    def _write_files(self) -> None:
        write_shared_files(self._shared)
        self.credentials.make()
        for node in [*self.nodes, self._learner]:
            self.credentials.grant(node)
        ca_file = self.credentials.ca_file
        write_kubeconfig(self.kubeconfig_path, self.nodes, {"token": TOKEN}, ca_file)
        kubeconfig = self.kubeconfig_path if self.options.kubernetes else None
        if self.options.rbac:
            kubeconfig = self.directory / "kubeconfig-product"
            write_kubeconfig(kubeconfig, self.nodes, self.credentials.account.user, ca_file)
        write_config(self.config_path, self.options, self.nodes, kubeconfig, self.credentials.profile)

    async def _install_when_possible(self) -> None:
        if self.options.kubernetes:
            first = self.nodes[0].name
            await together(*(self.ready(Role.ETCD, node.name) for node in self.nodes))
            server = self.process(Role.APISERVER, first)
            await server.ready_when(lambda: self._api_serves(first, NOT_FOR_INSTALLING), READY_SECONDS)
            await self.install_resources()
        if self.options.rbac or self.options.etcd_user:
            await together(*(self.ready(Role.ETCD, node.name) for node in self.nodes))
            await self.credentials.prepare(self.kubectl, self.nodes[0])
        self._prepared.set()

    async def _start_workers(self) -> None:
        if self.options.workers:
            await self.ready(Role.TEMPORAL)
            if self.options.rbac or self.options.etcd_user:
                await self._prepared.wait()
            await together(*(self.start_worker(name) for name in self.options.workers))

    @property
    def _shared(self) -> Path:
        return self.directory / "shared"

    def _inventory(self) -> str:
        counts = Counter(role for role, _ in self._processes if role is not Role.WORKER)
        return ", ".join(f"{count} {role}" for role, count in counts.items())

    def _add(self, role: Role, node: str, command: list[str], env: Mapping[str, str] | None = None) -> None:
        name = f"{role}-{node}".rstrip("-")
        log = self.directory / "logs" / f"{name}.log"
        self._processes[role, node] = Process(name, command, log, env, ROOT)

    def _add_etcd(self, node: Node, beginning: Beginning) -> None:
        folder = self.directory / node.name
        command = etcd_command(self._parts, node, beginning, folder, self.credentials.certificates)
        if self.options.hanging_disks:
            command = [sys.executable, "-I", "-S", disk.__file__, str(disk.control(folder)), *command]
        env = self._network.environment(node.name) if self._network is not None else None
        self._add(Role.ETCD, node.name, [*command, *self.options.etcd_flags], env)

    def _add_worker(self, node: str, env: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, str(ROOT / "worker.py"), "--node", node]
        all_env = {**self.environment, **dict(self.options.worker_env), **(env or {})}
        self._add(Role.WORKER, node, command, all_env)

    def _say(self, text: str) -> None:
        if self.options.progress is not None:
            self.options.progress(text)

    async def of_age(self) -> None:
        """Etcd takes changes of its membership, unless a member was restarted since the start.

        It turns them down until its peers have been connected for 5 s (`HealthInterval` in etcd's
        server/etcdserver/server.go), and nothing tells when that is so: hence a wait by the clock. The start of the
        rest takes most of it.
        """
        await asyncio.sleep(max(0.0, self._born + YOUNG_SECONDS - time.monotonic()))

    # faults

    async def kill(self, role: Role, node: str = "") -> None:
        """SIGKILL, and gone when this returns."""
        await self.process(role, node).kill()

    async def terminate(self, role: Role, node: str = "") -> None:
        """SIGTERM, and gone when this returns.

        Raises:
            ProcessError: It still runs after 30 s, as an API server does whose etcd is gone.
        """
        await self.process(role, node).terminate()

    def stop(self, role: Role, node: str = "") -> None:
        """SIGSTOP: it stays connected and answers nothing; so when this returns."""
        process = self.process(role, node)
        process.signal(signal.SIGSTOP)
        if process.pid is not None and hasattr(os, "waitid"):
            # The signal may still be on its way, and the process answers until it has arrived.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self, role: Role, node: str = "") -> None:
        """SIGCONT."""
        self.process(role, node).signal(signal.SIGCONT)

    def alive(self, role: Role, node: str = "") -> bool:
        """Whether it runs, stopped or not."""
        return self.process(role, node).alive

    async def start(self, role: Role, node: str = "") -> None:
        """Start it on the data and ports that it had; ready when this returns.

        An etcd member is ready once there is a quorum: start those that make one by `asyncio.gather`.
        """
        self.process(role, node).start()
        await self.ready(role, node)

    async def restart(self, role: Role, node: str = "") -> None:
        """Kill it where it runs and `start` it again."""
        await self.kill(role, node)
        await self.start(role, node)

    async def start_worker(self, node: str, env: Mapping[str, str] | None = None) -> None:
        """Start the worker of a node, with more environment where given; ready when this returns."""
        if env:
            self._add_worker(node, env)
        await self.start(Role.WORKER, node)

    async def add_learner(self) -> Node:
        """A further node with an etcd member alone, a learner, that serves; it is the last of `nodes` now.

        The product's configuration does not name it: such a member is found through the member list.

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
        members = {m.name for m in await self.members()}
        via = next(n for n in self.nodes if n.name in members and self.alive(Role.ETCD, n.name))
        body = {"peerURLs": [node.peer_url], "isLearner": True}
        await judge.change_members(f"{via.etcd_url}/v3/cluster/member/add", body)
        present = [n for n in self.nodes if n.name in members]
        self._add_etcd(node, Beginning([*present, node], "existing"))
        self.nodes.append(node)
        await self.start(Role.ETCD, node.name)
        return node

    async def start_etcd(self, node: Node, beginning: Beginning) -> None:
        """A node's etcd begins like that, or goes on where there are data; ready when this returns."""
        self._add_etcd(node, beginning)
        await self.start(Role.ETCD, node.name)

    def new_stranger(self, name: str) -> Node:
        """A node that is none of `nodes`, and nothing of it runs yet; `node` knows it."""
        node = Node.on(name, self._ports, secure=self.options.tls)
        self._strangers.append(node)
        self.credentials.grant(node)
        return node

    # waiting

    async def ready(self, role: Role, node: str = "") -> None:
        """Return once the process serves.

        Raises:
            ProcessError: It ended, or took too long; the message has the end of its log.
        """
        checks: dict[Role, Callable[[], Awaitable[bool]]] = {
            Role.ETCD: lambda: judge.serves(self.node(node).etcd_url),
            Role.APISERVER: lambda: self._api_serves(node),
            # Through the Web UI's server, which asks the frontend: both serve then.
            Role.TEMPORAL: lambda: http.answers(f"{self.ui_url}/api/v1/namespaces/default"),
            Role.WORKER: lambda: self._says(Role.WORKER, node, WORKER_READY),
            Role.TOXIPROXY: lambda: http.answers(self.network.version_url),
            Role.FORWARDER: lambda: self._says(Role.FORWARDER, node, forwarder.READY),
        }
        await self.process(role, node).ready_when(checks[role], READY_SECONDS)

    async def _api_serves(self, node: str, query: str = "") -> bool:
        server = self.process(Role.APISERVER, node)
        if server.says(GIVEN_UP):  # its supervisor would start it again, only later
            server.start_over()
        return await http.answers(f"{self.node(node).api_url}/readyz?{query}", bearer())

    async def _says(self, role: Role, node: str, line: str) -> bool:
        return self.process(role, node).says(line)

    # judging

    async def members(self, via: str | None = None) -> list[ListedMember]:
        """The linearizable member list as the node `via` gives it; whoever answers first when left out.

        Raises:
            OSError: Nobody answers.
        """
        return await judge.first_list([n.etcd_url for n in ([self.node(via)] if via else self.nodes)])

    async def member_id(self, node: str) -> str:
        """ID of a node's member.

        Raises:
            KeyError: It is no member.
        """
        return {m.name: m.id for m in await self.members()}[node]

    async def leader(self) -> str:
        """The node that a majority of the voters names as raft leader at one term; waited for."""
        name, _ = await self.leader_and_term()
        return name

    async def leader_and_term(self) -> tuple[str, int]:
        """Like `leader`, with the term.

        Raises:
            ProcessError: They do not agree within 30 s; the message has what each said.
        """
        return await judge.leader_and_term({n.name: n.etcd_url for n in self.nodes})

    async def etcdmembers(self, context: str) -> dict[str, dict[str, Any]]:
        """EtcdMembers by name as the API server of the node `context` has them.

        Raises:
            ProcessError: kubectl failed.
        """
        answer = json.loads(await self.kubectl("get", "etcdmembers", "-o", "json", context=context))
        return {item["metadata"]["name"]: item for item in answer["items"]}

    async def joined(self, name: str, context: str) -> str:
        """`True`, `False` or `Unknown`: the condition Joined of the EtcdMember `name` on that API server."""
        return resources.joined((await self.etcdmembers(context))[name])

    async def kubectl(self, *arguments: str, context: str, stdin: str | None = None, timeout: str = "10s") -> str:
        """Output of the real kubectl.

        Raises:
            ProcessError: It failed; the message is what it said.
        """
        base = [str(self._parts.kubectl), "--kubeconfig", str(self.kubeconfig_path), "--context", context]
        base += ["--request-timeout", timeout]
        status, output, errors = await self._run([*base, *arguments], stdin)
        if status != 0:
            msg = f"kubectl {' '.join(arguments)}: {errors.strip()}"
            raise ProcessError(msg)
        return output

    async def temporal(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and errors of the Temporal CLI."""
        return await self._run([str(self._parts.temporal), *arguments, "--address", self.temporal_address])

    async def handoff(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and errors of our own command line."""
        code = "from etcd_handoff.cli import main; main()"
        return await self._run([sys.executable, "-c", code, *arguments])

    async def _run(self, command: list[str], stdin: str | None = None) -> tuple[int, str, str]:
        return await run(command, self.environment, ROOT, stdin)

    async def install_resources(self) -> None:
        """The CRD, and for each member an EtcdMember that says what k0s would say."""
        await resources.install(self.kubectl, self.nodes, await self.members())

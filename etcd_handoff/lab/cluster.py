"""The lab: N nodes, each an etcd member, an API server on that member alone and a worker, and one Temporal server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from etcd_handoff.lab import http, parts
from etcd_handoff.lab.nodes import (
    HOST,
    TOKEN,
    Node,
    Role,
    apiserver_command,
    etcd_command,
    free_ports,
    temporal_command,
    write_config,
    write_kubeconfig,
    write_shared_files,
)
from etcd_handoff.lab.processes import Process, ProcessError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

ROOT: Final = Path(__file__).resolve().parents[2]
CRD: Final = ROOT / "deploy" / "crd.yaml"
POLL_SECONDS: Final = 0.02
READY_SECONDS: Final = 120.0
"""Far beyond what a start takes, even on a busy machine: reaching it means that something is broken."""
MOST_NODES: Final = 7
WORKER_READY: Final = "etcd-handoff worker ready"


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What to start.

    Attributes:
        nodes: How many nodes, 1 to 7.
        workers: Names of the nodes whose worker starts with the lab.
        temporal: Whether a Temporal server is started.
        kubernetes: Whether API servers are started.
        cluster: Name of the cluster profile.
        directory: Where data and logs go; left out, a temporary folder that goes when all went well.
        worker_env: Environment of all workers beyond ours.
        progress: Told what is happening.
    """

    nodes: int = 3
    workers: tuple[str, ...] = ()
    temporal: bool = True
    kubernetes: bool = True
    cluster: str = "demo"
    directory: Path | None = None
    worker_env: tuple[tuple[str, str], ...] = ()
    progress: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class ListedMember:
    """A member of etcd's linearizable list: ID in hex, name, whether it is a learner."""

    id: str
    name: str
    is_learner: bool


class Lab:
    """A running lab; use it with `async with`. Every process ends with it, and with this process.

    Raises:
        ValueError: The number of nodes is out of range.
        ProcessError: A process did not become ready; the message has the end of its log.
    """

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        if not 1 <= self.options.nodes <= MOST_NODES:
            msg = f"nodes: {self.options.nodes} is out of range; give 1 to {MOST_NODES}"
            raise ValueError(msg)
        self._parts = parts.locate()
        self.directory = self.options.directory or Path(tempfile.mkdtemp(prefix="etcd-handoff-lab-"))
        ports = free_ports(3 * self.options.nodes + 2)
        self.nodes = [Node(f"node{i}", *ports[3 * i : 3 * i + 3]) for i in range(self.options.nodes)]
        self._temporal_port, self._ui_port = ports[-2:]
        self._processes: dict[tuple[Role, str], Process] = {}

    # --- where things are -----------------------------------------------------------------------------------------

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
        """kubeconfig with one context per node."""
        return self.directory / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """What a worker, a client or the command line needs in its environment."""
        return {"ETCD_HANDOFF_CONFIG": str(self.config_path), "TEMPORAL_ADDRESS": self.temporal_address}

    def node(self, name: str) -> Node:
        """The node called `name`."""
        return next(n for n in self.nodes if n.name == name)

    def others(self, name: str) -> list[Node]:
        """All nodes but `name`."""
        return [n for n in self.nodes if n.name != name]

    def process(self, role: Role, node: str = "") -> Process:
        """The process of a role on a node; Temporal has no node."""
        return self._processes[role, node]

    # --- coming and going -----------------------------------------------------------------------------------------

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
        """End everything; data and logs stay where an error happened."""
        await self.close(keep_files=error is not None)

    async def close(self, *, keep_files: bool = False) -> None:
        """SIGKILL for all: nothing here is kept, and an API server without its etcd ignores SIGTERM."""
        for process in self._processes.values():
            process.signal(signal.SIGKILL)
        for process in self._processes.values():
            await process.ended()
        if self.options.directory is None and not keep_files:
            shutil.rmtree(self.directory, ignore_errors=True)
        elif keep_files:
            self._say(f"data and logs are kept in {self.directory}")

    async def _start(self) -> None:
        shared = self.directory / "shared"
        write_shared_files(shared)
        write_kubeconfig(self.kubeconfig_path, self.nodes)
        write_config(
            self.config_path, self.cluster, self.nodes, self.kubeconfig_path if self.options.kubernetes else None
        )
        for node in self.nodes:
            self._add(Role.ETCD, node.name, etcd_command(self._parts, node, self.nodes, self.directory / node.name))
            if self.options.kubernetes:
                command = apiserver_command(self._parts, node, self.directory / node.name, shared)
                self._add(Role.APISERVER, node.name, command)
            self._add_worker(node.name)
        if self.options.temporal:
            command = temporal_command(self._parts, self.directory, self._temporal_port, self._ui_port)
            self._add(Role.TEMPORAL, "", command)
        self._say(f"starting {self._inventory()}")
        started = [p for (role, _), p in self._processes.items() if role is not Role.WORKER]
        for process in started:
            process.start()
        await asyncio.gather(*(self.ready(role, name) for role, name in self._processes if role is not Role.WORKER))
        if self.options.kubernetes:
            await self.install_resources()
        await asyncio.gather(*(self.start_worker(name) for name in self.options.workers))

    def _inventory(self) -> str:
        counts = Counter(role for role, _ in self._processes if role is not Role.WORKER)
        return ", ".join(f"{count} {role}" for role, count in counts.items())

    def _add(self, role: Role, node: str, command: list[str], env: Mapping[str, str] | None = None) -> None:
        name = f"{role}-{node}".rstrip("-")
        self._processes[role, node] = Process(name, command, self.directory / "logs" / f"{name}.log", env, ROOT)

    def _add_worker(self, node: str, env: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, str(ROOT / "worker.py"), "--node", node]
        self._add(Role.WORKER, node, command, {**self.environment, **dict(self.options.worker_env), **(env or {})})

    def _say(self, text: str) -> None:
        if self.options.progress is not None:
            self.options.progress(text)

    # --- faults ---------------------------------------------------------------------------------------------------

    async def kill(self, role: Role, node: str = "") -> None:
        """SIGKILL, and gone when this returns."""
        await self.process(role, node).kill()

    async def terminate(self, role: Role, node: str = "") -> None:
        """SIGTERM, and gone when this returns."""
        await self.process(role, node).terminate()

    def stop(self, role: Role, node: str = "") -> None:
        """SIGSTOP: it stays connected and answers nothing."""
        self.process(role, node).signal(signal.SIGSTOP)

    def resume(self, role: Role, node: str = "") -> None:
        """SIGCONT."""
        self.process(role, node).signal(signal.SIGCONT)

    async def restart(self, role: Role, node: str = "") -> None:
        """Kill it where it runs and start it again on the same data and ports; ready when this returns."""
        await self.kill(role, node)
        self.process(role, node).start()
        await self.ready(role, node)

    async def start_worker(self, node: str, env: Mapping[str, str] | None = None) -> None:
        """Start the worker of a node, with more environment where given; ready when this returns."""
        if env:
            self._add_worker(node, env)
        self.process(Role.WORKER, node).start()
        await self.ready(Role.WORKER, node)

    # --- waiting --------------------------------------------------------------------------------------------------

    async def ready(self, role: Role, node: str = "") -> None:
        """Return once the process serves."""
        process = self.process(role, node)
        checks: dict[Role, Callable[[], Awaitable[bool]]] = {
            Role.ETCD: lambda: self._answers(f"{self.node(node).etcd_url}/health"),
            Role.APISERVER: lambda: self._answers(f"{self.node(node).api_url}/readyz"),
            Role.TEMPORAL: self._temporal_serves,
            Role.WORKER: lambda: _says(process, WORKER_READY),
        }

        async def check() -> bool:
            if not process.alive:
                raise process.error(f"ended with status {process.exit_status} while it started")
            return await checks[role]()

        await wait_until(check, f"{process.name} is ready", READY_SECONDS, process.tail)

    async def _answers(self, url: str) -> bool:
        with contextlib.suppress(*http.FAILURES):
            status, _ = await http.request(url, headers=_bearer())
            return status == 200  # noqa: PLR2004
        return False

    async def _temporal_serves(self) -> bool:
        command = ["operator", "namespace", "describe", "default", "--address", self.temporal_address]
        status, _, _ = await self._run([str(self._parts.temporal), *command])
        return status == 0

    # --- judging --------------------------------------------------------------------------------------------------

    async def members(self, via: str | None = None) -> list[ListedMember]:
        """The linearizable member list as the node `via` gives it; the first node that answers when left out.

        Raises:
            OSError: Nobody answers.
        """
        failure: Exception = OSError("no etcd member runs")
        for node in [self.node(via)] if via else self.nodes:
            try:
                answer = await http.post(f"{node.etcd_url}/v3/cluster/member/list", {"linearizable": True})
            except http.FAILURES as error:
                failure = error
                continue
            return [
                ListedMember(format(int(m["ID"]), "x"), m.get("name", ""), bool(m.get("isLearner")))
                for m in answer["members"]
            ]
        raise failure

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
        """Like `leader`, with the term."""
        found: list[tuple[str, int]] = []
        said: dict[str, str] = {}

        async def agreed() -> bool:
            with contextlib.suppress(*http.FAILURES):
                members = [m for m in await self.members() if not m.is_learner]
                names = {m.id: m.name for m in members}
                votes = await asyncio.gather(*(self._vote(m.name) for m in members if m.name))
                said.update({m.name: str(v) for m, v in zip(members, votes, strict=True)})
                counted = Counter(v for v in votes if v is not None).most_common(1)
                if counted and counted[0][1] > len(members) // 2 and counted[0][0][0] in names:
                    (leader_id, term), _ = counted[0]
                    found.append((names[leader_id], term))
            return bool(found)

        await wait_until(agreed, "a majority agrees on a leader", 30.0, lambda: str(said))
        return found[-1]

    async def _vote(self, node: str) -> tuple[str, int] | None:
        with contextlib.suppress(*http.FAILURES):
            status = await http.post(f"{self.node(node).etcd_url}/v3/maintenance/status", {}, timeout_seconds=0.5)
            return (format(int(status["leader"]), "x"), int(status["raftTerm"])) if status.get("leader") else None
        return None

    async def etcdmembers(self, context: str) -> dict[str, dict[str, Any]]:
        """EtcdMembers by name as the API server of the node `context` has them.

        Raises:
            ProcessError: kubectl failed.
        """
        answer = json.loads(await self.kubectl("get", "etcdmembers", "-o", "json", context=context))
        return {item["metadata"]["name"]: item for item in answer["items"]}

    async def joined(self, name: str, context: str) -> str:
        """`True` or `False`: what the condition Joined of the EtcdMember `name` says on that API server."""
        resource = (await self.etcdmembers(context))[name]
        return str(next(c["status"] for c in resource["status"]["conditions"] if c["type"] == "Joined"))

    async def kubectl(self, *arguments: str, context: str, stdin: str | None = None, timeout: str = "10s") -> str:
        """Output of the real kubectl.

        Raises:
            ProcessError: It failed; the message is what it said.
        """
        base = [str(self._parts.kubectl), "--kubeconfig", str(self.kubeconfig_path), "--context", context]
        status, output, errors = await self._run([*base, f"--request-timeout={timeout}", *arguments], stdin)
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
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self.environment},
            cwd=ROOT,
        )
        try:
            output, errors = await process.communicate(stdin.encode() if stdin is not None else None)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        return process.returncode or 0, output.decode(), errors.decode()

    async def install_resources(self) -> None:
        """The CRD, and for each member an EtcdMember that says what k0s would say."""
        context = self.nodes[0].name
        await self.kubectl("apply", "--server-side", "-f", str(CRD), context=context)
        crd = "crd/etcdmembers.etcd.k0sproject.io"
        await self.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s", context=context)
        await asyncio.gather(*(self._serves_etcdmembers(node.name) for node in self.nodes))
        items = [self._resource(m) for m in await self.members()]
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        await self.kubectl("apply", "--server-side", "-f", "-", context=context, stdin=listed)
        await self.kubectl(
            "apply", "--server-side", "--subresource=status", "-f", "-", context=context, stdin=listed
        )

    async def _serves_etcdmembers(self, node: str) -> None:
        url = f"{self.node(node).api_url}/apis/etcd.k0sproject.io/v1beta1/etcdmembers"
        await wait_until(lambda: self._answers(url), f"{node} serves EtcdMembers", READY_SECONDS)

    def _resource(self, member: ListedMember) -> dict[str, Any]:
        condition = {"type": "Joined", "status": "True", "message": "Member joined"}
        return {
            "apiVersion": "etcd.k0sproject.io/v1beta1",
            "kind": "EtcdMember",
            "metadata": {"name": member.name},
            "spec": {"leave": False},
            "status": {
                "peerAddress": self.node(member.name).peer_url.partition("://")[2],
                "memberID": member.id,
                "reconcileStatus": "Success",
                "message": "Member joined",
                "conditions": [{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        }


def _bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


async def _says(process: Process, words: str) -> bool:
    return process.log.exists() and words in process.log.read_text(errors="replace")


async def wait_until(
    check: Callable[[], Awaitable[bool]],
    what: str,
    timeout_seconds: float,
    seen: Callable[[], str] = lambda: "",
) -> None:
    """Return once `check` holds.

    Raises:
        ProcessError: It does not within the time-out; the message says what was waited for and what was seen.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            while not await check():
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        msg = f"waited {timeout_seconds:g} s until {what}; {seen()}"
        raise ProcessError(msg) from None

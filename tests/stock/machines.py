"""Nodes as machines for a distribution's own programs: each has its network, host name, /etc, /var/lib and /run.

So the programs find and leave all files where they do on a machine of their own, and nothing outside the lab's folder
is written.
"""

from __future__ import annotations

import shutil
import signal
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trustme

from etcd_handoff.lab import Lab, LabOptions, Role, http
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import Process, ProcessError, run
from etcd_handoff.lab.supervisor import WORKER_READY
from etcd_handoff.lab.waiting import gather_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etcd_handoff.lab.nodes import Node

OWN: Final = ("etc", "var/lib", "run")
"""Folders that each machine has for itself."""
BIND: Final = f'for own in {" ".join(OWN)}; do mount --bind "$0/$own" "/$own" || exit 1; done; exec "$@"'
"""A shell's words: `$0` is the machine's folder, the rest is the command."""
WHOLE: Final = ("--pid", "--fork", "--kill-child", "--mount-proc")
"""unshare's options for a program and all its children: they have process IDs of their own, and end with the first."""
ETC: Final = ("group", "hosts", "ld.so.cache", "nsswitch.conf", "passwd", "ssl")
"""What a machine's /etc has in the beginning, where this one has it."""
CRD: Final = ROOT / "deploy" / "crd.yaml"
HANDOFF: Final = "from etcd_handoff.cli import main; main()"
WORKER_SECONDS: Final = 60.0


class StockLab(Lab, ABC):
    """Three machines with a distribution's own control plane, and Temporal beside them.

    Args:
        folder: For everything that it writes.
        host_names: What the machines call themselves.

    Attributes:
        option: The option of our command line that names the distribution.
        started: All processes of the machines, in the order in which they were added.
    """

    option: str

    def __init__(self, folder: Path, host_names: tuple[str, ...] = ()) -> None:
        super().__init__(LabOptions(isolated=True, directory=folder, node_names=host_names))
        self.started: list[Process] = []

    @abstractmethod
    async def set_up(self) -> None:
        """The distribution runs on all machines, and `grant` was called for each."""

    @abstractmethod
    def kubeconfig_on(self, node: str) -> list[str]:
        """Options of kubectl on a machine: the administrator's kubeconfig, and the API server of this machine."""

    @abstractmethod
    def etcdctl_options(self) -> list[str]:
        """Options of etcdctl on every machine: the certificates that the distribution has for clients."""

    async def _start(self) -> None:
        self._require_space()
        await self._start_bridge()
        await gather_all(*(self.isolate(node) for node in self.nodes))
        for node in self.nodes:
            self._furnish(node.name)
        self._add_temporal()
        await self.start(Role.TEMPORAL)
        await self.set_up()

    def root(self, node: str) -> Path:
        """The folder that has the machine's own folders."""
        return self.directory / node / "root"

    def _furnish(self, node: str) -> None:
        root = self.root(node)
        for own in OWN:
            (root / own).mkdir(parents=True)
        for name in ETC:
            source = Path("/etc") / name
            if source.is_dir():
                shutil.copytree(source, root / "etc" / name, symlinks=True, ignore=shutil.ignore_patterns("private"))
            elif source.exists():
                shutil.copy(source, root / "etc" / name)

    def on(self, node: str, *command: str, whole: bool = False) -> list[str]:
        """The command as it runs on the machine; with `whole` its children end with it, whatever ends it."""
        unshare, shell = (shutil.which(name) or name for name in ("unshare", "sh"))
        own = ["--mount", *(WHOLE if whole else ())]
        return [*self.inside(node), unshare, *own, "--", shell, "-c", BIND, str(self.root(node)), *command]

    def add_process(
        self, name: str, node: str, command: list[str], env: Mapping[str, str] | None = None, *, whole: bool = False
    ) -> Process:
        """A process of the machine, which does not run yet and ends with the lab; `whole` as in `on`."""
        log = self.directory / "logs" / f"{name}-{node}.log"
        process = Process(
            f"{name}-{node}",
            self.on(node, *command, whole=whole),
            log,
            {**self._settings, **(env or {})},
            self.directory,
        )
        self.started.append(process)
        return process

    async def _end_all(self) -> None:
        for process in self.started:
            process.signal(signal.SIGKILL)
        for process in self.started:
            await process.ended()
        await super()._end_all()

    def grant_from(self, node: Node, ca_file: Path, ca_key: Path) -> None:
        """The lab itself asks the node's member with a certificate of the distribution's own authority.

        It names no user, since etcd's JSON gateway refuses those that do.
        """
        authority = trustme.CA.from_pem(ca_file.read_bytes(), ca_key.read_bytes())
        mine = self.directory / f"observer-{node.name}.pem"
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(mine))
        http.grant(node.etcd_url, http.Access(ca_file, mine, mine))

    async def must(self, node: str, *command: str, stdin: str | None = None) -> str:
        """Output of a command on the machine.

        Raises:
            ProcessError: It failed; the message is what it said.
        """
        status, output, errors = await run(self.on(node, *command), self._settings, self.directory, stdin)
        if status != 0:
            msg = f"{' '.join(command[:4])} ... on {node}: {errors.strip() or output.strip()}"
            raise ProcessError(msg)
        return output

    async def kubectl_on(self, node: str, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl against the machine's own API server, as its administrator.

        Raises:
            ProcessError: It failed; the message is what it said.
        """
        base = [str(self._binaries.kubectl), "--request-timeout", "30s", *self.kubeconfig_on(node)]
        return await self.must(node, *base, *arguments, stdin=stdin)

    async def install_crd(self, node: str) -> None:
        """The definition of EtcdMembers, which k0s alone brings along, is there."""
        await self.kubectl_on(node, "apply", "--server-side", "-f", str(CRD))

    async def etcdctl_on(self, node: str, *arguments: str) -> str:
        """Output of etcdctl on the machine, at its own member, with the distribution's certificates.

        Raises:
            ProcessError: It failed; the message is what it said.
        """
        return await self.must(
            node, str(self._binaries.etcdctl), "--command-timeout=30s", *self.etcdctl_options(), *arguments
        )

    async def handoff_on(self, node: str, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and errors of our command line on the machine, which has no configuration file."""
        command = self.on(node, sys.executable, "-c", HANDOFF, *arguments, self.option)
        return await run(command, self._settings, ROOT)

    async def worker_on(self, node: str) -> Process:
        """Our worker on the machine, ready: `etcd-handoff worker`, the option, and nothing else."""
        command = [sys.executable, "-c", HANDOFF, "worker", self.option]
        process = self.add_process("worker", node, command, {"PYTHONPATH": str(ROOT)})
        process.start()

        async def ready() -> bool:
            return process.log_contains(WORKER_READY)

        await process.ready_when(ready, WORKER_SECONDS)
        return process

    @property
    def _settings(self) -> dict[str, str]:
        return {name: value for name, value in self.environment.items() if name != "ETCD_HANDOFF_CONFIG"}


def joined(resources: dict[str, Any]) -> dict[str, str]:
    """The condition Joined of each EtcdMember in kubectl's JSON, by name."""
    found = {}
    for item in resources["items"]:
        conditions = item.get("status", {}).get("conditions", [])
        found[item["metadata"]["name"]] = next((c["status"] for c in conditions if c["type"] == "Joined"), "Unknown")
    return found

"""Nodes as separate machines: each has a network namespace, and one bridge connects them with this machine.

The bridge has a namespace too, and one end of a cable to it is on this machine. All of it disappears with the processes
that hold the namespaces, so there is nothing to clean up.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab import namespace
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.ports import FIRST_PORT
from etcd_handoff.lab.processes import Process, ProcessError, run
from etcd_handoff.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.ports import Ports

BRIDGE: Final = "bridge"
"""Name of the bridge's namespace."""
FIRST_SUBNET: Final = 192
"""Subnets are 10.192.0.0/24 and those that follow. No default of a cluster or container engine is there."""
FIRST_HOST: Final = 11
"""Last number of node0's address."""
GONE_SECONDS: Final = 20.0
PROGRAMS: Final = ("ip", "nsenter", "unshare")
PROBES: Final = (
    ("unshare", "--net", "--uts", "true"),
    ("ip", "link", "add", "eh-try-{}", "type", "veth", "peer", "name", "eh-try-{}p"),
    ("ip", "link", "del", "eh-try-{}"),
)
"""Commands that must work; `{}` is our process ID."""
OWN_NAMESPACE: Final = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "-")
"""Prefix of a command that runs it in new user and network namespaces, with root's rights in them."""
MOVED: Final = "ETCD_HANDOFF_LAB_NAMESPACE"
"""Environment variable that says that the process is in such namespaces already."""
REMEDY: Final = f"run it as root, or in namespaces of your own: {shlex.join(OWN_NAMESPACE)} COMMAND"


class IsolationError(RuntimeError):
    """This machine cannot give nodes namespaces of their own.

    The text says why, and what to do.
    """


def obstacle() -> str:
    """Return why this machine cannot isolate nodes; empty if it can.

    It tries, because root in a container may lack the rights.
    """
    if sys.platform != "linux":
        return "isolated nodes need Linux's network namespaces"
    if missing := _missing():
        return f"isolated nodes need the programs {', '.join(missing)}. Remedy: install iproute2 and util-linux"
    for probe in PROBES:
        if failed := _failure(probe):
            return f"isolated nodes need network namespaces: {failed}. Remedy: {REMEDY}"
    return ""


def _missing() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


def enter_own_namespace() -> None:
    """Restart the program in namespaces of our own, if this machine can isolate nodes only there.

    It returns if nodes can be isolated already, or if the kernel allows only root to have namespaces. In the namespaces
    there is no network except the lab's, and foreign programs cannot reach it.
    """
    if not obstacle() or _missing() or os.environ.get(MOVED):
        return
    if any(_failure((*OWN_NAMESPACE, *probe)) for probe in PROBES[:2]):
        return
    sys.stdout.flush()
    os.environ[MOVED] = "1"
    os.execvp(OWN_NAMESPACE[0], [*OWN_NAMESPACE, sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # ourselves again


def _failure(probe: Sequence[str]) -> str:
    """Return why a command fails; empty if it works."""
    tried = subprocess.run([word.format(os.getpid()) for word in probe], capture_output=True, text=True, check=False)
    return (tried.stderr.strip() or f"{probe[0]} failed") if tried.returncode else ""


class Isolation:
    """The namespaces of one lab's nodes.

    Args:
        ports: Source of a leased port, which reserves a subnet for the lab.

    Attributes:
        bridge_host: The address of the bridge's namespace, where Temporal runs.
        cable: Name of this machine's end of the cable to the bridge.

    Raises:
        IsolationError: This machine cannot.
    """

    def __init__(self, ports: Ports) -> None:
        if reason := obstacle():
            raise IsolationError(reason)
        (lease,) = ports.take(1)
        high, low = divmod(lease - FIRST_PORT, 256)
        self._subnet = f"10.{FIRST_SUBNET + high}.{low}"
        self.cable = f"eh-{lease}"
        self._holders: dict[str, Process] = {}
        self.bridge_host = f"{self._subnet}.2"

    def address(self, number: int) -> str:
        """Return the address of the node with this number."""
        return f"{self._subnet}.{FIRST_HOST + number}"

    def holder(self, name: str, host_name: str, logs: Path, *ports: int) -> Process:
        """Return a process, not yet started, that holds a namespace.

        Args:
            name: Name of the node, or `BRIDGE`.
            host_name: Host name in the namespace.
            logs: Folder for its log.
            ports: A port of this machine, and the port of the node's loopback interface that it leads to.
        """
        command = [sys.executable, "-I", "-S", namespace.__file__, host_name, *map(str, ports)]
        process = self._holders[name] = Process(f"namespace-{name}", command, logs / f"namespace-{name}.log")
        return process

    def has(self, name: str) -> bool:
        """Return whether the node, or `BRIDGE`, has a namespace."""
        return name in self._holders

    def inside(self, node: str) -> list[str]:
        """Return the prefix of a command that runs it on the node, whose holder must run."""
        net, uts = self.namespaces(node)
        return [shutil.which("nsenter") or "nsenter", f"--net={net}", f"--uts={uts}", "--"]

    def namespaces(self, node: str) -> list[str]:
        """Return the files of the node's network and host-name namespaces. Its holder must run."""
        folder = f"/proc/{self._holders[node].pid}/ns"
        return [f"{folder}/net", f"{folder}/uts"]

    async def connect_bridge(self) -> None:
        """Connect this machine and the bridge.

        Raises:
            ProcessError: A command failed; the message is what it said.
        """
        bridge = self._holders[BRIDGE].pid
        ours = [f"link add {self.cable} type veth peer name uplink netns {bridge}"]
        await self._ip([], [*ours, f"addr add {self._subnet}.1/24 dev {self.cable}", f"link set {self.cable} up"])
        on_bridge = ["link set lo up", "link add bridge type bridge", f"addr add {self.bridge_host}/24 dev bridge"]
        on_bridge += ["link set bridge up", "link set uplink master bridge up"]
        await self._ip(self.inside(BRIDGE), on_bridge)

    async def connect(self, node: Node) -> None:
        """Connect the node to this machine and the other nodes, and to nothing else.

        Raises:
            ProcessError: A command failed; the message is what it said.
        """
        pid = self._holders[node.name].pid
        port = [f"link add {node.name} type veth peer name eth0 netns {pid}", f"link set {node.name} master bridge up"]
        await self._ip(self.inside(BRIDGE), port)
        address = f"addr add {node.address}/24 dev eth0"
        await self._ip(self.inside(node.name), ["link set lo up", address, "link set eth0 up"])

    async def gone(self) -> None:
        """Wait until the kernel has removed the cable, after the namespaces' processes have ended.

        Raises:
            ProcessError: It is still there after 20 s.
        """

        async def no_cable() -> bool:
            return self.cable not in {name for _, name in socket.if_nameindex()}

        await wait_until(no_cable, f"{self.cable} is gone", GONE_SECONDS)

    async def _ip(self, inside: Sequence[str], lines: Sequence[str]) -> None:
        command = [*inside, shutil.which("ip") or "ip", "-batch", "-"]
        status, _, errors = await run(command, {}, ROOT, "\n".join(lines) + "\n")
        if status != 0:
            raise ProcessError(f"ip {'; '.join(lines)}: {errors.strip()}")

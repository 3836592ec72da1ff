"""Three controllers of the real k0s: `k0s controller`, its etcd, its API servers, its reconciler of EtcdMembers.

k0s is taken from PATH. A k0s without embedded programs takes etcd and kube-apiserver from PATH too: the lab's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import wait_until
from etcd_handoff.lab.observer import serves
from etcd_handoff.lab.processes import ProcessError
from tests.stock import scenario
from tests.stock.machines import StockLab

if TYPE_CHECKING:
    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.processes import Process

PROGRAM: Final = "k0s"
WITHOUT: Final = (
    "konnectivity-server",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-proxy",
    "coredns",
    "network-provider",
    "metrics-server",
    "helm",
    "autopilot",
    "windows-node",
    "update-prober",
)
"""Components that need more programs, or have nothing to do where no workload runs."""
PKI: Final = "/var/lib/k0s/pki"
TOKEN: Final = "/run/k0s-token"  # noqa: S105  # where it lies
READY_SECONDS: Final = 150.0


class K0sLab(StockLab):
    """Machines on which `k0s controller` runs, with k0s's own defaults."""

    option = "--k0s"

    async def set_up(self) -> None:
        """All three have joined, and k0s has written an EtcdMember for each."""
        self._program = shutil.which(PROGRAM) or PROGRAM
        first, *others = self.nodes
        await self._controller(first)
        for node in others:
            token = await self.must(first.name, self._program, "token", "create", "--role=controller", "--expiry=1h")
            (self.root(node.name) / TOKEN.lstrip("/")).write_text(token)
            await self._controller(node, f"--token-file={TOKEN}")

        async def joined() -> bool:
            voters = [member for member in await self.members(first.name) if not member.is_learner]
            described = await scenario.conditions(self, first.name)
            return (
                len(voters) == len(self.nodes) and set(described.values()) == {"True"} and len(described) == len(voters)
            )

        await wait_until(joined, "all have their vote, and k0s has described them", READY_SECONDS)

    def kubeconfig_on(self, node: str) -> list[str]:  # noqa: ARG002  # the same on all machines
        """k0s's admin.conf, which is about its machine's own API server."""
        return ["--kubeconfig", f"{PKI}/admin.conf"]

    def etcdctl_options(self) -> list[str]:
        """The certificate of k0s's API servers."""
        files = {"cacert": "etcd/ca.crt", "cert": "apiserver-etcd-client.crt", "key": "apiserver-etcd-client.key"}
        return ["--endpoints=https://127.0.0.1:2379", *(f"--{key}={PKI}/{name}" for key, name in files.items())]

    def process_of(self, node: str) -> Process:
        """k0s on a machine."""
        return next(process for process in self.started if process.name == f"{PROGRAM}-{node}")

    async def etcdmembers_on(self, node: str) -> dict[str, dict[str, Any]]:
        """EtcdMembers by name as the machine's API server has them; none where it does not answer."""
        with contextlib.suppress(ProcessError):
            items = json.loads(await self.kubectl_on(node, "get", "etcdmembers", "-o", "json"))["items"]
            return {item["metadata"]["name"]: item for item in items}
        return {}

    async def _controller(self, node: Node, *options: str) -> None:
        path = os.pathsep.join(
            [str(self._binaries.etcd.parent), str(self._binaries.kube_apiserver.parent), os.environ["PATH"]]
        )
        command = [self._program, "controller", f"--disable-components={','.join(WITHOUT)}", *options]
        process = self.add_process(PROGRAM, node.name, command, {"PATH": path, "DISABLE_TELEMETRY": "true"}, whole=True)
        process.start()
        pki = self.root(node.name) / "var/lib/k0s/pki"

        async def ready() -> bool:
            files = [pki / "etcd" / "ca.crt", pki / "etcd" / "ca.key", pki / "admin.conf"]
            if not all(file.exists() for file in files):
                return False
            self.grant_from(node, *files[:2])
            return await serves(node.etcd_url) and await self.api_answers(node.name)

        await process.ready_when(ready, READY_SECONDS)

    async def api_answers(self, node: str) -> bool:
        """Whether the machine's API server says that it is ready."""
        with contextlib.suppress(ProcessError):
            return await self.kubectl_on(node, "get", "--raw", "/readyz") == "ok"
        return False

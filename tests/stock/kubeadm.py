"""Three control planes as the real kubeadm sets them up, without a kubelet: we start what its static Pods say.

kubeadm's phases run in the way of its page on highly available etcd clusters: the authorities are copied, and each
machine's configuration lists the members. https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import yaml

from etcd_handoff.lab import wait_until
from etcd_handoff.lab.binaries.catalog import KUBEADM
from etcd_handoff.lab.binaries.lookup import locate
from etcd_handoff.lab.observer import serves
from etcd_handoff.lab.processes import ProcessError
from etcd_handoff.lab.waiting import gather_all
from tests.stock.machines import StockLab

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.processes import Process

CONFIGURATION: Final = "kubeadm.yaml"
CONFIGURED: Final = f"--config=/etc/kubernetes/{CONFIGURATION}"
SHARED: Final = ("ca", "front-proxy-ca", "etcd/ca")
"""Authorities that all machines have in common, and the service accounts' keys beside them."""
READY_SECONDS: Final = 120.0
FILES: Final = ("certs all", "kubeconfig admin", "kubeconfig super-admin", "etcd local", "control-plane apiserver")
"""Phases that write files and need nothing else."""


class KubeadmLab(StockLab):
    """Machines whose kubeadm has written certificates, kubeconfigs and manifests in /etc/kubernetes."""

    option = "--kubeadm"

    async def set_up(self) -> None:
        """All members and API servers run, from the command lines in kubeadm's manifests."""
        self._kubeadm = locate(KUBEADM)
        for node in self.nodes:
            await self._prepare(node)
        members = [self._static_pod(node, "etcd", self._binaries.etcd) for node in self.nodes]
        for process in members:
            process.start()
        await gather_all(*(self._serves(node, process) for node, process in self._with(members)))
        servers = [self._static_pod(node, "kube-apiserver", self._binaries.kube_apiserver) for node in self.nodes]
        for process in servers:
            process.start()
        await gather_all(*(self._api_is_ready(node, process) for node, process in self._with(servers)))
        # As in `kubeadm init`, this phase gives the user of admin.conf its rights.
        await self.kubeadm(self.nodes[0].name, f"init phase upload-config kubeadm {CONFIGURED}")

    def kubeconfig_on(self, node: str) -> list[str]:
        """Kubeadm's admin.conf."""
        return ["--kubeconfig", "/etc/kubernetes/admin.conf", "--server", self.node(node).api_url]

    def etcdctl_options(self) -> list[str]:
        """The certificate of kubeadm's own probes."""
        pki = "/etc/kubernetes/pki/etcd"
        names = {"cacert": "ca.crt", "cert": "healthcheck-client.crt", "key": "healthcheck-client.key"}
        return ["--endpoints=https://127.0.0.1:2379", *(f"--{key}={pki}/{name}" for key, name in names.items())]

    async def kubeadm(self, node: str, command: str) -> str:
        """What kubeadm says to a command."""
        return await self.must(node, str(self._kubeadm), *command.split())

    def process_of(self, component: str, node: str) -> Process:
        """The process of a static Pod."""
        return next(process for process in self.started if process.name == f"{component}-{node}")

    def _with(self, processes: list[Process]) -> list[tuple[Node, Process]]:
        return list(zip(self.nodes, processes, strict=True))

    async def _prepare(self, node: Node) -> None:
        folder = self.root(node.name) / "etc" / "kubernetes"
        (folder / "pki" / "etcd").mkdir(parents=True)
        (folder / CONFIGURATION).write_text(yaml.safe_dump_all(self._configuration(node)))
        if node is not self.nodes[0]:
            first = self.root(self.nodes[0].name) / "etc" / "kubernetes" / "pki"
            for name in [f"{name}.{kind}" for name in SHARED for kind in ("crt", "key")] + ["sa.key", "sa.pub"]:
                shutil.copy(first / name, folder / "pki" / name)
        for phase in FILES:
            await self.kubeadm(node.name, f"init phase {phase} {CONFIGURED}")
        self.grant_from(node, folder / "pki" / "etcd" / "ca.crt", folder / "pki" / "etcd" / "ca.key")

    def _configuration(self, node: Node) -> list[dict[str, object]]:
        """The name of the node is left to kubeadm."""
        version = "kubeadm.k8s.io/v1beta4"
        initial = ",".join(f"{each.name}={each.peer_url}" for each in self.nodes)
        arguments = {"initial-cluster": initial, "initial-cluster-state": "new"}
        return [
            {
                "apiVersion": version,
                "kind": "InitConfiguration",
                "localAPIEndpoint": {"advertiseAddress": node.address},
            },
            {
                "apiVersion": version,
                "kind": "ClusterConfiguration",
                "kubernetesVersion": f"v{KUBEADM.version}",
                "etcd": {"local": {"extraArgs": [{"name": key, "value": value} for key, value in arguments.items()]}},
            },
        ]

    def _static_pod(self, node: Node, component: str, program: Path) -> Process:
        """The command of a manifest, with the program that stands for its image."""
        manifest = self.root(node.name) / "etc" / "kubernetes" / "manifests" / f"{component}.yaml"
        (container,) = yaml.safe_load(manifest.read_text())["spec"]["containers"]
        name, *arguments = container["command"]
        assert name == component
        return self.add_process(component, node.name, [str(program), *arguments])

    async def _serves(self, node: Node, process: Process) -> None:
        await process.ready_when(lambda: serves(node.etcd_url), READY_SECONDS)

    async def _api_is_ready(self, node: Node, process: Process) -> None:
        async def ready() -> bool:
            if not process.alive:  # its first start may collide with others'; a kubelet would start it again
                process.start()
            return await self.api_answers(node.name)

        await wait_until(ready, f"the API server of {node.name} is ready", READY_SECONDS, process.tail, 0.5)

    async def api_answers(self, node: str) -> bool:
        """Whether the machine's API server says that it is ready."""
        options = ["--kubeconfig", "/etc/kubernetes/super-admin.conf", *self.kubeconfig_on(node)[2:]]
        command = [str(self._binaries.kubectl), "--request-timeout", "3s", *options, "get", "--raw", "/readyz"]
        try:
            return await self.must(node, *command) == "ok"
        except ProcessError:
            return False

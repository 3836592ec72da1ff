"""Where everything of a lab is: nodes and their ports, addresses, files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from etcd_handoff.lab.credentials import Credentials
from etcd_handoff.lab.network import Network
from etcd_handoff.lab.nodes import (
    HOST,
    TOKEN,
    Node,
    write_config,
    write_kubeconfig,
    write_shared_files,
)
from etcd_handoff.lab.options import LabOptions
from etcd_handoff.lab.ports import Ports

MAX_NODES: Final = 7


class Layout:
    """Nodes, addresses and files of a lab; nothing runs yet.

    Attributes:
        options: What to start.
        nodes: Its nodes, node0 first.
        directory: Data, configuration and, in `logs`, one log for each process.
        credentials: Certificates, etcd's users, and the product's account in Kubernetes.

    Raises:
        ValueError: The number of nodes is out of range.
    """

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        if not 1 <= self.options.nodes <= MAX_NODES:
            msg = f"nodes: {self.options.nodes} is out of range; give 1 to {MAX_NODES}"
            raise ValueError(msg)
        self.directory = self.options.directory or Path(tempfile.mkdtemp(prefix="etcd-handoff-lab-"))
        self._ports = Ports(HOST)
        self.nodes = [self._new_node(i) for i in range(self.options.nodes)]
        self._network, self._learner = None, self._new_node(self.options.nodes)
        if self.options.network:
            self._network = Network(self._ports, [*self.nodes, self._learner])
        self._temporal_port, self._ui_port = self._ports.take(2)
        self._foreign_nodes: list[Node] = []
        self.credentials = Credentials(self.options, self.directory)

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
        """Return the node called `name`.

        Raises:
            KeyError: There is none.
        """
        return {n.name: n for n in [*self.nodes, *self._foreign_nodes]}[name]

    def others(self, name: str) -> list[Node]:
        """Return all nodes but `name`."""
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

    def new_foreign_node(self, name: str) -> Node:
        """Add a node that is none of `nodes` and runs nothing yet; `node` knows it."""
        node = Node.on(name, self._ports, secure=self.options.tls)
        self._foreign_nodes.append(node)
        self.credentials.grant(node)
        return node

    def _new_node(self, number: int) -> Node:
        name = f"node{number}"
        return Node.on(name, self._ports, network=self.options.network, secure=self.options.tls)

    def _all_nodes(self) -> list[Node]:
        spare = [] if self._learner in self.nodes else [self._learner]
        return [*self.nodes, *spare, *self._foreign_nodes]

    @property
    def _shared(self) -> Path:
        return self.directory / "shared"

    def _write_files(self) -> None:
        write_shared_files(self._shared)
        self.credentials.make()
        for node in self._all_nodes():
            self.credentials.grant(node)
        ca_file = self.credentials.ca_file
        write_kubeconfig(self.kubeconfig_path, self.nodes, {"token": TOKEN}, ca_file)
        kubeconfig = self.kubeconfig_path if self.options.kubernetes else None
        if self.options.rbac:
            kubeconfig = self.directory / "kubeconfig-product"
            write_kubeconfig(kubeconfig, self.nodes, self.credentials.account.user, ca_file)
        write_config(self.config_path, self.options, self.nodes, kubeconfig, self.credentials.profile)

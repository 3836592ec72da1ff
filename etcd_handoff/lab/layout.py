"""The places of a lab: its nodes with their ports, addresses and files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from etcd_handoff.lab.credentials import Credentials
from etcd_handoff.lab.files import write_config, write_kubeconfig, write_shared_files
from etcd_handoff.lab.isolation import Isolation
from etcd_handoff.lab.network import Network
from etcd_handoff.lab.nodes import HOST, TOKEN, Node
from etcd_handoff.lab.options import LabOptions
from etcd_handoff.lab.ports import Ports

MAX_NODES: Final = 7
CONFIG: Final = "etcd-handoff.toml"
FOREIGN: Final = 100
"""Number of the first foreign node, which gives it an address where nodes are isolated."""


class Layout:
    """Nodes, addresses and files of a lab. Nothing runs yet.

    Attributes:
        options: The lab's options.
        nodes: Its nodes, node0 first.
        directory: Folder of data, configuration and, in `logs`, one log for each process.
        credentials: Certificates, etcd's users, and the product's account in Kubernetes.

    Raises:
        ValueError: The number of nodes is out of range.
        IsolationError: Nodes are to be isolated, and this machine cannot do that.
    """

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        if not 1 <= self.options.nodes <= MAX_NODES:
            msg = f"nodes: {self.options.nodes} is out of range; give 1 to {MAX_NODES}"
            raise ValueError(msg)
        self._ports = Ports(HOST)
        self._isolation = Isolation(self._ports) if self.options.isolated else None
        self.directory = self.options.directory or Path(tempfile.mkdtemp(prefix="etcd-handoff-lab-"))
        self.nodes = [self._new_node(i) for i in range(self.options.nodes)]
        self._node_names = dict(zip((node.name for node in self.nodes), self.options.node_names, strict=False))
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
        return f"{self._host}:{self._temporal_port}"

    @property
    def ui_url(self) -> str:
        """URL of the Web UI."""
        return f"http://{self._host}:{self._ui_port}"

    @property
    def config_path(self) -> Path:
        """The product's configuration file; isolated nodes have their own."""
        return self.directory / CONFIG

    @property
    def kubeconfig_path(self) -> Path:
        """The administrator's kubeconfig, with one context per node."""
        return self.directory / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that a worker, a client or the command line needs."""
        plain = {"ETCD_HANDOFF_CONFIG": str(self.config_path), "TEMPORAL_ADDRESS": self.temporal_address}
        if self._isolation is None:
            return plain
        direct = ",".join(["127.0.0.1", "localhost", self._host, *(n.address for n in self._all_nodes())])
        return plain | {"NO_PROXY": direct, "no_proxy": direct}

    def environment_on(self, node: str) -> dict[str, str]:
        """Return the environment variables for a process on the node.

        An isolated node has its own configuration.
        """
        own = self.directory / node / CONFIG
        return self.environment | ({"ETCD_HANDOFF_CONFIG": str(own)} if self.options.isolated else {})

    def node_name(self, member: str) -> str:
        """Return the name that the member's node calls itself."""
        return self._node_names.get(member, member)

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

    @property
    def isolation(self) -> Isolation:
        """The namespaces of the nodes.

        Raises:
            ValueError: The lab was started without.
        """
        if self._isolation is None:
            msg = "the lab's nodes are not isolated; start it with isolated=True"
            raise ValueError(msg)
        return self._isolation

    def new_foreign_node(self, name: str) -> Node:
        """Add a node that is not one of `nodes` and runs nothing yet; `node` finds it."""
        if self._isolation is not None:
            node = Node.isolated(name, self._isolation.address(FOREIGN + len(self._foreign_nodes)), self._ports)
        else:
            node = Node.on(name, self._ports, secure=self.options.tls)
        self._foreign_nodes.append(node)
        self.credentials.grant(node)
        return node

    def _new_node(self, number: int) -> Node:
        name = f"node{number}"
        if self._isolation is not None:
            shared = name in self.options.shared
            return Node.isolated(name, self._isolation.address(number), self._ports, shared=shared)
        return Node.on(name, self._ports, network=self.options.network, secure=self.options.tls)

    def _all_nodes(self) -> list[Node]:
        spare = [] if self._learner in self.nodes else [self._learner]
        return [*self.nodes, *spare, *self._foreign_nodes]

    @property
    def _host(self) -> str:
        """Host of Temporal."""
        return HOST if self._isolation is None else self._isolation.bridge_host

    @property
    def _shared(self) -> Path:
        return self.directory / "shared"

    def _write_files(self) -> None:
        write_shared_files(self._shared)
        self.credentials.make()
        for node in self._all_nodes():
            self.credentials.grant(node)
        administrator, ca_file = {"token": TOKEN}, self.credentials.ca_file
        write_kubeconfig(self.kubeconfig_path, {n.name: n.api_url for n in self.nodes}, administrator, ca_file)
        kubeconfig = self.kubeconfig_path
        if self.options.rbac or self._node_names:
            kubeconfig = self.directory / "kubeconfig-product"
            user = self.credentials.account.user if self.options.rbac else administrator
            write_kubeconfig(kubeconfig, {self.node_name(n.name): n.api_url for n in self.nodes}, user, ca_file)
        if not self.options.isolated:
            self._write_config(self.config_path, kubeconfig, [n.advertised_url for n in self.nodes])
            return
        self._write_config(self.config_path, kubeconfig, [n.etcd_url for n in self.nodes])
        for node in self.nodes:
            self._write_config(self.directory / node.name / CONFIG, kubeconfig, [node.local_url], node.name)

    def _write_config(self, path: Path, kubeconfig: Path, endpoints: list[str], node: str = "") -> None:
        credentials = self.credentials.profile_on(node) if node else self.credentials.profile
        etcd = {"endpoints": endpoints, "snapshot_directory": "snapshots", **credentials}
        contexts = [self.node_name(n.name) for n in self.nodes]
        kubernetes = {"kubeconfig": str(kubeconfig), "contexts": contexts} if self.options.kubernetes else None
        write_config(path, self.options, etcd, kubernetes, self._node_names)

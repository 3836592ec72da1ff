"""What a lab is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.lab.users import USERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
        etcd_flags: Flags of all etcd members beyond ours, such as a shorter `--heartbeat-interval`.
        temporal_flags: Flags of the Temporal server beyond ours, such as `--dynamic-config-value KEY=VALUE`.
        network: Whether a network lies between the nodes that `Lab.network` can cut and slow; needs Toxiproxy.
        remover: Who takes members out, as in the cluster profile.
        policies: What else the cluster profile has, such as `("four_eyes", True)`.
        tls: Whether every link has TLS with verified certificates on both sides; needs trustme, and no `network`.
        etcd_user: With `tls`: etcd's authentication is on, and the product comes as this user: with a password `root`
            or `operator`, which may do all, or `reader`; by its certificate alone `certificate`, which may do all, or
            `stranger`, whose certificate names a user that etcd does not know. Empty: it is off.
        rbac: Whether the product comes to API servers with a token of the ServiceAccount of deploy/rbac.yaml in a file
            of its own. Left out, it comes as their administrator.
        roles: Whether API servers let each account do what roles allow it, as `rbac` needs. Left out, they let all do
            everything whom they know: the roles that they come with take a third of their start.
        isolated: Whether each node has a network namespace of its own, as controllers of k0s are machines of their own:
            its etcd listens for clients on 127.0.0.1:2379 there alone, as all members advertise, with k0s's
            certificates. Needs root, or namespaces in which it has root's rights
            (`etcd_handoff.lab.isolation.enter_own_namespace`), trustme, and no `network`.
        node_names: With `isolated`: names of the nodes, where they are not those of their members.
        shared: With `isolated`: names of the nodes whose etcd listens for clients on the node's address as well, which
            it advertises.
        hanging_disks: Whether the disks of etcd members can be made to hang; see `etcd_handoff.lab.disk`.
        forked: Whether processes are started by one that has imported the product, of which workers and our command
            line are forks: it takes less time and computing; see `etcd_handoff.lab.forks`.
        progress: Told what is happening.
    """

    nodes: int = 3
    workers: tuple[str, ...] = ()
    temporal: bool = True
    kubernetes: bool = True
    cluster: str = "demo"
    directory: Path | None = None
    worker_env: tuple[tuple[str, str], ...] = ()
    etcd_flags: tuple[str, ...] = ()
    temporal_flags: tuple[str, ...] = ()
    network: bool = False
    remover: str = "etcd"
    policies: tuple[tuple[str, bool | float | str], ...] = ()
    tls: bool = False
    etcd_user: str = ""
    rbac: bool = False
    roles: bool = False
    isolated: bool = False
    node_names: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    hanging_disks: bool = False
    forked: bool = False
    progress: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        """What cannot go together is an error at once.

        Raises:
            ValueError: It says what lacks.
        """
        lacking = [
            (self.tls and self.network, "tls does not go with network: its links carry no TLS between peers"),
            (self.etcd_user and not self.tls, "etcd_user needs tls: API servers come by their certificate"),
            (self.etcd_user and self.etcd_user not in USERS, f"etcd_user is one of {', '.join(USERS)}"),
            (self.rbac and not self.kubernetes, "rbac needs kubernetes"),
            (self.isolated and self.network, "isolated does not go with network: its links join ports of one machine"),
            (self.isolated and self.tls, "isolated has certificates of its own: leave tls out"),
            (self.node_names and not self.isolated, "node_names needs isolated"),
            (self.shared and not self.isolated, "shared needs isolated"),
            (self.node_names and len(set(self.node_names)) != self.nodes, "node_names has one name for each node"),
        ]
        if wrong := [text for is_so, text in lacking if is_so]:
            raise ValueError("; ".join(wrong))

"""The options of a lab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.lab.users import USERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabOptions:
    """The options of a lab.

    Attributes:
        nodes: Number of nodes, 1 to 7.
        workers: Names of the nodes whose worker starts with the lab.
        temporal: Whether a Temporal server is started.
        kubernetes: Whether API servers are started.
        cluster: Name of the cluster profile.
        directory: Folder of data and logs; by default a temporary folder, which is deleted after success.
        worker_env: Environment variables of all workers, in addition to ours.
        etcd_flags: Flags of all etcd members, in addition to ours, such as a shorter `--heartbeat-interval`.
        temporal_flags: Flags of the Temporal server, in addition to ours, such as `--dynamic-config-value KEY=VALUE`.
        network: Whether a network lies between the nodes that `Lab.network` can cut and slow; needs Toxiproxy.
        remover: The remover in the cluster profile.
        policies: Other settings of the cluster profile, such as `("four_eyes", True)`.
        tls: Whether every link has TLS with verified certificates on both sides; needs trustme, and no `network`.
        etcd_user: With `tls`: the product's user in etcd's authentication; empty if that is off. `root` and `operator`
            have a password and all rights. `reader` has a password and may only read. `certificate` has a certificate
            and all rights. `stranger` has a certificate whose user etcd does not know.
        rbac: Whether the product uses a token of the ServiceAccount of deploy/rbac.yaml, in a file of its own. By
            default it is the API servers' administrator.
        roles: Whether API servers authorize by roles, as `rbac` needs. By default they allow everything to all users
            that they know, because their built-in roles take a third of their start.
        isolated: Whether each node has a network namespace, as controllers of k0s are separate machines. Its etcd
            listens for clients only on 127.0.0.1:2379 there, which all members advertise, with k0s's certificates.
            Needs root, or namespaces with root's rights (`etcd_handoff.lab.isolation.enter_own_namespace`), trustme,
            and no `network`.
        node_names: With `isolated`: names of the nodes, if they differ from those of their members.
        shared: With `isolated`: names of the nodes whose etcd also listens for clients on the node's address, and
            advertises it.
        hanging_disks: Whether the disks of etcd members can hang; see `etcd_handoff.lab.disk`.
        forked: Whether workers and our command line are forks of a process that has imported the product, which takes
            less time; see `etcd_handoff.lab.forks`.
        progress: Called with a line on each step.
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
        """Refuse options that do not fit together.

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

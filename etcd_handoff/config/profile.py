"""Define the cluster profile, `[clusters.<name>]`: its own keys, and what has to fit between its tables.

The keys about what every change needs come from `policies.py`. `servers.py` and `member.py` have the tables inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from etcd_handoff.config.fields import ClusterId, Location, NodeName, one_node_each
from etcd_handoff.config.member import MemberProfile
from etcd_handoff.config.policies import Policies
from etcd_handoff.config.presets import PresetName, etcd_data_dir, with_preset
from etcd_handoff.config.servers import EtcdProfile, KubernetesProfile
from etcd_handoff.contract import Remover
from etcd_handoff.wire import MemberName

if TYPE_CHECKING:
    from pathlib import Path


class ClusterProfile(Policies):
    """`[clusters.<name>]`: one etcd cluster, where it has one, its Kubernetes, and what every change of it needs.

    Attributes:
        etcd: How to reach the members.
        kubernetes: Where the EtcdMember resources are.
        member: The command that starts and stops the etcd process of this node; left out, a person does.
        remover: What removes a member once leadership has moved. `etcd` is a call to etcd. `k0s` asks k0s's own
            reconciler, by `spec.leave` of the EtcdMember. `both` asks k0s, so that it stops the node, and then calls
            etcd.
        cluster_id: ID of the cluster that is meant, in hex as `etcdctl endpoint status` prints it: no answer of another
            one is believed. Left out, it is the cluster that is seen first.
        nodes: Name of the node on which a member runs, by the member's name. A member that is not here runs on the node
            with its name.
        preset: The distribution that set up this machine, a controller: its values count for what is left out here.
        data_dir: Its data directory; left out, the distribution's default.
    """

    etcd: EtcdProfile
    kubernetes: KubernetesProfile | None = None
    member: MemberProfile | None = None
    remover: Remover = "etcd"
    cluster_id: ClusterId | None = None
    nodes: Annotated[dict[MemberName, NodeName], AfterValidator(one_node_each)] = {}  # noqa: RUF012  # pydantic copies it
    preset: PresetName | None = None
    data_dir: Location | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, own: Any) -> Any:
        return with_preset(own) if isinstance(own, Mapping) else own

    @model_validator(mode="after")
    def _data_dir_is_the_presets(self) -> Self:
        if self.data_dir is not None and self.preset is None:
            msg = "data_dir is given without preset; name the distribution, or leave data_dir out"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _k0s_reads_resources(self) -> Self:
        if self.remover != "etcd" and self.kubernetes is None:
            msg = f'remover = "{self.remover}" is given without a kubernetes table; add it, or leave remover out'
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _snapshots_have_a_place(self) -> Self:
        if self.snapshot and self.etcd.snapshot_directory is None:
            msg = "snapshot = true is given without etcd.snapshot_directory; name a folder there"
            raise ValueError(msg)
        return self

    def member_on(self, node: str) -> str:
        """Return the name of the member on a node; where this profile names none, it is that of the node."""
        return next((member for member, its_node in self.nodes.items() if its_node == node), node)

    @property
    def etcd_data_dir(self) -> Path | None:
        """The data directory of etcd on this node; None where the profile does not tell it."""
        if self.member is not None and self.member.data_dir is not None:
            return self.member.data_dir
        return etcd_data_dir(self.preset, self.data_dir) if self.preset else None

    @property
    def manages_resources(self) -> bool:
        """Whether members without an EtcdMember get one."""
        if self.kubernetes is None:
            return False
        manages = self.kubernetes.manage_resources
        return not self.is_k0s if manages is None else manages

    @property
    def sets_leave(self) -> bool:
        """Whether `spec.leave` of a member that has left becomes true."""
        return self.kubernetes is not None and self.kubernetes.sets_leave

    @property
    def is_k0s(self) -> bool:
        """Whether k0s's own reconciler works on the EtcdMembers."""
        return self.preset == "k0s" or self.remover != "etcd" or self.sets_leave

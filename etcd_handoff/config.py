"""Read the configuration file: the clusters, how to reach them, where secrets lie.

It is one TOML file, `$ETCD_HANDOFF_CONFIG` or `./etcd-handoff.toml`. Temporal's own connection is not in it. That
follows Temporal's environment configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_TLS_*, profiles).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from etcd_handoff.config_fields import REMEDIES, ClusterId, Location, NodeName, Section, Text, one_node_each
from etcd_handoff.config_member import MemberProfile
from etcd_handoff.config_notifications import NotificationsProfile
from etcd_handoff.config_policies import Policies, WindowProfile
from etcd_handoff.config_servers import EtcdProfile, KubernetesProfile
from etcd_handoff.contract import TASK_QUEUE, Remover
from etcd_handoff.errors import ConfigError, UnknownClusterError
from etcd_handoff.presets import PresetName, etcd_data_dir, with_preset
from etcd_handoff.wire import ClusterName, MemberName, describe, in_words

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "CONFIG_VARIABLE",
    "ClusterProfile",
    "Config",
    "EtcdProfile",
    "KubernetesProfile",
    "MemberProfile",
    "NotificationsProfile",
    "load_config",
    "words_for",
]

CONFIG_VARIABLE: Final = "ETCD_HANDOFF_CONFIG"
S = TypeVar("S", bound=Section)


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


class Config(Section):
    """The whole file.

    Attributes:
        task_queue: Task queue of workflows and workers.
        notifications: The receiver of notices that need a person; no notices where it is left out.
        clusters: The cluster profiles.
    """

    task_queue: Text = TASK_QUEUE
    notifications: NotificationsProfile | None = None
    clusters: dict[ClusterName, ClusterProfile] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_cluster_behind_an_endpoint(self) -> Self:
        named: dict[str, tuple[str, str]] = {}
        for name, profile in self.clusters.items():
            for url in profile.etcd.endpoints if profile.cluster_id else ():
                other, cluster_id = named.setdefault(url, (name, profile.cluster_id or ""))
                if cluster_id != profile.cluster_id:
                    msg = (
                        f"clusters {other} and {name} have {url!r} in common and different cluster_ids;"
                        " one of them can never be right: correct it"
                    )
                    raise ValueError(msg)
        return self

    def cluster(self, name: str) -> ClusterProfile:
        """Return the profile called `name`.

        Raises:
            UnknownClusterError: There is none; the message lists the known ones.
        """
        profile = self.clusters.get(name)
        if profile is None:
            known = ", ".join(sorted(self.clusters))
            msg = f"cluster: no profile {name!r} in this worker's configuration; known: {known}"
            raise UnknownClusterError(msg)
        return profile


def load_config(path: Path) -> Config:
    """Read and check the file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: The file is missing, no TOML, or wrong; the message has one line for each wrong field.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path}: there is no such file; name it with --config or ${CONFIG_VARIABLE}"
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise ConfigError(msg) from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, numbers and nesting beyond what is read
        msg = f"{path}: is no valid TOML: {error}"
        raise ConfigError(msg) from None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in describe(error, words_for))) from None
    return _absolute(config, path.parent.resolve())


TABLES: Final[dict[str, type[Section]]] = {
    "etcd": EtcdProfile,
    "kubernetes": KubernetesProfile,
    "member": MemberProfile,
    "change_windows": WindowProfile,
}


def words_for(item: ErrorDetails) -> str:
    """Return what is wrong with a value, and what to do."""
    if item["type"] == "extra_forbidden":
        return f"is no known key; known here: {', '.join(sorted(_keys(_section(item['loc']))))}"
    return REMEDIES.get(item["type"]) or in_words(item)


def _keys(section: type[Section]) -> set[str]:
    return {field.alias or name for name, field in section.model_fields.items()}


def _section(where: tuple[int | str, ...]) -> type[Section]:
    """Return the table that has the key at `where`."""
    if len(where) > 1 and where[0] == "notifications":
        return NotificationsProfile
    if len(where) > 3:
        return TABLES[str(where[2])]
    return ClusterProfile if len(where) > 1 else Config


def _absolute(config: Config, folder: Path) -> Config:
    def section(part: S) -> S:
        changed = {
            name: folder / value for name in type(part).model_fields if isinstance(value := getattr(part, name), Path)
        }
        return part.model_copy(update=changed)

    clusters = {
        name: section(profile).model_copy(
            update={
                "etcd": section(profile.etcd),
                "kubernetes": section(profile.kubernetes) if profile.kubernetes else None,
                "member": section(profile.member) if profile.member else None,
            }
        )
        for name, profile in config.clusters.items()
    }
    notifications = section(config.notifications) if config.notifications else None
    return config.model_copy(update={"clusters": clusters, "notifications": notifications})

"""Read the configuration file: its top-level keys, one TOML file as a whole, and the texts for what is wrong in it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from etcd_handoff.config.fields import REMEDIES, Section, Text
from etcd_handoff.config.member import MemberProfile
from etcd_handoff.config.notifications import NotificationsProfile
from etcd_handoff.config.policies import WindowProfile
from etcd_handoff.config.profile import ClusterProfile
from etcd_handoff.config.servers import EtcdProfile, KubernetesProfile
from etcd_handoff.contract import TASK_QUEUE
from etcd_handoff.errors import ConfigError, UnknownClusterError
from etcd_handoff.wire import ClusterName, describe, in_words

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

CONFIG_VARIABLE: Final = "ETCD_HANDOFF_CONFIG"
S = TypeVar("S", bound=Section)


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

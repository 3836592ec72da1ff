"""The configuration file: which clusters there are, how to reach them, where secrets lie.

One TOML file, `$ETCD_HANDOFF_CONFIG` or `./etcd-handoff.toml`. Temporal's own connection is not in it: that follows
Temporal's environment configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_TLS_*, profiles).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from etcd_handoff.contract import TASK_QUEUE, Remover
from etcd_handoff.errors import ConfigError, UnknownClusterError
from etcd_handoff.etcd.client_url import canonical_url
from etcd_handoff.wire import ClusterName, describe, in_words

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

CONFIG_VARIABLE: Final = "ETCD_HANDOFF_CONFIG"
DEFAULT_CONFIG_FILE: Final = "etcd-handoff.toml"


class Section(BaseModel):
    """Base of the file's tables: unknown keys are errors, since a misspelt one would silently be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _endpoint(url: str) -> str:
    if "@" in url:
        msg = "a client URL holds no credentials; give username and password_file"
        raise ValueError(msg)
    canonical = canonical_url(url)
    if not canonical:
        msg = f"{url!r} is no client URL; write it as https://host:2379 or http://host:2379"
        raise ValueError(msg)
    return canonical


def _path(path: Path) -> Path:
    if path == Path():
        msg = "is empty; name a file or folder, or leave the key out"
        raise ValueError(msg)
    try:
        return path.expanduser()
    except RuntimeError:
        msg = f"{path}: there is no such user's home; write the path in full"
        raise ValueError(msg) from None


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    for value, times in Counter(values).items():
        if times > 1:
            msg = f"{value!r} is given {times} times; give each once"
            raise ValueError(msg)
    return values


def _cluster_id(text: str) -> str:
    digits = text.lower().removeprefix("0x").lstrip("0")
    if not HEX_ID.fullmatch(digits):
        msg = f'{text!r} is no cluster ID; write it in hex, as in "cdf818194e3a8c32"'
        raise ValueError(msg)
    return digits


HEX_ID: Final = re.compile(r"[0-9a-f]{1,16}")
S = TypeVar("S", bound=Section)
Endpoint = Annotated[str, AfterValidator(_endpoint)]
ClusterId = Annotated[str, AfterValidator(_cluster_id)]
Location = Annotated[Path, AfterValidator(_path)]
Text = Annotated[str, StringConstraints(min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=60)]


class EtcdProfile(Section):
    """`[clusters.<name>.etcd]`: how to reach the members.

    Attributes:
        endpoints: Client URLs, one per member; a member without one is asked at its advertised client URLs.
        ca_file: PEM file with the certificate authority of the members; left out, the system's are used for https.
        cert_file: PEM client certificate for mutual TLS, together with `key_file`.
        key_file: PEM key of the client certificate.
        tls_server_name: Name to expect in the members' certificates instead of the endpoint's host.
        username: etcd user, together with `password_file`. Membership changes need the root role.
        password_file: File whose first line is the password.
        call_timeout_seconds: Deadline of one call that only reads.
        change_timeout_seconds: Deadline of one call that changes something; etcd's own is 7 s.
        hash_timeout_seconds: Deadline of one hash of a member's whole keyspace, which takes seconds for each GB.
        snapshot_directory: Folder on the worker's node for snapshots taken before a removal.
        snapshots_kept: How many snapshots of a cluster stay in that folder; older ones are deleted.
    """

    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1), AfterValidator(_once)]
    ca_file: Location | None = None
    cert_file: Location | None = None
    key_file: Location | None = None
    tls_server_name: Text | None = None
    username: Text | None = None
    password_file: Location | None = None
    call_timeout_seconds: Seconds = 1.0
    change_timeout_seconds: Seconds = 8.0
    hash_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    snapshot_directory: Location | None = None
    snapshots_kept: Annotated[int, Field(ge=1, le=1000)] = 5

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for one, other in (("cert_file", "key_file"), ("username", "password_file")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                present, missing = (one, other) if getattr(self, other) is None else (other, one)
                msg = f"{present} is given without {missing}; give both or neither"
                raise ValueError(msg)
        schemes = {url.partition("://")[0] for url in self.endpoints}
        if len(schemes) > 1:
            msg = "endpoints mix http and https; give one scheme for all"
            raise ValueError(msg)
        unused = [key for key in ("ca_file", "cert_file", "tls_server_name") if getattr(self, key)]
        if schemes == {"http"} and unused:
            msg = f"{', '.join(unused)} given with http endpoints; write https there, or leave it out"
            raise ValueError(msg)
        return self

    @property
    def secure(self) -> bool:
        """Whether the members are asked over TLS."""
        return self.endpoints[0].startswith("https://")


class KubernetesProfile(Section):
    """`[clusters.<name>.kubernetes]`: where the EtcdMember resources are.

    Attributes:
        kubeconfig: kubeconfig file; left out, the in-cluster configuration is used.
        contexts: Contexts to try in turn, one per API server. A context named like a member counts as the API
            server on that member's node: preferred by the worker there, tried last while that member departs.
        try_timeout_seconds: Deadline of one request to one API server.
        manage_resources: Whether a watched cluster's members without an EtcdMember get one; left out, they do unless
            this is k0s's (`remover`, `sets_leave`), which makes them itself.
        sets_leave: Whether `spec.leave` of a member that is out becomes true, as k0s has it.
    """

    kubeconfig: Location | None = None
    contexts: Annotated[tuple[Text, ...], AfterValidator(_once)] = ()
    try_timeout_seconds: Seconds = 2.0
    manage_resources: bool | None = None
    sets_leave: bool = False

    @model_validator(mode="after")
    def _contexts_need_a_file(self) -> Self:
        if self.contexts and self.kubeconfig is None:
            msg = "contexts are given without kubeconfig; name the file that has them"
            raise ValueError(msg)
        return self


class ClusterProfile(Section):
    """`[clusters.<name>]`: one etcd cluster and, where it has one, its Kubernetes.

    Attributes:
        etcd: How to reach the members.
        kubernetes: Where the EtcdMember resources are.
        remover: Who takes a member out once leadership has moved: `etcd`, by a call to it, or `k0s`, whose own
            reconciler is asked by `spec.leave` of the EtcdMember; `both`: k0s is asked, so that it stops the node, and
            then etcd is called.
        cluster_id: ID of the cluster that is meant, in hex as `etcdctl endpoint status` prints it: nothing is believed
            of another one. Left out, it is the cluster that is seen first.
    """

    etcd: EtcdProfile
    kubernetes: KubernetesProfile | None = None
    remover: Remover = "etcd"
    cluster_id: ClusterId | None = None

    @model_validator(mode="after")
    def _k0s_reads_resources(self) -> Self:
        if self.remover != "etcd" and self.kubernetes is None:
            msg = f'remover = "{self.remover}" is given without a kubernetes table; add it, or leave remover out'
            raise ValueError(msg)
        return self

    @property
    def manages_resources(self) -> bool:
        """Whether members without an EtcdMember get one."""
        if self.kubernetes is None:
            return False
        manages = self.kubernetes.manage_resources
        return not self.is_k0s if manages is None else manages

    @property
    def sets_leave(self) -> bool:
        """Whether `spec.leave` of a member that is out becomes true."""
        return self.kubernetes is not None and self.kubernetes.sets_leave

    @property
    def is_k0s(self) -> bool:
        """Whether k0s's own reconciler works on the EtcdMembers."""
        return self.remover != "etcd" or self.sets_leave


class Config(Section):
    """The whole file."""

    task_queue: Text = TASK_QUEUE
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
        """The profile called `name`.

        Raises:
            UnknownClusterError: There is none; the message lists those there are.
        """
        profile = self.clusters.get(name)
        if profile is None:
            known = ", ".join(sorted(self.clusters))
            msg = f"cluster: no profile {name!r} in this worker's configuration; known: {known}"
            raise UnknownClusterError(msg)
        return profile


def config_path(explicit: str | Path | None = None) -> Path:
    """The file to read: `explicit`, else `$ETCD_HANDOFF_CONFIG`, else `./etcd-handoff.toml`."""
    return Path(explicit or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_FILE)


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
        raise ConfigError("\n".join(f"{path}: {line}" for line in describe(error, _in_words))) from None
    return _absolute(config, path.parent.resolve())


REMEDIES: Final = {
    "missing": "is missing; add it",
    "too_short": "is empty; give at least one",
    "string_too_short": "is empty; give a text, or leave the key out",
    "string_type": 'give a text in quotes, "..."',
    "path_type": 'give a path in quotes, "..."',
    "tuple_type": 'give a list of texts, ["...", "..."]',
    "float_type": "give a number of seconds, without quotes",
    "float_parsing": "give a number of seconds, without quotes",
    "bool_type": "give true or false, without quotes",
    "bool_parsing": "give true or false, without quotes",
    "model_type": "give a table, such as [clusters.<name>.etcd]",
    "dict_type": "give a table, such as [clusters.<name>.etcd]",
}
"""pydantic's kinds of error, and what to do; its own texts speak to programmers."""


def _in_words(item: ErrorDetails) -> str:
    if item["type"] == "extra_forbidden":
        return f"is no known key; known here: {', '.join(sorted(_section(item['loc']).model_fields))}"
    return REMEDIES.get(item["type"]) or in_words(item)


def _section(where: tuple[int | str, ...]) -> type[Section]:
    """The table that the key at `where` stands in."""
    if len(where) > 3:
        return EtcdProfile if where[2] == "etcd" else KubernetesProfile
    return ClusterProfile if len(where) > 1 else Config


def _absolute(config: Config, folder: Path) -> Config:
    def section(part: S) -> S:
        changed = {
            name: folder / value for name in type(part).model_fields if isinstance(value := getattr(part, name), Path)
        }
        return part.model_copy(update=changed)

    clusters = {
        name: profile.model_copy(
            update={
                "etcd": section(profile.etcd),
                "kubernetes": section(profile.kubernetes) if profile.kubernetes else None,
            }
        )
        for name, profile in config.clusters.items()
    }
    return config.model_copy(update={"clusters": clusters})

"""Identities in Temporal's records and lists: a worker by node, version and process, a person by user and host."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff import __version__
from etcd_handoff.certificate_ends import first_end

if TYPE_CHECKING:
    from etcd_handoff.config import Config

WORKER: Final = re.compile(
    r"etcd-handoff-worker/(?P<version>[^:+]+)(?:\+(?P<config>[0-9a-f]+)\+(?P<profiles>[^:]*))?"
    r":(?P<node>[^:]*):(?P<process>\d+)@(?P<host>.*)"
)
OF_ONE_NODE: Final = frozenset({"etcd", "kubernetes", "member", "data_dir"})
"""Settings of a profile that may differ from node to node: how the node reaches servers, and starts its etcd."""
MOST_CHARACTERS: Final = 200
"""The most characters for profiles, since an identity is in every event of a history."""
MORE: Final = "..."
"""Stands for the profiles beyond that."""


class WorkerIdentity(NamedTuple):
    """The parts of a worker's identity.

    Attributes:
        node: The node that it was started for; empty if the identity has none.
        version: Its version; empty if the identity has none.
        host: The host that it runs on, or the whole identity of a worker of another kind.
        config: Digest of the settings that decide what is done; empty if the identity has none.
        profiles: Its cluster profiles; the last one is "..." if there are more.
        ends: When the first certificate of a profile ends, as an ISO date, by profile; without those that have none.
        process: Its process ID; empty if the identity has none.
    """

    node: str
    version: str
    host: str
    config: str = ""
    profiles: tuple[str, ...] = ()
    ends: tuple[tuple[str, str], ...] = ()
    process: str = ""

    def may_have(self, cluster: str) -> bool:
        """Return whether the worker has this cluster profile, as far as its identity says."""
        return not self.profiles or cluster in self.profiles or MORE in self.profiles


def worker_identity(node: str, config: Config) -> str:
    """Return the identity of this process's worker, by its certificates as they are on disk now."""
    build_id = f"{__version__}+{fingerprint(config)}+{_profiles(config)}"
    return f"etcd-handoff-worker/{build_id}:{node}:{os.getpid()}@{platform.node()}"


def _profiles(config: Config) -> str:
    """Return the profiles, each with the date on which its first certificate ends: `prod=20271128,test`."""
    profiles = ""
    for name, profile in config.clusters.items():
        ends = first_end(profile)
        profiles += f"{',' * bool(profiles)}{name}{f'={ends:%Y%m%d}' if ends else ''}"
        if len(profiles) > MOST_CHARACTERS:
            return f"{profiles[: MOST_CHARACTERS - len(MORE)].rpartition(',')[0]},{MORE}".removeprefix(",")
    return profiles


def fingerprint(config: Config) -> str:
    """Return a short digest of what all workers of a cluster should share: profiles, and settings that decide."""
    alike = {
        name: profile.model_dump(mode="json", exclude=set(OF_ONE_NODE)) for name, profile in config.clusters.items()
    }
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()[:8]


def user_identity(program: str) -> str:
    """Return the identity of the user of this process.

    Args:
        program: How it begins, one of `etcd_handoff.operation.people.PROGRAMS`.
    """
    return f"{program}{shell_user()}@{platform.node()}"


def shell_user() -> str:
    """Return the user of this process: the one that has called sudo, or the one that is logged in."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in many containers
        return f"uid {os.getuid()}"


def parsed(identity: str) -> WorkerIdentity:
    """Return the parts of a worker's identity."""
    found = WORKER.fullmatch(identity)
    if not found:
        return WorkerIdentity("", "", identity)
    pairs = [item.partition("=") for item in filter(None, (found["profiles"] or "").split(","))]
    return WorkerIdentity(
        node=found["node"],
        version=found["version"],
        host=found["host"],
        config=found["config"] or "",
        profiles=tuple(name for name, _, _ in pairs),
        ends=tuple((name, f"{end[:4]}-{end[4:6]}-{end[6:]}") for name, _, end in pairs if end),
        process=found["process"],
    )

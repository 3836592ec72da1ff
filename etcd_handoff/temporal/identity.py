"""Who we are in Temporal's records and lists: a worker by node, version and process, a person by user and host."""

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
"""What of a profile may differ from node to node: how that node reaches servers, and starts its etcd."""
MOST_CHARACTERS: Final = 200
"""Of what is told of profiles: an identity stands in every event of a history."""


class WorkerIdentity(NamedTuple):
    """What a worker's identity tells.

    Attributes:
        node: The node that it was started for; empty where the identity does not tell.
        version: Its version; empty where the identity does not tell.
        host: The host that it runs on, or the whole identity of a worker of another make.
        config: Digest of the settings that decide what is done; empty where the identity does not tell.
        profiles: Its cluster profiles.
        ends: When the first certificate of a profile ends, as an ISO date, by profile; without those that have none.
        process: Its process ID; empty where the identity does not tell.
    """

    node: str
    version: str
    host: str
    config: str = ""
    profiles: tuple[str, ...] = ()
    ends: tuple[tuple[str, str], ...] = ()
    process: str = ""


def worker_identity(node: str, config: Config) -> str:
    """The identity of the worker that runs in this process, by its certificates as they are on disk now."""
    build_id = f"{__version__}+{fingerprint(config)}+{_profiles(config)}"
    return f"etcd-handoff-worker/{build_id}:{node}:{os.getpid()}@{platform.node()}"


def _profiles(config: Config) -> str:
    """`prod=20271128,test`: the profiles, each with the date on which its first certificate ends."""
    profiles = ""
    for name, profile in config.clusters.items():
        ends = first_end(profile)
        profiles += f"{',' * bool(profiles)}{name}{f'={ends:%Y%m%d}' if ends else ''}"
        if len(profiles) > MOST_CHARACTERS:
            return profiles[:MOST_CHARACTERS].rpartition(",")[0]
    return profiles


def fingerprint(config: Config) -> str:
    """A short digest of what all workers of a cluster should have alike: profiles, and settings that decide."""
    alike = {
        name: profile.model_dump(mode="json", exclude=set(OF_ONE_NODE)) for name, profile in config.clusters.items()
    }
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()[:8]


def user_identity(program: str) -> str:
    """The identity of whoever runs this process.

    Args:
        program: How it begins, one of `etcd_handoff.operation.people.PROGRAMS`.
    """
    return f"{program}{shell_user()}@{platform.node()}"


def shell_user() -> str:
    """Who runs this process: the user who has called sudo, or the one that is logged in."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in many containers
        return f"uid {os.getuid()}"


def parsed(identity: str) -> WorkerIdentity:
    """Which worker an identity is."""
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

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

if TYPE_CHECKING:
    from etcd_handoff.config import Config

WORKER: Final = re.compile(
    r"etcd-handoff-worker/(?P<version>[^:+]+)(?:\+(?P<config>[0-9a-f]+)\+(?P<profiles>[^:]*))?"
    r":(?P<node>[^:]*):\d+@(?P<host>.*)"
)
OF_ONE_NODE: Final = frozenset({"etcd", "kubernetes", "member", "data_dir"})
"""What of a profile may differ from node to node: how that node reaches servers, and starts its etcd."""
MOST_CHARACTERS: Final = 200
"""Of the names of profiles: an identity stands in every event of a history."""


class WorkerIdentity(NamedTuple):
    """What a worker's identity tells.

    Attributes:
        node: The node that it was started for; empty where the identity does not tell.
        version: Its version; empty where the identity does not tell.
        host: The host that it runs on, or the whole identity of a worker of another make.
        config: Digest of the settings that decide what is done; empty where the identity does not tell.
        profiles: Its cluster profiles.
    """

    node: str
    version: str
    host: str
    config: str = ""
    profiles: tuple[str, ...] = ()


def worker_identity(node: str, config: Config) -> str:
    """The identity of the worker that runs in this process."""
    profiles = ",".join(config.clusters)[:MOST_CHARACTERS]
    told = f"{__version__}+{fingerprint(config)}+{profiles}"
    return f"etcd-handoff-worker/{told}:{node}:{os.getpid()}@{platform.node()}"


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
    profiles = tuple(filter(None, (found["profiles"] or "").split(",")))
    return WorkerIdentity(found["node"], found["version"], found["host"], found["config"] or "", profiles)

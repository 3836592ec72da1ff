"""Copy the data directories of etcd members, and set them aside."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from etcd_handoff.lab.nodes import Role
from etcd_handoff.lab.processes import ProcessError, run

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.cluster import Lab


def data_folder(lab: Lab, node: str) -> Path:
    """Return the data directory that `etcd_command` uses."""
    return lab.directory / node / "etcd"


def aside_of(lab: Lab, node: str) -> Path:
    """Return where a node's data is kept while the node is something else."""
    return data_folder(lab, node).with_suffix(".aside")


async def set_aside(lab: Lab, node: str) -> None:
    """End the node's etcd, and move its data aside if there is any."""
    await lab.kill(Role.ETCD, node)
    shutil.rmtree(aside_of(lab, node), ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        data_folder(lab, node).rename(aside_of(lab, node))


def copy_aside(lab: Lab, node: str) -> None:
    """Copy the node's data aside."""
    shutil.rmtree(aside_of(lab, node), ignore_errors=True)
    shutil.copytree(data_folder(lab, node), aside_of(lab, node))


async def copy_folder(source: Path, target: Path) -> None:
    """Copy a data directory.

    Sparse files stay sparse, because most of a write-ahead log's 64 MB is preallocated space.

    Raises:
        ProcessError: It could not be copied.
    """
    status, _, errors = await run(["/bin/cp", "-a", "--sparse=always", str(source), str(target)], {}, source.parent)
    if status != 0:
        raise ProcessError(f"{source} could not be copied: {errors}")

"""Backups of all members' data, and a cluster that is restored from one."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff.lab.data_folders import copy_folder, data_folder
from etcd_handoff.lab.nodes import Role

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.cluster import Lab


@dataclass(frozen=True, slots=True)
class Backup:
    """The data of all members at about the same moment."""

    data: dict[str, Path]


async def back_up(lab: Lab, name: str = "backup") -> Backup:
    """Copy the data of all members. The members are stopped meanwhile."""
    running = [node.name for node in lab.nodes if lab.alive(Role.ETCD, node.name)]
    for node in running:
        lab.stop(Role.ETCD, node)
    copies = {node: lab.directory / name / node for node in running}
    try:
        for node, copy in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            await copy_folder(data_folder(lab, node), copy)
    finally:
        for node in running:
            lab.resume(Role.ETCD, node)
    return Backup(copies)


async def restore(lab: Lab, backup: Backup) -> None:
    """Restore each member's data from the backup and start it: terms, indices and membership go back.

    Cluster ID and member IDs stay the same, as after `etcdutl snapshot restore` with the initial cluster and token.
    """
    everybody = [n.name for n in lab.nodes]
    for node in everybody:
        if node in lab.nodes_with(Role.APISERVER):
            await lab.kill(Role.APISERVER, node)
    await asyncio.gather(*(lab.kill(Role.ETCD, node) for node in everybody))
    for node, copy in backup.data.items():
        shutil.rmtree(data_folder(lab, node))
        await copy_folder(copy, data_folder(lab, node))
    await asyncio.gather(*(lab.start(Role.ETCD, node) for node in backup.data))
    await asyncio.gather(*(lab.start(Role.APISERVER, node) for node in lab.nodes_with(Role.APISERVER)))

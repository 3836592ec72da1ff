"""A cluster on this machine for the tutorial (docs/tutorial.md)."""

from __future__ import annotations

import asyncio
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.exit_status import EXIT_DONE
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.cluster import Lab
from etcd_handoff.lab.options import LabOptions

if TYPE_CHECKING:
    from collections.abc import Callable

ENV_FILE: Final = Path("demo.env")
NODES: Final = ("node0", "node1", "node2")
NEW: Final = "node3"
"""A node on which nothing runs yet."""


async def run_by_hand(say: Callable[[str], None]) -> int:
    """Start the cluster, write `demo.env` into this folder, and wait for Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with Lab(LabOptions(cluster="prod", workers=NODES, progress=say)) as lab:
            await lab.wait_for_health_interval()
            ENV_FILE.write_text(await environment_of(lab), encoding="utf-8")
            say("")
            say(f"The cluster runs. In another terminal, in this folder: . ./{ENV_FILE}")
            say("docs/tutorial.md goes on from there. Ctrl-C ends it.")
            await stop.wait()
    finally:
        ENV_FILE.unlink(missing_ok=True)
    return EXIT_DONE


async def environment_of(lab: Lab) -> str:
    """Return the shell variables that commands need: addresses, the present leader, and a node for a new member."""
    leader, new = lab.node(await lab.leader()), lab.new_foreign_node(NEW)
    binaries = locate_binaries()
    folders = dict.fromkeys(str(program.parent) for program in (binaries.etcd, binaries.etcdctl, binaries.kubectl))
    values = {
        **lab.environment,
        "KUBECONFIG": str(lab.kubeconfig_path),
        "WEB_UI": f"{lab.ui_url}/namespaces/default/workflows",
        "LEADER": leader.name,
        "NEW": new.name,
        "NEW_DATA": str(lab.directory / new.name / "etcd"),
        "NEW_CLIENT_URL": new.local_url,
        "NEW_PEER_URL": new.peer_url,
        "OTHER": lab.others(leader.name)[0].name,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([f'export PATH="{":".join(folders)}:$PATH"', *lines, ""])

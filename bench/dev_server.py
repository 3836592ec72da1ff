"""Temporal's dev server for benchmarks that need no etcd, and our worker with a trivial workflow beside its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from temporalio.client import Client

import worker
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.http import answers
from etcd_handoff.lab.nodes import HOST, TUNING, temporal_command
from etcd_handoff.lab.ports import Ports
from etcd_handoff.lab.processes import Process
from etcd_handoff.temporal.client import connect
from etcd_handoff.temporal.worker import make_worker
from workflows.registry import WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from temporalio.worker import Worker

READY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class DevServer:
    """A dev server that serves.

    Attributes:
        address: Host and port of its frontend.
        folder: Its data, its log, and room for what else a benchmark writes; it goes with the server.
        pid: Its process.
    """

    address: str
    folder: Path
    pid: int

    async def bare_client(self) -> Client:
        """A client as the SDK makes it by default."""
        return await Client.connect(self.address)

    async def our_client(self) -> Client:
        """A client as our workers have it."""
        with mock.patch.dict(os.environ, {"TEMPORAL_ADDRESS": self.address}):
            return await connect()


@asynccontextmanager
async def dev_server(*flags: str, in_memory: bool = False) -> AsyncIterator[DevServer]:
    """A dev server on a database file, as the lab's, or in memory; it ends with the block."""
    folder, ports = Path(tempfile.mkdtemp(prefix="etcd-handoff-bench-")), Ports(HOST)
    port, ui_port = ports.take(2)
    ours = temporal_command(locate_binaries(), folder, port, ui_port)
    command = [word for word in ours if word not in TUNING]
    if in_memory:
        command = [word for word in command if not word.startswith("--db-filename")]
    process = Process("temporal", [*command, *flags], folder / "temporal.log")
    process.start()

    async def serves() -> bool:
        return await answers(f"http://{HOST}:{ui_port}/api/v1/namespaces/default")

    try:
        await process.ready_when(serves, READY_SECONDS)
        yield DevServer(f"{HOST}:{port}", folder, process.pid or 0)
    finally:
        await process.kill()
        ports.close()
        shutil.rmtree(folder, ignore_errors=True)


def our_worker(
    client: Client, task_queue: str, activities: Sequence[Callable[..., Any]], workflows: Sequence[type]
) -> Worker:
    """Our worker with all its settings, and these workflows beside its own."""
    return make_worker(client, task_queue, [*WORKFLOWS, *workflows], activities, worker.INTERCEPTORS)

"""What tells probes and systemd whether a worker takes work and whether its process is alive."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import timing
from etcd_handoff.errors import ConfigError
from etcd_handoff.temporal.service_manager import ALIVE, READY, STOPPING, tell
from etcd_handoff.temporal.setup import NOT_FOR_US

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import Client


def check_ready_file(file: Path | None) -> None:
    """Return when the file can be written, and is not there.

    Raises:
        ConfigError: It cannot be, for example because its folder is missing.
    """
    if file is None:
        return
    try:
        file.touch()
        file.unlink()
    except OSError as error:
        msg = f"--ready-file {file}: {error.strerror}; name a file in a folder that this worker may write to"
        raise ConfigError(msg) from None


class Readiness:
    """Files that probes look at.

    `file` is fresh as long as this worker takes work, and else it is not there. `file` with `.alive` at its end is
    fresh as long as the process works: a worker that waits for Temporal to come back must not be restarted for it.

    Args:
        file: The file; None where nobody named one.
        client: The worker's client.
        may_describe: These credentials may describe their namespace, so that a refusal is news.
    """

    def __init__(self, file: Path | None, client: Client, *, may_describe: bool) -> None:
        self._file = file
        self._alive = file.with_name(f"{file.name}.alive") if file else None
        self._client = client
        self._may_describe = may_describe
        self._answered = time.monotonic()

    async def keep(self, stop: asyncio.Event) -> None:
        """Renew the file again and again until `stop` is set, then take it away; systemd is told the same."""
        tell(READY)
        while not stop.is_set():
            tell(ALIVE)
            await self.renew()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timing.WORKER.probe_pause_seconds)
        tell(STOPPING)
        self.withdraw()
        if self._alive is not None:
            self._alive.unlink(missing_ok=True)

    async def renew(self) -> None:
        """Touch the file when Temporal answers; take it away when it has not answered for `SILENT_SECONDS`."""
        if self._file is None or self._alive is None:
            return
        self._alive.touch()
        if await self._answers():
            self._answered = time.monotonic()
            self._file.touch()
        elif time.monotonic() - self._answered > timing.WORKER.probe_silence_seconds:
            self.withdraw()

    def withdraw(self) -> None:
        """Take the file away: this worker takes no work any more."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    async def _answers(self) -> bool:
        """Whether Temporal takes what this worker asks: polls have the same address, namespace and credentials."""
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            await self._client.workflow_service.describe_namespace(request, timeout=timing.WORKER.probe_timeout)
        except RPCError as error:
            busy = error.status is RPCStatusCode.RESOURCE_EXHAUSTED
            return busy or (error.status in NOT_FOR_US and not self._may_describe)
        return True

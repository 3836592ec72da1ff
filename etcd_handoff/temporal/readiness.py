"""Whether a worker takes work and whether its process is alive, for probes and systemd.

The two differ: a worker that waits for Temporal takes no work, and a restart would not help it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import time_limits
from etcd_handoff.errors import ADDRESS, ConfigError
from etcd_handoff.secret_words import without_secrets
from etcd_handoff.temporal.service_manager import ALIVE, READY, STOPPING, notify_systemd, status
from etcd_handoff.temporal.setup import NOT_FOR_US

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import Client


def check_ready_file(file: Path | None) -> None:
    """Check that the file can be written, and remove it.

    Raises:
        ConfigError: It cannot be written, for example because its folder is missing.
    """
    if file is None:
        return
    try:
        file.touch()
        file.unlink()
    except OSError as error:
        msg = f"--ready-file {file}: {error.strerror}; name a file in a folder that this worker may write to"
        raise ConfigError(msg) from None


class Verdict(NamedTuple):
    """The answer to a probe.

    Attributes:
        good: Whether the answer is yes.
        text: Why, or why not.
    """

    good: bool
    text: str


class Readiness:
    """The answers to probes, by HTTP and by files.

    `file` is fresh as long as this worker takes work, and missing otherwise. `file` with the suffix `.alive` is fresh
    as long as the process works.

    Args:
        file: The file; None for no files.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._alive = file.with_name(f"{file.name}.alive") if file else None
        self._turned = time.monotonic()
        self._answered: float | None = None
        self._trouble = ""
        self._stopping = False

    # --- what probes ask ----------------------------------------------------------------------------------------------

    def alive(self) -> Verdict:
        """Return whether this process still works, with or without Temporal."""
        quiet = time.monotonic() - self._turned
        if quiet > time_limits.WORKER.probe_stuck_seconds:
            return Verdict(good=False, text=f"stuck: nothing has moved in this process for {quiet:.0f} s; restart it")
        return Verdict(good=True, text=f"alive; {self.ready().text}")

    def ready(self) -> Verdict:
        """Return whether this worker takes work: its polls and our call use the same address and credentials."""
        if self._stopping:
            return Verdict(good=False, text="not ready: the worker is stopping")
        if self._answered is None:
            return Verdict(good=False, text=f"not ready: the worker is starting{self._because}")
        silence = time.monotonic() - self._answered
        if silence > time_limits.WORKER.probe_silence_seconds:
            return Verdict(good=False, text=f"not ready: Temporal has not answered for {silence:.0f} s{self._because}")
        return Verdict(good=True, text="ready: it takes work")

    @property
    def _because(self) -> str:
        return f": {self._trouble}" if self._trouble else ""

    # --- what it does -------------------------------------------------------------------------------------------------

    async def keep(self, client: Client, stop: asyncio.Event, *, may_describe: bool) -> None:
        """Call Temporal repeatedly until `stop` is set, and update the files and systemd.

        Args:
            client: The worker's client.
            stop: The worker stops.
            may_describe: Whether these credentials may describe their namespace, so that a refusal is news.
        """
        notify_systemd(READY)
        while not stop.is_set():
            self._turned = time.monotonic()
            notify_systemd(ALIVE)
            await self._ask(client, may_describe=may_describe)
            self._show()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), time_limits.WORKER.probe_pause_seconds)
        self._stopping = True
        notify_systemd(STOPPING)
        for file in (self._file, self._alive):
            if file is not None:
                file.unlink(missing_ok=True)

    def _show(self) -> None:
        verdict = self.ready()
        notify_systemd(status(verdict.text))
        if self._file is None or self._alive is None:
            return
        self._alive.touch()
        if verdict.good:
            self._file.touch()
        else:
            self._file.unlink(missing_ok=True)

    async def _ask(self, client: Client, *, may_describe: bool) -> None:
        """Note whether Temporal answers this worker."""
        request = DescribeNamespaceRequest(namespace=client.namespace)
        try:
            await client.workflow_service.describe_namespace(request, timeout=time_limits.WORKER.probe_timeout)
        except RPCError as error:
            busy = error.status is RPCStatusCode.RESOURCE_EXHAUSTED
            if not busy and (error.status not in NOT_FOR_US or may_describe):
                words = " ".join(error.message.split())
                self._trouble = ADDRESS.sub("...", without_secrets(f"{error.status.name}: {words}"))
                return
        self._answered, self._trouble = time.monotonic(), ""

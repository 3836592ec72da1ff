"""Clients of API servers, opened on first use, and again when their files or credentials have changed.

The library reads a kubeconfig once and keeps the result for ever. Here a client is opened again when one of its files
has changed and when its credentials end. It is also opened again when an API server refuses it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.errors import ApiUnavailableError, ConfigError, HandoffError
from etcd_handoff.kubernetes.client import UNUSABLE, OpenClient, open_client, open_in_cluster
from etcd_handoff.kubernetes.kubeconfig import what_is_wrong
from etcd_handoff.kubernetes.temporary_files import remove_temporary_files

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.kubernetes.proxies import Proxy

log = logging.getLogger(__name__)


@dataclass
class Clients:
    """The clients of one profile's contexts, opened on first use.

    Attributes:
        kubeconfig: The file; None for the in-cluster configuration.
    """

    kubeconfig: Path | None
    _servers: dict[str, str] = field(default_factory=dict)
    _opened: dict[str, OpenClient] = field(default_factory=dict)
    _opening: dict[str, asyncio.Task[OpenClient]] = field(default_factory=dict)
    _retiring: set[asyncio.Task[None]] = field(default_factory=set)
    _failed: dict[str, tuple[float, str]] = field(default_factory=dict)

    async def get(self, context: str) -> OpenClient:
        """Return the client of a context, with credentials that are valid as far as known.

        Raises:
            ConfigError: The kubeconfig, or the context in it, cannot be used.
            ApiUnavailableError: Its credentials cannot be had now.
        """
        opened = self._opened.get(context)
        if opened is None or opened.over:
            return await self._open(context)
        if opened.stale(asyncio.get_running_loop().time()):
            try:
                return await self._open(context)
            except (ConfigError, ApiUnavailableError) as error:  # it may be half written, so use the old client
                level = logging.DEBUG if opened.troubled else logging.WARNING
                log.log(level, "context %s was changed and cannot be used: %s", context or "in-cluster", error)
                opened.troubled = True
        elif opened.aging and opened.renew_at is not None:
            opened.renew_at += time_limits.KUBERNETES.renew_again_seconds
            self._start(context)
        return opened

    async def renewed(self, context: str, refused: OpenClient) -> OpenClient | None:
        """Return another client than the refused one, or None if there are no other credentials.

        Raises:
            ConfigError: The kubeconfig, or the context in it, cannot be used any more.
            ApiUnavailableError: Its credentials cannot be had now.
        """
        opened = self._opened.get(context)
        if opened is not None and opened is not refused:
            return opened
        if (
            refused.after_refusal
            and asyncio.get_running_loop().time() - refused.opened < time_limits.KUBERNETES.refused_again_seconds
        ):
            return None
        if opened is refused:
            self._retire(self._opened.pop(context))
        opened = await self._open(context)
        opened.after_refusal = True
        return opened if opened.material != refused.material else None

    def proxy(self, context: str) -> Proxy | None:
        """Return the proxy that a context is reached through."""
        opened = self._opened.get(context)
        return opened.proxy if opened else None

    def lead_to(self, servers: dict[str, str]) -> None:
        """Set the addresses of named API servers. Each uses the other settings of the current context.

        Args:
            servers: URL by name; empty for the current context's own address.
        """
        for name in {name for name in (*servers, *self._servers) if servers.get(name) != self._servers.get(name)}:
            if name in self._opened:
                self._retire(self._opened.pop(name))
        self._servers = servers

    async def close(self) -> None:
        """Close all clients, and remove our temporary files."""
        tasks = [*self._opening.values(), *self._retiring]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for opened in self._opened.values():
            await opened.api.close()
        self._opened.clear()
        remove_temporary_files()

    async def _open(self, context: str) -> OpenClient:
        """Return the client that is being opened. A caller that stops waiting does not stop that.

        Raises:
            ApiUnavailableError: It failed a moment ago.
        """
        failed_at, text = self._failed.get(context, (0.0, ""))
        if text and asyncio.get_running_loop().time() - failed_at < time_limits.KUBERNETES.failed_again_seconds:
            raise ApiUnavailableError(text)
        return await asyncio.shield(self._start(context))

    def _start(self, context: str) -> asyncio.Task[OpenClient]:
        if context not in self._opening:
            task = asyncio.create_task(self._replace(context))
            self._opening[context] = task
            task.add_done_callback(lambda done: self._ended(context, done))
        return self._opening[context]

    def _ended(self, context: str, task: asyncio.Task[OpenClient]) -> None:
        self._opening.pop(context, None)
        self._failed.pop(context, None)
        if not task.cancelled() and (error := task.exception()) is not None:  # there may be no waiter any more
            error_text = error if isinstance(error, HandoffError) else type(error).__name__
            log.debug("context %s: %s", context or "in-cluster", error_text)
            if isinstance(error, ApiUnavailableError):
                self._failed[context] = (asyncio.get_running_loop().time(), str(error))

    async def _replace(self, context: str) -> OpenClient:
        try:
            opened = await self._open_anew(context)
        except UNUSABLE as error:
            source = "kubeconfig" if self.kubeconfig else "in-cluster configuration"
            raise ConfigError(f"the {source} cannot be used for it: {what_is_wrong(error)}") from None
        before, self._opened[context] = self._opened.get(context), opened
        if before is not None:
            self._retire(before)
        return opened

    async def _open_anew(self, context: str) -> OpenClient:
        if self.kubeconfig is None:
            return await open_in_cluster()
        if context in self._servers:
            return await open_client(self.kubeconfig, "", self._servers[context])
        return await open_client(self.kubeconfig, context)

    def _retire(self, opened: OpenClient) -> None:
        async def later() -> None:
            try:
                await asyncio.sleep(time_limits.KUBERNETES.replaced_client_seconds)
            finally:
                await opened.api.close()

        task = asyncio.create_task(later())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

"""Clients of API servers that stay good: opened on first use, and again when what they stand on has changed.

The library reads a kubeconfig once and keeps what it found for ever. Here a client is opened again when a file that it
was made from changed, when its credentials end, and when an API server does not accept them.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.config import incluster_config
from kubernetes.aio.config.config_exception import ConfigException
from yaml import YAMLError

from etcd_handoff import timing
from etcd_handoff.errors import ApiUnavailableError, ConfigError, HandoffError
from etcd_handoff.kubernetes.kubeconfig import Loader, remove_temporary_files, what_is_wrong
from etcd_handoff.kubernetes.proxies import Proxy, proxy_for

RENEW_SHARE: Final = 0.1
"""Credentials that hold for a short time are renewed in this last part of it."""
UNUSABLE: Final = (
    *(ConfigException, YAMLError, OSError, ValueError, TypeError, LookupError),
    *(AttributeError, ArithmeticError, RuntimeError),
)
"""What the client's loader raises for a kubeconfig that is not there, no YAML, or of another shape. Their texts quote
whole entries of it, so none is ever passed on, not even as the cause of another error."""

Stamp = tuple[str, int, int, int]
log = logging.getLogger(__name__)


class _ShortLivedConnections(aiohttp.TCPConnector):
    """A connection serves the requests of one step and no later ones.

    Behind one address there may be many API servers: whoever asks again after a pause must not meet a dying one again
    only because its connection still stood.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(keepalive_timeout=timing.KUBERNETES.idle_connection_seconds, **options)


@dataclass(slots=True, eq=False)
class Opened:
    """A client and what it stands on.

    Attributes:
        api: The client.
        material: Digest of address and credentials: a client with the same is refused in the same way.
        files: The files that it was made from, as they were.
        proxy: The proxy that it goes through.
        ends: Wall-clock time in seconds at which its credentials end; None when that is not known.
        renew_at: When to renew them.
        after_refusal: It was opened because the one before was refused.
        troubled: It could not be replaced, and that has been logged.
        opened, checked: Loop times at which it was opened and its files were looked at.
    """

    api: client.ApiClient
    material: str
    files: tuple[Stamp, ...]
    proxy: Proxy | None = None
    ends: float | None = None
    renew_at: float | None = None
    after_refusal: bool = False
    troubled: bool = False
    opened: float = 0.0
    checked: float = 0.0

    @property
    def over(self) -> bool:
        """Whether its credentials have ended."""
        return self.ends is not None and time.time() >= self.ends

    @property
    def aging(self) -> bool:
        """Whether its credentials end soon."""
        return self.renew_at is not None and time.time() >= self.renew_at

    def stale(self, now: float) -> bool:
        """Whether a file changed since it was read; looked at once in a while."""
        if now - self.checked < timing.KUBERNETES.file_check_seconds:
            return False
        self.checked = now
        return tuple(stamp(name) for name, *_ in self.files) != self.files


@dataclass
class Clients:
    """The clients of one profile's contexts, opened on first use.

    Attributes:
        kubeconfig: The file; None for the in-cluster configuration.
    """

    kubeconfig: Path | None
    _opened: dict[str, Opened] = field(default_factory=dict)
    _opening: dict[str, asyncio.Task[Opened]] = field(default_factory=dict)
    _retiring: set[asyncio.Task[None]] = field(default_factory=set)
    _failed: dict[str, tuple[float, str]] = field(default_factory=dict)

    async def get(self, context: str) -> Opened:
        """The client of a context, with credentials that are good as far as one can tell.

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
            except (ConfigError, ApiUnavailableError) as error:  # somebody is just writing it: the old one may do
                level = logging.DEBUG if opened.troubled else logging.WARNING
                log.log(level, "context %s was changed and cannot be used: %s", context or "in-cluster", error)
                opened.troubled = True
        elif opened.aging and opened.renew_at is not None:
            opened.renew_at += timing.KUBERNETES.renew_again_seconds
            self._start(context)
        return opened

    async def renewed(self, context: str, refused: Opened) -> Opened | None:
        """Another client than the one that was refused; None when there is none with other credentials.

        Raises:
            ConfigError: The kubeconfig, or the context in it, cannot be used any more.
            ApiUnavailableError: Its credentials cannot be had now.
        """
        opened = self._opened.get(context)
        if opened is not None and opened is not refused:
            return opened
        if (
            refused.after_refusal
            and asyncio.get_running_loop().time() - refused.opened < timing.KUBERNETES.refused_again_seconds
        ):
            return None
        if opened is refused:
            self._retire(self._opened.pop(context))
        opened = await self._open(context)
        opened.after_refusal = True
        return opened if opened.material != refused.material else None

    def proxy(self, context: str) -> Proxy | None:
        """The proxy that a context is reached through."""
        opened = self._opened.get(context)
        return opened.proxy if opened else None

    async def close(self) -> None:
        """Close all clients; no file of ours is left."""
        tasks = [*self._opening.values(), *self._retiring]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for opened in self._opened.values():
            await opened.api.close()
        self._opened.clear()
        remove_temporary_files()

    async def _open(self, context: str) -> Opened:
        """The client that is being opened; whoever stops waiting for it leaves that to go on."""
        failed_at, text = self._failed.get(context, (0.0, ""))
        if text and asyncio.get_running_loop().time() - failed_at < timing.KUBERNETES.failed_again_seconds:
            raise ApiUnavailableError(text)
        return await asyncio.shield(self._start(context))

    def _start(self, context: str) -> asyncio.Task[Opened]:
        if context not in self._opening:
            task = asyncio.create_task(self._replace(context))
            self._opening[context] = task
            task.add_done_callback(lambda done: self._ended(context, done))
        return self._opening[context]

    def _ended(self, context: str, task: asyncio.Task[Opened]) -> None:
        self._opening.pop(context, None)
        self._failed.pop(context, None)
        if not task.cancelled() and (error := task.exception()) is not None:  # maybe nobody waits for it any more
            error_text = error if isinstance(error, HandoffError) else type(error).__name__
            log.debug("context %s: %s", context or "in-cluster", error_text)
            if isinstance(error, ApiUnavailableError):
                self._failed[context] = (asyncio.get_running_loop().time(), str(error))

    async def _replace(self, context: str) -> Opened:
        try:
            opened = await (open_client(self.kubeconfig, context) if self.kubeconfig else open_in_cluster())
        except UNUSABLE as error:
            source = "kubeconfig" if self.kubeconfig else "in-cluster configuration"
            raise ConfigError(f"the {source} cannot be used for it: {what_is_wrong(error)}") from None
        before, self._opened[context] = self._opened.get(context), opened
        if before is not None:
            self._retire(before)
        return opened

    def _retire(self, opened: Opened) -> None:
        async def later() -> None:
            try:
                await asyncio.sleep(timing.KUBERNETES.replaced_client_seconds)
            finally:
                await opened.api.close()

        task = asyncio.create_task(later())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


# --- opening ------------------------------------------------------------------------------------------------------


async def open_client(kubeconfig: Path, context: str) -> Opened:
    """A client of a context of a kubeconfig.

    Raises:
        ApiUnavailableError: Its credentials cannot be had now.
        Exception: One of `UNUSABLE`: kubeconfig or context cannot be used.
    """
    first = stamp(str(kubeconfig))
    loader = Loader(kubeconfig, context)
    files, settings = (first, *(stamp(str(path)) for path in loader.files())), _settings()
    try:
        await loader.load_and_set(settings)
        origin = "proxy-url of the kubeconfig"
        proxy = Proxy(settings.proxy, origin) if settings.proxy else proxy_for(settings.host, os.environ)
        opened = _opened(settings, files, proxy)
    finally:
        remove_temporary_files()  # the client has read them
    opened.ends, now = loader.ends, time.time()
    opened.renew_at = renewal(now, loader.ends) if loader.ends is not None else None
    return opened


async def open_in_cluster() -> Opened:
    """A client with the ServiceAccount of the Pod that this process runs in.

    Raises:
        Exception: One of `UNUSABLE`: this is no Pod.
    """
    names = (incluster_config.SERVICE_TOKEN_FILENAME, incluster_config.SERVICE_CERT_FILENAME)
    files, settings = tuple(stamp(name) for name in names), _settings()
    # Its own hook looks at the token once a minute and never at the authority; both files are watched here.
    incluster_config.InClusterConfigLoader(*names, try_refresh_token=False).load_and_set(settings)
    settings.api_key["BearerToken"] = settings.api_key["BearerToken"].strip()
    return _opened(settings, files, proxy_for(settings.host, os.environ))


def _settings() -> client.Configuration:
    settings = client.Configuration()
    settings.retries = None
    settings.client_session_kwargs = {"trust_env": False}  # which proxy is used is decided here
    return settings


def _opened(settings: client.Configuration, files: tuple[Stamp, ...], proxy: Proxy | None) -> Opened:
    settings.proxy = proxy.url if proxy else None
    api = client.ApiClient(configuration=settings)
    short = functools.partial(_ShortLivedConnections, ssl=api.rest_client.ssl_context)
    api.rest_client._create_connector = short  # type: ignore[method-assign]  # noqa: SLF001  # its only hook
    now = asyncio.get_running_loop().time()
    return Opened(api, _digest(settings), files, proxy, opened=now, checked=now)


def _digest(settings: client.Configuration) -> str:
    digest = hashlib.sha256(f"{settings.host} {settings.proxy} {settings.api_key.get('BearerToken')}".encode())
    for name in (settings.ssl_ca_cert, settings.cert_file, settings.key_file):
        digest.update(Path(name).read_bytes() if name else b"-")
    return digest.hexdigest()


def renewal(now: float, ends: float) -> float:
    """When credentials are renewed that were had at `now` and end at `ends`; seconds of one clock."""
    return ends - min(timing.KUBERNETES.renew_before_seconds, max(0.0, ends - now) * RENEW_SHARE)


def stamp(name: str) -> Stamp:
    """What shows that a file changed: its name, time, size and inode; zeros when there is none."""
    try:
        file_status = os.stat(name)  # noqa: PTH116  # follows the symbolic links that kubelet swaps
    except OSError:
        return (name, 0, 0, 0)
    return (name, file_status.st_mtime_ns, file_status.st_size, file_status.st_ino)

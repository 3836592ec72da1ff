"""One client of an API server: what it is made from, when that ends, and opening it."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.config import incluster_config
from kubernetes.aio.config.config_exception import ConfigException
from yaml import YAMLError

from etcd_handoff import time_limits
from etcd_handoff.kubernetes.kubeconfig import Loader
from etcd_handoff.kubernetes.proxies import Proxy, proxy_for
from etcd_handoff.kubernetes.temporary_files import remove_temporary_files
from etcd_handoff.kubernetes.traced_calls import trace_configs
from etcd_handoff.secret_words import remember

RENEW_SHARE: Final = 0.1
"""Credentials that hold for a short time are renewed in this last part of it."""
UNUSABLE: Final = (
    *(ConfigException, YAMLError, OSError, ValueError, TypeError, LookupError),
    *(AttributeError, ArithmeticError, RuntimeError),
)
"""What the client's loader raises for a kubeconfig that is not there, no YAML, or of another shape. Their texts quote
whole entries of it, so none is ever passed on, not even as the cause of another error."""

Stamp = tuple[str, int, int, int]


class _ShortLivedConnections(aiohttp.TCPConnector):
    """A connection serves the requests of one step and no later ones.

    Behind one address there may be many API servers: whoever asks again after a pause must not meet a dying one again
    only because its connection still stood.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(keepalive_timeout=time_limits.KUBERNETES.idle_connection_seconds, **options)


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
        if now - self.checked < time_limits.KUBERNETES.file_check_seconds:
            return False
        self.checked = now
        return tuple(stamp(name) for name, *_ in self.files) != self.files


async def open_client(kubeconfig: Path, context: str, server: str = "") -> Opened:
    """A client of a context of a kubeconfig.

    Args:
        kubeconfig: The file.
        context: The context; empty for the current one.
        server: Another API server of the same cluster; empty for the one that the context names.

    Raises:
        ApiUnavailableError: Its credentials cannot be had now.
        Exception: One of `UNUSABLE`: kubeconfig or context cannot be used.
    """
    first = stamp(str(kubeconfig))
    loader = Loader(kubeconfig, context)
    files, settings = (first, *(stamp(str(path)) for path in loader.files())), _settings()
    try:
        await loader.load_and_set(settings)
        settings.host = server or settings.host
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
    # Which proxy is used is decided here.
    settings.client_session_kwargs = {"trust_env": False, "trace_configs": trace_configs()}
    return settings


def _opened(settings: client.Configuration, files: tuple[Stamp, ...], proxy: Proxy | None) -> Opened:
    remember(settings.api_key.get("BearerToken", "").removeprefix("Bearer "))
    remember(settings.password or "")
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


async def namespace_uid(api: client.ApiClient, name: str, limit: float) -> str:
    """UID of a namespace as an API server has it; empty when it does not say.

    `CoreV1Api` would do, but imports all models: nearly a second of computing, in which a worker does nothing else.

    Args:
        api: Client of the API server.
        name: Name of the namespace.
        limit: Time-out in seconds.

    Raises:
        ApiException: The API server refuses.
    """
    headers = {"Accept": "application/json"}
    question = await api.param_serialize(
        "GET", f"/api/v1/namespaces/{name}", header_params=headers, auth_settings=["BearerToken"]
    )
    answer = await api.call_api(*question, _request_timeout=limit)
    await answer.read()
    namespace: Any = api.response_deserialize(answer, {"200": "object"}).data
    return str(namespace["metadata"].get("uid") or "")


def renewal(now: float, ends: float) -> float:
    """When credentials are renewed that were had at `now` and end at `ends`; seconds of one clock."""
    return ends - min(time_limits.KUBERNETES.renew_before_seconds, max(0.0, ends - now) * RENEW_SHARE)


def stamp(name: str) -> Stamp:
    """What shows that a file changed: its name, time, size and inode; zeros when there is none."""
    try:
        file_status = os.stat(name)  # noqa: PTH116  # follows the symbolic links that kubelet swaps
    except OSError:
        return (name, 0, 0, 0)
    return (name, file_status.st_mtime_ns, file_status.st_size, file_status.st_ino)

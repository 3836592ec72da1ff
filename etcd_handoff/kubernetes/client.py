"""One client of an API server: its credentials and files, when they end, and how to open it."""

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
"""Credentials that are valid for a short time are renewed in this last part of it."""
UNUSABLE: Final = (
    *(ConfigException, YAMLError, OSError, ValueError, TypeError, LookupError),
    *(AttributeError, ArithmeticError, RuntimeError),
)
"""Errors of the client's loader for a kubeconfig that is missing, no YAML, or of another shape. Their texts quote whole
entries of it, so none is ever passed on, not even as the cause of another error."""

Stamp = tuple[str, int, int, int]


class _ShortLivedConnections(aiohttp.TCPConnector):
    """A connection serves the requests of one step and no later ones.

    There may be many API servers behind one address. A request after a pause must not reach a dying one only because
    its connection was still open.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(keepalive_timeout=time_limits.KUBERNETES.idle_connection_seconds, **options)


@dataclass(slots=True, eq=False)
class OpenClient:
    """A client, its files and its credentials.

    Attributes:
        api: The client.
        material: Digest of address and credentials. A client with the same digest is refused in the same way.
        files: The files that it was made from, as they were.
        proxy: The proxy that it goes through.
        ends: Wall-clock time in seconds at which its credentials end; None when that is not known.
        renew_at: When to renew them.
        after_refusal: It was opened because the one before was refused.
        troubled: It could not be replaced, and that has been logged.
        opened, checked: Loop times at which it was opened and its files were checked.
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
        """Return whether a file has changed since it was read. The files are checked only now and then."""
        if now - self.checked < time_limits.KUBERNETES.file_check_seconds:
            return False
        self.checked = now
        return tuple(stamp(name) for name, *_ in self.files) != self.files


async def open_client(kubeconfig: Path, context: str, server: str = "") -> OpenClient:
    """Open a client for a context of a kubeconfig.

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


async def open_in_cluster() -> OpenClient:
    """Open a client with the ServiceAccount of the Pod that this process runs in.

    Raises:
        Exception: One of `UNUSABLE`: this is no Pod.
    """
    names = (incluster_config.SERVICE_TOKEN_FILENAME, incluster_config.SERVICE_CERT_FILENAME)
    files, settings = tuple(stamp(name) for name in names), _settings()
    # Its own hook checks the token once a minute and never the authority. Both files are watched here.
    incluster_config.InClusterConfigLoader(*names, try_refresh_token=False).load_and_set(settings)
    settings.api_key["BearerToken"] = settings.api_key["BearerToken"].strip()
    return _opened(settings, files, proxy_for(settings.host, os.environ))


def _settings() -> client.Configuration:
    settings = client.Configuration()
    settings.retries = None
    # The proxy is chosen here, not by aiohttp.
    settings.client_session_kwargs = {"trust_env": False, "trace_configs": trace_configs()}
    return settings


def _opened(settings: client.Configuration, files: tuple[Stamp, ...], proxy: Proxy | None) -> OpenClient:
    remember(settings.api_key.get("BearerToken", "").removeprefix("Bearer "))
    remember(settings.password or "")
    settings.proxy = proxy.url if proxy else None
    api = client.ApiClient(configuration=settings)
    short = functools.partial(_ShortLivedConnections, ssl=api.rest_client.ssl_context)
    api.rest_client._create_connector = short  # type: ignore[method-assign]  # noqa: SLF001  # its only hook
    now = asyncio.get_running_loop().time()
    return OpenClient(api, _digest(settings), files, proxy, opened=now, checked=now)


def _digest(settings: client.Configuration) -> str:
    digest = hashlib.sha256(f"{settings.host} {settings.proxy} {settings.api_key.get('BearerToken')}".encode())
    for name in (settings.ssl_ca_cert, settings.cert_file, settings.key_file):
        digest.update(Path(name).read_bytes() if name else b"-")
    return digest.hexdigest()


async def namespace_uid(api: client.ApiClient, name: str, limit: float) -> str:
    """Return the UID of a namespace by an API server, or "" when it has none.

    `CoreV1Api` could do it, but imports all models. That takes nearly a second, in which a worker does nothing else.

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
    """Return when to renew credentials that were obtained at `now` and end at `ends`, in seconds of one clock."""
    return ends - min(time_limits.KUBERNETES.renew_before_seconds, max(0.0, ends - now) * RENEW_SHARE)


def stamp(name: str) -> Stamp:
    """Return a value that changes with a file: its name, time, size and inode, or zeros when there is none."""
    try:
        file_status = os.stat(name)  # noqa: PTH116  # follows the symbolic links that kubelet swaps
    except OSError:
        return (name, 0, 0, 0)
    return (name, file_status.st_mtime_ns, file_status.st_size, file_status.st_ino)

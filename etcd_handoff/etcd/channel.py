"""The gRPC channel of one endpoint, and the files that its credentials are read from."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import grpc
import grpc.aio
from etcd3aio.auth import AuthService
from etcd3aio.cluster import ClusterService
from etcd3aio.kv import KVService
from etcd3aio.maintenance import MaintenanceService

from etcd_handoff import time_limits
from etcd_handoff.errors import UnreachableError
from etcd_handoff.etcd.traced_calls import interceptors
from etcd_handoff.secret_words import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from etcd_handoff.config import EtcdProfile

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # also the deadline of one attempt to connect
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    # etcd closes a connection that is pinged more often than every 5 s, or while no call is open
    # (etcd `server/embed/config.go`, DefaultGRPCKeepAliveMinTime).
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),  # 0: no limit while a call waits
)

Stamp = tuple[int, int, int] | None


class Channel:
    """The gRPC channel of one endpoint and the services on it, without retries.

    Attributes:
        heard_seconds: When it last brought an answer or a refusal, by the monotonic clock.
    """

    def __init__(self, endpoint: str, profile: EtcdProfile) -> None:
        parts = urlsplit(endpoint)
        target = f"{_scheme(parts.hostname or '')}:{parts.port}"
        traced = interceptors(parts.hostname or "", parts.port or 0)
        if parts.scheme == "https":
            options = list(CHANNEL_OPTIONS)
            if profile.tls_server_name:
                options.append(("grpc.ssl_target_name_override", profile.tls_server_name))
            self._channel = grpc.aio.secure_channel(target, _credentials(profile), options=options, interceptors=traced)
        else:
            self._channel = grpc.aio.insecure_channel(target, options=list(CHANNEL_OPTIONS), interceptors=traced)
        self.cluster = ClusterService(self._channel, max_attempts=1)
        self.maintenance = MaintenanceService(self._channel, max_attempts=1)
        self.auth = AuthService(self._channel, max_attempts=1)
        self.kv = KVService(self._channel, max_attempts=1)
        self.heard_seconds = 0.0
        self._calls, self._retired = 0, False
        self._closing: asyncio.Future[None] | None = None

    def set_token(self, token: str | None) -> None:
        """Send `token` with every further call."""
        for service in (self.cluster, self.maintenance, self.auth, self.kv):
            service.set_token(token)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the connection open until the call in this block has ended, even if the channel is retired."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._close_when_unused()

    def retire(self) -> None:
        """Close the channel once its last call has ended.

        gRPC ends the calls of a closed channel as if their task had been cancelled. That would look like a real
        cancellation.
        """
        self._retired = True
        self._close_when_unused()

    async def close(self) -> None:
        """Close the connection. Running calls end with Cancelled."""
        await self._channel.close()

    def _close_when_unused(self) -> None:
        if self._retired and not self._calls and self._closing is None:
            self._closing = asyncio.ensure_future(self._channel.close())


class WatchedFiles:
    """Files that may be renewed while this process runs.

    Args:
        paths: The files.
        clock: Monotonic seconds.
    """

    def __init__(self, paths: Iterable[Path | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._paths = tuple(path for path in paths if path is not None)
        self._clock = clock
        self._stamps = self._look()
        self._looked_seconds = clock()

    def changed(self, *, now: bool = False) -> bool:
        """Return whether a file has changed since the last call that returned True.

        The files are checked at most once a second, or `now`. A file that is missing for a moment is no change: its old
        content stays in use until it is back.
        """
        if not self._paths or (not now and self._clock() - self._looked_seconds < time_limits.ETCD.file_check_seconds):
            return False
        self._looked_seconds, stamps = self._clock(), self._look()
        if None in stamps or stamps == self._stamps:
            return False
        self._stamps = stamps
        return True

    def _look(self) -> tuple[Stamp, ...]:
        return tuple(_stamp(path) for path in self._paths)


def watched_files(profile: EtcdProfile) -> WatchedFiles:
    """Return all files that hold credentials of the profile."""
    return WatchedFiles((profile.ca_file, profile.cert_file, profile.key_file, profile.password_file))


def read_password(path: Path) -> str:
    """Return the first line of the file.

    Raises:
        OSError: It cannot be read.
    """
    password = path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    remember(password)
    return password


def _stamp(path: Path) -> Stamp:
    """Return a value that changes whenever a file is written or replaced, or None while it cannot be read."""
    try:
        file_status = path.stat()
    except OSError:
        return None
    return (file_status.st_mtime_ns, file_status.st_ino, file_status.st_size)


def _scheme(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"dns:///{host}"
    return f"ipv6:[{host}]" if address.version == 6 else f"ipv4:{host}"


def _credentials(profile: EtcdProfile) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=_pem(profile.ca_file, "CERTIFICATE"),
        private_key=_pem(profile.key_file, "PRIVATE KEY"),
        certificate_chain=_pem(profile.cert_file, "CERTIFICATE"),
    )


def _pem(path: Path | None, kind: str) -> bytes | None:
    """Return the file's content if it has the expected kind. gRPC would only report a failed handshake.

    Raises:
        UnreachableError: The file has no such PEM block.
    """
    if path is None:
        return None
    content = path.read_bytes()
    if f"{kind}-----".encode() not in content:
        msg = f"{path} holds no {kind.lower()} in PEM form"
        raise UnreachableError(msg)
    return content

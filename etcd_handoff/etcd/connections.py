"""One attempt of one call at one endpoint: its channel, its token, changed files, and our errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from etcd_handoff.errors import EtcdError, EtcdPermissionError, UnreachableError
from etcd_handoff.etcd.any_answer import any_answer
from etcd_handoff.etcd.channel import Channel, read_password, watched_files
from etcd_handoff.etcd.translation import code_of, translated
from etcd_handoff.secret_words import remember
from etcd_handoff.unawaited import mark_exception_retrieved

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from etcd_handoff.config import EtcdProfile

T = TypeVar("T")
Call = Callable[[Channel, float], Awaitable[T]]

STALE_TOKEN: Final = ("invalid auth token", "revision of auth store is old", "user name is empty")
"""etcd's answers to a token that it forgot, that an auth change has made old, or that it does not recognize as one.

etcd gives them before anything is proposed or applied (etcd `server/etcdserver/apply/apply_auth.go`). So the call may
be repeated with a fresh token."""


@dataclass(slots=True)
class _Used:
    """The token that an attempt was made with."""

    token: str | None = None


class Connections:
    """All channels of one cluster profile. Use it from one event loop only.

    Args:
        profile: How to reach the members.
    """

    def __init__(self, profile: EtcdProfile) -> None:
        self._profile = profile
        self._channels: dict[str, Channel] = {}
        self._token: str | None = None
        self._files = watched_files(profile)
        self._login: asyncio.Task[str] | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._login is not None:
            self._login.cancel()
            await asyncio.gather(self._login, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def call(
        self, endpoint: str, call: Call[T], timeout_seconds: float, *, change: bool, own: Channel | None = None
    ) -> T:
        """Make one attempt, and a second one after a refusal that fresh credentials may avoid and that changed nothing.

        Args:
            endpoint: Where it is made.
            call: Makes it.
            timeout_seconds: Its deadline.
            change: Whether it changes something.
            own: A channel to the endpoint that is not shared, if the call is to be made on that one.

        Raises:
            EtcdError: The call failed. The message has no address.
        """
        if self._files.changed():
            self._renew()
        used = _Used()
        try:
            return await self._attempt(endpoint, call, timeout_seconds, used, change=change, own=own)
        except EtcdError as error:
            if not self._worth_repeating(error, used.token):
                raise
        return await self._attempt(endpoint, call, timeout_seconds, _Used(), change=change, own=own)

    async def stream(
        self, endpoint: str, idle_seconds: float, check: Callable[[Any], object]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of a snapshot, on a separate connection that lasts as long as the snapshot.

        No chunk shows which member sends it. So the member on that connection is asked for its status, before and
        after.

        Args:
            endpoint: Where it comes from.
            idle_seconds: How long it may bring nothing.
            check: Takes a status, and raises if it is another member's.

        Raises:
            EtcdError: It broke off, brought nothing for `idle_seconds`, or may be another member's.
        """
        channel = None
        try:
            channel = Channel(endpoint, self._profile)
            status = partial(self.call, endpoint, _status, idle_seconds, change=False, own=channel)
            check(await status())
            chunks = channel.maintenance.snapshot(max_attempts=1)
            while True:
                async with asyncio.timeout(idle_seconds):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                yield chunk
            check(await status())
        except Exception as error:
            raise translated(error, change=False, timeout_seconds=idle_seconds) from error
        finally:
            if channel is not None:
                await channel.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _attempt(  # noqa: PLR0913  # those of `call`
        self, endpoint: str, call: Call[T], timeout_seconds: float, used: _Used, *, change: bool, own: Channel | None
    ) -> T:
        channel, sent, began = own, False, time.monotonic()
        try:
            channel = own or self._channel(endpoint)
            with channel.in_use():
                used.token, sent = await self._current_token(endpoint), True
                channel.set_token(used.token)
                answer = await call(channel, timeout_seconds)
        except Exception as error:  # a file, an invalid URL, a bug: in each case the member cannot be asked
            if channel is not None:
                self._note(endpoint, channel, error, began, change=change)
            failure = translated(error, change=change and sent, timeout_seconds=timeout_seconds)
            if isinstance(failure, EtcdPermissionError):
                failure.by_files = bool(self._profile.cert_file or self._profile.password_file)
            raise failure from error
        channel.heard_seconds = time.monotonic()
        return answer

    def _note(self, endpoint: str, channel: Channel, error: Exception, began: float, *, change: bool) -> None:
        """Forget a connection that has brought nothing during a whole read: it may be dead.

        A connection that was cut without a packet looks open for a quarter of an hour. After the network is back, it
        hangs until its next retransmission.
        """
        if code_of(error) != "DEADLINE_EXCEEDED":
            channel.heard_seconds = time.monotonic()
        elif not change and channel.heard_seconds < began and self._channels.get(endpoint) is channel:
            del self._channels[endpoint]
            channel.retire()

    def _worth_repeating(self, failure: EtcdError, used: str | None) -> bool:
        """Return whether the call was refused, without a change, for its credentials and there may be fresher ones."""
        if used is not None and any(words in str(failure) for words in STALE_TOKEN):
            if self._token == used:
                self._use_token(None)
            return True
        refused = isinstance(failure, EtcdPermissionError) or "TLS handshake" in str(failure)
        if refused and self._files.changed(now=True):
            self._renew()
            return True
        return False

    def _channel(self, endpoint: str) -> Channel:
        if endpoint not in self._channels:
            channel = Channel(endpoint, self._profile)
            channel.set_token(self._token)
            self._channels[endpoint] = channel
        return self._channels[endpoint]

    def _renew(self) -> None:
        """Open all channels anew: certificates are read when a channel is opened."""
        channels, self._channels, self._token = self._channels, {}, None
        for channel in channels.values():
            channel.retire()

    async def _current_token(self, endpoint: str) -> str | None:
        """Return the token that calls carry if the profile names a user. One token is valid on every member.

        Calls that need a token at the same time wait for one login: each is a proposal, and costs etcd a bcrypt hash.
        """
        if self._profile.username is None or self._token is not None:
            return self._token
        if self._login is None or self._login.done():
            self._login = asyncio.create_task(self._log_in(endpoint))
            mark_exception_retrieved(self._login)
        return await asyncio.shield(self._login)

    async def _log_in(self, endpoint: str) -> str:
        """Return a token from the first member that gives one. Ask `endpoint` first."""
        others = [url for url in self._profile.endpoints if url != endpoint]
        token = await any_answer([partial(self._authenticate, url) for url in (endpoint, *others)])
        self._use_token(token)
        return token

    async def _authenticate(self, endpoint: str) -> str:
        profile = self._profile
        if profile.username is None or profile.password_file is None:
            msg = "the profile names no user"
            raise UnreachableError(msg)
        try:
            password, channel = read_password(profile.password_file), self._channel(endpoint)
            with channel.in_use():
                answer = await channel.auth.authenticate(
                    profile.username, password, timeout=profile.call_timeout_seconds
                )
        except Exception as error:
            raise translated(error, change=False, timeout_seconds=profile.call_timeout_seconds) from error
        return str(answer.token)

    def _use_token(self, token: str | None) -> None:
        remember(token or "")
        self._token = token
        for channel in self._channels.values():
            channel.set_token(token)


def _status(channel: Channel, timeout_seconds: float) -> Awaitable[Any]:
    return channel.maintenance.status(timeout=timeout_seconds)

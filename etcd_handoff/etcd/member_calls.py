"""Calls to one member. An answer counts only for the member that its header names."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits
from etcd_handoff.errors import EtcdError, UnknownOutcomeError, UnreachableError
from etcd_handoff.etcd.any_answer import any_answer
from etcd_handoff.etcd.replies import hex_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from etcd_handoff.config import EtcdProfile
    from etcd_handoff.etcd.connections import Call, Connections
    from etcd_handoff.etcd.observer import Observer, Route


class MemberCalls:
    """Calls to single members of one cluster.

    Args:
        profile: How to reach the members.
        connections: Channels to them.
        observer: It knows where each member answered last.
    """

    def __init__(self, profile: EtcdProfile, connections: Connections, observer: Observer) -> None:
        self._profile = profile
        self._connections = connections
        self._observer = observer

    @property
    def write_seconds(self) -> float:
        """The time-out of a small write."""
        return max(time_limits.ETCD.lock_call_seconds, self._profile.call_timeout_seconds)

    async def read_at(self, member_id: str, call: Call[Any], timeout_seconds: float | None = None) -> Any:
        """Return the member's answer to a call that changes nothing. The default time-out is the profile's.

        Raises:
            UnreachableError: It did not answer, or another member did.
            EtcdPermissionError: The user may not read it, or its credentials are wrong.
        """
        route = self._observer.route(member_id)
        timeout = timeout_seconds or self._profile.call_timeout_seconds
        answer = await self._connections.call(route.url, call, timeout, change=False)
        return self._from(member_id, route, answer, UnreachableError)

    async def snapshot(self, member_id: str) -> AsyncGenerator[bytes, None]:
        """Yield chunks of the member's backend.

        Raises:
            UnreachableError: The stream broke, or may be another member's. The chunks before are worthless.
            EtcdPermissionError: The user may not read it, or its credentials are wrong.
        """
        route, idle_seconds = self._observer.route(member_id), time_limits.ETCD.snapshot_idle_seconds
        check = partial(self._from, member_id, route, error=UnreachableError)
        async with aclosing(self._connections.stream(route.url, idle_seconds, check)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def commit(self, call: Call[Any], via_id: str = "") -> None:
        """Commit an entry that changes nothing, through `via_id` or through any member.

        Raises:
            UnreachableError: It was not committed in time.
            EtcdPermissionError: The user may not do that, or its credentials are wrong.
        """
        members = (via_id,) if via_id else self._observer.members
        await any_answer([partial(self.read_at, member_id, call, self.write_seconds) for member_id in members])

    async def change_at(self, member_id: str, call: Call[Any], timeout_seconds: float | None = None) -> Any:
        """Return the member's answer to a call that changes something. The default time-out is the profile's.

        Raises:
            EtcdPermissionError: The user may not do it, or its credentials are wrong.
            UnreachableError: Nothing was sent: it has answered no look yet, or no channel or token could be had.
            UnknownOutcomeError: There was no definite answer, or another member gave it.
        """
        route = self._observer.route(member_id)
        timeout = timeout_seconds or self._profile.change_timeout_seconds
        answer = await self._connections.call(route.url, call, timeout, change=True)
        # An answer of another member means that the change was made through it, so the state must be read.
        return self._from(member_id, route, answer, UnknownOutcomeError)

    def _from(self, member_id: str, route: Route, answer: Any, error: type[EtcdError]) -> Any:
        """Return the answer if the asked member gave it: a shared URL may lead to any member."""
        header = (hex_id(answer.header.cluster_id), hex_id(answer.header.member_id))
        if header == (route.cluster_id, member_id):
            return answer
        self._observer.forget(member_id)
        msg = f"member {header[1]} of cluster {header[0]} answered where member {member_id} was asked"
        raise error(msg)

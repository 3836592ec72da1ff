"""Etcd as the rest of the project sees it: a dozen calls, one attempt each, own errors. Alone in importing etcd3aio.

Every endpoint has a channel of its own, so that a call goes where we say and nowhere else; gRPC's own retries are off
and each call has a deadline. Repeating, failing over and waiting are decisions, made above.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
from etcd3aio.auth import AuthService
from etcd3aio.cluster import ClusterService
from etcd3aio.errors import EtcdError as LibraryError
from etcd3aio.maintenance import MaintenanceService

from etcd_handoff.errors import EtcdError, EtcdPermissionError, UnreachableError
from etcd_handoff.etcd_answers import classify, readable
from etcd_handoff.view import ClusterView, MemberView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from etcd_handoff.config import EtcdProfile

T = TypeVar("T")

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # also the deadline of one attempt to connect
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
ALARM: Final = re.compile(r"memberID:(?P<member>\d+)\s+alarm:(?P<alarm>[A-Z]+)")
STALE_TOKEN: Final = ("invalid auth token", "revision of auth store is old", "user name is empty")
"""What etcd says to a token that it forgot, that an auth change has overtaken, or that it does not see as one.

It says so before anything is proposed or applied (etcd `server/etcdserver/apply/apply_auth.go`), so that a call may be
made again with a fresh token.
"""
GRACE_SECONDS: Final = 0.02
"""What a member that did not answer the last look gets beyond the slowest of the others."""
LIST_HEDGE_SECONDS: Final = 0.05
"""How long the one that is asked for the member list may be silent before all others are asked too."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """One endpoint's status, or why there is none."""

    endpoint: str
    status: Any = None
    note: str = ""


class _Channel:
    """One endpoint: a gRPC channel and the services on it, without retries."""

    def __init__(self, endpoint: str, profile: EtcdProfile) -> None:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
        target = f"{_scheme(host)}:{port}"
        if parts.scheme == "https":
            options = list(CHANNEL_OPTIONS)
            if profile.tls_server_name:
                options.append(("grpc.ssl_target_name_override", profile.tls_server_name))
            self._channel = grpc.aio.secure_channel(target, _credentials(profile), options=options)
        else:
            self._channel = grpc.aio.insecure_channel(target, options=list(CHANNEL_OPTIONS))
        self.cluster = ClusterService(self._channel, max_attempts=1)
        self.maintenance = MaintenanceService(self._channel, max_attempts=1)
        self.auth = AuthService(self._channel, max_attempts=1)

    def set_token(self, token: str | None) -> None:
        """Send `token` with every further call."""
        for service in (self.cluster, self.maintenance, self.auth):
            service.set_token(token)

    async def close(self) -> None:
        """Close the connection; calls under way end with Cancelled."""
        await self._channel.close()


def _scheme(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"dns:///{host}"
    return f"ipv6:[{host}]" if address.version == 6 else f"ipv4:{host}"


def _credentials(profile: EtcdProfile) -> grpc.ChannelCredentials:
    def content(path: Any) -> bytes | None:
        return path.read_bytes() if path else None

    return grpc.ssl_channel_credentials(
        root_certificates=content(profile.ca_file),
        private_key=content(profile.key_file),
        certificate_chain=content(profile.cert_file),
    )


class EtcdGateway:
    """One etcd cluster, reached through the endpoints of its profile and what its members advertise.

    Not for use from more than one event loop. Channels open on first use and are kept.
    """

    def __init__(self, profile: EtcdProfile) -> None:
        self._profile = profile
        self._channels: dict[str, _Channel] = {}
        self._endpoint_of: dict[str, str] = {}
        self._lister = ""
        self._token: str | None = None

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    # --- looking --------------------------------------------------------------------------------------------------

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """Linearizable member list with the status of each member, everything asked in parallel.

        Args:
            doubtful: IDs of members that did not answer the last look: they are not waited for once all others have
                answered, so that an unreachable member costs one time-out in a removal and not one in every step.
            leaving: ID of a member that is not asked: etcd panics when a Status call meets it while it leaves the
                cluster (etcd `server/etcdserver/server.go`, IsLearner: "failed to find local ID").

        Raises:
            UnreachableError: No endpoint gave a linearizable list: no quorum, or nobody can be reached.
            EtcdPermissionError: The user may not list members, or its credentials are wrong.
        """
        spared = self._endpoint_of.get(leaving, "")
        endpoints = [url for url in self._profile.endpoints if url != spared]
        asked = {asyncio.ensure_future(self._status(url)): url for url in endpoints}
        try:
            listed = await self._member_list(endpoints)
            cluster_id = listed.header.cluster_id
            patient = {m.ID for m in listed.members} - {int(i, 16) for i in (*doubtful, leaving or "0")}
            answers = await _until_heard(asked, patient, cluster_id)
            heard = {a.status.header.member_id for a in answers if a.status is not None}
            known = set(self._profile.endpoints)
            advertised = [url for m in listed.members if m.ID in patient - heard for url in m.clientURLs]
            # A member may advertise plain HTTP, over which no token or password goes that has TLS elsewhere.
            fit = [url for url in advertised if url.startswith("https://") or not self._profile.secure]
            more = [url for url in fit if url not in known]
            answers += await asyncio.gather(*(self._status(url) for url in dict.fromkeys(more)))
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if answer.status is not None and answer.status.header.cluster_id == cluster_id:
                self._endpoint_of[_hex(answer.status.header.member_id)] = answer.endpoint
        return _view(listed, answers, self._profile.endpoints)

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term that one member names now; a read of its own knowledge, cheap enough to repeat.

        Raises:
            UnreachableError: It did not answer.
        """
        status = await self._read(self._url(member_id), lambda c, t: c.maintenance.status(timeout=t))
        return (_hex(status.leader) if status.leader else None, status.raftTerm)

    async def member_ids(self) -> frozenset[str]:
        """IDs of the linearizable member list.

        Raises:
            UnreachableError: No endpoint gave one.
        """
        return frozenset(_hex(m.ID) for m in (await self._member_list()).members)

    async def hash_at(self, member_id: str, revision: int) -> tuple[int, int]:
        """Hash of the member's keyspace up to `revision` (0: its newest), and the revision it stands at.

        Raises:
            CompactedError: The member has not reached that revision, or has compacted it.
            UnreachableError: It did not answer.
        """
        answer = await self._read(
            self._url(member_id), lambda c, t: c.maintenance.hash_kv(revision=revision, timeout=t)
        )
        return (answer.hash, answer.header.revision)

    async def snapshot(self, member_id: str) -> AsyncIterator[bytes]:
        """Chunks of the member's backend as `etcdctl snapshot save` writes it; the last 32 bytes are its SHA-256.

        Raises:
            UnreachableError: The stream broke; what was yielded is worthless.
        """
        channel = self._channel(self._url(member_id))
        try:
            await self._authenticate(channel)
            async for chunk in channel.maintenance.snapshot(max_attempts=1):
                yield chunk
        except FAILURES as error:
            raise _translated(error, change=False) from error

    # --- changing -------------------------------------------------------------------------------------------------

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Ask the leader to hand over; returns when the old leader sees the transferee lead.

        The answer takes at least one 100 ms tick although the hand-over takes milliseconds, so watch the transferee
        beside it. To the leader itself it is a no-op (etcd `server/etcdserver/server.go`, moveLeader).

        Raises:
            NotLeaderError: The asked member does not lead.
            BadTransfereeError: The transferee is unknown or a learner.
            TransferTimeoutError: It was not elected in time.
            UnknownOutcomeError: No definite answer.
        """
        await self._change(leader_id, lambda c, t: c.maintenance.move_leader(int(transferee_id, 16), timeout=t))

    async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
        """`member_id` is no longer in the membership that `via_id` reports.

        Returns:
            IDs of that membership. etcd answers once the asked member has applied the change (etcd
            `server/etcdserver/server.go`, configure), so it is as good as a linearizable list.

        Raises:
            MemberNotFoundError: It is not in the membership.
            UnhealthyClusterError: etcd refuses for now; nothing changed.
            NotEnoughStartedError: etcd refuses; nothing changed.
            UnknownOutcomeError: No definite answer: list the members through another one.
        """
        answer = await self._change(via_id, lambda c, t: c.cluster.member_remove(int(member_id, 16), timeout=t))
        return frozenset(_hex(m.ID) for m in answer.members)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _channel(self, endpoint: str) -> _Channel:
        if endpoint not in self._channels:
            channel = _Channel(endpoint, self._profile)
            channel.set_token(self._token)
            self._channels[endpoint] = channel
        return self._channels[endpoint]

    def _url(self, member_id: str) -> str:
        url = self._endpoint_of.get(member_id)
        if url is None:
            msg = f"member {member_id} has not answered at any endpoint yet"
            raise UnreachableError(msg)
        return url

    async def _status(self, endpoint: str) -> _Answer:
        try:
            return _Answer(endpoint, await self._read(endpoint, lambda c, t: c.maintenance.status(timeout=t)))
        except EtcdError as error:
            return _Answer(endpoint, note=str(error))

    async def _member_list(self, endpoints: Sequence[str] = ()) -> Any:
        """The first linearizable list that any endpoint gives.

        Whoever gave the last one is asked, and all others once that one has failed or been silent for
        `LIST_HEDGE_SECONDS`: each such read makes the leader hear from a majority first (raft ReadIndex).
        """

        async def ask(endpoint: str) -> tuple[str, Any]:
            return endpoint, await self._read(
                endpoint, lambda c, t: c.cluster.member_list(linearizable=True, timeout=t)
            )

        left = sorted(endpoints or self._profile.endpoints, key=lambda url: url != self._lister)
        tasks = [asyncio.ensure_future(ask(left.pop(0)))]
        pending = set(tasks)
        failures: list[EtcdError] = []
        try:
            while pending:
                patience = LIST_HEDGE_SECONDS if left else None
                done, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    try:
                        self._lister, answer = task.result()
                    except EtcdError as error:
                        failures.append(error)
                    else:
                        return answer
                others = [asyncio.ensure_future(ask(url)) for url in left]
                tasks, pending, left = [*tasks, *others], pending | set(others), []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, EtcdPermissionError):
                raise failure
        said = "; ".join(sorted({str(f) for f in failures}))
        msg = f"none of {len(failures)} endpoints gives a linearizable member list: {said}"
        raise UnreachableError(msg)

    async def _read(self, endpoint: str, call: _Call[T]) -> T:
        return await self._call(endpoint, call, self._profile.call_timeout_seconds, change=False)

    async def _change(self, member_id: str, call: _Call[T]) -> T:
        return await self._call(self._url(member_id), call, self._profile.change_timeout_seconds, change=True)

    async def _call(self, endpoint: str, call: _Call[T], timeout_seconds: float, *, change: bool) -> T:
        """One attempt; a second one only after etcd turned a stale token down, which changes nothing."""
        channel, used = self._channel(endpoint), None
        try:
            used = await self._authenticate(channel)
            return await call(channel, timeout_seconds)
        except FAILURES as error:
            if used is None or not any(words in _said(error) for words in STALE_TOKEN):
                raise _translated(error, change=change, timeout_seconds=timeout_seconds) from error
        if self._token == used:
            self._use_token(None)
        try:
            await self._authenticate(channel)
            return await call(channel, timeout_seconds)
        except FAILURES as error:
            raise _translated(error, change=change, timeout_seconds=timeout_seconds) from error

    async def _authenticate(self, channel: _Channel) -> str | None:
        """The token that calls carry, where the profile names a user; one holds on every member."""
        profile = self._profile
        if profile.username is not None and profile.password_file is not None and self._token is None:
            password = profile.password_file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
            answer = await channel.auth.authenticate(profile.username, password, timeout=profile.call_timeout_seconds)
            self._use_token(answer.token)
        return self._token

    def _use_token(self, token: str | None) -> None:
        self._token = token
        for channel in self._channels.values():
            channel.set_token(token)


_Call = Callable[[_Channel, float], Awaitable[T]]
FAILURES: Final = (LibraryError, grpc.aio.AioRpcError, TimeoutError)


async def _until_heard(asked: Iterable[asyncio.Future[_Answer]], patient: set[int], cluster_id: int) -> list[_Answer]:
    """Answers as they come, until all members in `patient` are heard; then only what a short grace still brings."""
    pending, answers = set(asked), list[_Answer]()
    while pending:
        heard = {a.status.header.member_id for a in answers if a.status and a.status.header.cluster_id == cluster_id}
        enough = patient <= heard
        done, pending = await asyncio.wait(
            pending, timeout=GRACE_SECONDS if enough else None, return_when=asyncio.FIRST_COMPLETED
        )
        answers += [task.result() for task in done]
        if enough and not done:
            break
    return answers


def _view(listed: Any, answers: list[_Answer], endpoints: tuple[str, ...]) -> ClusterView:
    cluster_id = listed.header.cluster_id
    spoken = [a for a in answers if a.status is not None]
    status_of = {a.status.header.member_id: a.status for a in spoken if a.status.header.cluster_id == cluster_id}
    note_of = {a.endpoint: a.note for a in answers if a.status is None}
    alarms: dict[int, set[str]] = {}
    for member_id, alarm in (found for status in status_of.values() for found in _alarms(status)):
        alarms.setdefault(member_id, set()).add(alarm)
    members = [
        _member_view(m, status_of.get(m.ID), tuple(sorted(alarms.get(m.ID, ()))), note_of) for m in listed.members
    ]
    return ClusterView(cluster_id=_hex(cluster_id), members=tuple(sorted(members, key=lambda m: int(m.id, 16))))


def _member_view(member: Any, status: Any, alarms: tuple[str, ...], note_of: dict[str, str]) -> MemberView:
    said = [note_of[url] for url in member.clientURLs if url in note_of]
    missing = "not started" if not member.name else "no answer"
    note = "" if status is not None else (said[0] if said else missing)
    return MemberView(
        id=_hex(member.ID),
        name=member.name,
        peer_urls=tuple(member.peerURLs),
        is_learner=member.isLearner,
        reachable=status is not None,
        leader_id=_hex(status.leader) if status is not None and status.leader else None,
        term=status.raftTerm if status is not None else 0,
        raft_index=status.raftIndex if status is not None else 0,
        version=status.version if status is not None else "",
        db_size_bytes=status.dbSize if status is not None else 0,
        alarms=alarms,
        note=", ".join([note, *alarms]).removeprefix(", "),
    )


def _alarms(status: Any) -> list[tuple[int, str]]:
    """Alarms that a status carries as text, such as `memberID:123 alarm:NOSPACE`.

    Asking for them with the Alarm call would put an entry into the raft log for every look (etcd
    `server/etcdserver/v3_server.go`, Alarm), while Status knows them for free (`api/v3rpc/maintenance.go`, Status).
    """
    found = (ALARM.search(text) for text in status.errors)
    return [(int(match["member"]), match["alarm"]) for match in found if match]


def _hex(number: int) -> str:
    return format(number, "x")


def _said(error: BaseException) -> str:
    """The server's or gRPC's own words."""
    source = error if isinstance(error, grpc.aio.AioRpcError) else error.__cause__
    return (source.details() or "") if isinstance(source, grpc.aio.AioRpcError) else str(error)


def _translated(error: BaseException, *, change: bool, timeout_seconds: float | None = None) -> EtcdError:
    """Our error for one of theirs; the message has no endpoint in it, since messages reach workflow histories."""
    source = error if isinstance(error, grpc.aio.AioRpcError) else error.__cause__
    code = source.code().name if isinstance(source, grpc.aio.AioRpcError) else "DEADLINE_EXCEEDED"
    said = _said(error)
    return classify(said, code, change=change)(readable(said, code, timeout_seconds))

"""When a call to etcd is made a second time, which files are read anew, and who logs in."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from etcd_handoff import time_limits
from etcd_handoff.config import EtcdProfile
from etcd_handoff.errors import EtcdError, EtcdPermissionError, UnknownOutcomeError, UnreachableError
from etcd_handoff.etcd.any_answer import any_answer
from etcd_handoff.etcd.channel import WatchedFiles
from etcd_handoff.etcd.connections import Connections
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.etcd.observer import Route
from etcd_handoff.etcd.translation import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager
    from pathlib import Path

ENDPOINT = "http://etcd:2379"
WRONG = "not the one"


def refusal(words: str, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> AioRpcError:
    """What etcd answers."""
    return AioRpcError(code, Metadata(), Metadata(), words)


class Server:
    """Stands where a channel does: gives a new token each time it is asked, and takes the newest alone."""

    def __init__(self, *refusals: str) -> None:
        self.auth, self._refusals = self, list(refusals)
        self.token: str | None = None
        self.heard_seconds = 0.0
        self.calls = self.logins = 0
        self.passwords: list[str] = []
        self.retired = False

    def set_token(self, token: str | None) -> None:
        """As a channel."""
        self.token = token

    def in_use(self) -> Server:
        """As a channel."""
        return self

    def retire(self) -> None:
        """As a channel."""
        self.retired = True

    def __enter__(self) -> None:
        """A call begins."""

    def __exit__(self, *_: object) -> None:
        """A call ends."""

    async def authenticate(self, _: str, password: str, **__: object) -> Any:
        """As etcd: another token."""
        self.logins += 1
        self.passwords.append(password)
        await asyncio.sleep(0)
        if password == WRONG:
            raise refusal("etcdserver: authentication failed, invalid user ID or password")
        return type("Answer", (), {"token": f"token {self.logins}"})

    async def answer(self) -> str:
        """The next refusal, else the token that came with the call."""
        self.calls += 1
        if self._refusals:
            raise refusal(self._refusals.pop(0))
        return str(self.token)


@pytest.fixture
def profile(tmp_path: Path) -> dict[str, Any]:
    """A profile with a user."""
    (tmp_path / "password").write_text("s3cr3t\n")
    return {"endpoints": (ENDPOINT,), "username": "root", "password_file": tmp_path / "password"}


def connected(profile: dict[str, Any], *servers: Server) -> Connections:
    """Connections whose only channels are these servers."""
    connections = Connections(EtcdProfile.model_validate(profile))
    for endpoint, server in zip(profile["endpoints"], servers, strict=True):
        connections._channels[endpoint] = server  # type: ignore[assignment]
    return connections


async def ask(connections: Connections, endpoint: str = ENDPOINT) -> str:
    """A change through one endpoint."""
    answer: str = await connections.call(endpoint, lambda channel, _: channel.answer(), 1.0, change=True)  # type: ignore[attr-defined]
    return answer


STALE = (
    "etcdserver: invalid auth token",
    "etcdserver: revision of auth store is old",
    "etcdserver: user name is empty",
)


@pytest.mark.parametrize("words", STALE)
async def test_stale_token_is_renewed_once(words: str, profile: dict[str, Any]) -> None:
    """The call is made again with a fresh token, since the first has changed nothing."""
    server = Server(words)
    assert await ask(connected(profile, server)) == "token 2"
    assert (server.calls, server.logins) == (2, 2)


@pytest.mark.parametrize("words", STALE)
async def test_stale_token_is_not_renewed_twice(words: str, profile: dict[str, Any]) -> None:
    """What a fresh token does not heal is told."""
    server = Server(words, words)
    with pytest.raises(EtcdError, match=words):
        await ask(connected(profile, server))
    assert (server.calls, server.logins) == (2, 2)


async def test_token_that_another_call_renewed_is_kept(profile: dict[str, Any]) -> None:
    """Of two calls that meet with the same stale token the second uses what the first got."""
    server = Server("etcdserver: invalid auth token")
    connections = connected(profile, server)

    async def overtaken(channel: Any, _: float) -> str:
        try:
            answer: str = await channel.answer()
        except AioRpcError:
            connections._use_token("from another call")
            raise
        return answer

    assert await connections.call(ENDPOINT, overtaken, 1.0, change=False) == "from another call"
    assert server.logins == 1


@pytest.mark.parametrize("words", ["etcdserver: permission denied", "etcdserver: leader changed", "raft: stopped", ""])
async def test_nothing_else_is_repeated(words: str, profile: dict[str, Any]) -> None:
    """A change is sent once."""
    server = Server(words)
    with pytest.raises((EtcdPermissionError, UnknownOutcomeError)):
        await ask(connected(profile, server))
    assert server.calls == 1


async def test_without_a_user_there_is_nothing_to_renew(profile: dict[str, Any]) -> None:
    """A cluster that wants a user gets none from a profile without."""
    server = Server(STALE[2])
    with pytest.raises(EtcdPermissionError, match="user name is empty"):
        await ask(connected({"endpoints": profile["endpoints"]}, server))
    assert (server.calls, server.logins) == (1, 0)


async def test_calls_at_the_same_time_log_in_once(profile: dict[str, Any]) -> None:
    """Each login is a proposal and a bcrypt hash: all that need a token wait for the same one."""
    urls = tuple(f"http://etcd{n}:2379" for n in range(3))
    servers = [Server() for _ in urls]
    connections = connected({**profile, "endpoints": urls}, *servers)
    assert set(await asyncio.gather(*(ask(connections, url) for url in urls))) == {"token 1"}
    assert sum(server.logins for server in servers) == 1


async def test_endpoint_without_users_does_not_stand_for_all(profile: dict[str, Any]) -> None:
    """A foreign endpoint answers that authentication is not enabled: the next one is asked."""

    class Foreign(Server):
        async def authenticate(self, *_: object, **__: object) -> Any:
            raise refusal("etcdserver: authentication is not enabled")

    urls = ("http://foreign:2379", ENDPOINT)
    foreign, own = Foreign(), Server()
    assert await ask(connected({**profile, "endpoints": urls}, foreign, own), urls[0]) == "token 1"


# --- files ----------------------------------------------------------------------------------------------------------


def renew(path: Path, content: str) -> None:
    """Another file takes the name, as certificate managers do it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(content)
    os.utime(fresh, ns=(1, time.time_ns()))
    fresh.replace(path)


def test_changed_file_is_noticed_once_a_second(tmp_path: Path) -> None:
    """Not more often, unless a failure says that now is the moment; and each change once."""
    file, clock = tmp_path / "cert.pem", [0.0]
    file.write_text("old")
    files = WatchedFiles((file, None), lambda: clock[0])
    renew(file, "new")
    assert not files.changed()
    assert files.changed(now=True)
    assert not files.changed(now=True)
    clock[0] = 2.0
    assert not files.changed()
    renew(file, "newer")
    clock[0] = 4.0
    assert files.changed()


def test_file_that_is_away_for_a_moment_is_no_change(tmp_path: Path) -> None:
    """What was read from it goes on being used; when it is back with other content, that is the change."""
    file = tmp_path / "key.pem"
    file.write_text("old")
    files = WatchedFiles((file,))
    file.unlink()
    assert not files.changed(now=True)
    file.write_text("newer")
    assert files.changed(now=True)


async def test_renewed_password_is_used_when_the_old_one_is_refused(
    profile: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login is made again with what stands in the file now, and not when the file is the same."""
    file: Path = profile["password_file"]
    renew(file, WRONG)
    server, fresh = Server(), Server()
    connections = connected(profile, server)
    monkeypatch.setattr("etcd_handoff.etcd.connections.Channel", lambda *_: fresh)
    with pytest.raises(EtcdPermissionError, match="authentication failed") as caught:
        await ask(connections)
    assert caught.value.by_files
    assert server.passwords == [WRONG]

    async def login(_: str, password: str, **__: object) -> Any:
        renew(file, "s3cr3t")  # while the old one is on its way
        return await Server.authenticate(server, "root", password)

    monkeypatch.setattr(server, "authenticate", login)
    assert await ask(connections) == "token 1"
    assert server.retired
    assert fresh.passwords == ["s3cr3t"]


async def test_password_file_that_is_away_is_named(profile: dict[str, Any]) -> None:
    """No error of the system leaves the gateway: the look answers that the file cannot be read."""
    profile["password_file"].unlink()
    gateway = EtcdGateway(EtcdProfile.model_validate(profile))
    with pytest.raises(UnreachableError, match=r"password cannot be read: No such file or directory"):
        await gateway.observe()
    await gateway.close()


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("ca_file", "", "ca_file holds no certificate in PEM form"),
        ("ca_file", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", "holds no certificate"),
        ("key_file", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "key_file holds no private key"),
    ],
    ids=["empty", "a key", "a certificate"],
)
async def test_file_of_another_kind_is_named(tmp_path: Path, file: str, content: str, text: str) -> None:
    """Certificate and key swapped: gRPC would only say that a handshake failed."""
    good = {
        "ca_file": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "cert_file": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "key_file": "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n",
    }
    for name, words in {**good, file: content}.items():
        (tmp_path / name).write_text(words)
    files = {name: tmp_path / name for name in good}
    gateway = EtcdGateway(EtcdProfile.model_validate({"endpoints": ["https://etcd:2379"], **files}))
    with pytest.raises(UnreachableError, match=text):
        await gateway.observe()
    await gateway.close()


# --- other ----------------------------------------------------------------------------------------------------------


async def test_dark_connection_is_forgotten(profile: dict[str, Any]) -> None:
    """A read that timed out on a connection that brought nothing meanwhile; a refusal keeps the connection."""

    async def hangs(*_: object) -> str:
        raise TimeoutError

    async def refuses(*_: object) -> str:
        raise refusal("etcdserver: not leader")

    server = Server()
    connections = connected({"endpoints": profile["endpoints"]}, server)
    with pytest.raises(EtcdError):
        await connections.call(ENDPOINT, refuses, 1.0, change=False)
    assert connections._channels
    with pytest.raises(UnreachableError, match="no answer within 1 s"):
        await connections.call(ENDPOINT, hangs, 1.0, change=False)
    assert (server.retired, connections._channels) == (True, {})


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "/etc/key.pem"), "/etc/key.pem cannot be read: No such"),
        (ConnectionResetError(104, "Connection reset by peer"), "no connection: Connection reset by peer"),
        (ValueError("Port out of range 0-65535"), r"the call could not be made \(ValueError\)"),
        (KeyError("10.0.0.1:2379"), r"the call could not be made \(KeyError\)"),
    ],
)
@pytest.mark.parametrize("change", [True, False])
def test_any_exception_is_an_error_of_ours(error: Exception, text: str, *, change: bool) -> None:
    """In words without an address; a change that may have been sent has an unknown outcome."""
    found = translated(error, change=change)
    assert type(found) is (UnknownOutcomeError if change else UnreachableError)
    with pytest.raises(EtcdError, match=text):
        raise found


async def test_change_that_was_never_sent_changed_nothing(tmp_path: Path) -> None:
    """A key that cannot be read is met before anything is sent."""
    options = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    connections = Connections(EtcdProfile.model_validate({"endpoints": ["https://etcd:2379"], **options}))
    with pytest.raises(UnreachableError, match=r"key\.pem cannot be read"):
        await ask(connections, "https://etcd:2379")


async def test_any_answer_does_not_wait_for_the_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next is asked when one has been silent for a moment, at once when it has failed."""
    monkeypatch.setattr(time_limits, "ETCD", replace(time_limits.ETCD, hedge_seconds=0.001))
    began = list[str]()

    async def never() -> str:
        began.append("never")
        await asyncio.Event().wait()
        return ""

    async def fails() -> str:
        began.append("fails")
        msg = "down"
        raise UnreachableError(msg)

    async def answers() -> str:
        began.append("answers")
        return "here"

    assert await any_answer([never, fails, answers]) == "here"
    assert began == ["never", "fails", "answers"]
    with pytest.raises(UnreachableError, match="down"):
        await any_answer([fails, fails])


# --- what takes long --------------------------------------------------------------------------------------------------


async def test_hash_has_a_deadline_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds for each GB, so the deadline of a read would end each."""
    times = []

    async def read_at(_: object, member_id: str, call: object, timeout_seconds: float | None = None) -> Any:
        del member_id, call
        times.append(timeout_seconds)
        header = type("Header", (), {"revision": 7})
        return type("Answer", (), {"hash": 1, "header": header, "compact_revision": 2})

    monkeypatch.setattr("etcd_handoff.etcd.member_calls.MemberCalls.read_at", read_at)
    profile = EtcdProfile(endpoints=(ENDPOINT,), call_timeout_seconds=1, hash_timeout_seconds=33)
    assert (await EtcdGateway(profile).hash_at("1", 0)).revision == 7
    assert times == [33]


class Streaming:
    """Stands where a snapshot's own channel does.

    Attributes:
        opened: The channels.
        members: Who answers for its status, call by call; the last one from then on.
        refusals: What etcd answers to the next calls for a status.
        chunks: How many chunks the stream has.
        ends: The stream ends after the last one; else it hangs.
    """

    opened: ClassVar[list[Streaming]] = []
    members: ClassVar[list[int]] = [1]
    refusals: ClassVar[list[str]] = []
    chunks, ends = 2, True

    def __init__(self, *_: object) -> None:
        self.maintenance, self.heard_seconds, self.closed = self, 0.0, False
        self.tokens = list[str | None]()
        self.opened.append(self)

    def set_token(self, token: str | None) -> None:
        """As a channel."""
        self.tokens.append(token)

    def in_use(self) -> AbstractContextManager[None]:
        """As a channel."""
        return nullcontext()

    async def close(self) -> None:
        """As a channel."""
        self.closed = True

    async def status(self, *, timeout: float) -> Any:  # noqa: ARG002  # as etcd3aio
        """As etcd: who it is."""
        if self.refusals:
            raise refusal(self.refusals.pop(0))
        member_id = self.members.pop(0) if len(self.members) > 1 else self.members[0]
        return SimpleNamespace(header=SimpleNamespace(cluster_id=0xC, member_id=member_id))

    async def snapshot(self, **_: object) -> AsyncIterator[bytes]:
        """As etcd: nothing in it says whose it is."""
        for _chunk in range(self.chunks):
            await asyncio.sleep(0.15)
            yield b"bolt"
        if not self.ends:
            await asyncio.Event().wait()


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> type[Streaming]:
    """Every channel that is opened streams, and member 1 was found at the endpoint."""

    class Fresh(Streaming):
        opened, members, refusals = [], [1], []

    monkeypatch.setattr("etcd_handoff.etcd.connections.Channel", Fresh)
    monkeypatch.setattr("etcd_handoff.etcd.observer.Observer.route", lambda *_: Route(ENDPOINT, "c"))
    return Fresh


async def test_snapshot_that_brings_nothing_for_a_while_breaks_off(
    monkeypatch: pytest.MonkeyPatch, streaming: type[Streaming]
) -> None:
    """The time counts from chunk to chunk, whatever the profile's deadlines are: a long snapshot is no slow one."""
    monkeypatch.setattr(time_limits, "ETCD", replace(time_limits.ETCD, snapshot_idle_seconds=0.4))
    streaming.chunks, streaming.ends = 4, False
    chunks = EtcdGateway(EtcdProfile(endpoints=(ENDPOINT,), call_timeout_seconds=1)).snapshot("1")
    assert [await anext(chunks) for _ in range(4)] == [b"bolt"] * 4
    with pytest.raises(UnreachableError, match=r"no answer within 0\.4 s"):
        await anext(chunks)


@pytest.mark.parametrize(("members", "chunks"), [([1], 2), ([1, 1], 2), ([2, 1], 0), ([1, 2], 2)])
async def test_snapshot_is_that_of_the_member_that_was_asked(
    streaming: type[Streaming], members: list[int], chunks: int
) -> None:
    """Behind a shared URL anybody may be: who answers on the stream's own connection is asked before and after."""
    streaming.members, taken = members, list[bytes]()
    gateway, right = EtcdGateway(EtcdProfile(endpoints=(ENDPOINT,))), 2 not in members
    words = pytest.raises(UnreachableError, match=r"^member 2 of cluster c answered where member 1 was asked$")
    with nullcontext() if right else words:
        async for chunk in gateway.snapshot("1"):
            taken.append(chunk)
    assert taken == [b"bolt"] * chunks
    assert [channel.closed for channel in streaming.opened] == [True], "it has a connection of its own"


async def test_snapshot_may_outlast_its_token(streaming: type[Streaming], profile: dict[str, Any]) -> None:
    """Etcd forgets one that was not used for five minutes: the question after the stream is put again with another."""
    server = Server()
    connections = connected(profile, server)
    chunks = connections.stream(ENDPOINT, 5.0, lambda _: None)
    taken = [await anext(chunks)]
    streaming.refusals = ["etcdserver: invalid auth token"]
    taken += [chunk async for chunk in chunks]
    assert (taken, streaming.refusals, server.logins) == ([b"bolt"] * 2, [], 2)
    assert [token for channel in streaming.opened for token in channel.tokens] == ["token 1", "token 1", "token 2"]

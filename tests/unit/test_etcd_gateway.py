"""When a call to etcd is made a second time: only after it turned a stale token down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from etcd_handoff.config import EtcdProfile
from etcd_handoff.errors import EtcdError, EtcdPermissionError, UnknownOutcomeError
from etcd_handoff.etcd_gateway import EtcdGateway

if TYPE_CHECKING:
    from pathlib import Path


def said(words: str) -> AioRpcError:
    """What etcd answers."""
    return AioRpcError(grpc.StatusCode.UNKNOWN, Metadata(), Metadata(), words)


class Server:
    """Stands where a channel does: gives a new token each time it is asked, and takes the newest alone."""

    def __init__(self, *refusals: str) -> None:
        self.auth, self._refusals = self, list(refusals)
        self.token: str | None = None
        self.calls = self.logins = 0

    def set_token(self, token: str | None) -> None:
        """As a channel."""
        self.token = token

    async def authenticate(self, *_: object, **__: object) -> Any:
        """As etcd: another token."""
        self.logins += 1
        return type("Answer", (), {"token": f"token {self.logins}"})

    async def answer(self) -> str:
        """The next refusal, else the token that came with the call."""
        self.calls += 1
        if self._refusals:
            raise said(self._refusals.pop(0))
        return str(self.token)


@pytest.fixture
def profile(tmp_path: Path) -> dict[str, object]:
    """A profile with a user."""
    (tmp_path / "password").write_text("s3cr3t\n")
    return {"endpoints": ("http://etcd:2379",), "username": "root", "password_file": tmp_path / "password"}


def gateway_to(server: Server, profile: dict[str, object]) -> EtcdGateway:
    """A gateway whose only channel is `server`."""
    gateway = EtcdGateway(EtcdProfile.model_validate(profile))
    gateway._channels["http://etcd:2379"] = server  # type: ignore[assignment]
    return gateway


async def ask(gateway: EtcdGateway) -> str:
    """A change through the only endpoint."""
    return await gateway._call("http://etcd:2379", lambda channel, _: channel.answer(), 1.0, change=True)  # type: ignore[attr-defined]


STALE = (
    "etcdserver: invalid auth token",
    "etcdserver: revision of auth store is old",
    "etcdserver: user name is empty",
)


@pytest.mark.parametrize("words", STALE)
async def test_stale_token_is_renewed_once(words: str, profile: dict[str, object]) -> None:
    """The call is made again with a fresh token, since the first has changed nothing."""
    server = Server(words)
    assert await ask(gateway_to(server, profile)) == "token 2"
    assert (server.calls, server.logins) == (2, 2)


@pytest.mark.parametrize("words", STALE)
async def test_stale_token_is_not_renewed_twice(words: str, profile: dict[str, object]) -> None:
    """What a fresh token does not mend is told."""
    server = Server(words, words)
    with pytest.raises(EtcdError, match=words):
        await ask(gateway_to(server, profile))
    assert (server.calls, server.logins) == (2, 2)


async def test_token_that_another_call_renewed_is_kept(profile: dict[str, object]) -> None:
    """Of two calls that meet with the same stale token the second uses what the first got."""
    server = Server("etcdserver: invalid auth token")
    gateway = gateway_to(server, profile)

    async def overtaken(channel: Server, _: float) -> str:
        try:
            return await channel.answer()
        except AioRpcError:
            gateway._use_token("from another call")
            raise

    assert await gateway._call("http://etcd:2379", overtaken, 1.0, change=False) == "from another call"  # type: ignore[arg-type]
    assert server.logins == 1


@pytest.mark.parametrize("words", ["etcdserver: permission denied", "etcdserver: leader changed", "raft: stopped", ""])
async def test_nothing_else_is_repeated(words: str, profile: dict[str, object]) -> None:
    """A change is sent once."""
    server = Server(words)
    with pytest.raises((EtcdPermissionError, UnknownOutcomeError)):
        await ask(gateway_to(server, profile))
    assert server.calls == 1


async def test_without_a_user_there_is_nothing_to_renew(profile: dict[str, object]) -> None:
    """A cluster that wants a user gets none from a profile without."""
    server = Server(STALE[2])
    with pytest.raises(EtcdPermissionError, match="user name is empty"):
        await ask(gateway_to(server, {"endpoints": profile["endpoints"]}))
    assert (server.calls, server.logins) == (1, 0)

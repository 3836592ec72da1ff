"""What probes are told, over HTTP and by file."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import time_limits
from etcd_handoff.errors import ConfigError
from etcd_handoff.lab.http import request
from etcd_handoff.lab.ports import Ports
from etcd_handoff.temporal.probes import answering, parsed_address
from etcd_handoff.temporal.readiness import Readiness, Verdict

if TYPE_CHECKING:
    from pathlib import Path


class Temporal:
    """A client whose server answers, or fails like this."""

    namespace = "default"

    def __init__(self) -> None:
        self.fails: RPCError | None = None

    @property
    def workflow_service(self) -> Temporal:
        """The service itself."""
        return self

    async def describe_namespace(self, *_: object, **__: object) -> None:
        """As it is told to."""
        if self.fails is not None:
            raise self.fails


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


async def verdict(readiness: Readiness, temporal: Any, *, may_describe: bool = True) -> Verdict:
    """Whether it is ready after one more question to Temporal."""
    await readiness._ask(temporal, may_describe=may_describe)
    return readiness.ready()


async def test_worker_without_temporal_for_minutes_is_alive_and_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says since when and why, without an address; and it is ready again at the first answer."""
    clock, temporal, readiness = Clock(monkeypatch), Temporal(), Readiness(None)
    assert not readiness.ready().good
    assert (await verdict(readiness, temporal)).good
    temporal.fails = RPCError("tcp connect error to 10.0.0.9:7233", RPCStatusCode.UNAVAILABLE, b"")
    clock.now += 14
    assert (await verdict(readiness, temporal)).good, "a hiccup is none"
    clock.now += 166
    text = "not ready: Temporal has not answered for 180 s: UNAVAILABLE: tcp connect error to ..."
    readiness._turned = clock.now
    assert await verdict(readiness, temporal) == Verdict(good=False, text=text)
    assert readiness.alive() == Verdict(good=True, text=f"alive; {text}")
    temporal.fails = None
    assert (await verdict(readiness, temporal)).good


async def test_worker_that_is_stuck_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has turned for longer than a turn can take."""
    clock, readiness = Clock(monkeypatch), Readiness(None)
    clock.now += time_limits.WORKER.probe_stuck_seconds
    assert readiness.alive().good
    clock.now += 1
    assert readiness.alive() == Verdict(
        good=False, text="stuck: nothing has moved in this process for 46 s; restart it"
    )


@pytest.mark.parametrize(
    ("code", "may_describe", "good"),
    [
        (RPCStatusCode.RESOURCE_EXHAUSTED, True, True),
        (RPCStatusCode.PERMISSION_DENIED, False, True),
        (RPCStatusCode.PERMISSION_DENIED, True, False),
        (RPCStatusCode.UNAUTHENTICATED, True, False),
    ],
)
async def test_refusal_counts_where_it_is_news(code: RPCStatusCode, good: bool, may_describe: bool) -> None:  # noqa: FBT001
    """A busy server answers; credentials that never could describe the namespace tell nothing."""
    temporal, readiness = Temporal(), Readiness(None)
    temporal.fails = RPCError("no", code, b"")
    assert (await verdict(readiness, temporal, may_describe=may_describe)).good is good


async def test_addresses_answer_with_the_reason() -> None:
    """Each path its own question; other paths, methods and noise are turned away, and the next probe is answered."""
    leases = Ports("127.0.0.1")
    (port,) = leases.take(1)
    questions = {
        "/livez": lambda: Verdict(good=True, text="alive"),
        "/readyz": lambda: Verdict(good=False, text="not ready: Temporal is away"),
    }
    url = f"http://127.0.0.1:{port}"
    async with answering(f"127.0.0.1:{port}", questions):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\0" * 9000)
        await writer.drain()
        assert await request(f"{url}/livez") == (200, "alive\n")
        assert await request(f"{url}/readyz?verbose") == (503, "not ready: Temporal is away\n")
        assert await request(f"{url}/metrics") == (404, "there are /livez and /readyz\n")
        assert (await request(f"{url}/livez", {}, method="POST"))[0] == 405
        with pytest.raises(ConfigError, match=f"--probe-address 127.0.0.1:{port}: .*; give an address .* that is free"):
            async with answering(f"127.0.0.1:{port}", questions):
                pass
        writer.close()
    leases.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9465", ("127.0.0.1", 9465)), ("[::1]:9465", ("::1", 9465)), (":9465", (None, 9465))],
)
def test_address_is_read(text: str, address: tuple[str | None, int]) -> None:
    """Without a host it is every address of the machine, as a Pod needs it."""
    assert parsed_address(text) == address


@pytest.mark.parametrize("text", ["9465", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:²"])
def test_wrong_address_is_named(text: str) -> None:
    """With the remedy."""
    with pytest.raises(ConfigError, match="give IP address and port"):
        parsed_address(text)


def names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}


async def test_files_say_the_same(tmp_path: Path) -> None:
    """One file while it takes work, the other while it is alive; neither afterwards."""
    temporal: Any = Temporal()
    readiness, stop = Readiness(tmp_path / "ready"), asyncio.Event()
    await readiness._ask(temporal, may_describe=True)
    readiness._show()
    assert names(tmp_path) == {"ready", "ready.alive"}
    temporal.fails = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
    readiness._answered = None
    await readiness._ask(temporal, may_describe=True)
    readiness._show()
    assert names(tmp_path) == {"ready.alive"}
    stop.set()
    await readiness.keep(temporal, stop, may_describe=True)
    assert not names(tmp_path)
    assert readiness.ready().text == "not ready: the worker is stopping"

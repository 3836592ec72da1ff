"""Which nodes count as ones without a worker, and when Temporal is asked again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from temporalio.service import RPCError, RPCStatusCode

from activities import node_workers
from activities.node_workers import NodeWorkers
from etcd_handoff import time_limits
from etcd_handoff.temporal.identity import MORE

if TYPE_CHECKING:
    from temporalio.client import Client


class Listed:
    """What Temporal lists, by task queue; it remembers who was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **workers: list[str]) -> None:
        self.workers = {f"q/node/{node}": listed for node, listed in workers.items()}
        self.queried: list[str] = []
        self.error: Exception | None = None
        self.nodes = NodeWorkers(cast("Client", None), "q")
        monkeypatch.setattr(node_workers, "pollers", self)

    async def __call__(
        self, _: Client, queue: str, *, activities: bool = False, fresh_seconds: float = 60.0
    ) -> list[str]:
        """As `etcd_handoff.temporal.pollers.pollers`."""
        assert activities == (queue != "q")
        assert not activities or fresh_seconds > 300, "one that was busy for a while is listed, too"
        self.queried.append(queue)
        if self.error:
            raise self.error
        return self.workers[queue]


async def test_node_for_which_nobody_is_listed_has_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for each time, since a worker that starts is to be seen; one with a worker is not, for a while."""
    listed = Listed(monkeypatch, a=["worker"], b=[])
    assert [await listed.nodes.missing({"a", "b"}) for _ in range(2)] == [("b",)] * 2
    assert sorted(listed.queried) == ["q/node/a", "q/node/b", "q/node/b"]
    listed.workers["q/node/b"] = ["worker"]
    assert await listed.nodes.missing({"a", "b"}) == ()


async def test_worker_that_was_there_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time for which it counts as there."""
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, pollers_known_seconds=0.0))
    listed = Listed(monkeypatch, a=["worker"])
    assert await listed.nodes.missing({"a"}) == ()
    listed.workers["q/node/a"] = []
    assert await listed.nodes.missing({"a"}) == ("a",)


DENIED = RPCError("denied", RPCStatusCode.PERMISSION_DENIED, b"")


@pytest.mark.parametrize("error", [DENIED, TimeoutError()])
async def test_nobody_is_missing_while_temporal_does_not_tell(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all nodes are asked themselves."""
    listed = Listed(monkeypatch, a=[])
    listed.error = error
    assert await listed.nodes.missing({"a"}) == ()


async def test_answer_that_takes_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look goes on without it."""
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, pollers_seconds=0.01))

    async def hangs(*_: object, **__: object) -> list[str]:
        await asyncio.sleep(60)
        return []

    listed = Listed(monkeypatch)
    monkeypatch.setattr(node_workers, "pollers", hangs)
    assert await listed.nodes.missing({"a"}) == ()


async def test_nodes_of_all_workers_that_have_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their identities; one that does not tell its profiles may have it, and one of another make has no node."""
    listed = Listed(monkeypatch)
    listed.workers["q"] = [
        f"etcd-handoff-worker/{build}:{node}:7@host"
        for build, node in [
            ("1.0+abc+prod=20271128,test", "node2"),
            ("1.0+abc+prod", "node0"),
            ("1.0+abc+test", "node1"),
            (f"1.0+abc+test,{MORE}", "node3"),
        ]
    ] + ["somebody@else"]
    assert await listed.nodes.serving("prod") == ("node0", "node2", "node3")
    listed.error = DENIED
    assert await listed.nodes.serving("prod") is None, "nobody knows"

"""The lock in a real etcd: one holder at a time, whichever worker asks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from etcd_handoff.errors import UnknownOutcomeError, UnreachableError
from etcd_handoff.etcd.lock import LockAge
from etcd_handoff.lab import wait_until
from tests.integration.etcd_gateways import UNKNOWN_ID, Cluster, gateway_to, roles


@pytest.mark.asyncio(loop_scope="module")
async def test_lock_has_one_holder_at_a_time(cluster: Cluster) -> None:
    """Another one is told who has it, through whichever member; its holder may take it again, and gives it back."""
    async with gateway_to(*cluster.endpoints) as one, gateway_to(*cluster.endpoints) as other:
        leader, (follower, _) = roles(await one.observe())
        await other.observe()
        assert await one.acquire_lock("run-1", "removal of node1", leader) == ""
        assert await other.acquire_lock("run-2", "removal of node2", follower) == "removal of node1"
        # Another worker goes on for the same holder.
        assert await other.acquire_lock("run-1", "removal of node1", follower) == ""
        await other.release_lock("run-2", follower)  # not its own: nothing happens to it
        assert await other.acquire_lock("run-2", "removal of node2", follower) == "removal of node1"
        await one.release_lock("run-1", leader)
        assert await other.acquire_lock("run-2", "removal of node2", follower) == ""
        await other.release_lock("run-2", follower)


@pytest.mark.asyncio(loop_scope="module")
async def test_lock_is_released_by_a_worker_that_did_not_take_it(cluster: Cluster) -> None:
    """The one that took it may be gone; the holder's name decides, whatever the label was."""
    async with gateway_to(*cluster.endpoints) as one, gateway_to(*cluster.endpoints) as other:
        leader, (follower, _) = roles(await one.observe())
        await other.observe()
        assert await one.acquire_lock("run-1", "as the first worker calls it", leader) == ""
        await other.release_lock("run-1", follower)
        assert await other.acquire_lock("run-2", "", follower) == ""
        await other.release_lock("run-2", follower)


@pytest.mark.asyncio(loop_scope="module")
async def test_lock_that_is_abandoned_stays_with_the_attempt_that_has_it(cluster: Cluster) -> None:
    """Two attempts of one change have the same lock: the one that was given up takes it from nobody."""
    async with gateway_to(*cluster.endpoints) as one, gateway_to(*cluster.endpoints) as other:
        leader, (follower, _) = roles(await one.observe())
        await other.observe()
        for second in (other, one):  # on another worker, or on the same
            for given_up in ("a1", "a2"):  # it was killed late, or has woken up late
                assert await one.acquire_lock("run-1", "removal", leader, "a1") == ""
                assert await second.acquire_lock("run-1", "removal", follower, "a2") == ""
                await (one if given_up == "a1" else second).abandon_lock("run-1", follower, given_up)
                assert await other.acquire_lock("run-2", "", follower, "b1") == "removal"
                await other.release_lock("run-1", follower)
        for _ in range(2):  # it looks again, and writes the lock again, of which a call may fail
            assert await one.acquire_lock("run-1", "removal", leader, "a1") == ""
            with pytest.raises(UnreachableError):
                await one.acquire_lock("run-1", "removal", UNKNOWN_ID, "a1")
        await one.abandon_lock("run-1", leader, "a1")
        assert await other.acquire_lock("run-2", "", follower) == ""
        await other.release_lock("run-2", follower)


@pytest.mark.asyncio(loop_scope="module")
async def test_lock_that_an_attempt_does_not_know_to_have_is_abandoned(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given up while it wrote the key: nobody else has the lock, so it is free again."""
    async with gateway_to(*cluster.endpoints) as one, gateway_to(*cluster.endpoints) as other:
        leader, (follower, _) = roles(await one.observe())
        await other.observe()
        put = one._lock._put  # noqa: SLF001  # no proxy loses one answer of a call that is made in between

        async def loses_the_answer(*arguments: Any) -> Any:
            await put(*arguments)
            raise UnknownOutcomeError

        with monkeypatch.context() as patch:
            patch.setattr(one._lock, "_put", loses_the_answer)  # noqa: SLF001
            with pytest.raises(UnknownOutcomeError):
                await one.acquire_lock("run-1", "removal", leader, "a1")
        await one.abandon_lock("run-1", leader, "a2")
        assert await other.acquire_lock("run-2", "", follower) == "removal"
        await one.abandon_lock("run-1", leader, "a1")
        assert await other.acquire_lock("run-2", "", follower) == ""
        await other.release_lock("run-2", follower)


@pytest.mark.asyncio(loop_scope="module")
async def test_lock_that_is_left_behind_is_taken_over(cluster: Cluster) -> None:
    """After it was seen unchanged for long enough; a holder that writes it anew keeps it."""
    async with gateway_to(*cluster.endpoints) as one, gateway_to(*cluster.endpoints) as other:
        leader, (follower, _) = roles(await one.observe())
        await other.observe()
        one._lock.age = other._lock.age = LockAge(0.2)  # noqa: SLF001  # else the test takes 20 s
        assert await one.acquire_lock("dead", "somebody", leader) == ""
        assert await other.acquire_lock("run-2", "", follower) == "somebody"
        await one.acquire_lock("dead", "somebody", leader)
        await asyncio.sleep(0.25)  # the age of the revision that was seen first, which counts no more
        assert await other.acquire_lock("run-2", "", follower) == "somebody"

        async def taken() -> bool:
            return await other.acquire_lock("run-2", "", follower) == ""

        await wait_until(taken, "the lock is stale", 60)
        assert await one.acquire_lock("dead", "somebody", leader) == "run-2"
        await other.release_lock("run-2", follower)

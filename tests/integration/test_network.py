"""The lab's network does what it says: a cut is a cut on every link, in the direction that is meant, and mends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab import Lab, LabOptions, http, observer, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration
LINK_MS = 200


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Three members with a network between them."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, network=True, directory=tmp_path)) as lab:
        yield lab


async def revision_at(lab: Lab, node: str) -> int:
    """The newest revision that this member has, without asking the others."""
    answer = await http.post(f"{lab.node(node).etcd_url}/v3/kv/range", {"key": "YQ==", "serializable": True})
    return int(answer["header"]["revision"])


async def put(lab: Lab, node: str) -> int:
    """The revision of a put through this member."""
    body = {"key": "YQ==", "value": "YQ=="}
    answer = await http.post(f"{lab.node(node).etcd_url}/v3/kv/put", body, timeout_seconds=10)
    return int(answer["header"]["revision"])


async def leader_at(lab: Lab, node: str) -> int:
    """ID of the leader that this member follows."""
    answer = await http.post(f"{lab.node(node).etcd_url}/v3/maintenance/status", {})
    return int(answer.get("leader", 0))


async def test_cut_node_is_alone_until_the_network_mends(lab: Lab) -> None:
    """The others elect and write; it has no quorum, nobody reaches it, its own etcd answers on the node itself."""
    cut = await lab.leader()
    stay = [node.name for node in lab.others(cut)]
    before = await put(lab, stay[0])
    await lab.network.isolate(cut)
    assert await lab.leader() in stay
    after = await put(lab, stay[0])
    assert after == before + 1
    assert await revision_at(lab, cut) == before
    with pytest.raises(OSError, match="timed out"):
        await observer.list_members(lab.node(cut).advertised_url)
    with pytest.raises(OSError, match=r"deadline exceeded|timed out"):
        await put(lab, cut)
    await lab.network.heal()
    assert await lab.leader() in stay

    async def caught_up() -> bool:
        return await revision_at(lab, cut) >= after

    await wait_until(caught_up, "it catches up", 60)
    assert len(await observer.list_members(lab.node(cut).advertised_url)) == 3


async def test_mute_leader_hears_that_it_lost(lab: Lab) -> None:
    """Its heartbeats do not arrive, so the others elect; it follows the new leader, whose messages do arrive."""
    mute = await lab.leader()
    before = await leader_at(lab, mute)
    await lab.network.drop_outgoing(mute)

    async def heard() -> bool:
        return await leader_at(lab, mute) not in (0, before)

    await wait_until(heard, "it follows another leader", 60)
    await lab.network.heal()
    assert await lab.leader() != mute


async def test_slow_links_delay_peers_and_clients(lab: Lab) -> None:
    """A write waits for a peer's answer, there and back; a look at a member waits for its own link."""
    leader = await lab.leader()
    await lab.network.add_latency(LINK_MS)
    began = time.perf_counter()
    await put(lab, leader)
    assert (time.perf_counter() - began) * 1000 >= 2 * LINK_MS
    began = time.perf_counter()
    await http.post(f"{lab.node(leader).advertised_url}/v3/maintenance/status", {})
    assert (time.perf_counter() - began) * 1000 >= LINK_MS
    await lab.network.heal()
    await put(lab, leader)


async def test_learner_joins_through_the_network(lab: Lab) -> None:
    """A further node has links too, and there are no more than for one."""
    learner = await lab.add_learner()
    assert [m.name for m in await lab.members() if m.is_learner] == [learner.name]
    with pytest.raises(ValueError, match="one learner"):
        await lab.add_learner()


async def test_lab_without_network_says_how_to_get_one() -> None:
    """Asking for it is an error that names the option."""
    lab = Lab(LabOptions())
    try:
        with pytest.raises(ValueError, match="network=True"):
            _ = lab.network
    finally:
        await lab.close()

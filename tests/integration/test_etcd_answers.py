"""What a real etcd answers, in our words: each class of error that it can be made to give.

Not here, because no call of ours can be made to get it: `TransferTimeoutError` (the client's own deadline ends a
transfer first).
"""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff.errors import (
    BadTransfereeError,
    CompactedError,
    CorruptClusterError,
    EtcdError,
    LearnerEndpointError,
    MemberNotFoundError,
    NotLeaderError,
    SpaceExceededError,
    UnreachableError,
)
from etcd_handoff.lab import http, wait_until
from etcd_handoff.planning import Blocked, MemberAbsent, Reason, plan
from tests.integration.etcd_gateways import UNKNOWN_ID, Cluster, gateway_to, refused, roles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REVISION: Final = 10**9

ANSWERS: dict[str, tuple[Any, type[EtcdError], str]] = {
    "a follower cannot hand over": (
        lambda g, leader, followers, _: g.move_leader(followers[0], leader),
        NotLeaderError,
        "etcdserver: not leader",
    ),
    "an unknown transferee": (
        lambda g, leader, *_: g.move_leader(leader, UNKNOWN_ID),
        BadTransfereeError,
        "etcdserver: bad leader transferee",
    ),
    "a learner as transferee": (
        lambda g, leader, _, learner: g.move_leader(leader, learner),
        BadTransfereeError,
        "etcdserver: bad leader transferee",
    ),
    "a learner is asked": (
        lambda g, _, __, learner: g.hash_at(learner, 0),
        LearnerEndpointError,
        "etcdserver: rpc not supported for learner",
    ),
    "a learner is to remove": (
        lambda g, _, __, learner: g.remove_member(UNKNOWN_ID, learner),
        LearnerEndpointError,
        "etcdserver: rpc not supported for learner",
    ),
    "a member that is not there is removed": (
        lambda g, leader, *_: g.remove_member(UNKNOWN_ID, leader),
        MemberNotFoundError,
        "etcdserver: member not found",
    ),
    "a revision of the future": (
        lambda g, leader, *_: g.hash_at(leader, REVISION),
        CompactedError,
        "etcdserver: mvcc: required revision is a future revision",
    ),
    "a member that was never heard of is asked": (
        lambda g, *_: g.status_of(UNKNOWN_ID),
        UnreachableError,
        "has not answered at any endpoint yet",
    ),
}
"""What is asked, of gateway, leader, followers and learner; the class, and etcd's own words."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", ANSWERS)
async def test_answer_has_its_class_and_etcds_words(cluster: Cluster, case: str) -> None:
    """Words decide, and they stay; nothing has changed, as the class says."""
    ask, kind, words = ANSWERS[case]
    async with gateway_to(*cluster.endpoints) as gateway:
        view = await gateway.observe()
        leader, followers = roles(view)
        (learner,) = [m.id for m in view.members if m.is_learner]
        await refused(ask(gateway, leader, followers, learner), kind, words=words)
        assert not kind.may_have_changed
        assert {m.id for m in (await gateway.observe()).members} == {m.id for m in view.members}


@pytest.mark.asyncio(loop_scope="module")
async def test_compacted_revision_is_told(cluster: Cluster) -> None:
    """A hash at a revision that is compacted away cannot be had."""
    url = cluster.lab.nodes[0].etcd_url
    key = base64.b64encode(b"key").decode()
    revisions = [int((await http.post(f"{url}/v3/kv/put", {"key": key}))["header"]["revision"]) for _ in range(3)]
    await http.post(f"{url}/v3/kv/compaction", {"revision": revisions[-1], "physical": True})
    async with gateway_to(url) as gateway:
        member_id = await cluster.lab.member_id("node0")
        await gateway.observe()
        await refused(gateway.hash_at(member_id, revisions[0]), CompactedError, words="has been compacted")


@pytest.mark.asyncio(loop_scope="module")
async def test_list_comes_from_no_learner(cluster: Cluster) -> None:
    """A profile that names a learner alone gives no linearizable list, and says why."""
    async with gateway_to(cluster.learner.etcd_url) as gateway:
        await refused(gateway.observe(), UnreachableError, words="etcdserver: rpc not supported for learner")


@pytest.mark.asyncio(loop_scope="module")
async def test_learner_that_no_endpoint_names_is_asked_where_it_advertises(cluster: Cluster) -> None:
    """The view has every member's own word, whatever the profile lists."""
    async with gateway_to(cluster.lab.nodes[0].etcd_url) as gateway:
        view = await gateway.observe()
    assert [m.name for m in view.members if not m.reachable] == []
    assert len(view.members) == 4


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("alarm", ["NOSPACE", "CORRUPT"])
async def test_alarm_shows_at_its_member(cluster: Cluster, alarm: str) -> None:
    """It is seen through Status, at the member that it was raised for and at no other."""
    member_id = await cluster.lab.member_id("node1")
    async with raised(cluster, alarm, str(int(member_id, 16))), gateway_to(*cluster.endpoints) as gateway:
        view = await gateway.observe()
    assert {m.id: m.alarms for m in view.members if m.alarms} == {member_id: (alarm,)}
    noted = view.member(member_id)
    assert noted is not None
    assert alarm in noted.note
    assert [(a.kind, a.member_id) for a in view.alarms] == [(alarm, member_id)]


@asynccontextmanager
async def raised(cluster: Cluster, alarm: str, member: str = "0") -> AsyncIterator[None]:
    """An alarm for a member, of which 0 is the whole cluster, is raised; all have heard of its end afterwards."""
    url, body = cluster.lab.nodes[0].etcd_url, {"memberID": member, "alarm": alarm}
    await http.post(f"{url}/v3/maintenance/alarm", {"action": "ACTIVATE", **body})
    try:
        yield
    finally:
        await http.post(f"{url}/v3/maintenance/alarm", {"action": "DEACTIVATE", **body})
        async with gateway_to(*cluster.endpoints) as gateway:

            async def is_over() -> bool:  # each member hears of it when it applies the entry
                view = await gateway.observe()
                return view.alarms == () and all(member.reachable for member in view.members)

            await wait_until(is_over, "the alarm is cleared", 60)


@pytest.mark.asyncio(loop_scope="module")
async def test_corruption_of_the_whole_cluster_is_seen_and_blocks(cluster: Cluster) -> None:
    """Etcd raises CORRUPT for member 0 when it cannot tell who is right, and leaves the zero out of its text."""
    target = await cluster.lab.member_id("node1")
    async with gateway_to(*cluster.endpoints) as gateway:
        async with raised(cluster, "CORRUPT"):
            view = await gateway.observe()
            leader, _ = roles(view)
            await refused(gateway.acquire_lock("run-1", "test", leader), CorruptClusterError, words="corrupt cluster")
            await gateway.commit_probe(leader)
        assert [(a.kind, a.member_id) for a in view.alarms] == [("CORRUPT", "")]
        decision = plan(view, MemberAbsent(view.cluster_id, target))
        assert isinstance(decision, Blocked)
        assert decision.reason is Reason.CLUSTER_CORRUPT


@pytest.mark.asyncio(loop_scope="module")
async def test_full_database_takes_no_lock_and_still_commits(cluster: Cluster) -> None:
    """A write of a key is turned down; an entry that changes nothing is committed all the same."""
    async with gateway_to(*cluster.endpoints) as gateway:
        leader, _ = roles(await gateway.observe())
        async with raised(cluster, "NOSPACE", str(int(leader, 16))):
            await refused(gateway.acquire_lock("run-1", "test", leader), SpaceExceededError, words="space exceeded")
            await gateway.commit_probe(leader)
            await gateway.commit_probe()
            await gateway.release_lock("run-1", leader)

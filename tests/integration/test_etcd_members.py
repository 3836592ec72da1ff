"""Who answers at an endpoint of a real etcd, and what a silent or missing member is taken for."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from activities.snapshots import CHECKSUM_BYTES
from etcd_handoff.config import EtcdProfile
from etcd_handoff.errors import EtcdError, UnhealthyClusterError, UnknownOutcomeError, UnreachableError
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.etcd.observer import Route
from etcd_handoff.lab import Lab, LabOptions, Role, http, wait_until
from etcd_handoff.lab.nodes import HOST
from etcd_handoff.planning import Blocked, MemberAbsent, plan
from tests.integration.etcd_gateways import UNKNOWN_ID, Cluster, gateway_to, refused, roles, serving, single
from tests.integration.relayed_servers import relay

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.cluster_view import ClusterView


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_foreign_cluster_in_the_profile_is_not_believed(cluster: Cluster, tmp_path: Path, *, first: bool) -> None:
    """Wherever it stands, also while the true leader is silent: the list is ours, and the endpoint is named.

    One that answers late is in some looks only.
    """
    ours = cluster.endpoints
    async with single(tmp_path) as (url, etcd):
        async with gateway_to(url) as gateway:
            foreign = await serving(gateway, etcd)
        profile = [url, *ours] if first else [*ours, url]
        number = profile.index(url) + 1
        async with gateway_to(*ours) as alone, gateway_to(*profile, call_timeout_seconds=2.0) as gateway:
            cluster_id = (await alone.observe()).cluster_id

            async def names_it() -> ClusterView:
                view = await gateway.observe()
                assert (view.cluster_id, len(view.members)) == (cluster_id, 4)
                if not view.doubts:
                    return view
                assert [d.kind for d in view.doubts] == ["MixedClusters"]
                assert f"endpoint {number} of the profile answers for cluster {foreign.cluster_id}" in view.foreign[0]
                decision = plan(view, MemberAbsent(cluster_id, UNKNOWN_ID))
                assert isinstance(decision, Blocked), "an absent member is no reason to believe it"
                return view

            async def is_named() -> bool:
                return bool((await names_it()).doubts)

            await wait_until(is_named, "a look has the endpoint's answer", 20)
            leader = await cluster.lab.leader()
            cluster.lab.stop(Role.ETCD, leader)
            try:
                for _ in range(3):  # the others elect meanwhile: there is no list, or the true one
                    with contextlib.suppress(UnreachableError):
                        await names_it()
            finally:
                cluster.lab.resume(Role.ETCD, leader)
            await cluster.lab.leader()

            async def heard_again() -> bool:
                with contextlib.suppress(UnreachableError):
                    return all(m.reachable for m in (await names_it()).members)
                return False

            await wait_until(heard_again, "all members answer", 20)


@pytest.mark.asyncio(loop_scope="module")
async def test_cluster_of_the_profile_is_the_one_that_counts(cluster: Cluster) -> None:
    """With another cluster_id in the profile nothing may be concluded, and both IDs are named."""
    profile = EtcdProfile.model_validate({"endpoints": cluster.endpoints})
    gateway = EtcdGateway(profile, "abad1dea")
    try:
        view = await gateway.observe()
    finally:
        await gateway.close()
    assert [doubt.kind for doubt in view.doubts] == ["WrongCluster"]
    assert "abad1dea" in view.doubts[0].text
    assert view.cluster_id in view.doubts[0].text


@pytest.mark.asyncio(loop_scope="module")
async def test_member_outside_of_the_profile_is_asked_again_after_it_was_silent(cluster: Cluster) -> None:
    """Such as a new one that had only just started: it is found where it advertises, though nobody waits for it."""
    voters = [node.etcd_url for node in cluster.lab.nodes if node is not cluster.learner]
    learner_id = await cluster.lab.member_id(cluster.learner.name)
    async with gateway_to(*voters) as gateway:

        async def heard() -> bool:
            member = (await gateway.observe((learner_id,))).member(learner_id)
            return member is not None and member.reachable

        await wait_until(heard, "the learner is heard", 10)


@pytest.mark.asyncio(loop_scope="module")
async def test_connection_that_is_cut_without_a_word_is_given_up(cluster: Cluster) -> None:
    """As by a firewall that forgets it: the kernel would call it open for a quarter of an hour."""
    cuts: list[asyncio.Event] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cuts.append(cut := asyncio.Event())
        await relay(reader, writer, cluster.lab.node("node0").client_port, cut)

    server = await asyncio.start_server(accept, HOST)
    async with server, gateway_to(f"http://{HOST}:{server.sockets[0].getsockname()[1]}") as gateway:
        await gateway.observe()
        before = len(cuts)
        assert before
        for cut in cuts:
            cut.set()

        async def connects_anew() -> bool:
            with contextlib.suppress(UnreachableError):
                await gateway.observe()
            return len(cuts) > before

        await wait_until(connects_anew, "the gateway connects anew", 30)


@pytest.mark.asyncio(loop_scope="module")
async def test_answer_of_another_member_is_not_taken(cluster: Cluster) -> None:
    """Behind a shared URL anybody answers: that is no answer of the member that was asked."""
    async with gateway_to(*cluster.endpoints) as gateway:
        view = await gateway.observe()
        leader, (follower, _) = roles(view)
        calls: list[tuple[Any, type[EtcdError]]] = [
            (lambda: gateway.status_of(follower), UnreachableError),
            (lambda: gateway.hash_at(follower, 0), UnreachableError),
            (lambda: anext(gateway.snapshot(follower)), UnreachableError),
            (lambda: gateway.commit_probe(follower), UnreachableError),
            (lambda: gateway.release_lock("run-1", follower), UnknownOutcomeError),
        ]
        for call, kind in calls:
            observer = gateway._observer  # noqa: SLF001  # as if a shared URL had led to the follower before
            observer._routes[follower] = Route(observer.route(leader).url, view.cluster_id)  # noqa: SLF001
            await refused(call(), kind, words=f"answered where member {follower} was asked")
            await refused(gateway.status_of(follower), UnreachableError, words="has not answered at any endpoint yet")
            await gateway.observe()
            await gateway.status_of(follower)
        assert sum([len(chunk) async for chunk in gateway.snapshot(follower)]) > CHECKSUM_BYTES


async def test_one_url_that_all_members_advertise_leads_to_one_of_them(tmp_path: Path) -> None:
    """The profile names one endpoint, and who is behind the shared URL is said at the others; nothing is guessed."""
    lab = Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path))
    shared = lab.nodes[0].etcd_url
    lab.options = replace(lab.options, etcd_flags=(f"--advertise-client-urls={shared}",))
    async with lab, gateway_to(shared) as gateway:
        view = await gateway.observe()
        mine = await lab.member_id("node0")
        others = [m for m in view.members if m.id != mine]
        assert [(m.reachable, m.note) for m in others] == [(False, "its advertised URL leads to node0")] * 2
        await refused(gateway.status_of(others[0].id), UnreachableError, words="has not answered")
        async with gateway_to(*(node.etcd_url for node in lab.nodes)) as whole:
            assert all(m.reachable and m.serves_reads for m in (await whole.observe()).members)


async def test_odd_advertised_url_breaks_no_look(tmp_path: Path) -> None:
    """Etcd takes `http://127.0.0.1:237900` without a word; its member can be seen dead, and the rest goes on."""
    flags = (f"--advertise-client-urls=http://{HOST}:237900",)
    options = LabOptions(kubernetes=False, temporal=False, directory=tmp_path, etcd_flags=flags)
    async with Lab(options) as lab, gateway_to(*(node.etcd_url for node in lab.nodes[:2])) as gateway:
        view = await gateway.observe()
        third = view.member(await lab.member_id("node2"))
        assert third is not None
        assert (third.reachable, third.note) == (False, "its advertised URL is no client URL")
        assert [m.reachable for m in view.members].count(True) == 2


async def test_member_that_has_not_started_is_named_as_the_cause(tmp_path: Path) -> None:
    """A cluster of one to which a second one was added has lost its majority until that one starts."""
    async with single(tmp_path) as (url, etcd), gateway_to(url) as gateway:
        await serving(gateway, etcd)
        peer = f"http://{HOST}:1"
        answer = await http.post(f"{url}/v3/cluster/member/add", {"peerURLs": [peer]})
        added = format(int(answer["member"]["ID"]), "x")
        await refused(gateway.observe(), UnreachableError, words=f"member {added} is listed and has not started")


async def answer_in_time(gateway: EtcdGateway) -> None:
    """Return once it is connected to all members, and all have answered within its time-out."""

    async def connected() -> bool:
        with contextlib.suppress(UnreachableError):
            return all(member.reachable for member in (await gateway.observe()).members)
        return False

    await wait_until(connected, "all are connected, and answer within its time-out", 60)


async def test_reads_that_hang_are_no_sign_of_life(tmp_path: Path) -> None:
    """A member whose majority is stopped answers Status, and gives no list: nothing is concluded from its memory."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        urls = [node.etcd_url for node in lab.nodes]
        async with gateway_to(*urls) as patient, gateway_to(*urls, call_timeout_seconds=0.5) as gateway:
            leader, followers = roles(await patient.observe())
            await answer_in_time(gateway)
            name_of = {await lab.member_id(node.name): node.name for node in lab.nodes}
            for follower in followers:
                lab.stop(Role.ETCD, name_of[follower])
            assert (await patient.status_of(leader))[1] > 0
            await refused(gateway.observe(), UnreachableError, words="no answer within 0.5 s")
            await refused(gateway.commit_probe(leader), UnreachableError, words="no answer within 1 s")
            await refused(gateway.acquire_lock("run-1", "", leader), UnknownOutcomeError, words="no answer within 1 s")


async def test_silent_and_dead_members(tmp_path: Path) -> None:
    """A read says unreachable, a change says unknown, in a few words; etcd's guard refuses while it has too few."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        urls = [node.etcd_url for node in lab.nodes]
        async with (
            gateway_to(*urls, call_timeout_seconds=5, change_timeout_seconds=5) as gateway,
            gateway_to(*urls, call_timeout_seconds=0.5, change_timeout_seconds=0.5) as hasty,
        ):
            leader, (stopped, other) = roles(await gateway.observe())
            name_of = {await lab.member_id(node.name): node.name for node in lab.nodes}

            await answer_in_time(hasty)
            lab.stop(Role.ETCD, name_of[stopped])
            await refused(hasty.status_of(stopped), UnreachableError, words="no answer within 0.5 s")
            await refused(hasty.remove_member(UNKNOWN_ID, stopped), UnknownOutcomeError, words="no answer within")
            await refused(hasty.move_leader(leader, stopped), UnknownOutcomeError, words="no answer within")
            lab.resume(Role.ETCD, name_of[stopped])
            await lab.leader()

            leader, (dead, other) = roles(await gateway.observe())
            await lab.kill(Role.ETCD, name_of[dead])
            await refused(gateway.status_of(dead), UnreachableError)
            await refused(gateway.remove_member(UNKNOWN_ID, dead), UnknownOutcomeError)
            notes: list[str] = []

            async def seen_as_dead() -> bool:
                with contextlib.suppress(UnreachableError):  # somebody may have been elected at that moment
                    gone = (await gateway.observe()).member(dead)
                    assert gone is not None
                    notes.append("" if gone.reachable else gone.note)
                return "connection refused" in notes

            await wait_until(seen_as_dead, "it counts as dead", 30, lambda: f"{notes}")
            await missed(lab, by=name_of[leader], peer=dead)
            await refused(gateway.remove_member(other, leader), UnhealthyClusterError, words="unhealthy cluster")

            await lab.kill(Role.ETCD, name_of[other])
            await refused(gateway.observe(), UnreachableError, words="none of 3 endpoints gives a linearizable")


async def test_removal_answers_with_the_membership_after_it(tmp_path: Path) -> None:
    """As the asked member has applied it, and as a linearizable list has it right after."""
    options = LabOptions(kubernetes=False, temporal=False, directory=tmp_path)
    async with Lab(options) as lab, gateway_to(*(node.etcd_url for node in lab.nodes)) as gateway:
        view = await gateway.observe()
        leader, (target, other) = roles(view)
        left: list[frozenset[str]] = []

        async def removed() -> bool:
            with contextlib.suppress(UnhealthyClusterError):  # etcd is too young to take a change
                left.append(await gateway.remove_member(target, leader))
            return bool(left)

        await wait_until(removed, "etcd takes the removal", 20)
        assert left == [{leader, other}]
        assert {m.id for m in (await gateway.observe()).members} == left[0]
        assert {m.id for m in view.only(left[0]).members} == {leader, other}


async def missed(lab: Lab, *, by: str, peer: str) -> None:
    """The member `by` has noticed that `peer` is gone; until then its guard counts it as connected."""
    url = f"{lab.node(by).etcd_url}/metrics"

    async def noticed() -> bool:
        _, text = await http.request(url)
        lines = [line for line in text.splitlines() if line.startswith("etcd_network_active_peers{")]
        return any(f'Remote="{peer}"' in line and line.endswith(" 0") for line in lines)

    await wait_until(noticed, f"{by} misses {peer}", 20)

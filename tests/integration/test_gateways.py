"""What a real etcd answers, in our words: each class of error that it can be made to give.

Not here, because no call of ours can be made to get it: `TransferTimeoutError` (the client's own deadline ends a
transfer first).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from etcd_handoff.config import EtcdProfile
from etcd_handoff.errors import (
    BadTransfereeError,
    CompactedError,
    CorruptClusterError,
    EtcdError,
    EtcdPermissionError,
    LearnerEndpointError,
    MemberNotFoundError,
    NotEnoughStartedError,
    NotLeaderError,
    SpaceExceededError,
    UnhealthyClusterError,
    UnknownOutcomeError,
    UnreachableError,
)
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.etcd.lock import LockAge
from etcd_handoff.etcd.observer import Route
from etcd_handoff.lab import Lab, LabOptions, Role, http, wait_until
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.nodes import HOST, InitialCluster, Node, etcd_command
from etcd_handoff.lab.ports import Ports
from etcd_handoff.lab.processes import Process, run
from etcd_handoff.planning import Blocked, MemberAbsent, Reason, plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from etcd_handoff.cluster_view import ClusterView

UNKNOWN_ID: Final = "abad1dea"
REVISION: Final = 10**9


@asynccontextmanager
async def gateway_to(*endpoints: str, **options: Any) -> AsyncIterator[EtcdGateway]:
    """A gateway to these endpoints, closed afterwards."""
    gateway = EtcdGateway(EtcdProfile.model_validate({"endpoints": endpoints, **options}))
    try:
        yield gateway
    finally:
        await gateway.close()


async def refused(call: Awaitable[object], kind: type[EtcdError], *, said: str = "") -> None:
    """The call fails with exactly this class, in words without an address."""
    with pytest.raises(EtcdError) as caught:
        await call
    assert (type(caught.value), HOST in str(caught.value)) == (kind, False), repr(caught.value)
    assert said in str(caught.value)


def roles(view: ClusterView) -> tuple[str, list[str]]:
    """The leader's ID and those of the other voters."""
    assert view.leadership is not None
    return view.leadership.id, [m.id for m in view.voters if m.id != view.leadership.id]


# --- etcd: answers of a running cluster ---------------------------------------------------------------------


@dataclass
class Cluster:
    """Three voters and a learner.

    Attributes:
        lab: Where they run.
        learner: The learner's node.
    """

    lab: Lab
    learner: Node

    @property
    def endpoints(self) -> list[str]:
        """All client URLs."""
        return [node.etcd_url for node in self.lab.nodes]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """One cluster for all answers that leave it as it was."""
    options = LabOptions(kubernetes=False, temporal=False, directory=tmp_path_factory.mktemp("gateways"))
    async with Lab(options) as lab:
        yield Cluster(lab, await lab.add_learner())


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
    ask, kind, said = ANSWERS[case]
    async with gateway_to(*cluster.endpoints) as gateway:
        view = await gateway.observe()
        leader, followers = roles(view)
        (learner,) = [m.id for m in view.members if m.is_learner]
        await refused(ask(gateway, leader, followers, learner), kind, said=said)
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
        await refused(gateway.hash_at(member_id, revisions[0]), CompactedError, said="has been compacted")


@pytest.mark.asyncio(loop_scope="module")
async def test_list_comes_from_no_learner(cluster: Cluster) -> None:
    """A profile that names a learner alone gives no linearizable list, and says why."""
    async with gateway_to(cluster.learner.etcd_url) as gateway:
        await refused(gateway.observe(), UnreachableError, said="etcdserver: rpc not supported for learner")


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
    url, member_id = cluster.lab.nodes[0].etcd_url, await cluster.lab.member_id("node1")
    body = {"memberID": str(int(member_id, 16)), "alarm": alarm}
    await http.post(f"{url}/v3/maintenance/alarm", {"action": "ACTIVATE", **body})
    try:
        async with gateway_to(*cluster.endpoints) as gateway:
            view = await gateway.observe()
    finally:
        await http.post(f"{url}/v3/maintenance/alarm", {"action": "DEACTIVATE", **body})
    assert {m.id: m.alarms for m in view.members if m.alarms} == {member_id: (alarm,)}
    noted = view.member(member_id)
    assert noted is not None
    assert alarm in noted.note
    assert [(a.kind, a.member_id) for a in view.alarms] == [(alarm, member_id)]


@asynccontextmanager
async def raised(cluster: Cluster, alarm: str, member: str = "0") -> AsyncIterator[None]:
    """An alarm for a member, of which 0 is the whole cluster, is raised; cleared afterwards."""
    url, body = cluster.lab.nodes[0].etcd_url, {"memberID": member, "alarm": alarm}
    await http.post(f"{url}/v3/maintenance/alarm", {"action": "ACTIVATE", **body})
    try:
        yield
    finally:
        await http.post(f"{url}/v3/maintenance/alarm", {"action": "DEACTIVATE", **body})


@pytest.mark.asyncio(loop_scope="module")
async def test_corruption_of_the_whole_cluster_is_seen_and_blocks(cluster: Cluster) -> None:
    """Etcd raises CORRUPT for member 0 when it cannot tell who is right, and leaves the zero out of its text."""
    target = await cluster.lab.member_id("node1")
    async with gateway_to(*cluster.endpoints) as gateway:
        async with raised(cluster, "CORRUPT"):
            view = await gateway.observe()
            leader, _ = roles(view)
            await refused(gateway.acquire_lock("run-1", "test", leader), CorruptClusterError, said="corrupt cluster")
            await gateway.commit_probe(leader)
        assert [(a.kind, a.member_id) for a in view.alarms] == [("CORRUPT", "")]
        decision = plan(view, MemberAbsent(view.cluster_id, target))
        assert isinstance(decision, Blocked)
        assert decision.reason is Reason.CLUSTER_CORRUPT
        assert (await gateway.observe()).alarms == ()


@pytest.mark.asyncio(loop_scope="module")
async def test_full_database_takes_no_lock_and_still_commits(cluster: Cluster) -> None:
    """A write of a key is turned down; an entry that changes nothing is committed all the same."""
    async with gateway_to(*cluster.endpoints) as gateway:
        leader, _ = roles(await gateway.observe())
        async with raised(cluster, "NOSPACE", str(int(leader, 16))):
            await refused(gateway.acquire_lock("run-1", "test", leader), SpaceExceededError, said="space exceeded")
            await gateway.commit_probe(leader)
            await gateway.commit_probe()
            await gateway.release_lock("run-1", leader)


# --- etcd: the lock -----------------------------------------------------------------------------------------


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
async def test_lock_that_is_left_behind_is_taken_over(cluster: Cluster) -> None:
    """After it was seen unchanged for long enough; a holder that writes it anew keeps it."""
    async with gateway_to(*cluster.endpoints) as one, gateway_to(*cluster.endpoints) as other:
        leader, (follower, _) = roles(await one.observe())
        await other.observe()
        other._lock_age = LockAge(0.2)  # noqa: SLF001  # else the test takes 20 s
        assert await one.acquire_lock("dead", "somebody", leader) == ""
        assert await other.acquire_lock("run-2", "", follower) == "somebody"
        await one.acquire_lock("dead", "somebody", leader)
        await asyncio.sleep(0.25)  # the age of the revision that was seen first, which counts no more
        assert await other.acquire_lock("run-2", "", follower) == "somebody"

        async def taken() -> bool:
            return await other.acquire_lock("run-2", "", follower) == ""

        await wait_until(taken, "the lock is stale", 10)
        assert await one.acquire_lock("dead", "somebody", leader) == "run-2"
        await other.release_lock("run-2", follower)


# --- etcd: who answers --------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_foreign_cluster_in_the_profile_is_not_believed(cluster: Cluster, tmp_path: Path, *, first: bool) -> None:
    """Wherever it stands, also while the true leader is silent: the list is ours, and the endpoint is named."""
    ours = cluster.endpoints
    async with single(tmp_path) as (url, etcd):
        async with gateway_to(url) as gateway:
            foreign = await serving(gateway, etcd)
        profile = [url, *ours] if first else [*ours, url]
        number = profile.index(url) + 1
        async with gateway_to(*ours) as alone, gateway_to(*profile) as gateway:
            cluster_id = (await alone.observe()).cluster_id

            async def names_it() -> ClusterView:
                view = await gateway.observe()
                assert (view.cluster_id, len(view.members)) == (cluster_id, 4)
                assert [d.kind for d in view.doubts] == ["MixedClusters"]
                assert f"endpoint {number} of the profile answers for cluster {foreign.cluster_id}" in view.foreign[0]
                decision = plan(view, MemberAbsent(cluster_id, UNKNOWN_ID))
                assert isinstance(decision, Blocked), "an absent member is no reason to believe it"
                return view

            view = await names_it()
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
            assert view.cluster_id == cluster_id


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
async def test_answer_of_another_member_is_not_taken(cluster: Cluster) -> None:
    """Behind a shared URL anybody answers: that is no answer of the member that was asked."""
    async with gateway_to(*cluster.endpoints) as gateway:
        view = await gateway.observe()
        leader, (follower, _) = roles(view)
        calls: list[tuple[Any, type[EtcdError]]] = [
            (lambda: gateway.status_of(follower), UnreachableError),
            (lambda: gateway.hash_at(follower, 0), UnreachableError),
            (lambda: gateway.commit_probe(follower), UnreachableError),
            (lambda: gateway.release_lock("run-1", follower), UnknownOutcomeError),
        ]
        for call, kind in calls:
            observer = gateway._observer  # noqa: SLF001  # as if a shared URL had led to the follower before
            observer._routes[follower] = Route(observer.route(leader).url, view.cluster_id)  # noqa: SLF001
            await refused(call(), kind, said=f"answered where member {follower} was asked")
            await refused(gateway.status_of(follower), UnreachableError, said="has not answered at any endpoint yet")
            await gateway.observe()
            await gateway.status_of(follower)


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
        await refused(gateway.status_of(others[0].id), UnreachableError, said="has not answered")
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
        await refused(gateway.observe(), UnreachableError, said=f"member {added} is listed and has not started")


async def test_reads_that_hang_are_no_sign_of_life(tmp_path: Path) -> None:
    """A member whose majority is stopped answers Status, and gives no list: nothing is concluded from its memory."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        urls = [node.etcd_url for node in lab.nodes]
        async with gateway_to(*urls, call_timeout_seconds=0.5) as gateway:
            leader, followers = roles(await gateway.observe())
            name_of = {await lab.member_id(node.name): node.name for node in lab.nodes}
            for follower in followers:
                lab.stop(Role.ETCD, name_of[follower])
            assert (await gateway.status_of(leader))[1] > 0
            await refused(gateway.observe(), UnreachableError, said="no answer within 0.5 s")
            await refused(gateway.commit_probe(leader), UnreachableError, said="no answer within 1 s")
            await refused(gateway.acquire_lock("run-1", "", leader), UnknownOutcomeError, said="no answer within 1 s")


# --- etcd: members that are gone or silent ------------------------------------------------------------------


async def test_silent_and_dead_members(tmp_path: Path) -> None:
    """A read says unreachable, a change says unknown, in a few words; etcd's guard refuses while it has too few."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        urls = [node.etcd_url for node in lab.nodes]
        async with gateway_to(*urls, call_timeout_seconds=0.5, change_timeout_seconds=0.5) as gateway:
            leader, (stopped, other) = roles(await gateway.observe())
            name_of = {await lab.member_id(node.name): node.name for node in lab.nodes}

            lab.stop(Role.ETCD, name_of[stopped])
            await refused(gateway.status_of(stopped), UnreachableError, said="no answer within 0.5 s")
            await refused(gateway.remove_member(UNKNOWN_ID, stopped), UnknownOutcomeError, said="no answer within")
            await refused(gateway.move_leader(leader, stopped), UnknownOutcomeError, said="no answer within")
            lab.resume(Role.ETCD, name_of[stopped])
            await lab.leader()

            leader, (dead, other) = roles(await gateway.observe())
            await lab.kill(Role.ETCD, name_of[dead])
            await refused(gateway.status_of(dead), UnreachableError)
            await refused(gateway.remove_member(UNKNOWN_ID, dead), UnknownOutcomeError)
            view = await gateway.observe()
            gone = view.member(dead)
            assert gone is not None
            assert (gone.reachable, gone.note) == (False, "connection refused")
            await missed(lab, by=name_of[leader], peer=dead)
            await refused(gateway.remove_member(other, leader), UnhealthyClusterError, said="unhealthy cluster")

            await lab.kill(Role.ETCD, name_of[other])
            await refused(gateway.observe(), UnreachableError, said="none of 3 endpoints gives a linearizable")


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
        assert await gateway.member_ids() == left[0]
        assert {m.id for m in view.only(left[0]).members} == {leader, other}


async def missed(lab: Lab, *, by: str, peer: str) -> None:
    """The member `by` has noticed that `peer` is gone; until then its guard counts it as connected."""
    url = f"{lab.node(by).etcd_url}/metrics"

    async def noticed() -> bool:
        _, text = await http.request(url)
        lines = [line for line in text.splitlines() if line.startswith("etcd_network_active_peers{")]
        return any(f'Remote="{peer}"' in line and line.endswith(" 0") for line in lines)

    await wait_until(noticed, f"{by} misses {peer}", 20)


# --- etcd: TLS and auth -------------------------------------------------------------------------------------


@asynccontextmanager
async def single(folder: Path, scheme: str = "http", flags: tuple[str, ...] = ()) -> AsyncIterator[tuple[str, Process]]:
    """A cluster of one member that serves clients over `scheme`: its client URL and its process."""
    ports = Ports(HOST)
    node = Node.on("node0", ports)
    url = f"{scheme}://{HOST}:{node.client_port}"
    command = etcd_command(locate_binaries(), node, InitialCluster([node]), folder)
    clients = [f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
    etcd = Process("etcd", [*command, *clients, *flags], folder / "etcd.log")
    etcd.start()
    try:
        yield url, etcd
    finally:
        await etcd.kill()
        ports.close()


async def serving(gateway: EtcdGateway, etcd: Process) -> ClusterView:
    """What the gateway sees once the only member leads."""
    seen: list[ClusterView] = []

    async def leads() -> bool:
        assert etcd.alive, etcd.tail()
        try:
            seen.append(await gateway.observe())
        except UnreachableError:
            return False
        return seen[-1].leadership is not None

    await wait_until(leads, "the member leads", 30, etcd.tail)
    return seen[-1]


async def openssl(folder: Path, *arguments: str) -> None:
    """Run the openssl binary in `folder`; without it this test cannot be run, which is a failure."""
    program = shutil.which("openssl")
    if program is None:
        pytest.fail("certificates are made with the openssl program, and there is none in PATH: install it")
    status, _, errors = await run([program, *arguments], {}, folder)
    assert status == 0, errors


NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


async def authority(folder: Path, name: str) -> None:
    """`name`.pem and `name`.key: a certificate authority."""
    await openssl(
        folder, "req", "-x509", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"
    )


async def certificate(folder: Path, ca: str, name: str, usage: str) -> None:
    """`name`.pem and `name`.key, for the host name `name` alone, signed by `ca`."""
    subject = ("-subj", f"/CN={name}")
    await openssl(folder, "req", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", *subject)
    (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage={usage}\n")
    signed = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-extfile", f"{name}.ext")
    await openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")


async def test_mutual_tls(tmp_path: Path) -> None:
    """With its certificate, authority and name it works; whatever is missing or wrong is said without an address."""
    for name in ("ca", "stranger"):
        await authority(tmp_path, name)
    await certificate(tmp_path, "ca", "etcd.example", "serverAuth,clientAuth")
    await certificate(tmp_path, "ca", "client.example", "clientAuth")
    await certificate(tmp_path, "stranger", "forged.example", "clientAuth")
    flags = (
        f"--cert-file={tmp_path}/etcd.example.pem",
        f"--key-file={tmp_path}/etcd.example.key",
        f"--trusted-ca-file={tmp_path}/ca.pem",
        "--client-cert-auth",
    )

    def identity(name: str) -> dict[str, Path]:
        return {"cert_file": tmp_path / f"{name}.pem", "key_file": tmp_path / f"{name}.key"}

    trust = {"ca_file": tmp_path / "ca.pem", "tls_server_name": "etcd.example"}
    async with single(tmp_path, "https", flags) as (url, etcd):
        async with gateway_to(url, **trust, **identity("client.example")) as gateway:
            view = await serving(gateway, etcd)
            (member,) = view.members
            assert (member.name, member.reachable) == ("node0", True)
            await refused(gateway.remove_member(member.id, member.id), NotEnoughStartedError, said="not enough started")
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"ca_file": tmp_path / "ca.pem", **identity("client.example")}, "the certificate is for another name"),
            (
                {**trust, "tls_server_name": "other.example", **identity("client.example")},
                "the certificate is for another name",
            ),
            (
                {**trust, "ca_file": tmp_path / "stranger.pem", **identity("client.example")},
                "CERTIFICATE_VERIFY_FAILED",
            ),
            (trust, ""),
            ({**trust, **identity("forged.example")}, ""),
        ]
        for options, said in wrong:
            async with gateway_to(url, **options) as gateway:
                await refused(gateway.observe(), UnreachableError, said=said)
                with pytest.raises(UnreachableError) as caught:
                    await gateway.observe()
                assert ".example" not in str(caught.value)
        async with gateway_to(url.replace("https", "http")) as gateway:
            await refused(gateway.observe(), UnreachableError)


async def test_renewed_certificates_are_used(tmp_path: Path) -> None:
    """By the gateway that has met with the old ones: certificate managers rename the new files into place."""
    for name in ("ca", "stranger"):
        await authority(tmp_path, name)
    await certificate(tmp_path, "ca", "etcd.example", "serverAuth,clientAuth")
    await certificate(tmp_path, "ca", "client.example", "clientAuth")
    await certificate(tmp_path, "stranger", "expired.example", "clientAuth")
    flags = (
        f"--cert-file={tmp_path}/etcd.example.pem",
        f"--key-file={tmp_path}/etcd.example.key",
        f"--trusted-ca-file={tmp_path}/ca.pem",
        "--client-cert-auth",
    )
    files = {"ca_file": "stranger.pem", "cert_file": "expired.example.pem", "key_file": "expired.example.key"}
    (mine := tmp_path / "mine").mkdir()
    for key, name in files.items():
        shutil.copy(tmp_path / name, mine / key)
    options = {key: mine / key for key in files}
    good = {"ca_file": "ca.pem", "cert_file": "client.example.pem", "key_file": "client.example.key"}
    async with single(tmp_path, "https", flags) as (url, etcd):
        trust = {"tls_server_name": "etcd.example"}
        async with gateway_to(url, **{key: tmp_path / name for key, name in good.items()}, **trust) as gateway:
            await serving(gateway, etcd)
        async with gateway_to(url, **options, **trust) as gateway:
            await refused(gateway.observe(), UnreachableError, said="CERTIFICATE_VERIFY_FAILED")
            shutil.copy(tmp_path / "ca.pem", tmp_path / "new")
            (tmp_path / "new").rename(mine / "ca_file")
            await refused(gateway.observe(), UnreachableError)
            for key in ("cert_file", "key_file"):
                shutil.copy(tmp_path / good[key], tmp_path / "new")
                (tmp_path / "new").rename(mine / key)
            (member,) = (await serving(gateway, etcd)).members
            assert member.reachable


async def test_user_and_password(tmp_path: Path) -> None:
    """A user with the root role may do everything; others are told what etcd says; a forgotten token is renewed."""
    for name, password in (("root", "s3cr3t"), ("reader", "s3cr3t"), ("wrong", "nonsense")):
        (tmp_path / name).write_text(f"{password}\n")

    def user(name: str, file: str = "") -> dict[str, object]:
        return {"username": name, "password_file": tmp_path / (file or name)}

    async with single(tmp_path) as (url, etcd):
        etcdctl = [str(locate_binaries().etcdctl), f"--endpoints={url}"]
        async with gateway_to(url) as gateway:
            (member,) = (await serving(gateway, etcd)).members
        async with gateway_to(url, **user("root")) as gateway:
            await refused(gateway.observe(), EtcdPermissionError, said="authentication is not enabled")
        for setting in ("user add root:s3cr3t", "user grant-role root root", "user add reader:s3cr3t", "auth enable"):
            await said_well(*etcdctl, *setting.split())

        async with gateway_to(url) as gateway:
            await refused(gateway.observe(), EtcdPermissionError, said="user name is empty")
        async with gateway_to(url, **user("root", "wrong")) as gateway:
            await refused(gateway.observe(), EtcdPermissionError, said="authentication failed")
        async with gateway_to(url, **user("reader")) as gateway:
            await gateway.observe()
            await refused(gateway.remove_member(UNKNOWN_ID, member.id), EtcdPermissionError, said="permission denied")
            await refused(gateway.move_leader(member.id, member.id), EtcdPermissionError, said="permission denied")
            await refused(gateway.acquire_lock("run-1", "", member.id), EtcdPermissionError, said="permission denied")
            await gateway.commit_probe(member.id)
        async with gateway_to(url, **user("root")) as gateway:
            away = tmp_path / "away"
            (tmp_path / "root").rename(away)
            await refused(gateway.observe(), UnreachableError, said="root cannot be read: No such file")
            away.rename(tmp_path / "root")
            await gateway.observe()
            (tmp_path / "root").rename(away)
            await gateway.observe()  # with the token that it has
            away.rename(tmp_path / "root")
            (tmp_path / "renewed").write_text("renewed\n")
            await said_well(
                *etcdctl, "--user=root:s3cr3t", "user", "passwd", "root", "--interactive=false", stdin="renewed"
            )
            (tmp_path / "renewed").rename(tmp_path / "root")
            await gateway.observe()
            await said_well(
                *etcdctl, "--user=root:renewed", "user", "passwd", "root", "--interactive=false", stdin="s3cr3t"
            )
            (tmp_path / "root").write_text("s3cr3t\n")
            await gateway.observe()
            await gateway.observe()
            await refused(gateway.remove_member(UNKNOWN_ID, member.id), MemberNotFoundError)
            # Switching auth off makes etcd forget all tokens.
            await said_well(*etcdctl, "--user=root:s3cr3t", "auth", "disable")
            await said_well(*etcdctl, "auth", "enable")
            await gateway.observe()
            await refused(gateway.remove_member(UNKNOWN_ID, member.id), MemberNotFoundError)


async def said_well(*command: str, stdin: str | None = None) -> None:
    """The command succeeded."""
    status, _, errors = await run(command, {}, Path.cwd(), stdin)
    assert status == 0, errors

"""The lab's disasters are what they say, and can be undone; and its credentials let in whom they should."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff.config import load_config
from etcd_handoff.lab import Lab, LabOptions, Role, backups, disasters, http, observer, wait_until
from etcd_handoff.lab.writer import OpenLoopWriter, missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ETCD_ALONE = LabOptions(kubernetes=False, temporal=False)
KEY = base64.b64encode(b"a").decode()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Three members whose disks can hang, and nothing else."""
    options = LabOptions(kubernetes=False, temporal=False, hanging_disks=True, directory=tmp_path)
    async with Lab(options) as lab:
        yield lab


async def put(lab: Lab, node: str, seconds: float = 10) -> int:
    """The revision of a put through this member."""
    body = {"key": KEY, "value": KEY}
    answer = await http.post(f"{lab.node(node).etcd_url}/v3/kv/put", body, timeout_seconds=seconds)
    return int(answer["header"]["revision"])


async def status(lab: Lab, node: str) -> dict[str, Any]:
    """What this member says of itself, from memory."""
    return await http.post(f"{lab.node(node).etcd_url}/v3/maintenance/status", {})


async def cluster_id(lab: Lab, node: str) -> str:
    """The cluster that answers at this node's address."""
    return str((await status(lab, node))["header"]["cluster_id"])


async def test_hanging_disk_leaves_a_member_that_answers_and_takes_nothing(lab: Lab) -> None:
    """It names the leader at the right term while it stands still; a read of its own has no answer; then it goes on."""
    leader, term = await lab.leader_and_term()
    sick, other = (node.name for node in lab.others(leader))
    await put(lab, leader)
    disasters.hang_disk(lab, sick)
    for _ in range(20):
        await put(lab, leader)
    answer, leads = await status(lab, sick), await status(lab, leader)
    assert (answer["leader"], int(answer["raftTerm"])) == (leads["leader"], term)
    assert int(answer["raftIndex"]) < int(leads["raftIndex"])
    with pytest.raises(OSError, match=r"timed out|deadline"):
        await observer.list_members(lab.node(sick).etcd_url)
    await observer.list_members(lab.node(other).etcd_url)

    await lab.kill(Role.ETCD, other)
    with pytest.raises(OSError, match=r"timed out|deadline|no leader|stopped"):
        await put(lab, leader, seconds=2)
    disasters.heal_disk(lab, sick)
    await lab.leader()
    await put(lab, sick)


async def test_disks_of_a_plain_lab_do_not_hang() -> None:
    """Asking for it is an error that names the option."""
    lab = Lab(ETCD_ALONE)
    try:
        with pytest.raises(ValueError, match="hanging_disks=True"):
            disasters.hang_disk(lab, "node0")
    finally:
        await lab.close()


async def test_member_that_was_stopped_under_load_is_behind(lab: Lab) -> None:
    """While it stands still the others go on; it catches up afterwards."""
    leader = await lab.leader()
    behind = lab.others(leader)[0].name
    before = int((await status(lab, behind))["raftIndex"])
    await disasters.fall_behind(lab, behind, leader, 300)
    assert int((await status(lab, leader))["raftIndex"]) >= before + 300

    async def caught_up() -> bool:
        return int((await status(lab, behind))["raftIndex"]) >= before + 300

    await wait_until(caught_up, "it has caught up", 60)


async def test_foreign_cluster_answers_at_a_members_address_until_it_comes_back(lab: Lab) -> None:
    """Another cluster ID, a list of itself alone; the others have their quorum and list it still; then all is well."""
    leader = await lab.leader()
    node, other = (n.name for n in lab.others(leader))
    ours, member_id = await cluster_id(lab, leader), await lab.member_id(node)
    await disasters.become_foreign(lab, node)
    assert await cluster_id(lab, node) != ours
    listed = await observer.list_members(lab.node(node).etcd_url)
    assert [m.name for m in listed] == [node]
    assert listed[0].id != member_id
    assert {m.name for m in await lab.members(other)} == {leader, node, other}
    revision = await put(lab, other)
    await disasters.come_back(lab, node)
    assert await cluster_id(lab, node) == ours
    assert await put(lab, node) == revision + 1

    stranger = await disasters.start_foreign_cluster(lab)
    assert await cluster_id(lab, stranger.name) not in ("", ours)
    assert stranger not in lab.nodes
    assert len(await lab.members()) == 3


async def test_forced_new_cluster_is_half_of_the_old_one(lab: Lab) -> None:
    """The same cluster ID and member ID, a list of itself alone, writes of its own; it can come back."""
    leader = await lab.leader()
    node, other = (n.name for n in lab.others(leader))
    ours, member_id = await cluster_id(lab, leader), await lab.member_id(node)
    await disasters.force_new_cluster(lab, node)
    assert await cluster_id(lab, node) == ours
    assert [(m.name, m.id) for m in await observer.list_members(lab.node(node).etcd_url)] == [(node, member_id)]
    await put(lab, node)
    await put(lab, leader)
    assert {m.name for m in await lab.members(other)} == {leader, node, other}
    await disasters.come_back(lab, node)
    assert len(await observer.list_members(lab.node(node).etcd_url)) == 3
    assert await put(lab, node) == int((await status(lab, leader))["header"]["revision"])


async def test_node_joins_again_under_its_name_with_another_id(lab: Lab) -> None:
    """A removed member's node is a voter again that serves."""
    leader = await lab.leader()
    node = lab.others(leader)[0].name
    old = await lab.member_id(node)
    await lab.wait_for_health_interval()
    await observer.change_members(f"{lab.node(leader).etcd_url}/v3/cluster/member/remove", {"ID": str(int(old, 16))})
    new = await disasters.rejoin(lab, node)
    assert new == await lab.member_id(node) != old
    assert len(await observer.list_members(lab.node(node).etcd_url)) == 3
    await put(lab, node)


async def test_restored_cluster_is_the_old_one_at_an_earlier_time(lab: Lab) -> None:
    """The same IDs; the member that was removed is back; what was written since is gone, and so is the index."""
    leader = await lab.leader()
    node = lab.others(leader)[0].name
    ours, ids = await cluster_id(lab, leader), {m.name: m.id for m in await lab.members()}
    await put(lab, leader)
    backup = await backups.back_up(lab)
    await lab.wait_for_health_interval()
    for _ in range(50):
        revision = await put(lab, leader)
    before = int((await status(lab, leader))["raftIndex"])
    body: dict[str, object] = {"ID": str(int(ids[node], 16))}
    await observer.change_members(f"{lab.node(leader).etcd_url}/v3/cluster/member/remove", body)
    await backups.restore(lab, backup)
    assert await cluster_id(lab, node) == ours
    assert {m.name: m.id for m in await lab.members(node)} == ids
    assert int((await status(lab, await lab.leader()))["raftIndex"]) < before
    assert await put(lab, node) < revision


async def test_alarms_stop_writes_until_they_are_disarmed(lab: Lab) -> None:
    """NOSPACE of one member, and CORRUPT of no single one."""
    leader = await lab.leader()
    for kind, member_id in (("NOSPACE", await lab.member_id(leader)), ("CORRUPT", disasters.WHOLE_CLUSTER)):
        await disasters.raise_alarm(lab, leader, kind, member_id)
        with pytest.raises(OSError, match=r"space exceeded|corrupt"):
            await put(lab, leader)
        await disasters.disarm(lab, leader)
        await put(lab, leader)


async def test_every_link_has_tls_and_old_certificates_are_refused(tmp_path: Path) -> None:
    """Nobody comes in without a certificate; renewed ones count, those from before do not, on either side."""
    async with Lab(LabOptions(nodes=2, temporal=False, tls=True, directory=tmp_path)) as lab:
        profile = load_config(lab.config_path).cluster("demo").etcd
        assert profile.secure
        url, node = lab.nodes[0].etcd_url, lab.nodes[0].name
        known = http.access(url)
        assert known is not None
        assert known.cert_file is not None
        await lab.etcdmembers(node)
        async with OpenLoopWriter(url, tmp_path) as writer:
            report = await writer.stop()
        assert await missing(report, [n.etcd_url for n in lab.nodes]) == {}

        async def refused(access: http.Access) -> None:
            http.grant(url, access)
            try:
                with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
                    await observer.list_members(url)
            finally:
                http.grant(url, known)

        await refused(http.Access(known.ca_file))
        old = http.Access(tmp_path / "old-ca", tmp_path / "old-cert")
        for path, text in (
            (old.ca_file, known.ca_file.read_text()),
            (tmp_path / "old-cert", known.cert_file.read_text()),
        ):
            path.write_text(text)
        await observer.list_members(url)
        await disasters.renew_certificates(lab, "clients")
        assert len(await lab.members()) == 2
        await refused(http.Access(known.ca_file, old.cert_file))
        await disasters.renew_certificates(lab, "servers")
        assert len(await lab.members()) == 2
        await refused(http.Access(old.ca_file, known.cert_file))
        assert await lab.joined(node, node) == "True"


async def test_users_of_etcd_may_do_what_they_may(tmp_path: Path) -> None:
    """The reader reads and removes nobody; nobody comes without a token; API servers come by their certificate."""
    options = LabOptions(nodes=2, temporal=False, tls=True, etcd_user="reader", directory=tmp_path)
    async with Lab(options) as lab:
        profile = load_config(lab.config_path).cluster("demo").etcd
        assert profile.username == "reader"
        assert profile.password_file is not None
        url = lab.nodes[0].etcd_url
        await put(lab, "node0")
        assert await lab.joined("node0", "node1") == "True"
        known = http.access(url)
        assert known is not None
        password = profile.password_file.read_text().strip()
        reader = http.Access(known.ca_file, known.cert_file, user=(profile.username, password))
        http.grant(url, reader)
        await http.post(f"{url}/v3/kv/range", {"key": KEY})
        body = {"ID": str(int(await lab.member_id("node1"), 16))}
        with pytest.raises(OSError, match="permission denied"):
            await http.post(f"{url}/v3/cluster/member/remove", body)
        http.grant(url, http.Access(known.ca_file, known.cert_file))
        with pytest.raises(OSError, match="user name is empty"):
            await http.post(f"{url}/v3/kv/range", {"key": KEY})


async def test_product_has_the_rights_of_the_manifests_and_renewed_tokens(tmp_path: Path) -> None:
    """Its kubeconfig may do what a worker does and delete nothing; after a renewal the old token is refused."""
    async with Lab(LabOptions(nodes=2, temporal=False, rbac=True, directory=tmp_path)) as lab:
        node = lab.nodes[0]
        kubernetes = load_config(lab.config_path).cluster("demo").kubernetes
        assert kubernetes is not None
        assert kubernetes.kubeconfig is not None
        account = lab.credentials.account
        assert json.loads(kubernetes.kubeconfig.read_text())["users"][0]["user"] == account.user

        async def may(verb: str) -> int:
            url = f"{node.api_url}/apis/etcd.k0sproject.io/v1beta1/etcdmembers/node1"
            headers = {"Authorization": f"Bearer {account.token_file.read_text()}"}
            return (await http.request(url, method=verb, headers=headers))[0]

        async def has_rights() -> bool:
            return await may("GET") == 200

        await wait_until(has_rights, "the API server knows of the roles", 60)
        assert await may("DELETE") == 403
        old = account.token_file.read_text()
        await account.renew(lab.kubectl, node)
        assert account.token_file.read_text() != old
        assert await account.accepted(node)

        async def refused() -> bool:
            return not await account.accepted(node, old)

        await wait_until(refused, "the old token is refused", 60)
        disasters.restart_api_servers(lab)
        assert not await http.answers(f"{node.api_url}/readyz")
        await asyncio.gather(*(lab.ready(Role.APISERVER, n.name) for n in lab.nodes))


def test_what_does_not_go_together_is_said_at_once() -> None:
    """Each with its reason."""
    for options, words in (
        ({"tls": True, "network": True}, "no TLS between peers"),
        ({"etcd_user": "root"}, "needs tls"),
        ({"etcd_user": "somebody", "tls": True}, "one of root, reader, operator, certificate, stranger"),
        ({"rbac": True, "kubernetes": False}, "rbac needs kubernetes"),
    ):
        with pytest.raises(ValueError, match=words):
            LabOptions(**options)

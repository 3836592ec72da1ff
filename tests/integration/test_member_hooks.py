"""The commands of deploy/hooks with real etcd processes: a member joins, stops, and its data is archived."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from etcd_handoff.contract import AdditionRequest
from etcd_handoff.data_directory import Identity, identity
from etcd_handoff.lab import Lab, LabOptions, http, observer, wait_until
from etcd_handoff.member_command import Member, MemberProcessError
from etcd_handoff.member_process import MemberProcess
from tests.integration.member_hooks import KINDS, end_all, kubelet, profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def voter(shared_path: Path) -> AsyncIterator[Lab]:
    """A cluster of one member, to which others are added and from which they are taken again."""
    async with Lab(LabOptions(nodes=1, kubernetes=False, temporal=False, directory=shared_path)) as lab:
        yield lab


async def added(lab: Lab, node: Node) -> Identity:
    """Add a learner with the node's peer URL; its IDs."""
    before = {m.id for m in await lab.members()}
    body = {"peerURLs": [node.peer_url], "isLearner": True}
    await observer.change_members(f"{lab.nodes[0].etcd_url}/v3/cluster/member/add", body)
    (member_id,) = {m.id for m in await lab.members()} - before
    answer = await http.post(f"{lab.nodes[0].etcd_url}/v3/cluster/member/list", {})
    return Identity(observer.hex_id(answer["header"]["cluster_id"]), member_id)


def joining(lab: Lab, node: Node) -> dict[str, str]:
    """What etcd joins with."""
    AdditionRequest(cluster="c", name=node.name, peer_urls=(node.peer_url,))  # such names and URLs come in
    first = lab.nodes[0]
    return {
        "ETCD_NAME": node.name,
        "ETCD_INITIAL_CLUSTER": f"{first.name}={first.peer_url},{node.name}={node.peer_url}",
        "ETCD_INITIAL_CLUSTER_STATE": "existing",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": node.peer_url,
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_member_joins_stops_and_is_archived(voter: Lab, tmp_path: Path, kind: str) -> None:
    """Each verb twice, and none of them on another member's data; what the command says is what is so."""
    lab, node = voter, voter.new_foreign_node(kind)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(end_all, tmp_path)
        settings = profile(kind, tmp_path / kind, node, "3.6.16")
        if kind == "static-pod":
            await stack.enter_async_context(kubelet(tmp_path / kind))
        whose = await added(lab, node)
        member = Member("c", node.name, (node.peer_url,), whose)
        process = MemberProcess(settings, node.name, member)
        other = MemberProcess(settings, node.name, member._replace(identity=Identity(whose.cluster_id, "1")))

        assert not (await process.status()).running
        assert (await process.start(joining(lab, node))).changed
        await named(lab, whose.member_id, node.name)
        status = await process.status()
        assert status.running
        assert status.version.startswith("3.")
        assert status.pid is not None
        os.kill(status.pid, 0)
        assert await process.whose(status) == whose
        assert not (await process.start(joining(lab, node))).changed
        for verb in (other.stop, other.archive, lambda: other.start(joining(lab, node))):
            with pytest.raises(MemberProcessError):
                await verb()
        assert (await process.status()).pid == status.pid

        assert (await process.stop()).changed
        assert not await alive(status.pid)
        assert not (await process.stop()).changed
        with pytest.raises(MemberProcessError, match="is left where it is"):
            await other.archive()
        # It starts again on its own data, as after a reboot.
        assert (await process.start(joining(lab, node))).changed
        with pytest.raises(MemberProcessError, match="stop it first"):
            await process.archive()
        assert (await process.stop()).changed

        assert (await process.archive()).changed
        assert not (await process.archive()).changed
        archived = tmp_path / kind / f"data.member-{whose.member_id}"
        assert (identity(archived), identity(tmp_path / kind / "data")) == (whose, None)
        body: dict[str, object] = {"ID": str(int(whose.member_id, 16))}
        await observer.change_members(f"{lab.nodes[0].etcd_url}/v3/cluster/member/remove", body)


async def named(lab: Lab, member_id: str, name: str) -> None:
    """The learner has joined."""

    async def so() -> bool:
        return {m.id: m.name for m in await lab.members()}[member_id] == name

    await wait_until(so, f"{name} has joined", 60)


async def alive(pid: int) -> bool:
    """Whether it runs; a process whose exit status nobody has taken does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:  # noqa: ASYNC230, PTH123  # of the kernel
        return stat.read().rpartition(")")[2].split()[0] != "Z"


async def test_unit_that_systemd_does_not_know_is_an_error(voter: Lab, tmp_path: Path) -> None:
    """And not a process that does not run."""
    node = voter.new_foreign_node("nobody")
    settings = profile("systemd", tmp_path / "systemd", node, "3.6.16")
    wrong = settings.model_copy(update={"environment": {**settings.environment, "UNIT": "etc.service"}})
    with pytest.raises(MemberProcessError, match=r"unit etc\.service is not-found"):
        await MemberProcess(wrong, node.name, Member("c", node.name)).status()


async def test_manifest_without_etcds_command_starts_nothing(voter: Lab, tmp_path: Path) -> None:
    """The kubelet never sees half a manifest."""
    node = voter.new_foreign_node("odd")
    settings = profile("static-pod", tmp_path / "pod", node, "3.6.16")
    (tmp_path / "pod" / "kept" / "etcd.yaml").write_text("kind: Pod\n")
    process = MemberProcess(settings, node.name, Member("c", node.name, (node.peer_url,), Identity("1", "2")))
    with pytest.raises(MemberProcessError, match="has no line '- etcd'"):
        await process.start(joining(voter, node))
    assert not (tmp_path / "pod" / "manifests" / "etcd.yaml").exists()

"""A member joins by the command of its own node: nobody types anything, whatever is interrupted."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from etcd_handoff.data_directory import Identity, archive_paths, identity
from etcd_handoff.lab import Role
from etcd_handoff.temporal.updates import execute_update
from tests.integration.additions import add, out
from tests.integration.member_hooks import end_all, etcd_on, profile
from tests.integration.progress import changes, says
from tests.integration.test_replace_member import replace
from tests.unit.wal import written

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.config.member import MemberProfile
    from etcd_handoff.lab.nodes import Node
    from tests.integration.conftest import LiveCluster, MakeLiveCluster


async def worker_with_command(b: LiveCluster, node: Node, folder: Path) -> MemberProfile:
    """The node's worker runs, and its configuration names a command for etcd."""
    member = profile("lab", folder, node, "3.6.16")
    table = {**member.model_dump(mode="json", exclude={"environment"}), "data_dir": str(member.data_dir)}
    lines = [f"[clusters.{b.lab.cluster}.member]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    lines += [f"[clusters.{b.lab.cluster}.member.environment]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in member.environment.items()]
    path = folder / "etcd-handoff.toml"
    path.write_text("\n".join([b.lab.config_path.read_text(), *lines]))
    await b.lab.start_worker(node.name, {"ETCD_HANDOFF_CONFIG": str(path)})
    return member


async def left_with_command(b: LiveCluster, tmp_path: Path) -> tuple[str, Node, MemberProfile]:
    """The leader, and the node of a member that has left, whose worker now has a command for etcd."""
    b.stack.callback(end_all, tmp_path)
    leader = await b.lab.leader()
    node = await out(b.lab, b.lab.others(leader)[0].name)
    if node.name in b.lab.options.workers:
        await b.lab.kill(Role.WORKER, node.name)
    return leader, node, await worker_with_command(b, node, tmp_path / "hooked")


async def test_member_joins_and_is_replaced_and_nobody_types_anything(
    live_cluster: MakeLiveCluster, tmp_path: Path
) -> None:
    """Looked at, added, started, promoted, recorded; a write through it works.

    Then an empty member takes its place at its address: what it leaves behind is out of the way before.
    """
    async with live_cluster() as b:
        _, node, member = await left_with_command(b, tmp_path)
        result = await (await add(b, node)).result()
        assert (result.outcome, result.status_recorded) == ("added", True)
        steps = {s.name: (str(s.outcome), s.node) for s in result.steps}
        assert steps["preflight_member"] == ("observed", node.name)
        assert steps["start_member"] == ("started", node.name)
        order = [name for name in changes(result) if name != "await_sync"]
        assert order[:4] == ["preflight_member", "add_learner", "start_member", "promote_member"]
        assert result.member_id == await b.lab.member_id(node.name)
        assert member.data_dir is not None
        assert identity(member.data_dir) == Identity(result.cluster_id, result.member_id)
        writer = await b.writer(node.name)
        await b.judge(set(), await writer.stop())
        assert str(tmp_path) not in json.dumps([s.note for s in result.steps if s.name != "preflight_member"])
        replacement = await (await replace(b, result.member_id, node)).result()
        assert str(replacement.outcome) == "replaced"
        assert [(p.kind, bool(p.process)) for p in replacement.parts] == [("remove", True), ("add", False)]
        order = [s.name for s in replacement.steps if "member" in s.name and s.outcome != "replan"]
        assert order.index("remove_member") < order.index("stop_member") < order.index("archive_member")
        assert order.index("archive_member") < order.index("preflight_member")
        new, old = await b.lab.member_id(node.name), Identity(result.cluster_id, result.member_id)
        assert identity(archived(member, old)) == old
        assert identity(member.data_dir) == Identity(result.cluster_id, new)
        assert new == replacement.new_member_id != old.member_id
        assert len(etcd_on(member.data_dir)) == 1


def archived(member: MemberProfile, whose: Identity) -> Path:
    """Where the data of a removed member lies."""
    assert member.data_dir is not None
    return archive_paths(member.data_dir, whose.member_id)[1]


async def test_nothing_is_added_on_a_node_with_the_data_of_another(
    live_cluster: MakeLiveCluster, tmp_path: Path
) -> None:
    """It is said before anything is changed; once the data is gone, the member is added.

    Cancelled then, the addition leaves nothing behind that keeps the next one from joining.
    """
    async with live_cluster(failpoints="await_sync.during=hold") as b:
        leader, node, member = await left_with_command(b, tmp_path)
        assert member.data_dir is not None
        written(member.data_dir, Identity("beef", "1"))
        addition = await add(b, node)
        progress = await says(addition, "Blocked", "NodeNotReady")
        assert "holds data of member 1 of cluster beef" in progress.doing
        assert len(await b.lab.members(leader)) == 2
        shutil.rmtree(member.data_dir)
        await execute_update(addition, "recheck")
        await b.reached("await_sync.during")
        (learner,) = (m for m in await b.lab.members(leader) if m.is_learner)
        await addition.cancel()
        b.release("await_sync.during")
        with pytest.raises(WorkflowFailureError) as failed:
            await addition.result()
        assert isinstance(failed.value.cause, CancelledError)
        assert etcd_on(member.data_dir) == []
        assert not member.data_dir.exists()
        assert len(await b.lab.members(leader)) == 2
        result = await (await add(b, node)).result()
        assert (result.outcome, result.member_id != learner.id) == ("added", True)


@pytest.mark.parametrize("point", ["start_member.before", "start_member.during", "start_member.after"])
async def test_worker_that_dies_around_the_start_is_no_matter(
    live_cluster: MakeLiveCluster, tmp_path: Path, point: str
) -> None:
    """The next one finds out whether etcd runs: there is one process, and one member."""
    async with live_cluster(failpoints=f"{point}=kill") as b:
        leader, node, member = await left_with_command(b, tmp_path)
        addition = await add(b, node)
        await b.reached(point)
        await b.lab.process(Role.WORKER, node.name).ended()
        await b.lab.start(Role.WORKER, node.name)
        result = await addition.result()
        assert (result.outcome, result.member_id) == ("added", await b.lab.member_id(node.name))
        assert len(await b.lab.members(leader)) == 3
        (started,) = (s for s in result.steps if s.name == "start_member")
        assert ("ran already" in started.note) is (point != "start_member.before")
        assert member.data_dir is not None
        assert len(etcd_on(member.data_dir)) == 1


@pytest.mark.parametrize("point", ["stop_member.after", "archive_member.after"])
async def test_worker_that_dies_around_the_end_is_no_matter(
    live_cluster: MakeLiveCluster, tmp_path: Path, point: str
) -> None:
    """An empty member takes one's place at its address; what that leaves is stopped and archived once, and kept."""
    async with live_cluster(failpoints=f"{point}=kill") as b:
        leader, node, member = await left_with_command(b, tmp_path)
        old = (await (await add(b, node)).result()).member_id
        replacement = await replace(b, old, node)
        await b.reached(point)
        await b.lab.process(Role.WORKER, node.name).ended()
        await b.lab.start(Role.WORKER, node.name)
        result = await replacement.result()
        assert str(result.outcome) == "replaced"
        assert len(await b.lab.members(leader)) == 3
        whose = Identity(result.cluster_id, old)
        assert identity(archived(member, whose)) == whose
        assert member.data_dir is not None
        assert identity(member.data_dir) == Identity(result.cluster_id, result.new_member_id)
        assert len(etcd_on(member.data_dir)) == 1

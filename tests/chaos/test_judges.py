"""Each judge catches the fault that it is there for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.client import connect
from etcd_handoff.lab import Lab, LabOptions, Role, judge, wait_until
from etcd_handoff.lab.writer import OpenLoopWriter, Put, WriteReport
from tests.chaos import cases, faults, judges

if TYPE_CHECKING:
    from pathlib import Path


def test_the_matrix_is_whole() -> None:
    """At least 300 cases, each with a name of its own and a fault that exists."""
    names = [case.name for case in cases.all_cases()]
    assert len(names) == len(set(names)) >= 300
    assert set(cases.FAULTS) == set(faults.FAULTS)
    assert [case.name for case in cases.sample()] == list(cases.SAMPLE)


def test_a_wrong_membership_is_caught() -> None:
    """Somebody else gone, the target still there, a stranger."""
    judges.members_are(["a", "b"], ["a", "b", "c"], "c")
    for wrong in (["a", "c"], ["a", "b", "c"], ["a", "b", "d"], ["a"]):
        with pytest.raises(AssertionError, match="members are"):
            judges.members_are(wrong, ["a", "b", "c"], "c")


def test_a_resource_that_lies_is_caught() -> None:
    """Joined of an absent member, and the other way round."""

    def says(status: str) -> dict[str, object]:
        return {"status": {"conditions": [{"type": "Joined", "status": status}]}}

    judges.resources_agree(["a"], {"a": says("True"), "b": says("False")})
    lies: list[dict[str, dict[str, object]]] = [{"b": says("True")}, {"a": says("False")}, {"a": {}}]
    for lie in lies:
        with pytest.raises(AssertionError, match="EtcdMembers say"):
            judges.resources_agree(["a"], lie)


def test_a_removal_that_does_not_end_well_is_caught() -> None:
    """Another outcome, or a status that was not recorded although there is a resource."""
    judges.ended_well("removed", recorded=True, has_resource=True)
    judges.ended_well("already-absent", recorded=False, has_resource=False)
    with pytest.raises(AssertionError):
        judges.ended_well("planned", recorded=True, has_resource=True)
    with pytest.raises(AssertionError):
        judges.ended_well("removed", recorded=False, has_resource=True)


def test_revisions_that_go_back_are_caught() -> None:
    """A later put at an earlier revision, or at the same; puts under way at once may come in any order."""
    first, at_once = Put(0, sent=1.0, answered=2.0, revision=7), Put(1, sent=1.5, answered=3.0, revision=6)
    judges.revisions_go_forward(WriteReport((first, at_once, Put(2, 2.5, 4.0, "failed"), Put(3, 3.5, 4.0, "", 8)), ""))
    for revision in (5, 7):
        with pytest.raises(AssertionError, match=f"put 2 has revision {revision}, and 7 was known"):
            judges.revisions_go_forward(WriteReport((first, at_once, Put(2, 2.5, 4.0, "", revision)), ""))


@pytest.mark.integration
async def test_lost_writes_and_a_dead_cluster_are_caught(tmp_path: Path) -> None:
    """A write that etcd never had, revisions and data that differ, and a member that takes no writes."""
    options = LabOptions(nodes=1, temporal=False, kubernetes=False, directory=tmp_path / "lab")
    async with Lab(options) as lab, Lab(LabOptions(nodes=1, temporal=False, kubernetes=False)) as stranger:
        url = lab.nodes[0].etcd_url
        async with OpenLoopWriter(url, tmp_path) as writer:
            report = await writer.stop()
        await judges.writes_are_there(report, [url])
        invented = WriteReport((*report.puts, Put(10**9, 0.0, 0.0)), report.prefix)
        with pytest.raises(AssertionError, match="missing"):
            await judges.writes_are_there(invented, [url])
        with pytest.raises(AssertionError, match="no write was acknowledged"):
            await judges.writes_are_there(WriteReport((), report.prefix), [url])
        judges.revisions_go_forward(report)
        await judges.revisions_are_kept(report, [url])
        with pytest.raises(AssertionError, match="was acknowledged, and members are at"):
            await judges.revisions_are_kept(report, [url, stranger.nodes[0].etcd_url])
        await judges.hashes_agree([url, url])
        async with OpenLoopWriter(stranger.nodes[0].etcd_url, tmp_path) as writer:
            await writer.stop()
        with pytest.raises(AssertionError, match="differ"):
            await judges.hashes_agree([url, stranger.nodes[0].etcd_url])
        await judges.writes_go_on(url, tmp_path)
    with pytest.raises(AssertionError, match="no further write"):
        await judges.writes_go_on(url, tmp_path)


def test_refusal_of_a_known_member_is_no_safe_one() -> None:
    """Only somebody unknown may be refused, and only as long as no EtcdMember remembers it."""
    judges.refused_truly("UnknownMember", "no such member", has_resource=False)
    with pytest.raises(AssertionError, match="knows it"):
        judges.refused_truly("UnknownMember", "no such member", has_resource=True)
    with pytest.raises(AssertionError, match="BlockedTooLong: no quorum"):
        judges.refused_truly("BlockedTooLong", "no quorum", has_resource=False)


@pytest.mark.integration
async def test_quorum_that_a_removal_takes_is_caught(tmp_path: Path) -> None:
    """One of three is dead, and a healthy one is removed: one of two is left, which can commit nothing."""
    options = LabOptions(
        etcd_flags=("--strict-reconfig-check=false",), temporal=False, kubernetes=False, directory=tmp_path
    )
    async with Lab(options) as lab:
        leader = await lab.leader()
        target, dead = (node.name for node in lab.others(leader))
        url, target_id = lab.node(leader).etcd_url, await lab.member_id(target)
        async with OpenLoopWriter(url, tmp_path):  # data that changes does not differ
            for _ in range(10):
                await judges.hashes_agree([node.etcd_url for node in lab.nodes])
        await lab.kill(Role.ETCD, dead)
        await judges.quorum_is_kept(url, target, seconds=5)
        await judge.change_members(f"{url}/v3/cluster/member/remove", {"ID": str(int(target_id, 16))})
        with pytest.raises(AssertionError, match=f"without {target} have a quorum"):
            await judges.quorum_is_kept(url, target, seconds=5)
        await lab.start(Role.ETCD, dead)
        await judges.quorum_is_kept(url, target)


@pytest.mark.integration
async def test_whatever_goes_on_running_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow that nobody ends, and a process of the lab that lives on; nothing else does after the lab's end."""
    before = judges.children()
    async with Lab(LabOptions(nodes=1, kubernetes=False, directory=tmp_path)) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setitem(os.environ, name, value)
        client = await connect()
        await judges.nothing_runs(client)
        forgotten = await client.start_workflow("ClusterTurns", id="forgotten", task_queue="nobody's")

        async def listed() -> bool:
            return (await client.count_workflows("ExecutionStatus = 'Running'")).count == 1

        await wait_until(listed, "the list has the workflow", 30)  # Temporal writes it after the start's answer
        with pytest.raises(AssertionError, match="no workflow is open; \\['forgotten'\\]"):
            await judges.nothing_runs(client, seconds=3)
        await forgotten.terminate()
        await judges.nothing_runs(client)
        with pytest.raises(AssertionError, match=r"these run: .*etcd .*temporal "):
            judges.nothing_is_left(before)
    judges.nothing_is_left(before)

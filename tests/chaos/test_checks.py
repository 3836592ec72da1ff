"""Each check catches the fault that it is there for."""

from __future__ import annotations

import base64
import json
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab import Lab, LabOptions, ListedMember, Role, disasters, http, observer, wait_until
from etcd_handoff.lab.resources import write_joined
from etcd_handoff.lab.writer import OpenLoopWriter, Put, WriteReport
from etcd_handoff.temporal.client import connect
from tests.chaos import cases, changes, checks, faults
from tests.chaos import conftest as results
from tests.chaos.conftest import Finding, all_names

if TYPE_CHECKING:
    from pathlib import Path


def listed(**ids: str) -> list[ListedMember]:
    """A member list, by names."""
    return [ListedMember(member_id, name, is_learner=False) for name, member_id in ids.items()]


def says(joined: str, member_id: str) -> dict[str, object]:
    """An EtcdMember."""
    return {"status": {"memberID": member_id, "conditions": [{"type": "Joined", "status": joined}]}}


def test_the_matrix_is_whole() -> None:
    """At least 400 cases, each with a name of its own, a fault that exists, a step of its target and a right end."""
    all_cases = cases.all_cases()
    names = [case.name for case in all_cases]
    assert len(names) == len(set(names)) >= 400
    assert {case.fault for case in all_cases} == set(faults.FAULTS) == {*cases.FAULTS, *cases.NARROW, *cases.ISOLATED}
    named = {
        *cases.WATCHED,
        *cases.FLAGGED,
        *cases.WAITED_FOR,
        *cases.TAKES_WRITES,
        *cases.TAKES_VOTER,
        *cases.REFUSED_FOR,
    }
    assert named <= set(faults.FAULTS)
    assert all(case.step in cases.STEPS[case.target] and case.moment in cases.MOMENTS for case in all_cases)
    assert all(case.right_ends for case in all_cases)
    assert set(cases.SAMPLE) <= set(names)


def test_changes_of_a_membership_are_in_the_matrix() -> None:
    """Each has a name of its own, and each step of an addition and of a replacement meets a fault at each moment."""
    names = all_names()
    assert len(names) == len(set(names))
    assert set(changes.SAMPLE) < {change.name for change in changes.all_changes()} < set(names)
    for kind, points in (("addition", changes.ADDITION), ("replacement", changes.REPLACEMENT)):
        assert {f"{kind}/{point}/worker-dies" for point in points} < set(names)


def case_of(name: str) -> cases.Case:
    """The case of this name."""
    return next(case for case in cases.all_cases() if case.name == name)


def test_writes_are_asked_for_unless_the_fault_itself_takes_them() -> None:
    """A lost voter takes them where two remain; three can spare it, and no other fault but an alarm takes them."""
    for name in (
        "leader/update_status.before/kill-other-etcd",
        "follower/remove_member.during/hang-disk-other",
        "unreachable/remove_member.after/cut-other",
        "follower/update_status.before/nospace-alarm",
    ):
        assert not case_of(name).commits, name
    for name in (
        "leader/remove_member.after/kill-worker",
        "unreachable/update_status.before/slow-disk-other",
        "learner/remove_member.after/kill-other-etcd",
        "follower/remove_member.during/hang-disk-target",
    ):
        assert case_of(name).commits, name
    spared = {case.fault for case in cases.all_cases() if not case.commits}
    assert spared == {fault for fault in faults.FAULTS if fault in cases.TAKES_WRITES or "other" in fault} - {
        "kill-other-worker",
        "lag-other",
        "slow-disk-other",
    }


def test_results_of_cases_that_exist_no_more_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next finding that is stored drops them, and takes the place of the older one of its own case."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setenv("CHAOS", "all")
    kept, again = all_names()[:2]
    older = [Finding("leader/renamed/kill-worker", "broken"), Finding(again, "broken"), Finding(kept, "well")]
    results.results_path().write_text(json.dumps([results.as_row(row) for row in older]))
    results.store(Finding(again, "after healing"))
    assert [(row.name, row.ended) for row in results.stored()] == [(kept, "well"), (again, "after healing")]
    assert "Broken" not in results.results_path().with_suffix(".md").read_text()


def test_faults_document_says_how_old_the_results_are() -> None:
    """It says that none was found with the newer faults; as soon as one is, that paragraph goes."""
    newer = [row.name for row in results.stored() if row.name.rpartition("/")[2] in cases.NARROW]
    calls_all_older = "All stored rows are older than" in (results.ROOT / "docs" / "faults.md").read_text()
    assert calls_all_older == (not newer), (
        f"docs/faults.md says all stored rows are older: {calls_all_older}; rows of newer faults: {newer}"
    )


def test_a_removal_that_goes_through_where_it_must_wait_is_caught() -> None:
    """A voter that hangs, before and after the proposal, and beside a learner that leaves."""

    def right(name: str) -> tuple[str, ...]:
        return case_of(name).right_ends

    checks.ended_rightly("after healing", right("follower/remove_member.before/hang-disk-other"))
    for unsafe in ("well", "refused safely"):
        with pytest.raises(AssertionError, match=f"it ended {unsafe}, and after healing would be right"):
            checks.ended_rightly(unsafe, right("follower/remove_member.before/hang-disk-other"))
    checks.ended_rightly("well", right("follower/update_status.before/hang-disk-other"))
    checks.ended_rightly("well", right("learner/remove_member.before/hang-disk-other"))


def test_a_wrong_membership_is_caught() -> None:
    """Somebody else gone, the target still there, a stranger; a node that returns under its old ID, or not at all."""
    before = listed(a="1", b="2", c="3")
    checks.members_are(listed(a="1", b="2"), before, "c")
    checks.members_are(listed(a="1", b="2", c="4"), before, "c", returns=True)
    for wrong in (listed(a="1", c="3"), before, listed(a="1", b="2", d="4"), listed(a="1"), listed(a="1", b="4")):
        with pytest.raises(AssertionError, match="members are"):
            checks.members_are(wrong, before, "c")
    for wrong in (listed(a="1", b="2"), before, listed(a="1", b="2", d="4"), listed(a="1", c="4")):
        with pytest.raises(AssertionError, match="members are"):
            checks.members_are(wrong, before, "c", returns=True)


def learner(name: str, member_id: str) -> ListedMember:
    """A learner in a member list."""
    return ListedMember(member_id, name, is_learner=True)


def test_a_wrong_change_is_caught() -> None:
    """A member of another ID under the right name, a voter or a learner too few or too many, a vote not asked for."""
    right = [*listed(a="1", b="2"), learner("", "9")]
    checks.membership_is(right, voters={"2", "1"}, learners={"9"})
    for wrong in (
        [*listed(a="1", b="3"), learner("", "9")],
        listed(a="1", b="2"),
        [*right, *listed(c="3")],
        [*right, learner("", "8")],
        [*listed(a="1"), learner("", "9")],
        [*listed(a="1", b="2"), learner("", "8")],
        listed(a="1", b="2", c="9"),
    ):
        with pytest.raises(AssertionError, match="would be right"):
            checks.membership_is(wrong, voters={"1", "2"}, learners={"9"})


def test_a_learner_that_is_promoted_while_it_is_down_is_caught() -> None:
    """One that had its vote before, or that was never in the list as a learner, is no such thing."""
    before, after = [*listed(a="1"), learner("b", "2")], listed(a="1", b="2")
    checks.nobody_down_got_a_vote([before, before, listed(a="1"), after])
    checks.nobody_down_got_a_vote([after, after])
    with pytest.raises(AssertionError, match=r"promoted while it was down: \['2'\]"):
        checks.nobody_down_got_a_vote([before, before, after])


@pytest.mark.integration
async def test_what_is_wrong_after_a_change_is_caught(tmp_path: Path) -> None:
    """Each check is made: a stranger that is gone, a promotion while down, a lost write, an EtcdMember, the lock."""
    options = LabOptions(nodes=1, temporal=False, directory=tmp_path / "lab")
    async with Lab(options) as lab:
        node = lab.nodes[0]
        await lab.ready(Role.APISERVER, node.name)
        (member,) = await lab.members()
        async with OpenLoopWriter(node.etcd_url, tmp_path, forked=True) as writer:
            report = await writer.stop()
        check = partial(checks.change_is_right, lab, None, voters=[member.id])
        await check(reports=[report])
        with pytest.raises(AssertionError, match="would be right"):
            await check(learners=["9"])
        with pytest.raises(AssertionError, match="promoted while it was down"):
            await check(down=[[learner("", "9")], listed(b="9")])
        with pytest.raises(AssertionError, match="missing"):
            await check(reports=[WriteReport((*report.puts, Put(10**9, 0.0, 0.0)), report.prefix)])
        lock = {"key": base64.b64encode(checks.LOCK_KEY.encode()).decode(), "value": base64.b64encode(b"me").decode()}
        await http.post(f"{node.etcd_url}/v3/kv/put", lock)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checks.no_lock_remains, "__defaults__", (1.0,))
            with pytest.raises(AssertionError, match=r"is gone.*me"):
                await check()
        await write_joined(lab.kubectl, node.name, node.name, "beef")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checks, "RECORDED_SECONDS", 1.0)
            with pytest.raises(AssertionError, match="EtcdMembers say"):
                await check()


def test_a_resource_that_lies_is_caught() -> None:
    """Joined of an absent member, not joined of a present one, a wrong ID, a stranger's EtcdMember."""
    members = listed(a="1")
    checks.resources_agree(members, {"a": says("True", "1"), "b": says("False", "2")})
    lies: list[dict[str, dict[str, object]]] = [
        {"b": says("True", "2")},
        {"a": says("False", "1")},
        {"a": says("True", "2")},
        {"a": says("Unknown", "1")},
        {"a": says("True", "1"), "stranger": says("True", "7")},
        {"a": {}},
    ]
    for lie in lies:
        with pytest.raises(AssertionError, match="EtcdMembers say"):
            checks.resources_agree(members, lie)


async def test_a_lie_that_stays_is_caught_and_one_that_is_mended_is_not() -> None:
    """What could not be recorded has some time to come by itself."""
    answers = [says("True", "2"), says("False", "2")]

    async def members() -> list[ListedMember]:
        return listed(a="1")

    async def healed() -> dict[str, dict[str, object]]:
        return {"b": answers[0] if len(answers) == 1 else answers.pop(0)}

    async def lies() -> dict[str, dict[str, object]]:
        return {"b": says("True", "2")}

    await checks.resources_come_to_agree(members, healed, seconds=5)
    with pytest.raises(AssertionError, match=r"what is so.*EtcdMembers say"):
        await checks.resources_come_to_agree(members, lies, seconds=0.2)


def test_a_lie_in_passing_is_caught() -> None:
    """Of a member that is in the list before and after; one that has just left or come is nobody's lie."""
    resources = {"a": says("False", "1"), "b": says("False", "2"), "c": says("True", "3"), "d": says("False", "4")}
    present = listed(a="1", b="2", c="3")
    assert checks.denied(present, resources, listed(a="1", c="3", d="4")) == {"a": "1"}
    with pytest.raises(AssertionError, match="never be read"):
        checks.never_denied(0, {})
    checks.never_denied(1, {})
    with pytest.raises(AssertionError, match="Joined=False of members that were present"):
        checks.never_denied(1, {"a": "1"})


def test_a_removal_that_does_not_end_well_is_caught() -> None:
    """Another outcome, or a status that was not recorded although there is a resource, without a word on it."""
    for good in ("removed", "already-absent"):
        checks.ended_well(good)
    with pytest.raises(AssertionError):
        checks.ended_well("planned")
    for recorded, has_resource, note in ((True, True, ""), (False, False, ""), (False, True, "API servers are away")):
        checks.recorded_or_said(recorded=recorded, has_resource=has_resource, note=note)
    with pytest.raises(AssertionError, match="does not say why"):
        checks.recorded_or_said(recorded=False, has_resource=True, note="")


def test_revisions_that_go_back_are_caught() -> None:
    """A later put at an earlier revision, or at the same; puts under way at once may come in any order."""
    first, at_once = Put(0, sent=1.0, answered=2.0, revision=7), Put(1, sent=1.5, answered=3.0, revision=6)
    checks.revisions_go_forward(WriteReport((first, at_once, Put(2, 2.5, 4.0, "failed"), Put(3, 3.5, 4.0, "", 8)), ""))
    for revision in (5, 7):
        with pytest.raises(AssertionError, match=f"put 2 has revision {revision}, and 7 was known"):
            checks.revisions_go_forward(WriteReport((first, at_once, Put(2, 2.5, 4.0, "", revision)), ""))


@pytest.mark.integration
async def test_lost_writes_and_a_dead_cluster_are_caught(tmp_path: Path) -> None:
    """A write that etcd never had, revisions and data that differ, and a member that takes no writes."""
    options = LabOptions(nodes=1, temporal=False, kubernetes=False, directory=tmp_path / "lab")
    async with Lab(options) as lab, Lab(LabOptions(nodes=1, temporal=False, kubernetes=False)) as stranger:
        url = lab.nodes[0].etcd_url
        async with OpenLoopWriter(url, tmp_path) as writer:
            report = await writer.stop()
        await checks.writes_are_there(report, [url])
        invented = WriteReport((*report.puts, Put(10**9, 0.0, 0.0)), report.prefix)
        with pytest.raises(AssertionError, match="missing"):
            await checks.writes_are_there(invented, [url])
        with pytest.raises(AssertionError, match="no write was acknowledged"):
            await checks.writes_are_there(WriteReport((), report.prefix), [url])
        checks.revisions_go_forward(report)
        await checks.revisions_are_kept(report, [url])
        with pytest.raises(AssertionError, match="was acknowledged, and members are at"):
            await checks.revisions_are_kept(report, [url, stranger.nodes[0].etcd_url])
        await checks.hashes_agree([url, url])
        async with OpenLoopWriter(stranger.nodes[0].etcd_url, tmp_path) as writer:
            await writer.stop()
        with pytest.raises(AssertionError, match="differ"):
            await checks.hashes_agree([url, stranger.nodes[0].etcd_url])
        await checks.writes_go_on(url, tmp_path)
        await checks.writes_are_acknowledged(url)
        await checks.no_lock_remains(url)
        lock = {"key": base64.b64encode(checks.LOCK_KEY.encode()).decode(), "value": base64.b64encode(b"me").decode()}
        await http.post(f"{url}/v3/kv/put", lock)
        with pytest.raises(AssertionError, match=r"is gone.*me"):
            await checks.no_lock_remains(url, seconds=1)
        await disasters.raise_alarm(lab, "node0", "NOSPACE", await lab.member_id("node0"))
        with pytest.raises(AssertionError, match="before anything is healed"):
            await checks.writes_are_acknowledged(url, seconds=1)
    with pytest.raises(AssertionError, match="no further write"):
        await checks.writes_go_on(url, tmp_path)


def test_refusal_of_a_known_member_is_no_safe_one() -> None:
    """Only somebody unknown may be refused, and only as long as no EtcdMember remembers it."""
    checks.refused_truly("UnknownMember", "no such member", has_resource=False)
    with pytest.raises(AssertionError, match="knows it"):
        checks.refused_truly("UnknownMember", "no such member", has_resource=True)
    with pytest.raises(AssertionError, match="BlockedTooLong: no quorum"):
        checks.refused_truly("BlockedTooLong", "no quorum", has_resource=False)


def test_removal_without_rights_must_not_go_through_and_say_why() -> None:
    """Not before it has them again, and with no other failure; once proposed, it needs the rights no more."""
    before = case_of("leader/check_leader.before/rights-taken")
    for right in ("refused safely", "after healing"):
        checks.ended_rightly(right, before.right_ends)
    with pytest.raises(AssertionError, match="refused safely or after healing would be right"):
        checks.ended_rightly("well", before.right_ends)
    checks.ended_rightly("well", case_of("leader/update_status.before/rights-taken").right_ends)
    checks.refused_for_rights("PermissionDenied", "give the profile a user with the root role")
    for kind, message in (("PermissionDenied", "no"), ("UnknownMember", "give the profile a user with the root role")):
        with pytest.raises(AssertionError, match=f"{kind}: {message}"):
            checks.refused_for_rights(kind, message)


@pytest.mark.integration
async def test_quorum_that_a_removal_takes_is_caught(tmp_path: Path) -> None:
    """One of three is dead, and a healthy one is removed: one of two is left, which can commit nothing.

    It is caught where the fault was injected before the removal was proposed and where it was injected
    afterwards, unless it has taken a voter that was needed.
    """
    options = LabOptions(
        etcd_flags=("--strict-reconfig-check=false",), temporal=False, kubernetes=False, directory=tmp_path
    )
    async with Lab(options) as lab:
        leader = await lab.leader()
        target, dead = (node.name for node in lab.others(leader))
        url, target_id = lab.node(leader).etcd_url, await lab.member_id(target)
        async with OpenLoopWriter(url, tmp_path):  # data that changes does not differ
            for _ in range(10):
                await checks.hashes_agree([node.etcd_url for node in lab.nodes])
        await lab.kill(Role.ETCD, dead)
        await checks.quorum_is_kept(url, target, seconds=5)
        stopped = partial(checks.nothing_is_stopped, url=url, target=target, seconds=5)
        proposed = [
            case_of(f"follower/{point}/kill-worker") for point in ("remove_member.after", "update_status.before")
        ]
        for case in proposed:
            await stopped(case, done=True)
        await observer.change_members(f"{url}/v3/cluster/member/remove", {"ID": str(int(target_id, 16))})
        with pytest.raises(AssertionError, match=f"without {target} have a quorum"):
            await checks.quorum_is_kept(url, target, seconds=5)
        with pytest.raises(AssertionError, match=f"without {target} have a quorum"):
            await stopped(case_of("follower/remove_member.before/kill-worker"), done=True)
        for case in proposed:
            for done in (True, False):
                with pytest.raises(AssertionError, match="a write is acknowledged before anything is healed"):
                    await stopped(case, done=done, seconds=1)
        await stopped(case_of("follower/update_status.before/kill-other-etcd"), done=True)
        await lab.start(Role.ETCD, dead)
        await checks.quorum_is_kept(url, target)


@pytest.mark.integration
async def test_whatever_goes_on_running_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow that nobody ends, and a process of the lab that lives on; nothing else does after the lab's end."""
    before = checks.children()
    async with Lab(LabOptions(nodes=1, kubernetes=False, directory=tmp_path)) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setitem(os.environ, name, value)
        client = await connect()
        await checks.nothing_runs(client)
        forgotten = await client.start_workflow("ChangeQueue", id="forgotten", task_queue="nobody's")

        async def listed() -> bool:
            return (await client.count_workflows("ExecutionStatus = 'Running'")).count == 1

        await wait_until(listed, "the list has the workflow", 30)  # Temporal writes it after the start's answer
        with pytest.raises(AssertionError, match="no workflow is open; \\['forgotten'\\]"):
            await checks.nothing_runs(client, seconds=3)
        await forgotten.terminate()
        await checks.nothing_runs(client)
        with pytest.raises(AssertionError, match=r"these run: .*etcd .*temporal "):
            checks.nothing_remains(before)
    checks.nothing_remains(before)

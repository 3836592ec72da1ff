"""The order of a removal: a committed entry, a look after it, the proposal at once, and a write by the survivors."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.attempts import GIVEN_UP
from activities.etcd_change import release_abandoned_lock
from activities.etcd_looks import Looks
from activities.etcd_removal import Removal
from activities.interceptor import StepClock
from etcd_handoff.activity_io import ReleaseLockInput, StepInput, StepResult
from etcd_handoff.config import EtcdProfile
from etcd_handoff.errors import (
    CorruptClusterError,
    EtcdError,
    EtcdPermissionError,
    MemberNotFoundError,
    SpaceExceededError,
    UnhealthyClusterError,
    UnknownOutcomeError,
    UnreachableError,
)
from tests.fakes.etcd import FakeEtcd
from tests.unit.builders import doubt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from activities.attempts import WhyVoid
    from activities.record_ahead import RecordAhead
    from etcd_handoff.cluster_view import ClusterView, Doubt

ACT = StepInput(cluster="demo", cluster_id="c", target_id="3", holder="run-1", holder_label="removal of node3")
THREE = {"1": "node1", "2": "node2", "3": "node3"}
UNKNOWN = UnknownOutcomeError("no answer within 1 s")


def three(locked_by: str = "", **failures: Iterable[EtcdError | None]) -> FakeEtcd:
    """Three voters, of which node1 leads."""
    return FakeEtcd(THREE, locked_by=locked_by, failures=failures)


def looks_at(script: FakeEtcd) -> Looks:
    """Looks at such a cluster."""
    return Looks(script, EtcdProfile.model_validate({"endpoints": ["http://etcd:2379"]}))


async def removed(  # noqa: PLR0913  # all that an attempt may have
    script: FakeEtcd,
    act: StepInput = ACT,
    looks: Looks | None = None,
    void: WhyVoid | None = None,
    *,
    environment: ActivityEnvironment | None = None,
    ahead: RecordAhead | None = None,
) -> StepResult:
    """One attempt."""

    async def run() -> StepResult:
        return await Removal(looks or looks_at(script), act, StepClock("node1"), ahead, void).run()

    report: StepResult = await (environment or ActivityEnvironment()).run(run)
    return report


async def test_entry_then_look_then_proposal_then_write() -> None:
    """The look that decides is made after the entry was committed, and a write follows the removal."""
    script = three()
    report = await removed(script)
    assert script.calls == ["observe", "acquire_lock 1", "observe", "remove_member 1", "release_lock 1"]
    assert (report.step.outcome, report.proposed, report.writes_acknowledged) == ("removed", True, True)


async def test_view_of_a_moment_ago_saves_the_first_look() -> None:
    """It says through whom the entry goes; the deciding look is made all the same."""
    script = three()
    looks = looks_at(script)
    await looks.observe()
    script.calls.clear()
    await removed(script, looks=looks)
    assert script.calls == ["acquire_lock 1", "observe", "remove_member 1", "release_lock 1"]


@pytest.mark.parametrize(
    ("doubts", "known"),
    [((), True), (doubt("UnlistedMember", "9", by_status_alone=True), True), (doubt("ListsDiffer"), False)],
)
async def test_list_that_other_lists_contradict_says_nothing(
    monkeypatch: pytest.MonkeyPatch, doubts: tuple[Doubt, ...], *, known: bool
) -> None:
    """A member that was removed and still runs gives none: it keeps nobody from being recorded."""
    script = three()
    view = (await script.observe()).model_copy(update={"doubts": doubts})

    async def observe(*_: object) -> ClusterView:
        return view

    monkeypatch.setattr(script, "observe", observe)
    members, note = await looks_at(script).listed("")
    assert (members == frozenset(THREE), note == "") == (known, known)


async def test_list_of_another_cluster_says_nothing() -> None:
    """Its members are others, so whoever is looked for is missing there."""
    members, note = await looks_at(three()).listed("beef")
    assert members is None
    assert note.endswith("cluster beef is meant")


async def test_silence_is_no_list() -> None:
    """The reason is told."""
    assert await looks_at(three(observe=[UnreachableError("no quorum")])).listed("") == (None, "no quorum")


async def test_without_a_holder_there_is_no_lock() -> None:
    """Who names no holder gets the look and the removal alone."""
    script = three()
    report = await removed(script, ACT.model_copy(update={"holder": ""}))
    assert script.calls == ["observe", "remove_member 1"]
    assert report.writes_acknowledged is None


async def test_voter_that_hangs_is_seen_after_the_entry() -> None:
    """Idle, it answered; with the entry in its log it does not: nothing is proposed and the lock is given back."""
    script = three()
    looks = looks_at(script)
    await looks.observe()
    script.hanging.add("2")
    report = await removed(script, looks=looks)
    assert "remove_member 1" not in script.calls
    assert script.calls[-1] == "release_lock 1"
    assert (report.step.outcome, report.proposed) == ("replan", False)


async def test_rule_of_the_profile_holds_in_the_look_that_decides() -> None:
    """Somebody else has taken a member out since the removal was planned: one voter too few would remain."""
    script = three()
    report = await removed(script, ACT.model_copy(update={"min_voters": 3}))
    assert "remove_member 1" not in script.calls
    assert (report.step.outcome, report.proposed) == ("replan", False)
    assert (await removed(three(), ACT.model_copy(update={"min_voters": 2}))).step.outcome == "removed"


async def test_lock_is_given_back_on_a_second_try() -> None:
    """The connection of a worker that was paused has ended: the first call only finds that out."""
    script = three(release_lock=[UnreachableError("connection closed")])
    looks = looks_at(script)
    await looks.observe()
    script.hanging.add("2")
    await removed(script, looks=looks)
    assert script.calls[-2:] == ["release_lock 1", "release_lock 1"]


async def test_lock_of_another_holder_ends_the_step() -> None:
    """It is named; nothing of ours is left, nothing is proposed, and the other's lock is not touched."""
    script = three(locked_by="removal of node2 in staging")
    report = await removed(script)
    assert script.calls == ["observe", "acquire_lock 1"]
    assert report.step.outcome == "locked"
    assert "removal of node2 in staging" in report.step.note
    assert report.view is not None


@pytest.mark.parametrize(
    "error",
    [SpaceExceededError("full"), EtcdPermissionError("permission denied"), CorruptClusterError("corrupt cluster")],
    ids=["full", "forbidden", "corrupt"],
)
async def test_key_that_cannot_be_written_is_replaced_by_a_probe(error: EtcdError) -> None:
    """An entry is committed all the same before the look."""
    script = three(acquire_lock=[error], release_lock=[type(error)(str(error))])
    report = await removed(script)
    assert script.calls == [
        "observe",
        "acquire_lock 1",
        "commit_probe 1",
        "observe",
        "remove_member 1",
        "release_lock 1",
        "commit_probe 1",
    ]
    assert report.writes_acknowledged is True


async def test_silence_is_no_commit() -> None:
    """Where no entry is committed nothing is proposed, and what may have become ours is given back."""
    script = three(acquire_lock=[UNKNOWN])
    report = await removed(script)
    assert script.calls == ["observe", "acquire_lock 1", "observe", "release_lock 1"]
    assert (report.step.outcome, report.proposed) == ("replan", False)
    assert "no write was committed through node1: no answer within 1 s" in report.step.note


async def test_writes_that_fail_after_the_removal_are_told() -> None:
    """The member has left, and those that remain acknowledge nothing: that is no success without a word."""
    script = three(release_lock=[UNKNOWN, UNKNOWN])
    report = await removed(script)
    assert script.calls[-3:] == ["remove_member 1", "release_lock 1", "release_lock 2"]
    assert (report.step.outcome, report.writes_acknowledged) == ("removed", False)
    assert "the survivors have acknowledged no write since: no answer within 1 s" in report.step.note


async def test_one_silent_survivor_is_not_all_of_them() -> None:
    """Another one is asked before it is said that nothing is acknowledged."""
    script = three(release_lock=[UNKNOWN])
    assert (await removed(script)).writes_acknowledged is True


@pytest.mark.parametrize("error", [UnhealthyClusterError("unhealthy cluster"), UnreachableError("connection refused")])
async def test_lock_is_given_back_when_nothing_was_proposed(error: EtcdError) -> None:
    """A refusal, or a call that never left."""
    script = three(remove_member=[error])
    report = await removed(script)
    assert script.calls[-1] == "release_lock 1"
    assert not report.proposed


async def test_lock_is_given_back_when_the_user_may_not() -> None:
    """The failure is raised, and nobody has to wait for the lock."""
    script = three(remove_member=[EtcdPermissionError("permission denied")])
    with pytest.raises(EtcdPermissionError):
        await removed(script)
    assert script.calls[-1] == "release_lock 1"


async def test_lock_stays_when_the_outcome_is_unknown() -> None:
    """The entry may still be applied: others keep away until the next attempt, or until the lock is stale."""
    script = three(remove_member=[UNKNOWN])
    report = await removed(script)
    assert "release_lock 1" not in script.calls
    assert (report.step.outcome, report.proposed) == ("replan", True)


async def test_next_attempt_gives_back_what_a_dead_one_left() -> None:
    """It finds the member absent: the lock is released, which shows that writes are acknowledged."""
    script = three()
    del script.members["3"]
    report = await removed(script)
    assert script.calls == ["observe", "release_lock 1"]
    assert (report.step.outcome, report.writes_acknowledged) == ("already-absent", True)


async def test_member_that_is_gone_meanwhile_was_not_removed_by_this_attempt() -> None:
    """`member not found` is read again before anything is said, and the step does not claim the removal."""

    class Gone(FakeEtcd):
        async def remove_member(self, member_id: str, via_id: str) -> frozenset[str]:
            del self.members[member_id]
            return await super().remove_member(member_id, via_id)

    script = Gone(THREE, failures={"remove_member": [MemberNotFoundError("member not found")]})
    report = await removed(script)
    assert script.calls[-3:] == ["remove_member 1", "observe", "release_lock 1"]
    assert (report.step.outcome, report.proposed) == ("already-absent", False)
    assert report.step.note == "node1 does not know the member"


async def test_worker_that_was_paused_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that is older than a second decides nothing: lock and look are made anew."""
    script, clock = three(), [0.0]

    async def pause(point: str) -> None:
        if point == "remove_member.looked" and script.calls.count("observe") == 2:
            clock[0] += 1.5

    monkeypatch.setattr("activities.etcd_change.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("activities.etcd_removal.failpoints.reach", pause)
    await removed(script)
    assert script.calls == [
        "observe",
        "acquire_lock 1",
        "observe",
        "acquire_lock 1",
        "observe",
        "remove_member 1",
        "release_lock 1",
    ]


async def test_worker_that_is_paused_again_and_again_proposes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few looks the workflow plans anew."""
    script, clock = three(), [0.0]

    async def pause(point: str, *_: Any) -> None:
        clock[0] += 1.5 if point == "remove_member.looked" else 0

    monkeypatch.setattr("activities.etcd_change.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("activities.etcd_removal.failpoints.reach", pause)
    report = await removed(script)
    assert (report.step.outcome, report.proposed, script.calls[-1]) == ("replan", False, "release_lock 1")


async def test_attempt_that_was_given_up_proposes_nothing_and_leaves_the_lock_alone() -> None:
    """Its worker has woken up late: all that it sees is fresh, and another attempt may hold the lock by now."""
    script = three()

    async def void() -> str:
        return GIVEN_UP

    report = await removed(script, void=void)
    assert script.calls == ["observe", "acquire_lock 1", "observe", "abandon_lock 1"]
    assert (report.step.outcome, report.step.note, report.proposed) == ("replan", GIVEN_UP, False)


async def test_every_look_asks_anew_whether_the_attempt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was given up while its worker was paused after the first look."""
    script, clock, answers = three(), [0.0], list[str]()

    async def pause(point: str) -> None:
        clock[0] += 1.5 if point == "remove_member.looked" else 0

    async def void() -> str:
        answers.append(GIVEN_UP if answers else "")
        return answers[-1]

    monkeypatch.setattr("activities.etcd_change.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("activities.etcd_removal.failpoints.reach", pause)
    report = await removed(script, void=void)
    assert (answers, report.step.note, "remove_member 1" in script.calls) == (["", GIVEN_UP], GIVEN_UP, False)


async def test_attempt_that_counts_removes_without_waiting_longer() -> None:
    """Temporal is asked beside the entry and the look."""
    script = three()

    async def void() -> str:
        return ""

    report = await removed(script, void=void)
    assert script.calls == ["observe", "acquire_lock 1", "observe", "remove_member 1", "release_lock 1"]
    assert report.step.outcome == "removed"


@pytest.mark.parametrize(
    ("why", "last"),
    [
        ({"not_found": True}, "abandon_lock 1"),
        ({"timed_out": True}, "abandon_lock 1"),
        ({"worker_shutdown": True}, "release_lock 1"),
    ],
)
async def test_lock_of_an_attempt_that_is_cancelled(why: dict[str, bool], last: str) -> None:
    """It is given back, unless the attempt was given up: the next one has the same lock."""
    environment = ActivityEnvironment()

    class Slow(FakeEtcd):
        async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
            if "acquire_lock 1" in self.calls:
                environment.cancel(ActivityCancellationDetails(**why))
                await asyncio.sleep(60)
            return await super().observe(doubtful, leaving)

    script = Slow(THREE)
    with pytest.raises(asyncio.CancelledError):
        await removed(script, environment=environment)
    assert script.calls[-1] == last


@pytest.mark.parametrize("learner", [True, False])
async def test_member_that_may_leave_only_as_a_learner_stays_once_it_has_a_vote(
    monkeypatch: pytest.MonkeyPatch, *, learner: bool
) -> None:
    """The look right before the proposal decides."""
    script = three()
    observe, looked = script.observe, list[int]()

    async def roles(doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        view = await observe(doubtful, leaving)
        looked.append(1)
        changes = {"is_learner": learner or len(looked) == 1}
        members = (m.model_copy(update=changes if m.id == "3" else {}) for m in view.members)
        return view.model_copy(update={"members": tuple(members)})

    monkeypatch.setattr(script, "observe", roles)
    report = await removed(script, ACT.model_copy(update={"learner_only": True}))
    assert (report.step.outcome, "remove_member 1" in script.calls) == (
        ("removed", True) if learner else ("replan", False)
    )


@pytest.mark.parametrize(
    ("failures", "cluster_id", "calls", "released"),
    [
        ((), "c", ["release_lock 1"], True),
        ((UNKNOWN,), "c", ["release_lock 1", "release_lock 2"], True),
        ((UNKNOWN,) * 3, "c", ["release_lock 1", "release_lock 2", "release_lock 3"], False),
        ((EtcdPermissionError("denied"),), "c", ["release_lock 1"], False),
        ((), "d", [], False),
    ],
)
async def test_lock_that_was_left_is_given_back_through_anybody(
    failures: tuple[EtcdError, ...], cluster_id: str, calls: list[str], *, released: bool
) -> None:
    """The leader is asked first, the others where it gives no answer; the lock of another cluster is not touched."""
    script = three(release_lock=failures)
    ask = ReleaseLockInput(cluster="demo", cluster_id=cluster_id, holder="run-1")
    assert await release_abandoned_lock(looks_at(script), ask) is released
    assert script.calls == ["observe", *calls]


async def test_lock_stays_where_nobody_can_be_asked() -> None:
    """The removal ends all the same."""
    script = three(observe=[UNKNOWN])
    assert not await release_abandoned_lock(
        looks_at(script), ReleaseLockInput(cluster="demo", cluster_id="c", holder="x")
    )

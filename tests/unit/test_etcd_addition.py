"""The order of an addition's steps: a committed entry, a look after it, the proposal at once, a look, the lock back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.attempts import GIVEN_UP
from activities.etcd_addition import LearnerChange, SyncWait
from activities.interceptor import StepClock
from etcd_handoff import time_limits
from etcd_handoff.activity_io import AdditionInput, AwaitSyncInput, StepResult
from etcd_handoff.cluster_view import ClusterView, MemberSelfReport, MemberView
from etcd_handoff.errors import (
    ChangeRefusedError,
    EtcdPermissionError,
    MemberNotFoundError,
    UnhealthyClusterError,
    UnreachableError,
)
from etcd_handoff.planning import AddLearner, PromoteLearner
from tests.fakes.etcd import FakeEtcd
from tests.unit.test_etcd_removal import THREE, UNKNOWN, looks_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from activities.attempts import WhyVoid
    from etcd_handoff.errors import EtcdError

URL = "http://node4:2380"
ASK = AdditionInput(
    cluster="demo", cluster_id="c", name="node4", peer_urls=(URL,), holder="run-1", holder_label="addition"
)


class Joining(FakeEtcd):
    """A gateway to three voters, and to the member that joins once it was added.

    Args:
        learner: It has been added and has started.
        loses: Changes that take place although their answer is lost.
        locked_by: Who else has the lock.
        failures: What a call answers instead, by name.
    """

    def __init__(
        self,
        *,
        learner: bool = False,
        loses: str = "",
        locked_by: str = "",
        **failures: Iterable[EtcdError | None],
    ) -> None:
        super().__init__(THREE, locked_by=locked_by, failures=failures)
        self.state = "learner" if learner else ""
        self._loses = loses

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A look."""
        view = await super().observe(doubtful, leaving)
        if not self.state:
            return view
        unstarted = MemberView(id="4", name="", peer_urls=(URL,), is_learner=True)
        started = {"name": "node4", "reachable": True, "leader_id": "1", "term": 2, "raft_index": 1000}
        started |= {"is_learner": self.state == "learner", "serves_reads": self.state == "voter"}
        member = unstarted if self.state == "added" else unstarted.model_copy(update=started)
        return view.model_copy(update={"members": (*view.members, member)})

    async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
        """The addition."""
        assert tuple(peer_urls) == (URL,)
        await self._change("add_learner", via_id, "added")
        return "4"

    async def promote_member(self, member_id: str, via_id: str) -> None:
        """The promotion."""
        assert member_id == "4"
        await self._change("promote_member", via_id, "voter")

    async def _change(self, name: str, via_id: str, state: str) -> None:
        if name == self._loses:
            self.state = state
        await self._call(name, 0.0, via_id)
        self.state = state


async def added(
    script: Joining,
    void: WhyVoid | None = None,
    ask: AdditionInput = ASK,
    environment: ActivityEnvironment | None = None,
) -> StepResult:
    """One attempt to add the learner."""

    async def run() -> StepResult:
        return await LearnerChange(looks_at(script), ask, StepClock("node1"), AddLearner, void).run()

    report: StepResult = await (environment or ActivityEnvironment()).run(run)
    return report


async def promoted(
    script: Joining, learner_id: str = "4", environment: ActivityEnvironment | None = None
) -> StepResult:
    """One attempt to promote it."""

    async def run() -> StepResult:
        ask = ASK.model_copy(update={"learner_id": learner_id})
        return await LearnerChange(looks_at(script), ask, StepClock("node1"), PromoteLearner).run()

    report: StepResult = await (environment or ActivityEnvironment()).run(run)
    return report


async def test_attempt_that_was_given_up_adds_nothing_and_leaves_the_lock_alone() -> None:
    """Another attempt may run, or the addition may have been cancelled since."""

    async def void() -> str:
        return GIVEN_UP

    script = Joining()
    report = await added(script, void)
    assert script.calls == ["observe", "acquire_lock 1", "observe", "abandon_lock 1"]
    assert (report.step.outcome, report.step.note, report.proposed) == ("replan", GIVEN_UP, False)


async def test_member_that_was_forced_apart_since_takes_no_learner() -> None:
    """Its worker sees it alone: a cluster of its own that is well, and not the one that was decided on."""
    others = await Joining().observe()
    for members, adds in ((others.members[:1], True), (others.members, False)):
        script = Joining()
        script.members = {"1": "node1"}
        ask = ASK.model_copy(update={"seen": others.model_copy(update={"members": members})})
        assert ("add_learner 1" in (await added(script, ask=ask), script.calls)[1]) is adds


async def test_entry_then_look_then_learner_then_look_then_the_lock_back() -> None:
    """At the leader, and the answer has the ID that etcd gave."""
    script = Joining()
    report = await added(script)
    assert script.calls == ["observe", "acquire_lock 1", "observe", "add_learner 1", "observe", "release_lock 1"]
    assert (report.step.outcome, report.added_id, report.proposed) == ("added", "4", True)


async def test_learner_in_sync_is_promoted_at_the_leader() -> None:
    """The list shows the vote."""
    script = Joining(learner=True)
    report = await promoted(script)
    assert script.calls == ["observe", "acquire_lock 1", "observe", "promote_member 1", "observe", "release_lock 1"]
    assert report.step.outcome == "promoted"


@pytest.mark.parametrize("name", ["add", "promote"])
async def test_lost_answer_of_what_took_place_is_read(name: str) -> None:
    """It counts as done, with what was not heard in the note."""
    script = Joining(
        learner=name == "promote",
        loses="add_learner" if name == "add" else "promote_member",
        add_learner=[UNKNOWN],
        promote_member=[UNKNOWN],
    )
    report = await (added(script) if name == "add" else promoted(script))
    assert report.step.outcome == ("added" if name == "add" else "promoted")
    assert report.added_id == "4"
    assert "no definite answer" in report.step.note
    assert script.calls[-1] == "release_lock 1"


@pytest.mark.parametrize("name", ["add", "promote"])
async def test_lost_answer_of_what_did_not_take_place_may_be_pending(name: str) -> None:
    """The workflow reads on, and the lock stays: another change must not count on the members as they are now."""
    script = Joining(learner=name == "promote", add_learner=[UNKNOWN], promote_member=[UNKNOWN])
    report = await (added(script) if name == "add" else promoted(script))
    assert (report.step.outcome, report.proposed) == ("replan", True)
    assert "release_lock 1" not in script.calls


@pytest.mark.parametrize("name", ["add", "promote"])
async def test_lock_of_an_attempt_that_is_cancelled_while_etcd_answers(name: str) -> None:
    """What it has proposed may take place later, so the lock stays."""
    environment = ActivityEnvironment()

    class Cancelled(Joining):
        async def _change(self, name: str, via_id: str, state: str) -> None:  # noqa: ARG002
            await self._call(name, 0.0, via_id)
            environment.cancel(ActivityCancellationDetails(worker_shutdown=True))
            await asyncio.sleep(60)

    script = Cancelled(learner=name == "promote")
    with pytest.raises(asyncio.CancelledError):
        await (added(script, environment=environment) if name == "add" else promoted(script, environment=environment))
    assert script.calls[-1] == ("add_learner 1" if name == "add" else "promote_member 1")


@pytest.mark.parametrize(
    "error",
    [
        ChangeRefusedError("in sync"),
        UnhealthyClusterError("unhealthy cluster"),
        MemberNotFoundError("member not found"),
    ],
)
async def test_refusal_by_etcd_changes_nothing(error: EtcdError) -> None:
    """Nothing is pending. An addition in the second in which the same one was removed is told of a missing member."""
    for script in (Joining(learner=True, promote_member=[error]), Joining(add_learner=[error])):
        report = await (promoted(script) if script.state == "learner" else added(script))
        assert (report.step.outcome, report.proposed) == ("refused-by-etcd", False)
        assert script.calls[-1] == "release_lock 1"


async def test_member_that_cannot_be_asked_was_asked_nothing() -> None:
    """Nothing is pending, and the lock is given back."""
    script = Joining(add_learner=[UnreachableError("connection refused")])
    report = await added(script)
    assert (report.step.outcome, report.proposed) == ("replan", False)
    assert script.calls[-1] == "release_lock 1"


async def test_learner_that_somebody_else_adds_meanwhile_is_not_ours() -> None:
    """Nothing was sent, so what is there afterwards is another one's."""

    class Raced(Joining):
        async def add_learner(self, peer_urls: Iterable[str], via_id: str) -> str:
            self.state = "added"
            return await super().add_learner(peer_urls, via_id)

    report = await added(Raced(add_learner=[UnreachableError("connection refused")]))
    assert (report.step.outcome, report.proposed, report.added_id) == ("replan", False, "")


async def test_lock_of_somebody_else_is_heeded() -> None:
    """Nothing is proposed, and the lock is not given back."""
    script = Joining(locked_by="a removal")
    report = await added(script)
    assert (report.step.outcome, script.calls) == ("locked", ["observe", "acquire_lock 1"])


async def test_member_that_is_there_is_not_added_again() -> None:
    """What the planner does not want any more is not proposed."""
    script = Joining(learner=True)
    assert (await added(script)).step.outcome == "replan"
    assert script.calls == ["observe"]


async def test_learner_is_not_promoted_when_a_voter_hangs_after_the_entry() -> None:
    """Three voters of which two work, and a fourth: that is no quorum that may lose one."""
    script = Joining(learner=True)
    script.hanging.add("3")
    assert (await promoted(script)).step.outcome == "replan"
    assert not any(call.startswith("promote") for call in script.calls)


async def test_learner_of_somebody_else_with_its_peer_url_is_not_promoted() -> None:
    """Ours was removed, and another one added in its place."""
    script = Joining(learner=True)
    assert (await promoted(script, learner_id="5")).step.outcome == "replan"
    assert script.calls == ["observe"]


async def test_permission_that_is_missing_is_told_and_gives_the_lock_back() -> None:
    """Etcd says that instead of proposing it."""
    script = Joining(add_learner=[EtcdPermissionError("permission denied")])
    with pytest.raises(EtcdPermissionError):
        await added(script)
    assert script.calls[-1] == "release_lock 1"


@pytest.mark.parametrize("error", [ChangeRefusedError("etcdserver: Peer URLs already exists")])
async def test_learner_that_somebody_else_was_faster_to_add_is_not_ours(error: EtcdError) -> None:
    """Etcd has refused ours, so what the list shows is not taken for it, and nothing is pending."""
    script = Joining(loses="add_learner", add_learner=[error])
    report = await added(script)
    assert (report.step.outcome, report.added_id, report.proposed) == ("refused-by-etcd", "", False)
    assert report.view is not None
    assert report.view.member("4") is not None


class BesideOne(Joining):
    """A single voter, and a learner that follows it or hangs.

    Args:
        follows_after: After so many entries the learner has what was committed.
        tells: Of no more entries does it know: at the next one its disk hangs.
    """

    def __init__(self, *, follows_after: int, tells: int = 99) -> None:
        super().__init__(learner=True)
        self.members = {"1": "node1"}
        self._follows_after, self._tells, self._entries = follows_after, tells, 0

    async def acquire_lock(self, holder: str, label: str, via_id: str, attempt: str = "") -> str:
        """The lock, by an entry."""
        self._entries += 1
        return await super().acquire_lock(holder, label, via_id, attempt)

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A look: the voter has all entries."""
        view = await super().observe(doubtful, leaving)
        behind = 0 if self._entries >= self._follows_after else self._entries
        index = {"1": 1000 + self._entries, "4": 1000 + min(self._entries - behind, self._tells)}
        members = [m.model_copy(update={"raft_index": index[m.id]}) for m in view.members]
        return view.model_copy(update={"members": tuple(members)})


@pytest.mark.parametrize(
    ("follows_after", "tells", "stands_at"), [(1, 99, None), (2, 99, None), (99, 99, 1000), (1, 0, 1000), (1, 1, 1001)]
)
async def test_second_voter_has_to_follow_two_entries_first(
    follows_after: int, tells: int, stands_at: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its promotion on nothing is committed without it; one whose disk hangs stands near the leader too.

    It may tell of the entry at which it hangs, and then of no other.
    """
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, sync_pause_seconds=0.0))
    script = BesideOne(follows_after=follows_after, tells=tells)
    report = await promoted(script)
    outcome = "promoted" if stands_at is None else "replan"
    assert (report.step.outcome, "promote_member 1" in script.calls) == (outcome, stands_at is None)
    if stands_at is not None:
        assert report.step.note == f"node4 has not followed a committed entry: it stands at raft index {stands_at}"


# --- waiting for it ---------------------------------------------------------------------------------------------------


class Catching(Joining):
    """A learner that changes from one look to the next.

    Args:
        looks: What each look changes of it; the last one stays.
        members: Further members, from which look on.
        words: What it says of itself, where no list can be had; the last one stays.
    """

    def __init__(self, *looks: dict[str, Any], members: int = 99, words: tuple[MemberSelfReport, ...] = ()) -> None:
        super().__init__(learner=True)
        self._looks, self._further, self._words, self.looked = list(looks), members, list(words), 0

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:
        """A look."""
        view = await super().observe(doubtful, leaving)
        change = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        self.looked += 1
        members = [m.model_copy(update=change if m.id == "4" else {}) for m in view.members]
        members += [MemberView(id="5", name="node5")] * (self.looked >= self._further)
        return view.model_copy(update={"members": tuple(members)})

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Its own word."""
        self.looked += 1
        return (self._words.pop(0) if len(self._words) > 1 else self._words[0],)


LAGS: dict[str, Any] = {"raft_index": 10}
SILENT: dict[str, Any] = {"reachable": False, "leader_id": None}


async def waited(script: Catching, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> StepResult:
    """One wait for it, without pauses."""
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, sync_pause_seconds=0.0))
    given = {**dict(ASK), "learner_id": "4", "listed": ("1", "2", "3", "4"), "waits_for": "LearnerLags", "seconds": 9.0}

    async def run() -> StepResult:
        ask = AwaitSyncInput.model_validate({**given, **changes})
        return await SyncWait(looks_at(script), ask, StepClock("node1")).run()

    report: StepResult = await ActivityEnvironment().run(run)
    return report


async def test_learner_has_to_be_in_sync_twice_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and then not, begins anew; nothing is changed or locked meanwhile."""
    script = Catching(LAGS, {}, LAGS, {}, {}, LAGS)
    report = await waited(script, monkeypatch)
    assert (report.step.outcome, script.looked) == ("in-sync", 5)
    assert set(script.calls) == {"observe"}


@pytest.mark.parametrize(
    ("script", "looked", "says"),
    [
        (Catching(LAGS, LAGS, SILENT), 3, "LearnerUnreachable"),
        (Catching(LAGS, {"name": ""}), 2, "LearnerNotStarted"),
        (Catching(LAGS, {"is_learner": False, "serves_reads": True}), 2, "no learner of this addition any more"),
        (Catching(LAGS, LAGS, LAGS, members=3), 3, "LearnerLags"),
    ],
    ids=["silent", "unstarted", "voter", "another-member"],
)
async def test_wait_ends_when_something_else_is_true(
    script: Catching, looked: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is the view that shows it."""
    report = await waited(script, monkeypatch)
    assert (report.step.outcome, script.looked, report.view is not None) == ("not-in-sync", looked, True)
    assert says in report.step.note


async def test_wait_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits for has not come."""
    script = Catching(LAGS)
    report = await waited(script, monkeypatch, seconds=0.0)
    assert (report.step.outcome, script.looked) == ("not-in-sync", 1)
    assert "LearnerLags" in report.step.note


async def test_where_no_worker_reaches_all_its_own_word_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """No list is asked for; a word too early, of another cluster or without a leader is none."""
    good = MemberSelfReport(cluster_id="c", id="4", is_learner=True, leader_id="1", term=2, raft_index=900)
    bad: list[dict[str, Any]] = [{"raft_index": 899}, {"cluster_id": "d"}, {"leader_id": None}, {"id": "5"}]
    words = (good, *(good.model_copy(update=change) for change in bad), good, good)
    script = Catching({}, words=words)
    seen = ClusterView(cluster_id="c", members=())
    report = await waited(script, monkeypatch, seen=seen, own_index=900)
    assert (report.step.outcome, script.looked, script.calls) == ("in-sync", len(words), [])

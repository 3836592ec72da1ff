"""What the reconciler concludes: which removals start, and what a confirmation is for."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.exceptions import ActivityError, ApplicationError

from etcd_handoff import doubts, time_limits
from etcd_handoff.cluster_view import Doubt
from etcd_handoff.doubts import Binding
from etcd_handoff.reconciler import drift, pauses, rounds
from etcd_handoff.reconciler.member_resources import MemberResource, SyncMembersResult, WatchMembersResult
from etcd_handoff.reconciler.removal_progress import FollowRemovalResult
from etcd_handoff.reconciler.state import (
    LeaveOrder,
    ReconcileEtcdMembersRequest,
    ReconcilerState,
    RemovalRetry,
    ResyncRequest,
    RunningRemoval,
)
from tests.unit.builders import A, B, C, cluster, member
from workflows import patches, reconcile_members, requested_removals, reread_resources
from workflows.reconcile_members import ReconcileEtcdMembers
from workflows.requested_removals import RequestedRemovals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NOW = 1_000.0
VIEW = cluster(member(A), member(B), member(C))
ORDER = LeaveOrder(uid="u", generation=2, member_id=B)
REMOVAL = RunningRemoval(uid="u", resource="node1", generation=2, member_id=B, label="node1", workflow_id="w")


@pytest.fixture(autouse=True)
def _every_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run takes part in every change; no workflow runs here that could say so."""
    monkeypatch.setattr(patches, "begin", lambda: None)
    monkeypatch.setattr(patches, "is_on", lambda _: True)


def flagged(**fields: object) -> MemberResource:
    """The EtcdMember of node1, which is asked to leave."""
    usual = {"name": "node1", "uid": "u", "generation": 2, "leave": True, "member_id": B, "joined": "True"}
    return MemberResource.model_validate({**usual, **fields})


def to_start(state: ReconcilerState, resource: MemberResource) -> tuple[ReconcilerState, list[str]]:
    """The state afterwards, and the IDs of removals that start."""
    state, removals = rounds.removals_to_start(state, "prod", [resource], VIEW, NOW)
    assert all(removal.workflow_id == f"etcd-remove/prod/{removal.label}" for removal in removals)
    return state, [removal.member_id for removal in removals]


@pytest.mark.parametrize(
    ("fields", "starts"),
    [
        ({}, [B]),
        ({"orders": {}}, []),
        ({"running": {"u": REMOVAL}}, []),
        ({"retries": {"u": RemovalRetry(uid="u", generation=2, failures=1, at_seconds=NOW + 1)}}, []),
        ({"retries": {"u": RemovalRetry(uid="u", generation=2, failures=1, at_seconds=NOW)}}, [B]),
        ({"retries": {"u": RemovalRetry(uid="u", generation=1, failures=1, at_seconds=NOW + 1)}}, [B]),
        ({"removed": {B: 5}, "looks": 5}, []),
        ({"removed": {B: 4}, "looks": 5}, []),
    ],
)
def test_removal_starts_once_for_an_order(fields: dict[str, Any], starts: list[str]) -> None:
    """Not while it runs, pauses after a failure, or has just ended."""
    state = ReconcilerState(orders={"u": ORDER}).model_copy(update=fields)
    assert to_start(state, flagged())[1] == starts


def test_member_that_is_listed_again_after_its_removal_is_tried_later() -> None:
    """A list that was read before the removal ended proves nothing; a later one that has it still is a failure."""
    state = ReconcilerState(orders={"u": ORDER}, removed={B: 5}, looks=5)
    assert to_start(state, flagged())[0] == state
    later = to_start(state.model_copy(update={"looks": 6}), flagged())[0]
    assert (later.removed, later.retries["u"].at_seconds) == ({}, NOW + time_limits.WATCHER.first_retry_seconds)


def test_pause_until_the_next_round_is_the_shortest_that_something_asks_for() -> None:
    """A retry that is due, a failed round, something that is left to do; else the interval."""
    retry = RemovalRetry(uid="u", generation=2, failures=1, at_seconds=NOW + 7)
    assert pauses.seconds_to_next_round(ReconcilerState(), 300, NOW, soon=False) == 300
    assert pauses.seconds_to_next_round(ReconcilerState(retries={"u": retry}), 300, NOW, soon=False) == 7
    assert pauses.seconds_to_next_round(ReconcilerState(failed_rounds=3), 300, NOW, soon=False) == 4
    assert pauses.seconds_to_next_round(ReconcilerState(), 300, NOW, soon=True) == 1


def test_confirmed_change_of_the_cluster_voids_what_was_ordered() -> None:
    """Orders, retries and removed members of the other cluster count no more, and the binding is a new one."""
    state = ReconcilerState(binding=Binding(cluster_id="beef"), orders={"u": ORDER}, removed={C: 1})
    doubt = rounds.cluster_doubt(state, [flagged()], VIEW)
    assert doubt is not None
    assert doubt.kind in drift.CONFIRMABLE
    after = rounds.after_change_of_cluster(state, [flagged()])
    assert rounds.cluster_doubt(after, [flagged()], VIEW) is None
    assert (after.orders["u"].member_id, after.removed) == ("", {})


# --- confirmations ----------------------------------------------------------------------------------------------------


GROWN = cluster(member(A, term=9), member(B, term=9), member(C, term=9))
"""The cluster of before B left, at a later term."""


def after_b_left(**fields: object) -> ReconcilerState:
    """A watcher that has seen B leave by its order, which still stands."""
    state = ReconcilerState(orders={"u": ORDER}).model_copy(update=fields)
    return rounds.believing(rounds.believing(state, VIEW), VIEW.only({A, C}))


def test_member_that_left_and_is_listed_again_shows_that_the_cluster_was_restored() -> None:
    """Whatever term and index say, and for as long as nobody confirms it; then the old order is about nobody."""
    state = after_b_left()
    assert rounds.cluster_doubt(state, [flagged()], VIEW.only({A, C})) is None
    doubt = rounds.cluster_doubt(state, [flagged()], GROWN)
    assert doubt is not None
    assert doubt.kind == doubts.CLUSTER_RESTORED
    assert doubt.kind in drift.CONFIRMABLE
    assert f"node1 ({B})" in doubt.text
    after = rounds.after_change_of_cluster(state, [flagged()])
    assert rounds.cluster_doubt(after, [flagged()], GROWN) is None
    assert to_start(rounds.believing(after, GROWN), flagged())[1] == []
    assert rounds.cluster_doubt(rounds.believing(after, GROWN), [flagged()], GROWN) is None


def test_member_that_a_removal_took_out_counts_as_left_before_the_next_look() -> None:
    """The list that was read while its removal ended proves nothing yet."""
    state = ReconcilerState(removed={B: 5}, looks=5)
    assert rounds.cluster_doubt(state, [flagged()], GROWN) is None
    assert rounds.cluster_doubt(state.model_copy(update={"looks": 6}), [flagged()], GROWN) is not None
    late = state.model_copy(update={"looks": 6})
    assert rounds.cluster_doubt(late, [flagged()], GROWN, counts_left=False) is None


def test_members_that_left_are_remembered_up_to_a_bound_and_by_the_next_run() -> None:
    """The newest of them; a state of before there was such a memory is read as well."""
    state = after_b_left(left=tuple(f"{number:x}" for number in range(1, 100)))
    assert (len(state.left), state.left[-1]) == (rounds.KEPT_LEFT, B)
    assert ReconcilerState.model_validate_json(state.model_dump_json()).left == state.left
    assert ReconcilerState.model_validate_json("{}").left == ()


@pytest.mark.parametrize(
    ("answering", "installed", "known", "binds"),
    [(1, False, "", False), (2, False, "", True), (1, True, "", True), (1, False, VIEW.cluster_id, True)],
)
def test_few_endpoints_alone_bind_nothing(answering: int, known: str, *, installed: bool, binds: bool) -> None:
    """Without EtcdMembers nothing would contradict another cluster behind a wrong address."""
    state = ReconcilerState(binding=Binding(cluster_id=known))
    few = VIEW.model_copy(update={"endpoints": 3, "answering": answering})
    assert (rounds.believing(state, few, installed=installed) != state) == binds


def held(text: str = "2 of 3", kind: str = drift.TOO_MANY_ABSENT) -> Doubt:
    """A doubt that holds corrections back."""
    return Doubt(kind=kind, text=text, remedy="look")


SEEN: Final = drift.digest_of(held())


def test_confirmation_counts_for_the_doubt_that_it_was_given_for() -> None:
    """It stays through rounds that fail, also into the next run; another doubt, or more of the same, ends it."""
    watcher = ReconcileEtcdMembers()
    resync: Any = watcher.resync  # whose type is that of an update
    watcher._hold_back(held())
    assert watcher.status().doubt_digest == drift.digest_of(held())
    answer = resync(ResyncRequest(confirm=True, digest=drift.digest_of(held())))
    assert "TooManyAbsent: 2 of 3" in answer
    watcher._round_failed("no API server answers")
    assert ReconcilerState.model_validate_json(watcher._state.model_dump_json()).confirmed == held()
    watcher._hold_back(held())
    assert watcher._state.confirmed == held()
    watcher._hold_back(held("3 of 3"))
    assert watcher._state == ReconcilerState.model_validate(
        {**vars(watcher._state), "confirmed": None, "doubt": held("3 of 3")}
    )


@pytest.mark.parametrize(
    ("doubt", "request_", "refused"),
    [
        (None, ResyncRequest(confirm=True, digest=SEEN), True),
        (held(), ResyncRequest(confirm=True), True),
        (held(), ResyncRequest(confirm=True, doubt=drift.TOO_MANY_ABSENT), True),
        (held(), ResyncRequest(confirm=True, digest=SEEN), False),
        (held(), ResyncRequest(confirm=True, doubt=drift.TOO_MANY_ABSENT, digest=SEEN), False),
        (held(), ResyncRequest(confirm=True, doubt="ClusterRestored", digest=SEEN), True),
        (held("5 of 7"), ResyncRequest(confirm=True, doubt=drift.TOO_MANY_ABSENT, digest=SEEN), True),
        (held(kind="ListsDiffer"), ResyncRequest(confirm=True, digest=SEEN), True),
        (None, ResyncRequest(), False),
        (None, None, False),
    ],
)
def test_confirmation_of_nothing_or_of_another_doubt_is_refused(
    doubt: Doubt | None,
    request_: ResyncRequest | None,
    refused: bool,  # noqa: FBT001
) -> None:
    """Whoever confirms has to mean what stands now, with all that it names."""
    watcher = ReconcileEtcdMembers()
    watcher._update(doubt=doubt)
    if not refused:
        watcher._may_resync(request_)
        return
    with pytest.raises(ApplicationError, match="confirm"):
        watcher._may_resync(request_)


# --- a flag that is taken back ----------------------------------------------------------------------------------------


class FakeWorkflow:
    """What a removal's supervisor asks of Temporal: the removal is open until it is cancelled.

    Attributes:
        unanswered: How many questions about the removal fail.
        cancelled: Whether the removal was cancelled.
        pauses: How often it was waited between two attempts.
    """

    def __init__(self, unanswered: int) -> None:
        self.unanswered, self.cancelled, self.pauses = unanswered, asyncio.Event(), 0
        self.logger = logging.getLogger("test")

    def start_activity_method(self, *_: object, **__: object) -> asyncio.Task[FollowRemovalResult]:
        """It is followed to its end."""

        async def follow() -> FollowRemovalResult:
            await self.cancelled.wait()
            return FollowRemovalResult(open=False, state="", cancelled=True, member_id=B)

        return asyncio.ensure_future(follow())

    async def execute_activity_method(self, *_: object, **__: object) -> FollowRemovalResult:
        """Which member it is about."""
        self.unanswered -= 1
        if self.unanswered >= 0:
            raise ActivityError(
                "no answer",
                scheduled_event_id=1,
                started_event_id=2,
                identity="",
                activity_type="follow_removal",
                activity_id="1",
                retry_state=None,
            )
        return FollowRemovalResult(open=True, state="", member_id=B)

    async def wait_condition(self, condition: Callable[[], bool], **_: object) -> None:
        """It holds at once here, or once the removal has ended."""
        while not condition():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)

    async def sleep(self, *_: object, **__: object) -> None:
        """A pause."""
        self.pauses += 1
        await asyncio.sleep(0)

    def get_external_workflow_handle(self, _: str) -> Any:
        """The removal."""

        async def cancel() -> None:
            self.cancelled.set()

        return SimpleNamespace(cancel=cancel)


async def test_flag_that_was_taken_back_cancels_the_removal_however_often_the_question_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A removal that was joined is asked first which member it is about, until it answers."""
    fake, supervisor = FakeWorkflow(unanswered=3), RequestedRemovals(None)
    for module in (reread_resources, requested_removals):
        monkeypatch.setattr(module, "workflow", fake)
    supervisor._request = ReconcileEtcdMembersRequest(cluster="prod")
    joined = REMOVAL.model_copy(update={"joined": True})
    removing: Coroutine[Any, Any, FollowRemovalResult] = supervisor._remove(joined, resumed=True)
    async with asyncio.timeout(5):
        end = await removing
    assert fake.cancelled.is_set()
    assert (end.cancelled, fake.pauses) == (True, 3)


@pytest.mark.parametrize(("listed", "kept"), [("another", False), (VIEW.cluster_id, True)])
async def test_what_was_read_on_a_node_of_another_cluster_takes_no_order_back(
    listed: str, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    """Unless all nodes are that cluster now, which is a doubt of its own."""
    watcher, pauses = ReconcileEtcdMembers(), list[float]()
    watcher._request = ReconcileEtcdMembersRequest(cluster="prod")
    watcher._update(binding=Binding(cluster_id=VIEW.cluster_id), orders={"u": ORDER})
    before = watcher._seen = WatchMembersResult(resources=(flagged(),))
    alone = WatchMembersResult(resources=(flagged(name="other", uid="o", leave=False),), reached="another")

    async def pause() -> None:
        pauses.append(1.0)

    async def watch() -> WatchMembersResult:
        return alone

    async def look(_: str, cluster_id: str) -> Any:
        assert cluster_id == VIEW.cluster_id
        return SimpleNamespace(view=VIEW.model_copy(update={"cluster_id": listed}))

    async def write_reasons(*_: object) -> None:
        assert not kept

    monkeypatch.setattr(watcher, "_wait_for_next_round", pause)
    monkeypatch.setattr(watcher, "_watch", watch)
    monkeypatch.setattr(watcher, "_show", lambda: None)
    monkeypatch.setattr(watcher._look, "take", look)
    monkeypatch.setattr(watcher._waiting, "write_reasons", write_reasons)
    await watcher._reconcile_once()
    assert watcher._state.orders == {"u": ORDER}
    assert (watcher._seen is before, len(pauses)) == (kept, kept)
    assert (watcher._state.trouble.startswith("EtcdMembers were read on a node"), watcher._state.doubt is None) == (
        kept,
        kept,
    )


@pytest.mark.parametrize(
    ("asked_by_annotation", "generation", "pauses"),
    [(True, 2, True), (True, 4, True), (False, 2, True), (False, 4, False)],
)
async def test_removal_that_failed_is_not_tried_again_at_once(
    generation: int, monkeypatch: pytest.MonkeyPatch, *, asked_by_annotation: bool, pauses: bool
) -> None:
    """A changed spec is tried at once, unless the removal itself has changed it: it sets `spec.leave` for k0s."""
    monkeypatch.setattr(requested_removals, "workflow", SimpleNamespace(now=lambda: SimpleNamespace(timestamp=float)))
    watcher, notes = RequestedRemovals(None), list[str]()

    async def note(_: RunningRemoval, text: str, **__: object) -> None:
        notes.append(text)

    monkeypatch.setattr(watcher, "_note", note)
    order = ORDER.model_copy(update={"generation": generation})
    watcher._update(orders={"u": order}, annotated={"u": order} if asked_by_annotation else {})
    await watcher._failed(REMOVAL, FollowRemovalResult(open=False, state="", doing="taken back", failed=True))
    assert ("u" in watcher._state.retries, "it is tried again in" in notes[0]) == (pauses, pauses)
    if asked_by_annotation:
        await watcher._failed(REMOVAL, FollowRemovalResult(open=False, state="", doing="taken back", failed=True))
        assert watcher._state.retries["u"].failures == 2


@pytest.mark.parametrize("generation", [2, 4])
def test_removal_by_annotation_waits_whatever_its_spec_says_by_now(generation: int) -> None:
    """It has set `spec.leave`, and somebody has taken that back."""
    order = ORDER.model_copy(update={"annotation": "true"})
    asks = flagged(generation=generation, leave=False, annotation="true")
    for at_seconds, starts in ((NOW + 1, []), (NOW, [B])):
        retry = RemovalRetry(uid="u", generation=rounds.ANY_GENERATION, failures=1, at_seconds=at_seconds)
        assert to_start(ReconcilerState(annotated={"u": order}, retries={"u": retry}), asks)[1] == starts


# --- a flag that was taken back before anybody read the answer --------------------------------------------------------


@pytest.mark.parametrize(
    ("again", "seconds", "starts"),
    [
        (WatchMembersResult(unchanged=True), 1, [B]),
        (WatchMembersResult(resources=(flagged(name="other", uid="o", leave=False), flagged())), 1, [B]),
        (WatchMembersResult(resources=(flagged(leave_asked_by="alice"),)), 1, [B]),
        (WatchMembersResult(resources=(flagged(leave=False, generation=3),)), 1, []),
        (WatchMembersResult(resources=()), 1, []),
        (WatchMembersResult(unchanged=True), 60, []),
    ],
    ids=["unchanged", "another changed", "read by another version", "taken back", "deleted", "an old answer"],
)
async def test_removal_starts_only_for_an_order_that_stands_still(
    again: WatchMembersResult, seconds: float, starts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of EtcdMembers may have waited until workers or Temporal were there again."""
    clock = [NOW]

    async def execute(activity: Any, *_: object, **__: object) -> WatchMembersResult | SyncMembersResult:
        clock[0] += seconds
        return SyncMembersResult() if activity.__name__ == "sync_members" else again

    fake = SimpleNamespace(now=lambda: SimpleNamespace(timestamp=lambda: clock[0]), execute_activity_method=execute)
    monkeypatch.setattr(reconcile_members, "workflow", fake)
    for module in (reread_resources, requested_removals):
        monkeypatch.setattr(module, "workflow", fake)
    watcher, started = ReconcileEtcdMembers(), list[str]()
    watcher._request = ReconcileEtcdMembersRequest(cluster="prod")

    def supervise(removal: RunningRemoval) -> None:
        watcher._update(running={removal.uid: removal})
        started.append(removal.member_id)

    monkeypatch.setattr(watcher, "_supervise", supervise)
    await watcher._act_on(VIEW, WatchMembersResult(resources=(flagged(),)))
    assert started == starts
    assert watcher._resync == (not starts)

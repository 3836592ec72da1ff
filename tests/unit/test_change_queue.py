"""Whose turn it is: first come first served, one at a time, however messages overtake each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from etcd_handoff.operation import change_queue
from etcd_handoff.operation.change_queue import (
    KEPT_SENTENCES,
    changed_positions,
    dequeue,
    enqueue,
    grant,
    latest_position,
    position_of,
    progress_of,
    recall,
    rejoin_pause,
    start,
    start_delay,
    with_position,
    with_progress,
)
from etcd_handoff.operation.queue_messages import (
    LOST_HOLDER,
    ChangeQueueState,
    KnownProgress,
    QueueEntry,
    QueuePosition,
    RecallEntriesResult,
    change_queue_id,
)
from tests.unit import queue_worlds

CLUSTER_ID = "cafe"


def entry(chain: str, *, waits: bool = True, request: int = 0, holds: bool = False) -> QueueEntry:
    """The entry of a removal whose workflow ID is that of its chain."""
    return QueueEntry(
        workflow_id=f"etcd-remove/demo/{chain[0]}",
        chain_id=chain,
        cluster="demo",
        member_name=f"node-{chain}",
        member_id="1",
        waits=waits,
        request=request,
        holds=holds,
    )


def apply(state: ChangeQueueState, move: tuple[str, str]) -> ChangeQueueState:
    """What the workflow makes of one message."""
    verb, chain = move
    if verb == "leave":
        return grant(dequeue(state, chain))
    return grant(enqueue(state, entry(chain, waits=verb == "join")))


MOVES = [(verb, chain) for verb in ("join", "park", "leave") for chain in ("a", "b", "c")]


def every_state() -> dict[ChangeQueueState, tuple[str, ...]]:
    """Every state that any sequence of moves by three removals reaches, each with the line of those who wait.

    The line is the model: chains in the order in which they began to wait. A state that two sequences reach with
    different lines would be wrong for one of them.
    """
    lines = {ChangeQueueState(cluster_id=CLUSTER_ID): tuple[str, ...]()}
    fresh = list(lines)
    while fresh:
        state = fresh.pop()
        for verb, chain in MOVES:
            line = lines[state]
            if verb != "join":
                line = tuple(c for c in line if c != chain)
            elif chain not in line:
                line = (*line, chain)
            after = apply(state, (verb, chain))
            if after not in lines:
                lines[after] = line
                fresh.append(after)
            assert lines[after] == line
    return lines


def test_first_come_first_served_one_at_a_time() -> None:
    """In every reachable state the turn is the first waiting removal's and nobody else is told so.

    Hence nobody waits beside a free place, and one that is parked or has left never holds it.
    """
    states = every_state()
    assert len(states) > 50
    for state, line in states.items():
        chains = [t.chain_id for t in state.entries]
        assert len(chains) == len(set(chains))
        assert [t.chain_id for t in state.entries if t.waits] == list(line)
        assert state.holder == (line[0] if line else "")
        positions = {chain: position_of(state, chain) for chain in chains}
        assert [chain for chain, turn in positions.items() if turn.granted] == list(line[:1])
        assert all(turn.chain_id == chain for chain, turn in positions.items())


def test_place_in_the_queue_is_told_with_everybody_before_it() -> None:
    """The holder first, then those who came earlier; who parks is not in the way."""
    state = ChangeQueueState(cluster_id=CLUSTER_ID)
    for move in [("join", "a"), ("join", "b"), ("park", "b"), ("join", "c"), ("join", "b")]:
        state = apply(state, move)
    assert position_of(state, "c").behind == ("the removal of node-a",)
    assert position_of(state, "b").behind == ("the removal of node-a", "the removal of node-c")
    assert position_of(state, "a").behind == ()


def test_leaving_twice_or_unknown_changes_nothing() -> None:
    """What is not in the queue cannot leave it."""
    state = apply(apply(ChangeQueueState(cluster_id=CLUSTER_ID), ("join", "a")), ("join", "b"))
    assert apply(state, ("leave", "z")) == state
    once = apply(state, ("leave", "a"))
    assert apply(once, ("leave", "a")) == once


def test_ended_removal_under_the_same_workflow_id_stands_before_the_new_one_until_temporal_says_so() -> None:
    """A entry tells nothing about others: an old one that comes late must not take a turn away."""
    state = ChangeQueueState(cluster_id=CLUSTER_ID)
    for move in [("join", "a1"), ("join", "b1"), ("join", "a2")]:
        state = apply(state, move)
    assert state.holder == "a1"
    assert not position_of(state, "a2").granted
    state = apply(state, ("leave", "a1"))
    assert state.holder == "b1"
    assert [t.chain_id for t in state.entries] == ["b1", "a2"]


def test_workflow_id_is_the_contract() -> None:
    """Scripts find the queue by it."""
    assert change_queue_id(CLUSTER_ID) == "etcd-changes/cafe"


def test_start_delay_is_longer_where_many_removals_are_under_way() -> None:
    """From 2 s, which is what a single removal never needs, up to a minute."""
    still = [start_delay(others).total_seconds() for others in (0, 1, 2, 20, 116, 117, 5_000)]
    assert still == [2, 2.5, 3, 12, 60, 60, 60]


def test_rejoining_backs_off_and_has_a_cap() -> None:
    """From 10 s it doubles up to 10 minutes, however often it has been done."""
    pauses = [rejoin_pause(times) for times in range(2_000)]
    assert [p.total_seconds() for p in pauses[:7]] == [10, 20, 40, 80, 160, 320, 600]
    assert set(pauses[6:]) == {timedelta(minutes=10)}


# --- requests, and what is told once ------------------------------------------------------------------------------


def queue_of(*entries: QueueEntry, possible_holders: tuple[str, ...] = ()) -> ChangeQueueState:
    """A queue that the first entry started and the others joined."""
    state = start(ChangeQueueState(cluster_id=CLUSTER_ID, entries=entries[:1], possible_holders=possible_holders))
    for one in entries[1:]:
        state = grant(enqueue(state, one))
    return state


def tell(state: ChangeQueueState) -> tuple[ChangeQueueState, list[QueuePosition]]:
    """All that is news is told."""
    turns = [turn for _, turn in changed_positions(state)]
    for turn in turns:
        state = with_position(state, turn)
    return state, turns


def test_who_starts_the_queue_knows_its_turn_and_is_not_told() -> None:
    """Its start was the turn; only the others hear something."""
    _, turns = tell(queue_of(entry("a", request=1), entry("b", request=1)))
    assert [turn.chain_id for turn in turns] == ["b"]


def test_rejoining_without_change_is_no_news() -> None:
    """A removal that asks again keeps its place and gets no signal; its latest request is what a grant answers."""
    state, _ = tell(queue_of(entry("a", request=1), entry("b", request=1), entry("c", request=1)))
    state, turns = tell(grant(enqueue(state, entry("b", request=2))))
    assert turns == []
    assert [t.chain_id for t in state.entries] == ["a", "b", "c"]
    _, turns = tell(grant(dequeue(state, "a")))
    assert turns[0] == QueuePosition(granted=True, chain_id="b", request=2)


def test_what_was_told_is_not_told_again_by_a_queue_that_continues_as_new() -> None:
    """It goes along with the queue, through JSON."""
    state, turns = tell(queue_of(entry("a", request=1), entry("b", request=1)))
    assert turns
    carried = ChangeQueueState.model_validate_json(state.model_dump_json())
    assert tell(grant(carried)) == (state, [])


def test_grant_that_a_later_request_has_overtaken_is_told_for_that_request() -> None:
    """Else the removal would wait for a turn that it has: it takes no answer to its older request."""
    state, _ = tell(queue_of(entry("a", request=1)))
    _, turns = tell(grant(enqueue(state, entry("a", request=2))))
    assert turns == [QueuePosition(granted=True, chain_id="a", request=2)]


def test_ticket_that_comes_late_changes_nothing() -> None:
    """A turn that was given back is not asked for again by a message from before."""
    state = queue_of(entry("a", request=1), entry("b", request=1))
    state = grant(enqueue(state, entry("a", request=2, waits=False)))
    assert state.holder == "b"
    assert grant(enqueue(state, entry("a", request=1))) == state


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (QueuePosition(granted=True, chain_id="a", request=2), True),
        (QueuePosition(granted=True, chain_id="a", request=1), False),
        (QueuePosition(granted=True, chain_id="a", request=3), False),
        (QueuePosition(granted=True, chain_id="other", request=2), False),
        (QueuePosition(granted=True, chain_id="", request=2), False),
    ],
)
def test_only_the_answer_to_the_latest_request_counts(answer: QueuePosition, taken: bool) -> None:  # noqa: FBT001
    """Neither an older one, nor one for another removal."""
    before = QueuePosition(granted=False, behind=("x",))
    assert latest_position(before, answer, "a", 2) == (answer if taken else before)


def test_granted_turn_is_not_taken_away_by_news_from_before() -> None:
    """Of two answers to one request, the one that grants is the later one, in whichever order they come."""
    yes, no = (
        QueuePosition(granted=True, chain_id="a", request=2),
        QueuePosition(granted=False, behind=("x",), chain_id="a", request=2),
    )
    assert latest_position(latest_position(QueuePosition(granted=False), no, "a", 2), yes, "a", 2) == yes
    assert latest_position(latest_position(QueuePosition(granted=False), yes, "a", 2), no, "a", 2) == yes


def test_sentences_on_an_etcdmember_are_kept_with_the_queue_and_bounded() -> None:
    """A removal that has left is forgotten; of many sentences the last ones stay."""
    state = queue_of(entry("a", request=1))
    sentences = tuple(str(number) for number in range(20))
    state = with_progress(state, KnownProgress(chain_id="a", state="Blocked", doing="x", sentences=sentences))
    assert progress_of(state, "a").sentences == sentences[-KEPT_SENTENCES:]
    assert progress_of(ChangeQueueState.model_validate_json(state.model_dump_json()), "a") == progress_of(state, "a")
    gone = dequeue(state, "a")
    assert (gone.progress, gone.positions) == ((), ())
    assert with_progress(gone, progress_of(state, "a")) == gone


# --- a queue after one that was ended -------------------------------------------------------------------------------


def test_new_queue_gives_no_turn_before_it_has_asked() -> None:
    """Nor while somebody does not answer, and whoever waits is told for whom."""
    state = queue_of(entry("b", request=2), entry("c", request=2), possible_holders=(LOST_HOLDER,))
    assert state.holder == ""
    assert position_of(state, "b").behind == (LOST_HOLDER,)
    state = recall(state, RecallEntriesResult(silent=("etcd-remove/demo/a",)))
    assert state.holder == ""
    assert position_of(state, "b").behind == ("etcd-remove/demo/a, which does not say whether it has the turn",)
    assert recall(state, RecallEntriesResult()).holder == "b"


def test_who_has_the_turn_keeps_it_in_the_new_queue() -> None:
    """It is not told what it knows, and all others come after it, also where two have one."""
    state = queue_of(entry("b", request=2), possible_holders=(LOST_HOLDER,))
    found = (entry("c", request=2), entry("a", request=1, holds=True), entry("d", request=1, holds=True))
    state = recall(state, RecallEntriesResult(entries=found))
    assert state.holder == "a"
    assert not any(turn.chain_id == "a" for turn in tell(state)[1])
    state = grant(dequeue(state, "a"))
    assert state.holder == "d"
    assert grant(dequeue(state, "d")).holder == "b"


def test_turn_that_was_given_back_since_it_was_asked_about_is_free() -> None:
    """The entry that the removal sent after its answer counts more than the answer, which comes later."""
    state = queue_of(entry("b", request=2), entry("a", request=4, waits=False), possible_holders=(LOST_HOLDER,))
    state = recall(state, RecallEntriesResult(entries=(entry("a", request=3, holds=True),)))
    assert state.holder == "b"


# --- every order of messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("removals", "most_requests", "terminations"), [(2, 2, 0), (3, 1, 0), (2, 1, 1)], ids=["two", "three", "terminated"]
)
def test_no_order_of_messages_gives_two_the_turn(removals: int, most_requests: int, terminations: int) -> None:
    """Late, doubled, lost or overtaken, in every order that there is; nor does a grant get lost."""
    text, worlds = queue_worlds.explore(removals, most_requests, terminations)
    assert text == ""
    assert worlds > 3_000


def test_no_order_of_messages_round_a_terminated_queue_gives_two_the_turn() -> None:
    """Two requests each and a queue that is terminated once, as far as a test has time."""
    assert queue_worlds.explore(2, 2, 1, most=60_000)[0] == ""


def takes_any_request(now: QueuePosition, answer: QueuePosition, chain_id: str, _request: int) -> QueuePosition:
    """A removal that takes a turn whatever it has asked since."""
    return answer if answer.chain_id == chain_id else now


def takes_late_tickets(state: ChangeQueueState, late: QueueEntry) -> ChangeQueueState:
    """A queue that does not look which entry is the later one."""
    older = tuple(t.model_copy(update={"request": 0}) for t in state.entries)
    return enqueue(state.model_copy(update={"entries": older}), late)


def grants_in_doubt(state: ChangeQueueState) -> ChangeQueueState:
    """A new queue that does not ask first."""
    return grant(state.model_copy(update={"possible_holders": ()}))


def forgets_holders(state: ChangeQueueState, found: RecallEntriesResult) -> ChangeQueueState:
    """A new queue that does not care who has the turn."""
    entries = tuple(t.model_copy(update={"holds": False}) for t in found.entries)
    return recall(state, found.model_copy(update={"entries": entries}))


def tells_places_alone(state: ChangeQueueState) -> tuple[tuple[QueueEntry, QueuePosition], ...]:
    """A queue for which a grant is known whichever request it answered."""
    last = {turn.chain_id: (turn.granted, turn.behind) for turn in state.positions}
    places = [(t, position_of(state, t.chain_id)) for t in state.entries if t.waits]
    return tuple((t, turn) for t, turn in places if last.get(t.chain_id) != (turn.granted, turn.behind))


@pytest.mark.parametrize(
    ("name", "broken", "world"),
    [
        ("latest_position", takes_any_request, (2, 2, 0)),
        ("enqueue", takes_late_tickets, (2, 2, 0)),
        ("grant", grants_in_doubt, (2, 1, 1)),
        ("recall", forgets_holders, (2, 1, 1)),
        ("changed_positions", tells_places_alone, (2, 2, 0)),
    ],
)
def test_search_finds_what_each_rule_is_there_for(
    name: str, broken: object, world: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rule some order of messages goes wrong."""
    monkeypatch.setattr(change_queue, name, broken)
    assert queue_worlds.explore(*world)[0]


def test_search_finds_a_rejoin_that_leaves_old_grants_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant of the terminated queue may still be on its way when the new one asks."""
    monkeypatch.setattr(queue_worlds.Removal, "rejoins", lambda removal: removal)
    assert queue_worlds.explore(2, 1, 1)[0] == "two have the turn"

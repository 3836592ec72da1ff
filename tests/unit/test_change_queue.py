"""Whose turn it is: first come first served, one at a time, however messages overtake each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from etcd_handoff import change_queue
from etcd_handoff.change_queue import (
    LOST,
    MOST_SENTENCES,
    Noted,
    Recalled,
    Ticket,
    Turn,
    Turns,
    answered,
    begun,
    granted,
    heard,
    joined,
    keeps_still,
    left,
    news,
    noted_of,
    recalled,
    rejoin_after,
    turn_of,
    turns_id,
    with_note,
)
from tests.unit import queue_worlds

CLUSTER_ID = "cafe"


def ticket(chain: str, *, waits: bool = True, request: int = 0, holds: bool = False) -> Ticket:
    """The ticket of a removal whose workflow ID is that of its chain."""
    return Ticket(
        workflow_id=f"etcd-remove/demo/{chain[0]}",
        chain_id=chain,
        cluster="demo",
        member_name=f"node-{chain}",
        member_id="1",
        waits=waits,
        request=request,
        holds=holds,
    )


def apply(turns: Turns, move: tuple[str, str]) -> Turns:
    """What the workflow makes of one message."""
    verb, chain = move
    if verb == "leave":
        return granted(left(turns, chain))
    return granted(joined(turns, ticket(chain, waits=verb == "join")))


MOVES = [(verb, chain) for verb in ("join", "park", "leave") for chain in ("a", "b", "c")]


def every_state() -> dict[Turns, tuple[str, ...]]:
    """Every state that any sequence of moves by three removals reaches, each with the line of those who wait.

    The line is the model: chains in the order in which they began to wait. A state that two sequences reach with
    different lines would be wrong for one of them.
    """
    lines = {Turns(cluster_id=CLUSTER_ID): tuple[str, ...]()}
    fresh = list(lines)
    while fresh:
        turns = fresh.pop()
        for verb, chain in MOVES:
            line = lines[turns]
            if verb != "join":
                line = tuple(c for c in line if c != chain)
            elif chain not in line:
                line = (*line, chain)
            after = apply(turns, (verb, chain))
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
    for turns, line in states.items():
        chains = [t.chain_id for t in turns.tickets]
        assert len(chains) == len(set(chains))
        assert [t.chain_id for t in turns.tickets if t.waits] == list(line)
        assert turns.holder == (line[0] if line else "")
        told = {chain: turn_of(turns, chain) for chain in chains}
        assert [chain for chain, turn in told.items() if turn.granted] == list(line[:1])
        assert all(turn.chain_id == chain for chain, turn in told.items())


def test_place_in_the_queue_is_told_with_everybody_before_it() -> None:
    """The holder first, then those who came earlier; who parks is not in the way."""
    turns = Turns(cluster_id=CLUSTER_ID)
    for move in [("join", "a"), ("join", "b"), ("park", "b"), ("join", "c"), ("join", "b")]:
        turns = apply(turns, move)
    assert turn_of(turns, "c").behind == ("the removal of node-a",)
    assert turn_of(turns, "b").behind == ("the removal of node-a", "the removal of node-c")
    assert turn_of(turns, "a").behind == ()


def test_leaving_twice_or_unknown_changes_nothing() -> None:
    """What is not in the queue cannot leave it."""
    turns = apply(apply(Turns(cluster_id=CLUSTER_ID), ("join", "a")), ("join", "b"))
    assert apply(turns, ("leave", "z")) == turns
    once = apply(turns, ("leave", "a"))
    assert apply(once, ("leave", "a")) == once


def test_ended_removal_under_the_same_workflow_id_stands_before_the_new_one_until_temporal_says_so() -> None:
    """A ticket tells nothing about others: an old one that comes late must not take a turn away."""
    turns = Turns(cluster_id=CLUSTER_ID)
    for move in [("join", "a1"), ("join", "b1"), ("join", "a2")]:
        turns = apply(turns, move)
    assert turns.holder == "a1"
    assert not turn_of(turns, "a2").granted
    turns = apply(turns, ("leave", "a1"))
    assert turns.holder == "b1"
    assert [t.chain_id for t in turns.tickets] == ["b1", "a2"]


def test_workflow_id_is_the_contract() -> None:
    """Scripts find the queue by it."""
    assert turns_id(CLUSTER_ID) == "etcd-turns/cafe"


def test_queue_keeps_still_longer_where_many_removals_are_under_way() -> None:
    """From 2 s, which is what a single removal never needs, up to a minute."""
    still = [keeps_still(others).total_seconds() for others in (0, 1, 2, 20, 116, 117, 5_000)]
    assert still == [2, 2.5, 3, 12, 60, 60, 60]


def test_rejoining_backs_off_and_has_a_cap() -> None:
    """From 10 s it doubles up to 10 minutes, however often it has been done."""
    pauses = [rejoin_after(times) for times in range(2_000)]
    assert [p.total_seconds() for p in pauses[:7]] == [10, 20, 40, 80, 160, 320, 600]
    assert set(pauses[6:]) == {timedelta(minutes=10)}


# --- requests, and what is told once ------------------------------------------------------------------------------


def queue_of(*tickets: Ticket, doubtful: tuple[str, ...] = ()) -> Turns:
    """A queue that the first ticket started and the others joined."""
    turns = begun(Turns(cluster_id=CLUSTER_ID, tickets=tickets[:1], doubtful=doubtful))
    for one in tickets[1:]:
        turns = granted(joined(turns, one))
    return turns


def tell(turns: Turns) -> tuple[Turns, list[Turn]]:
    """All that is news is told."""
    told = [turn for _, turn in news(turns)]
    for turn in told:
        turns = answered(turns, turn)
    return turns, told


def test_who_starts_the_queue_knows_its_turn_and_is_not_told() -> None:
    """Its start was the turn; only the others hear something."""
    _, told = tell(queue_of(ticket("a", request=1), ticket("b", request=1)))
    assert [turn.chain_id for turn in told] == ["b"]


def test_rejoining_without_change_is_no_news() -> None:
    """A removal that asks again keeps its place and gets no signal; its latest request is what a grant answers."""
    turns, _ = tell(queue_of(ticket("a", request=1), ticket("b", request=1), ticket("c", request=1)))
    turns, told = tell(granted(joined(turns, ticket("b", request=2))))
    assert told == []
    assert [t.chain_id for t in turns.tickets] == ["a", "b", "c"]
    _, told = tell(granted(left(turns, "a")))
    assert told[0] == Turn(granted=True, chain_id="b", request=2)


def test_what_was_told_is_not_told_again_by_a_queue_that_continues_as_new() -> None:
    """It goes along with the queue, through JSON."""
    turns, told = tell(queue_of(ticket("a", request=1), ticket("b", request=1)))
    assert told
    carried = Turns.model_validate_json(turns.model_dump_json())
    assert tell(granted(carried)) == (turns, [])


def test_grant_that_a_later_request_has_overtaken_is_told_for_that_request() -> None:
    """Else the removal would wait for a turn that it has: it takes no answer to its older request."""
    turns, _ = tell(queue_of(ticket("a", request=1)))
    _, told = tell(granted(joined(turns, ticket("a", request=2))))
    assert told == [Turn(granted=True, chain_id="a", request=2)]


def test_ticket_that_comes_late_changes_nothing() -> None:
    """A turn that was given back is not asked for again by a message from before."""
    turns = queue_of(ticket("a", request=1), ticket("b", request=1))
    turns = granted(joined(turns, ticket("a", request=2, waits=False)))
    assert turns.holder == "b"
    assert granted(joined(turns, ticket("a", request=1))) == turns


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (Turn(granted=True, chain_id="a", request=2), True),
        (Turn(granted=True, chain_id="a", request=1), False),
        (Turn(granted=True, chain_id="a", request=3), False),
        (Turn(granted=True, chain_id="other", request=2), False),
        (Turn(granted=True, chain_id="", request=2), False),
    ],
)
def test_only_the_answer_to_the_latest_request_counts(told: Turn, taken: bool) -> None:  # noqa: FBT001
    """Neither an older one, nor one for another removal."""
    before = Turn(granted=False, behind=("x",))
    assert heard(before, told, "a", 2) == (told if taken else before)


def test_granted_turn_is_not_taken_away_by_news_from_before() -> None:
    """Of two answers to one request, the one that grants is the later one, in whichever order they come."""
    yes, no = Turn(granted=True, chain_id="a", request=2), Turn(granted=False, behind=("x",), chain_id="a", request=2)
    assert heard(heard(Turn(granted=False), no, "a", 2), yes, "a", 2) == yes
    assert heard(heard(Turn(granted=False), yes, "a", 2), no, "a", 2) == yes


def test_sentences_on_an_etcdmember_are_kept_with_the_queue_and_bounded() -> None:
    """A removal that has left is forgotten; of many sentences the last ones stay."""
    turns = queue_of(ticket("a", request=1))
    sentences = tuple(str(number) for number in range(20))
    turns = with_note(turns, Noted(chain_id="a", state="Blocked", doing="x", sentences=sentences))
    assert noted_of(turns, "a").sentences == sentences[-MOST_SENTENCES:]
    assert noted_of(Turns.model_validate_json(turns.model_dump_json()), "a") == noted_of(turns, "a")
    gone = left(turns, "a")
    assert (gone.noted, gone.answered) == ((), ())
    assert with_note(gone, noted_of(turns, "a")) == gone


# --- a queue after one that was ended -------------------------------------------------------------------------------


def test_new_queue_gives_no_turn_before_it_has_asked() -> None:
    """Nor while somebody does not answer, and whoever waits is told for whom."""
    turns = queue_of(ticket("b", request=2), ticket("c", request=2), doubtful=(LOST,))
    assert turns.holder == ""
    assert turn_of(turns, "b").behind == (LOST,)
    turns = recalled(turns, Recalled(silent=("etcd-remove/demo/a",)))
    assert turns.holder == ""
    assert turn_of(turns, "b").behind == ("etcd-remove/demo/a, which does not say whether it has the turn",)
    assert recalled(turns, Recalled()).holder == "b"


def test_who_has_the_turn_keeps_it_in_the_new_queue() -> None:
    """It is not told what it knows, and all others come after it, also where two have one."""
    turns = queue_of(ticket("b", request=2), doubtful=(LOST,))
    found = (ticket("c", request=2), ticket("a", request=1, holds=True), ticket("d", request=1, holds=True))
    turns = recalled(turns, Recalled(tickets=found))
    assert turns.holder == "a"
    assert not any(turn.chain_id == "a" for turn in tell(turns)[1])
    turns = granted(left(turns, "a"))
    assert turns.holder == "d"
    assert granted(left(turns, "d")).holder == "b"


def test_turn_that_was_given_back_since_it_was_asked_about_is_free() -> None:
    """The ticket that the removal sent after its answer counts more than the answer, which comes later."""
    turns = queue_of(ticket("b", request=2), ticket("a", request=4, waits=False), doubtful=(LOST,))
    turns = recalled(turns, Recalled(tickets=(ticket("a", request=3, holds=True),)))
    assert turns.holder == "b"


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


def takes_any_request(now: Turn, told: Turn, chain_id: str, _request: int) -> Turn:
    """A removal that takes a turn whatever it has asked since."""
    return told if told.chain_id == chain_id else now


def takes_late_tickets(turns: Turns, late: Ticket) -> Turns:
    """A queue that does not look which ticket is the later one."""
    older = tuple(t.model_copy(update={"request": 0}) for t in turns.tickets)
    return joined(turns.model_copy(update={"tickets": older}), late)


def grants_in_doubt(turns: Turns) -> Turns:
    """A new queue that does not ask first."""
    return granted(turns.model_copy(update={"doubtful": ()}))


def forgets_holders(turns: Turns, found: Recalled) -> Turns:
    """A new queue that does not care who has the turn."""
    tickets = tuple(t.model_copy(update={"holds": False}) for t in found.tickets)
    return recalled(turns, found.model_copy(update={"tickets": tickets}))


def tells_places_alone(turns: Turns) -> tuple[tuple[Ticket, Turn], ...]:
    """A queue for which a grant is known whichever request it answered."""
    last = {turn.chain_id: (turn.granted, turn.behind) for turn in turns.answered}
    places = [(t, turn_of(turns, t.chain_id)) for t in turns.tickets if t.waits]
    return tuple((t, turn) for t, turn in places if last.get(t.chain_id) != (turn.granted, turn.behind))


@pytest.mark.parametrize(
    ("name", "broken", "world"),
    [
        ("heard", takes_any_request, (2, 2, 0)),
        ("joined", takes_late_tickets, (2, 2, 0)),
        ("granted", grants_in_doubt, (2, 1, 1)),
        ("recalled", forgets_holders, (2, 1, 1)),
        ("news", tells_places_alone, (2, 2, 0)),
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

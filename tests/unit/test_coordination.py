"""Whose turn it is, and what EtcdMembers are made to say while a removal is under way."""

from __future__ import annotations

import pytest

from etcd_handoff.change_queue import Ticket, Turns, granted, joined, keeps_still, left, turn_of, turns_id
from etcd_handoff.model import HandoffState
from etcd_handoff.removal_progress import Followed, sentence

CLUSTER_ID = "cafe"

# --- turns -----------------------------------------------------------------------------------------------------------


def ticket(chain: str, *, waits: bool = True) -> Ticket:
    """The ticket of a removal whose workflow ID is that of its chain."""
    return Ticket(
        workflow_id=f"etcd-remove/demo/{chain[0]}",
        chain_id=chain,
        cluster="demo",
        member_name=f"node-{chain}",
        member_id="1",
        waits=waits,
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


def test_new_removal_under_the_same_workflow_id_takes_no_place_over() -> None:
    """The old one has ended, or the new one could not be open: its turn goes to the next, the new one stands last."""
    turns = Turns(cluster_id=CLUSTER_ID)
    for move in [("join", "a1"), ("join", "b1"), ("join", "a2")]:
        turns = apply(turns, move)
    assert turns.holder == "b1"
    assert [t.chain_id for t in turns.tickets] == ["b1", "a2"]
    assert not turn_of(turns, "a2").granted


def test_workflow_id_of_the_queue_is_the_contract() -> None:
    """Scripts find it by this."""
    assert turns_id(CLUSTER_ID) == "etcd-turns/cafe"


def test_queue_keeps_still_longer_where_many_removals_are_under_way() -> None:
    """From 2 s, which is what a single removal never needs, up to a minute."""
    still = [keeps_still(others).total_seconds() for others in (0, 1, 2, 20, 116, 117, 5_000)]
    assert still == [2, 2.5, 3, 12, 60, 60, 60]


# --- what an EtcdMember is told ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "doing", "waiting_for", "said"),
    [
        (HandoffState.BLOCKED, "QuorumAtRisk: x", "y", "Blocked: QuorumAtRisk: x; goes on when: y"),
        (HandoffState.QUEUED, "waiting for its turn", "y", "Waiting for its turn; goes on when: y"),
        (HandoffState.TRANSFERRING, "handing over", "", "Handing over"),
        (HandoffState.CHECKING, "looking", "left over", "Looking"),
        (HandoffState.REMOVING, "", "", ""),
    ],
)
def test_sentence_for_an_etcdmember(state: str, doing: str, waiting_for: str, said: str) -> None:
    """It says what is done, why it waits, and what would let it go on."""
    assert sentence(Followed(open=True, state=state, doing=doing, waiting_for=waiting_for)) == said

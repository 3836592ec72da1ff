"""Whose turn it is, what EtcdMembers ask for, and what they are made to say between two removals."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_handoff.change_queue import Ticket, Turns, granted, joined, keeps_still, left, turn_of, turns_id
from etcd_handoff.etcdmember import News, disagrees, event_for, noted, says, status_for, truth_of
from etcd_handoff.leave_requests import (
    FIRST_RETRY_SECONDS,
    LONGEST_RETRY_SECONDS,
    Asked,
    Seen,
    retry_after,
    to_remove,
    wanted,
    watch_id,
)
from etcd_handoff.model import HandoffState
from etcd_handoff.removal_progress import Followed, sentence
from etcd_handoff.view import ClusterView, MemberView

CLUSTER_ID = "cafe"
NOW = "2026-02-03T04:05:06Z"
BEFORE = "2026-01-01T00:00:00Z"
Resource = dict[str, Any]

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


def test_workflow_ids_are_the_contract() -> None:
    """Scripts find the queue and the watcher by these."""
    assert turns_id(CLUSTER_ID) == "etcd-turns/cafe"
    assert watch_id("prod") == "etcd-watch/prod"


# --- what EtcdMembers ask for ----------------------------------------------------------------------------------------


def view(*members: tuple[str, str]) -> ClusterView:
    """Members by ID and name."""
    return ClusterView(
        cluster_id=CLUSTER_ID,
        members=tuple(MemberView(id=i, name=name, peer_urls=(f"http://10.0.0.{i}:2380",)) for i, name in members),
    )


def asked(name: str, member_id: str = "", *, leave: bool = True) -> Asked:
    """An EtcdMember as an order."""
    return Asked(name=name, uid=f"uid-{name}", generation=1, leave=leave, member_id=member_id)


THREE = view(("1", "node1"), ("2", "node2"), ("3", "node3"))


@pytest.mark.parametrize(
    ("resource", "seen", "named"),
    [
        (asked("node2", "2"), THREE, "node2"),
        (asked("node2"), THREE, "node2"),
        (asked("node2"), view(("1", "node1"), ("2", "Node2")), "Node2"),
        # The ID decides: the name is only what it is called by.
        (asked("node2", "2"), view(("1", "node1"), ("2", "renamed")), "renamed"),
        (asked("node2", "2"), view(("2", "twin"), ("3", "twin")), "2"),
        (asked("node2", "2"), view(("1", "node1"), ("2", "")), "2"),
        # The name has passed to another member.
        (asked("node2", "2"), view(("1", "node1"), ("9", "node2")), None),
        (asked("node2", "2"), view(("9", "node2"), ("2", "node9")), "node9"),
        # Absent, or not known which.
        (asked("node2", "2"), view(("1", "node1")), None),
        (asked("node2"), view(("1", "node1")), None),
        (asked("node2"), view(("1", "node2"), ("3", "node2")), None),
    ],
)
def test_member_that_is_meant(resource: Asked, seen: ClusterView, named: str | None) -> None:
    """The ID in the status decides; a name that passed to another member means nobody."""
    assert to_remove(resource, seen) == named


def test_only_flagged_and_present_members_are_wanted() -> None:
    """Not flagged, absent, or passed on: nothing is removed."""
    members = [asked("node1", "1", leave=False), asked("node2", "2"), asked("gone", "7"), asked("node3", "8")]
    assert wanted(members, THREE) == {"node2": members[1]}


def test_pause_grows_and_has_a_cap() -> None:
    """From 15 s it doubles up to 10 minutes, and never fails, however often it has failed."""
    pauses = [retry_after(failures) for failures in range(1, 5_000)]
    assert pauses[:7] == [15, 30, 60, 120, 240, 480, 600]
    assert pauses[0] == FIRST_RETRY_SECONDS
    assert set(pauses[6:]) == {LONGEST_RETRY_SECONDS}


def test_queue_keeps_still_longer_where_many_removals_are_under_way() -> None:
    """From 2 s, which is what a single removal never needs, up to a minute."""
    still = [keeps_still(others).total_seconds() for others in (0, 1, 2, 20, 116, 117, 5_000)]
    assert still == [2, 2.5, 3, 12, 60, 60, 60]


def test_message_alone_is_no_news() -> None:
    """Orders, identity and Joined are; whether the API serves EtcdMembers is too."""
    seen = Seen(members=(asked("node1", "1"),))
    assert seen.says_as(Seen(members=(asked("node1", "1"),)))
    assert not seen.says_as(None)
    assert not seen.says_as(Seen(installed=False, members=seen.members))
    for change in ({"uid": "x"}, {"generation": 2}, {"leave": False}, {"member_id": "2"}, {"joined": "False"}):
        assert not seen.says_as(Seen(members=(asked("node1", "1").model_copy(update=change),)))


def test_word_about_the_member_is_who_it_is_and_whether_it_is_in() -> None:
    """A change of the order leaves it the same; another resource, member, condition or transition does not."""
    one = asked("node1", "1")
    for same in ({"generation": 2}, {"leave": False}):
        assert one.speaks_as(one.model_copy(update=same))
    for other in ({"uid": "x"}, {"member_id": "2"}, {"joined": "False"}, {"since": NOW}):
        assert not one.speaks_as(one.model_copy(update=other))
    assert not one.speaks_as(None)


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


# --- what is true of an EtcdMember -----------------------------------------------------------------------------------


def resource(name: str, member_id: str = "", *, leave: bool = False, joined: str = "True", **status: Any) -> Resource:
    """An EtcdMember; without an ID it has no status."""
    condition = {"type": "Joined", "status": joined, "lastTransitionTime": BEFORE, "message": "m", "novelty": 1}
    told = {"memberID": member_id, "peerAddress": f"10.0.0.{member_id}", "conditions": [condition], "novelty": 2}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"leave": leave},
        **({"status": {**told, **status}} if member_id else {}),
    }


@pytest.mark.parametrize(
    ("told", "truth"),
    [
        (resource("node2", "2"), ("2", True)),
        (resource("node2", "0x0000000000000002"), ("2", True)),
        (resource("other-name", "2"), ("2", True)),
        (resource("node2", "7"), ("2", True)),
        (resource("node2"), ("2", True)),
        (resource("node2", leave=True), ("2", True)),
        # It was meant for the member that is out: who joined under its name is not to be removed.
        (resource("node2", "7", leave=True), ("7", False)),
        (resource("gone", "7"), ("7", False)),
        (resource("gone", "7", leave=True), ("7", False)),
        (resource("gone"), None),
    ],
)
def test_truth_of_a_resource(told: Resource, truth: tuple[str, bool] | None) -> None:
    """By its ID; by its name when that is absent and nobody is asked to leave; absent for good otherwise."""
    found = truth_of(told, THREE.members)
    assert (found and (found.member_id, found.joined)) == truth


def test_name_of_two_members_says_nothing() -> None:
    """Which of the two is meant cannot be known."""
    assert truth_of(resource("twin"), view(("1", "twin"), ("2", "twin")).members) is None


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (resource("node2", "2"), False),
        (resource("node2", "2", joined="False"), True),
        (resource("node2", "2", joined="Unknown"), True),
        (resource("node2", "2", peerAddress="10.9.9.9"), True),
        (resource("node2", "2", peerAddress=""), True),
        (resource("node2", "7"), True),
        (resource("node2"), True),
        (resource("gone", "7"), True),
        (resource("gone", "7", joined="False"), False),
        (resource("gone", "7", joined="False", peerAddress="10.9.9.9"), False),
    ],
)
def test_lie_is_put_right_by_one_patch(told: Resource, wrong: bool) -> None:  # noqa: FBT001  # a column of the table
    """What disagrees with the list agrees after the patch; unknown fields stay, the time moves with the condition."""
    truth = truth_of(told, THREE.members)
    assert truth is not None
    assert disagrees(told, truth) is wrong
    patch = status_for(told, truth, NOW)
    after = {**told, "status": {**told.get("status", {}), **patch}}
    assert not disagrees(after, truth)
    assert says(after) == str(truth.joined)
    (condition,) = after["status"]["conditions"]
    if "status" in told:
        assert after["status"]["novelty"] == 2
        assert condition["novelty"] == 1
        assert condition["lastTransitionTime"] == (BEFORE if says(told) == says(after) else NOW)


def test_note_is_written_only_where_it_is_news_and_true() -> None:
    """One that is out, or has no ID yet, bears none; conditions and other fields are never touched."""
    present = resource("node2", "2", message="old")
    assert noted(present, "new", failed=False) == {"message": "new"}
    assert noted(present, "new", failed=True) == {"message": "new", "reconcileStatus": "Failed"}
    assert noted(present, "old", failed=False) == {}
    assert noted(resource("node2", "2", joined="False"), "new", failed=True) == {}
    assert noted(resource("node2"), "new", failed=False) == {}
    assert noted(resource("node2", "2", peerAddress=""), "new", failed=False) == {}


def test_event_names_its_resource_and_fits() -> None:
    """`kubectl describe` finds it by kind, name and UID; the note is cut to what an Event holds."""
    event = event_for(resource("node2", "2"), News("Failed", "x" * 2000, warning=True), NOW)
    assert event["regarding"]["kind"] == "EtcdMember"
    assert (event["regarding"]["name"], event["regarding"]["uid"]) == ("node2", "uid-node2")
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "Failed", 1024)


def test_event_told_again_is_the_same_event() -> None:
    """With the same `once` the name is the same at any time; without it, or for another resource, never."""
    told = [resource("node2", "2"), resource("node3", "3")]
    once = News("Removed", "gone", once="run 1")
    names = [
        event_for(told[0], once, NOW)["metadata"]["name"],
        event_for(told[1], once, NOW)["metadata"]["name"],
        event_for(told[0], News("Removed", "gone", once="run 2"), NOW)["metadata"]["name"],
        event_for(told[0], News("Removed", "gone"), NOW)["metadata"]["name"],
        event_for(told[0], News("Removed", "gone"), BEFORE)["metadata"]["name"],
    ]
    assert len(set(names)) == len(names)
    assert event_for(told[0], once, BEFORE)["metadata"]["name"] == names[0]

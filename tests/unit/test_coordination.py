"""What EtcdMembers ask for, and what they are made to say between two removals."""

from __future__ import annotations

from typing import Any

import pytest

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
from etcd_handoff.view import ClusterView, MemberView

CLUSTER_ID = "cafe"
NOW = "2026-02-03T04:05:06Z"
BEFORE = "2026-01-01T00:00:00Z"
Resource = dict[str, Any]

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


def test_workflow_id_of_the_watcher_is_the_contract() -> None:
    """Scripts find it by this."""
    assert watch_id("prod") == "etcd-watch/prod"


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

"""What an EtcdMember is made to say, and what of it is not changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_handoff.cluster_view import MemberView
from etcd_handoff.etcdmember import (
    DesiredStatus,
    as_listed,
    conditions_of,
    differs,
    is_object_name,
    joined_condition,
    member_id_of,
    message_fields,
    resource_name,
    status_for,
)
from etcd_handoff.etcdmember_events import EventSpec, event_for
from etcd_handoff.etcdmember_matching import desired_status
from etcd_handoff.etcdmember_messages import MESSAGE_JOINED, MESSAGE_REMOVED, old_generation, old_request

ID = "8211f1d0f64f3269"
BEFORE, NOW, LATER = "2026-01-01T00:00:00Z", "2026-02-03T04:05:06Z", "2026-02-03T04:05:07Z"
REMOVED = DesiredStatus(ID, joined=False, message=MESSAGE_REMOVED)
FAILED = DesiredStatus(ID, joined=True, message="Not removed: node2 does not answer", failed=True)
JOINED = DesiredStatus(ID, joined=True, message=MESSAGE_JOINED)
UNKNOWN = DesiredStatus(ID, joined=None, message="Removal was proposed, not confirmed: no quorum", failed=True)
Resource = dict[str, Any]


def condition(status: str, since: str = BEFORE, **more: str) -> dict[str, str]:
    """The condition Joined."""
    return {
        "type": "Joined",
        "status": status,
        "lastTransitionTime": since,
        "message": MESSAGE_JOINED,
        **more,
    }


def resource(**status: object) -> Resource:
    """An EtcdMember of a member that has joined, as k0s writes it, but for `status`."""
    joined = {"peerAddress": "10.0.0.1", "memberID": ID, "conditions": [condition("True")]}
    return {
        "apiVersion": "etcd.k0sproject.io/v1beta1",
        "kind": "EtcdMember",
        "metadata": {"name": "node0", "resourceVersion": "7"},
        "spec": {"leave": True},
        "status": {**joined, **status},
    }


def patched(before: Resource, patch: dict[str, Any]) -> Resource:
    """`before` after a merge patch of its status: other fields stay, lists are replaced whole."""
    return {**before, "status": {**(before.get("status") or {}), **patch}}


def test_messages_are_those_of_k0s() -> None:
    """Scripts that wait for k0s's words go on working."""
    assert (MESSAGE_REMOVED, MESSAGE_JOINED) == ("Member removed from cluster", "Member joined")


def test_removed_member_says_so() -> None:
    """Joined turns False at the time given, Success and k0s's message beside it."""
    patch = status_for(resource(), REMOVED, NOW)
    assert patch == {
        "reconcileStatus": "Success",
        "message": "Member removed from cluster",
        "conditions": [condition("False", NOW, message="Member removed from cluster")],
    }


def test_failed_removal_says_what_is_true() -> None:
    """The member is still there: Joined stays as it is, the failure and its message stand beside it."""
    patch = status_for(resource(), FAILED, NOW)
    assert patch == {"reconcileStatus": "Failed", "message": "Not removed: node2 does not answer"}


def test_what_is_not_known_is_written_as_unknown() -> None:
    """Nobody could say whether the member is in: the condition says that too, also where there was none."""
    patch = status_for(resource(), UNKNOWN, NOW)
    assert patch["conditions"] == [{**condition("Unknown"), "message": UNKNOWN.message}]
    assert (patch["reconcileStatus"], patch["message"]) == ("Failed", UNKNOWN.message)
    assert status_for({"metadata": {}}, UNKNOWN, NOW)["conditions"][0]["status"] == "Unknown"
    assert differs(resource(), UNKNOWN)
    assert status_for(patched(resource(), patch), UNKNOWN, LATER) == {}


@pytest.mark.parametrize(("truth", "status"), [(JOINED, "True"), (REMOVED, "False")])
def test_what_was_not_known_is_corrected(truth: DesiredStatus, status: str) -> None:
    """A resync finds that it differs. A member that was in all the time has not joined anew."""
    unknown = patched(resource(), status_for(resource(), UNKNOWN, NOW))
    assert differs(unknown, truth)
    after = patched(unknown, status_for(unknown, truth, LATER))
    assert joined_condition(after) == status
    since = conditions_of(resource())[0]["lastTransitionTime"] if truth is JOINED else LATER
    assert conditions_of(after)[0]["lastTransitionTime"] == since


def test_member_that_was_out_has_not_been_in_all_the_time() -> None:
    """From False to Unknown the time moves, and it moves for another member."""
    out = patched(resource(), status_for(resource(), REMOVED, NOW))
    assert conditions_of(patched(out, status_for(out, UNKNOWN, LATER)))[0]["lastTransitionTime"] == LATER
    other = DesiredStatus("d1", joined=None, message="x")
    assert status_for(resource(), other, LATER)["conditions"][0]["lastTransitionTime"] == LATER


def test_removal_after_a_failed_one_clears_the_failure() -> None:
    """Nothing of the failure is left."""
    before = patched(resource(), status_for(resource(), FAILED, NOW))
    after = patched(before, status_for(before, REMOVED, LATER))
    assert after["status"]["reconcileStatus"] == "Success"
    assert after["status"]["message"] == MESSAGE_REMOVED
    assert joined_condition(after) == "False"


def test_member_that_is_back_is_joined_again() -> None:
    """False turns True, with a new time of transition."""
    before = patched(resource(), status_for(resource(), REMOVED, NOW))
    assert status_for(before, JOINED, LATER)["conditions"] == [condition("True", LATER)]


@pytest.mark.parametrize("status", [None, {}])
def test_resource_without_a_status_gets_a_whole_one(status: dict[str, Any] | None) -> None:
    """All that the schema requires is written, the peer address without scheme and port."""
    truth = DesiredStatus(
        ID, joined=True, message=MESSAGE_JOINED, peer_urls=("https://10.0.0.1:2380", "https://10.1.0.1:2380")
    )
    bare_ones: tuple[Resource, ...] = ({"metadata": {}, "status": status}, {"metadata": {}})
    for bare in bare_ones:
        patch = status_for(bare, truth, NOW)
        assert set(patch) == {"memberID", "peerAddress", "reconcileStatus", "message", "conditions"}
        assert patch["memberID"] == ID
        assert patch["peerAddress"] == "10.0.0.1"
        assert patch["conditions"] == [condition("True", NOW)]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://10.0.0.1:2380", "10.0.0.1"),
        ("http://node0.example:2380", "node0.example"),
        ("https://[fd00::1]:2380", "fd00::1"),
        ("https://[FD00::A]:2380", "FD00::A"),
        ("https://Node0.example", "Node0.example"),
    ],
)
def test_peer_address_is_bare(url: str, address: str) -> None:
    """A host alone, as k0s writes it: no scheme, no port, no brackets, and letters as they are."""
    truth = DesiredStatus(ID, joined=True, message=MESSAGE_JOINED, peer_urls=(url,))
    assert status_for({"metadata": {}}, truth, NOW)["peerAddress"] == address
    assert not differs(resource(peerAddress=address), truth)


def test_peer_address_of_a_member_that_is_out_is_kept() -> None:
    """It says where the member was; there is nobody left to ask for a better one."""
    truth = DesiredStatus(ID, joined=False, message=MESSAGE_REMOVED, peer_urls=("https://10.9.9.9:2380",))
    assert "peerAddress" not in status_for(resource(), truth, NOW)


def test_peer_address_follows_a_member_that_moved() -> None:
    """While it is a member, etcd's list is right about it."""
    truth = DesiredStatus(ID, joined=True, message=MESSAGE_JOINED, peer_urls=("https://10.9.9.9:2380",))
    assert differs(resource(), truth)
    assert status_for(resource(), truth, NOW)["peerAddress"] == "10.9.9.9"


def test_unknown_peer_address_is_an_empty_text() -> None:
    """The schema requires the field; unknown is said by an empty one, and said once."""
    before: Resource = {"metadata": {}}
    patch = status_for(before, REMOVED, NOW)
    assert patch["peerAddress"] == ""
    assert status_for(patched(before, patch), REMOVED, LATER) == {}


def test_other_member_id_is_replaced() -> None:
    """The resource describes the member that the truth is about."""
    assert status_for(resource(memberID="1"), REMOVED, NOW)["memberID"] == ID


def test_unknown_fields_are_left_alone() -> None:
    """What a newer k0s may have written is not touched: not named in the patch, kept inside conditions."""
    other = {"type": "Ready", "status": "True", "lastTransitionTime": BEFORE, "observedGeneration": 3}
    joined = condition("True", reason="Because", observedGeneration="3")
    before = resource(conditions=[other, joined, {"type": "Last"}], novelty={"a": 1})
    patch = status_for(before, REMOVED, NOW)
    assert "novelty" not in patch
    assert patch["conditions"][0] == other
    assert patch["conditions"][2] == {"type": "Last"}
    assert patch["conditions"][1]["reason"] == "Because"
    assert patch["conditions"][1]["observedGeneration"] == "3"


def test_transition_time_moves_only_with_the_status() -> None:
    """A new message at the same status keeps the time; a new status takes the new one."""
    before = resource(conditions=[condition("False", BEFORE, message="No such member ID")])
    (same,) = status_for(before, REMOVED, NOW)["conditions"]
    assert (same["message"], same["lastTransitionTime"]) == (MESSAGE_REMOVED, BEFORE)
    (turned,) = status_for(resource(), REMOVED, NOW)["conditions"]
    assert turned["lastTransitionTime"] == NOW


@pytest.mark.parametrize("since", [None, ""])
def test_missing_transition_time_is_filled(since: str | None) -> None:
    """A condition without a time gets the present one."""
    before = resource(conditions=[{**condition("False"), "lastTransitionTime": since}])
    assert status_for(before, REMOVED, NOW)["conditions"][0]["lastTransitionTime"] == NOW


CONDITIONS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["Joined", "Ready", "Other"])},
        optional={
            "status": st.sampled_from(["True", "False", "Unknown"]),
            "lastTransitionTime": st.sampled_from([BEFORE, None]),
            "message": st.text(max_size=5),
            "novelty": st.integers(),
        },
    ),
    max_size=4,
    unique_by=lambda c: c["type"],
)
RESOURCES = st.fixed_dictionaries(
    {"metadata": st.just({"name": "node0"})},
    optional={
        "status": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "memberID": st.sampled_from(["", ID, "1"]),
                "peerAddress": st.sampled_from(["", "10.0.0.1"]),
                "reconcileStatus": st.sampled_from(["", "Success", "Failed"]),
                "message": st.text(max_size=5),
                "conditions": st.none() | CONDITIONS,
                "novelty": st.integers(),
            },
        )
    },
)


MOVED = DesiredStatus(ID, joined=True, message=MESSAGE_JOINED, peer_urls=("https://10.9.9.9:2380",))
GONE = DesiredStatus(ID, joined=False, message=MESSAGE_REMOVED, peer_urls=("https://10.9.9.9:2380",))


@given(RESOURCES, st.sampled_from([REMOVED, FAILED, JOINED, MOVED, GONE]))
def test_status_is_true_after_one_patch_and_the_second_is_empty(before: Resource, truth: DesiredStatus) -> None:
    """Whatever stood there: one patch tells the truth, a second has nothing to write, the rest stays."""
    kept = copy.deepcopy(before)
    patch = status_for(before, truth, NOW)
    after = patched(before, patch)
    assert before == kept
    assert status_for(after, truth, LATER) == {}
    assert not differs(after, truth)
    assert joined_condition(after) == str(truth.joined)
    assert member_id_of(after) == truth.member_id
    assert after["status"]["message"] == truth.message
    old = before.get("status") or {}
    assert after["status"].get("novelty") == old.get("novelty")
    others = [c for c in old.get("conditions") or [] if c["type"] != "Joined"]
    assert [c for c in after["status"]["conditions"] if c["type"] != "Joined"] == others


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (ID, ID),
        (ID.upper(), ID),
        (f"0x{ID}", ID),
        (f"0X{ID.upper()}", ID),
        ("00c0ffee", "c0ffee"),
        ("0x00c0ffee", "c0ffee"),
        ("", ""),
        (None, ""),
    ],
)
def test_member_id_is_read_in_one_form(written: str | None, read: str) -> None:
    """Lower case, without 0x and padding, however it is written; empty when there is none."""
    assert member_id_of(resource(memberID=written)) == read


@pytest.mark.parametrize("without", [{}, {"status": None}, {"status": {}}])
def test_resource_without_a_status_knows_nothing(without: Resource) -> None:
    """No member ID, and Joined is Unknown."""
    assert member_id_of(without) == ""
    assert joined_condition(without) == "Unknown"


def test_says_reads_the_condition_joined_alone() -> None:
    """Other conditions say nothing about membership."""
    assert joined_condition(resource(conditions=[{"type": "Ready", "status": "True"}])) == "Unknown"
    assert joined_condition(resource(conditions=[{"type": "Ready", "status": "True"}, condition("False")])) == "False"


def test_resource_is_named_like_its_node() -> None:
    """As k0s does it: the host name, lower case and without space around it."""
    assert resource_name(" Node0.Example ") == "node0.example"


# --- what is true of an EtcdMember -----------------------------------------------------------------------------------


def etcdmember(name: str, member_id: str = "", *, leave: bool = False, joined: str = "True", **status: Any) -> Resource:
    """An EtcdMember; without an ID it has no status."""
    condition = {"type": "Joined", "status": joined, "lastTransitionTime": BEFORE, "message": "m", "novelty": 1}
    fields = {"memberID": member_id, "peerAddress": f"10.0.0.{member_id}", "conditions": [condition], "novelty": 2}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"leave": leave},
        **({"status": {**fields, **status}} if member_id else {}),
    }


def members(*listed: tuple[str, str]) -> tuple[MemberView, ...]:
    """A member list by ID and name."""
    return tuple(MemberView(id=i, name=name, peer_urls=(f"http://10.0.0.{i}:2380",)) for i, name in listed)


THREE = members(("1", "node1"), ("2", "node2"), ("3", "node3"), ("e000000000000000", ""), ("64", ""))


@pytest.mark.parametrize(
    ("stored", "truth"),
    [
        (etcdmember("node2", "2"), ("2", True)),
        (etcdmember("node2", "0x0000000000000002"), ("2", True)),
        (etcdmember("other-name", "2"), ("2", True)),
        (etcdmember("node2", "7"), ("2", True)),
        (etcdmember("node2"), ("2", True)),
        (etcdmember("node2", leave=True), ("2", True)),
        # Joined again under a flag that was meant for the member that has left: it is a member all the same.
        (etcdmember("node2", "7", leave=True), ("2", True)),
        (etcdmember("node2", "7", leave=True, joined="False"), ("2", True)),
        (etcdmember("node2", "3", leave=True), ("2", True)),
        # In decimal, as etcd's gateway writes it, and what is no ID at all.
        (etcdmember("gone", "12345678901234567890"), ("ab54a98ceb1f0ad2", False)),
        (etcdmember("other-name", "16140901064495857664"), ("e000000000000000", True)),
        (etcdmember("other-name", "100"), ("64", True)),
        (etcdmember("node2", "node2"), ("2", True)),
        (etcdmember("gone", "node2"), None),
        (etcdmember("gone", "123456789012345678901"), None),
        (etcdmember("gone", "7"), ("7", False)),
        (etcdmember("gone", "7", leave=True), ("7", False)),
        (etcdmember("gone"), None),
    ],
)
def test_truth_of_a_resource(stored: Resource, truth: tuple[str, bool] | None) -> None:
    """The only member of its name, else the one whose ID it carries; otherwise that ID has left for good."""
    found = desired_status(stored, THREE)
    assert (found and (found.member_id, found.joined)) == truth


def test_name_of_two_members_says_nothing() -> None:
    """Which of the two is meant cannot be known."""
    assert desired_status(etcdmember("twin"), members(("1", "twin"), ("2", "twin"))) is None


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [
        (etcdmember("node2", "2"), False),
        (etcdmember("node2", "2", joined="False"), True),
        (etcdmember("node2", "2", joined="Unknown"), True),
        (etcdmember("node2", "2", peerAddress="10.9.9.9"), True),
        (etcdmember("node2", "2", peerAddress=""), True),
        (etcdmember("node2", "7"), True),
        (etcdmember("node2"), True),
        (etcdmember("gone", "7"), True),
        (etcdmember("gone", "7", joined="False"), False),
        (etcdmember("gone", "7", joined="False", peerAddress="10.9.9.9"), False),
    ],
)
def test_lie_is_put_right_by_one_patch(stored: Resource, wrong: bool) -> None:  # noqa: FBT001  # a column of the table
    """What disagrees with the list agrees after the patch; unknown fields stay, the time moves with the condition."""
    truth = desired_status(stored, THREE)
    assert truth is not None
    assert differs(stored, truth) is wrong
    patch = status_for(stored, truth, NOW)
    after = {**stored, "status": {**stored.get("status", {}), **patch}}
    assert not differs(after, truth)
    assert joined_condition(after) == str(truth.joined)
    (condition,) = after["status"]["conditions"]
    if "status" in stored:
        assert after["status"]["novelty"] == 2
        assert condition["novelty"] == 1
        same = (
            joined_condition(stored) in (joined_condition(after), "Unknown") and member_id_of(stored) == truth.member_id
        )
        assert condition["lastTransitionTime"] == (BEFORE if same else NOW)


def test_note_is_written_only_where_it_is_news_and_true() -> None:
    """One that has left, or has no ID yet, bears none; conditions and other fields are never touched."""
    present = etcdmember("node2", "2", message="old")
    assert message_fields(present, "new", failed=False) == {"message": "new"}
    assert message_fields(present, "new", failed=True) == {"message": "new", "reconcileStatus": "Failed"}
    assert message_fields(present, "old", failed=False) == {}
    assert message_fields(etcdmember("node2", "2", joined="False"), "new", failed=True) == {}
    assert message_fields(etcdmember("node2"), "new", failed=False) == {}
    assert message_fields(etcdmember("node2", "2", peerAddress=""), "new", failed=False) == {}


def test_event_names_its_resource_and_fits() -> None:
    """`kubectl describe` finds it by kind, name and UID; the note is cut to what an Event holds."""
    event = event_for(etcdmember("node2", "2"), EventSpec("Failed", "x" * 2000, warning=True), NOW)
    assert event["regarding"]["kind"] == "EtcdMember"
    assert (event["regarding"]["name"], event["regarding"]["uid"]) == ("node2", "uid-node2")
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "Failed", 1024)


def test_event_told_again_is_the_same_event() -> None:
    """With the same `once` the name is the same at any time; without it, or for another resource, never."""
    stored = [etcdmember("node2", "2"), etcdmember("node3", "3")]
    once = EventSpec("Removed", "gone", once="run 1")
    names = [
        event_for(stored[0], once, NOW)["metadata"]["name"],
        event_for(stored[1], once, NOW)["metadata"]["name"],
        event_for(stored[0], EventSpec("Removed", "gone", once="run 2"), NOW)["metadata"]["name"],
        event_for(stored[0], EventSpec("Removed", "gone"), NOW)["metadata"]["name"],
        event_for(stored[0], EventSpec("Removed", "gone"), BEFORE)["metadata"]["name"],
    ]
    assert len(set(names)) == len(names)
    assert event_for(stored[0], once, BEFORE)["metadata"]["name"] == names[0]


def test_decimal_id_is_corrected_to_hex() -> None:
    """The member is the same, so its condition keeps its time."""
    stored = etcdmember("other-name", "16140901064495857664", peerAddress="")
    truth = desired_status(stored, THREE)
    assert truth is not None
    assert differs(stored, truth)
    patch = status_for(stored, truth, NOW)
    assert patch["memberID"] == "e000000000000000"
    assert patch["conditions"][0]["lastTransitionTime"] == BEFORE


def test_decimal_id_counts_only_where_no_member_has_it_in_hex() -> None:
    """Ten hex digits may all be below ten."""
    assert as_listed("100", members(("64", ""), ("100", ""))) == "100"
    assert as_listed("100", members(("64", ""))) == "64"
    assert as_listed("100", ()) == "100"


def test_condition_of_another_member_has_a_new_time() -> None:
    """A node that joined again has not been a member since its predecessor joined."""
    stored = etcdmember("node2", "7")
    truth = desired_status(stored, THREE)
    assert truth is not None
    assert status_for(stored, truth, NOW)["conditions"][0]["lastTransitionTime"] == NOW


def test_old_request_names_whom_it_was_for_and_what_to_do() -> None:
    """It begins as the message of every present member does, for scripts that wait for that."""
    assert old_request("7", 5).startswith(f"{MESSAGE_JOINED}; ")
    assert "for member 7: take it back, and set it again to remove this member" in old_request("7", 5)
    assert " for member" not in old_request("", 5)
    assert (old_generation(old_request("7", 5)), old_generation(old_request("", 12))) == (5, 12)
    assert old_generation(old_request("7", 5).removesuffix(" (generation 5)")) is None
    assert old_generation("Not removed: something else (generation 5)") is None


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("node0.example", True),
        ("a", True),
        ("a" * 253, True),
        ("a" * 254, False),
        ("", False),
        ("node_0", False),
        ("-node", False),
        ("node.", False),
        ("a..b", False),
        ("n\u00f6de", False),
        ("node0\n", False),
    ],
)
def test_names_that_an_object_can_have(name: str, good: bool) -> None:  # noqa: FBT001  # a column of the table
    """DNS subdomains, as the API server checks them."""
    assert is_object_name(name) is good

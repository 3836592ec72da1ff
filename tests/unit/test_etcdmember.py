"""What an EtcdMember is made to say, and what of it is left alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_handoff.etcdmember import (
    MESSAGE_JOINED,
    MESSAGE_REMOVED,
    Truth,
    disagrees,
    member_id_of,
    resource_name,
    says,
    status_for,
)

ID = "8211f1d0f64f3269"
BEFORE, NOW, LATER = "2026-01-01T00:00:00Z", "2026-02-03T04:05:06Z", "2026-02-03T04:05:07Z"
REMOVED = Truth(ID, joined=False, message=MESSAGE_REMOVED)
FAILED = Truth(ID, joined=True, message="Not removed: node2 does not answer", failed=True)
JOINED = Truth(ID, joined=True, message=MESSAGE_JOINED)
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


def test_removal_after_a_failed_one_clears_the_failure() -> None:
    """Nothing of the failure is left."""
    before = patched(resource(), status_for(resource(), FAILED, NOW))
    after = patched(before, status_for(before, REMOVED, LATER))
    assert after["status"]["reconcileStatus"] == "Success"
    assert after["status"]["message"] == MESSAGE_REMOVED
    assert says(after) == "False"


def test_member_that_is_back_is_joined_again() -> None:
    """False turns True, with a new time of transition."""
    before = patched(resource(), status_for(resource(), REMOVED, NOW))
    assert status_for(before, JOINED, LATER)["conditions"] == [condition("True", LATER)]


@pytest.mark.parametrize("status", [None, {}])
def test_resource_without_a_status_gets_a_whole_one(status: dict[str, Any] | None) -> None:
    """All that the schema requires is written, the peer address without scheme and port."""
    truth = Truth(ID, joined=True, message=MESSAGE_JOINED, peer_urls=("https://10.0.0.1:2380", "https://10.1.0.1:2380"))
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
    ],
)
def test_peer_address_is_bare(url: str, address: str) -> None:
    """A host alone, as k0s writes it: no scheme, no port, no brackets."""
    truth = Truth(ID, joined=True, message=MESSAGE_JOINED, peer_urls=(url,))
    assert status_for({"metadata": {}}, truth, NOW)["peerAddress"] == address
    assert not disagrees(resource(peerAddress=address), truth)


def test_peer_address_of_a_member_that_is_out_is_kept() -> None:
    """It says where the member was; there is nobody left to ask for a better one."""
    truth = Truth(ID, joined=False, message=MESSAGE_REMOVED, peer_urls=("https://10.9.9.9:2380",))
    assert "peerAddress" not in status_for(resource(), truth, NOW)


def test_peer_address_follows_a_member_that_moved() -> None:
    """While it is a member, etcd's list is right about it."""
    truth = Truth(ID, joined=True, message=MESSAGE_JOINED, peer_urls=("https://10.9.9.9:2380",))
    assert disagrees(resource(), truth)
    assert status_for(resource(), truth, NOW)["peerAddress"] == "10.9.9.9"


def test_unknown_peer_address_is_an_empty_text() -> None:
    """The schema requires the field; unknown is said by an empty one, and said once."""
    before: Resource = {"metadata": {}}
    patch = status_for(before, REMOVED, NOW)
    assert patch["peerAddress"] == ""
    assert status_for(patched(before, patch), REMOVED, LATER) == {}


def test_other_member_id_is_replaced() -> None:
    """The resource speaks of the member that the truth is about."""
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


MOVED = Truth(ID, joined=True, message=MESSAGE_JOINED, peer_urls=("https://10.9.9.9:2380",))
GONE = Truth(ID, joined=False, message=MESSAGE_REMOVED, peer_urls=("https://10.9.9.9:2380",))


@given(RESOURCES, st.sampled_from([REMOVED, FAILED, JOINED, MOVED, GONE]))
def test_status_is_true_after_one_patch_and_the_second_is_empty(before: Resource, truth: Truth) -> None:
    """Whatever stood there: one patch tells the truth, a second has nothing to write, the rest stays."""
    kept = copy.deepcopy(before)
    patch = status_for(before, truth, NOW)
    after = patched(before, patch)
    assert before == kept
    assert status_for(after, truth, LATER) == {}
    assert not disagrees(after, truth)
    assert says(after) == str(truth.joined)
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
    assert says(without) == "Unknown"


def test_says_reads_the_condition_joined_alone() -> None:
    """Other conditions say nothing about membership."""
    assert says(resource(conditions=[{"type": "Ready", "status": "True"}])) == "Unknown"
    assert says(resource(conditions=[{"type": "Ready", "status": "True"}, condition("False")])) == "False"


def test_resource_is_named_like_its_node() -> None:
    """As k0s does it: the host name, lower case and without space around it."""
    assert resource_name(" Node0.Example ") == "node0.example"

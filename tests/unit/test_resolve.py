"""Which member a name, an ID or a peer URL means."""

from __future__ import annotations

import pytest

from etcd_handoff.cluster_view import MemberView
from etcd_handoff.planning import (
    Ambiguous,
    NotFound,
    canonical_id,
    is_member_id,
    resolve,
)
from tests.unit.builders import A, B, C, D, cluster, down, member

# --- resolve ----------------------------------------------------------------------------------------------------------

NAMED = cluster(member(A), member(B), member("a0b", name="a b"), member("c0ffee"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("node0", A),
        (A, A),
        (f"0x{A}", A),
        (A.upper(), A),
        (f"0X{A.upper()}", A),
        ("c0ffee", "c0ffee"),
        ("0000000000c0ffee", "c0ffee"),
        ("0x0000000000c0ffee", "c0ffee"),
        ("a b", "a0b"),
        ("a0b", "a0b"),
    ],
)
def test_member_is_found_by_name_or_id(name: str, found: str) -> None:
    """A name as it is written; an ID in either case, with or without 0x and leading zeros."""
    answer = resolve(NAMED, name)
    assert isinstance(answer, MemberView)
    assert answer.id == found


@pytest.mark.parametrize(
    "name", ["node9", "NODE 0", "node", "1234", "0x", "0", "c0ffee0", f"0{A}0", "-c0ffee", "", " ", "9" * 5_000]
)
def test_unknown_member_is_not_found(name: str) -> None:
    """Nothing is guessed, and the members that there are get named, the nameless by ID alone."""
    answer = resolve(cluster(member(A), member("c0ffee")), name)
    assert answer == NotFound((f"node0 ({A})", "c0ffee (c0ffee)"))


def test_two_members_of_one_name_are_ambiguous() -> None:
    """Etcd allows equal names; ID, peer and state tell which is meant."""
    dead = down(B, name="twin", peer_urls=("http://10.0.0.2:2380",))
    view = cluster(member(A, name="twin", peer_urls=("http://10.0.0.1:2380",)), dead, member(C))
    twins = (f"{A} (twin, 10.0.0.1:2380, healthy)", f"{B} (twin, 10.0.0.2:2380, connection refused)")
    assert resolve(view, "twin") == Ambiguous(twins)


@pytest.mark.parametrize("name", ["10.0.0.2:2380", "[fd00::2]:2380"])
def test_member_is_found_by_host_and_port_of_a_peer_url(name: str) -> None:
    """Where name and ID of two members are each other's, the peer URL still tells them apart."""
    peers = ("http://10.0.0.2:2380", "https://[fd00::2]:2380")
    answer = resolve(cluster(member(A, name=B, peer_urls=("http://10.0.0.1:2380",)), member(B, peer_urls=peers)), name)
    assert isinstance(answer, MemberView)
    assert answer.id == B


@pytest.mark.parametrize("name", ["NODE0", "Node0", "node0 ", " node0"])
def test_name_in_other_letter_case_is_found(name: str) -> None:
    """Names of EtcdMembers are lower case, and so are taken for the member's."""
    answer = resolve(cluster(member(A), member(B)), name)
    assert isinstance(answer, MemberView)
    assert answer.id == A


def test_exact_name_goes_before_one_in_other_letter_case() -> None:
    """Only where nobody has exactly that name may it be another; two such are ambiguous."""
    view = cluster(member(A), member(B, name="NODE0"), member(C, name="Node1"), member(D, name="nodE1"))
    assert resolve(view, "NODE0") == view.member(B)
    assert isinstance(resolve(view, "NODE1"), Ambiguous)


def test_decimal_id_is_not_taken_but_told_in_hex() -> None:
    """Some tools print decimal IDs; it is not guessed that one is meant."""
    answer = resolve(NAMED, str(int(A, 16)))
    assert isinstance(answer, NotFound)
    assert answer.hint == f"that is decimal; in hex it is {A} (node0)"


def test_member_that_has_not_started_is_found_by_id_alone() -> None:
    """It has no name, and an empty one is nobody's."""
    view = cluster(member(A), down(B, name=""))
    assert resolve(view, "") == NotFound((f"node0 ({A})", f"{B} ({B})"))
    assert resolve(view, B) == view.member(B)


def test_name_that_is_another_members_id_is_ambiguous() -> None:
    """Whether the name or the ID is meant is not guessed."""
    view = cluster(member(A), member(B, name=A))
    assert resolve(view, A) == Ambiguous((f"{A} (node0, healthy)", f"{B} ({A}, healthy)"))


def test_name_that_is_its_own_id_is_not_ambiguous() -> None:
    """Name and ID of one member fit once."""
    answer = resolve(cluster(member(A, name=A), member(B)), A)
    assert isinstance(answer, MemberView)
    assert answer.id == A


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0x1F", "1f"),
        ("00001f", "1f"),
        ("0", "0"),
        ("0000", "0"),
        ("f" * 16, "f" * 16),
        ("0x" + "0" * 8 + "f" * 16, "f" * 16),
        ("f" * 17, "f" * 17),
        ("0x", "0x"),
        ("node0", "node0"),
        ("Node0", "Node0"),
        ("", ""),
    ],
)
def test_id_has_one_form(text: str, canonical: str) -> None:
    """Lower case, no prefix, no padding; what is no uint64 in hex comes back as it is."""
    assert canonical_id(text) == canonical
    assert canonical_id(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("1f", True),
        ("f" * 16, True),
        ("", False),
        ("f" * 17, False),
        ("1F", False),
        ("0", True),
        ("00ff", False),
        ("00", False),
        ("0x1", False),
        ("g", False),
    ],
)
def test_member_id_is_told_from_other_text(text: str, is_id: bool) -> None:  # noqa: FBT001  # a table's column
    """Up to 16 lowercase hex digits without padding, which `canonical_id` takes away, and nothing else."""
    if is_id:
        assert canonical_id(text) == text
    assert is_member_id(text) is is_id

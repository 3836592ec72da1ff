"""Which EtcdMember belongs to which member: both tables case by case, and what holds in every small world."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.cluster_view import MemberView
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.etcdmember_matching import (
    claim_of,
    desired_status,
    member_of,
    resource_asked_for,
    resource_of,
    without_resource,
)
from tests.unit.builders import claim

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN, OTHER, GONE = "a1", "b2", "dead"


def members(*pairs: tuple[str, str]) -> tuple[MemberView, ...]:
    """A member list, by name and ID."""
    return tuple(MemberView(id=member_id, name=name) for name, member_id in pairs)


@pytest.mark.parametrize(
    ("listed", "member_id", "found"),
    [
        # One member of the EtcdMember's name: that one, whatever ID the EtcdMember has.
        (members(("node0", OWN)), OWN, OWN),
        (members(("Node0", OWN)), OWN, OWN),
        (members(("node0", OWN)), "", OWN),
        (members(("node0", OWN)), GONE, OWN),
        (members(("node0", OWN), ("node1", OTHER)), OTHER, OWN),
        # None of that name.
        (members(("node1", OTHER)), OTHER, OTHER),
        (members(("", OTHER)), OTHER, OTHER),
        (members(("node1", OTHER)), GONE, None),
        (members(("node1", OTHER)), "", None),
        (members(("", OTHER)), "", None),
        ((), GONE, None),
        # Two of that name.
        (members(("node0", OWN), ("NODE0", OTHER)), OTHER, OTHER),
        (members(("node0", OWN), ("NODE0", OTHER)), GONE, None),
        (members(("node0", OWN), ("NODE0", OTHER)), "", None),
    ],
)
def test_member_of_an_etcdmember(listed: tuple[MemberView, ...], member_id: str, found: str | None) -> None:
    """Each row of the first table."""
    member = member_of("node0", member_id, listed)
    assert (member.id if member else None) == found


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        # One of the member's name, with its ID or none.
        ([claim("node0", OWN)], "node0"),
        ([claim("node0")], "node0"),
        ([claim("node0"), claim("x", OWN)], "node0"),
        # One of the member's name that is another member's.
        ([claim("node0", OTHER), claim("x", OWN)], "x"),
        ([claim("node0", OTHER)], None),
        ([claim("node0", OTHER), claim("x"), claim("y", GONE)], None),
        # None of the member's name.
        ([claim("x", OWN)], "x"),
        ([claim("x", OTHER), claim("y")], None),
        ([], None),
    ],
)
@pytest.mark.parametrize("name", ["node0", "NODE0", " node0 "])
def test_etcdmember_of_a_member(name: str, claims: list[ResourceClaim], found: str | None) -> None:
    """Each row of the second table, in whichever order they are listed."""
    for order in itertools.permutations(claims):
        resource = resource_of(name, OWN, order)
        assert (resource.name if resource else None) == found


def test_member_that_has_not_started_is_found_by_its_id_alone() -> None:
    """An empty name fits no EtcdMember."""
    assert resource_of("", OWN, [claim("node0"), claim("x", OWN)]) == claim("x", OWN)
    assert resource_of("", OWN, [claim("node0")]) is None


@pytest.mark.parametrize(
    ("text", "claims", "found"),
    [
        ("node0", [claim("node0", OTHER), claim("x", OWN)], "node0"),
        ("Node0", [claim("node0", OTHER)], "node0"),
        (OWN, [claim("x", OWN)], "x"),
        (OWN, [claim("x", OWN), claim(OWN, OTHER)], OWN),
        ("", [claim("x")], None),
        ("node9", [claim("x")], None),
    ],
)
def test_etcdmember_that_an_operator_means(text: str, claims: list[ResourceClaim], found: str | None) -> None:
    """By its name before its ID, since a name may look like an ID."""
    resource = resource_asked_for(text, text, claims)
    assert (resource.name if resource else None) == found


def test_members_without_an_etcdmember() -> None:
    """Neither their name nor their ID stands on one; who has not started cannot have one."""
    listed = members(("Node0", OWN), ("node1", OTHER), ("node2", GONE), ("", "c3"))
    assert without_resource(listed, [claim("node0", "x"), claim("y", OTHER)]) == [listed[2]]
    assert without_resource(listed, []) == list(listed[:3])


NAMES: Final = ("n", "m")
IDS: Final = ("1", "2", "3")


def worlds() -> Iterator[tuple[tuple[MemberView, ...], tuple[ResourceClaim, ...]]]:
    """Up to two listed members, and up to two EtcdMembers that say anything."""
    for names in itertools.product(("", *NAMES), repeat=2):
        for count in range(3):
            listed = members(*zip(names[:count], IDS, strict=False))
            for ids in itertools.product((None, "", *IDS), repeat=2):
                yield listed, tuple(claim(n, i) for n, i in zip(NAMES, ids, strict=True) if i is not None)


def test_both_tables_agree_in_every_small_world() -> None:
    """Where an EtcdMember has a member's ID, each is the other's; no member has the ID of a removed one."""
    count = 0
    for listed, claims in worlds():
        count += 1
        for one in claims:
            member = member_of(one.name, one.member_id, listed)
            if member is None:
                assert one.member_id not in {m.id for m in listed}
            elif one.member_id == member.id:
                assert resource_of(member.name, member.id, claims) is not None
            else:
                assert member.name.lower() == one.name
        for member in listed:
            resource = resource_of(member.name, member.id, claims)
            if resource is not None:
                assert resource.member_id in ("", member.id)
                assert resource.member_id or resource.name == member.name
            if member in without_resource(listed, claims):
                assert resource is None
    assert count > 500


def test_claim_is_what_the_status_says() -> None:
    """A decimal ID is read by the member list; without a status nothing is claimed."""
    status = {"memberID": "1234", "conditions": [{"type": "Joined", "status": "True"}]}
    resource = {"metadata": {"name": "node0"}, "status": status}
    assert claim_of(resource, members(("node0", "4d2"))) == claim("node0", "4d2")
    assert claim_of({"metadata": {"name": "node0"}}) == ResourceClaim(name="node0")
    desired = desired_status(resource, members(("node0", "4d2")))
    assert desired is not None
    assert (desired.member_id, desired.joined) == ("4d2", True)

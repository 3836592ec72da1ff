"""When two peer URLs are the same one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from etcd_handoff import peer_url
from etcd_handoff.contract import DesiredMember, MembershipRequest
from etcd_handoff.planning import AddLearner, Joiner, MemberPresent, MembersChanged, PromoteLearner, Refused, plan
from tests.unit.builders import CLUSTER, A, B, C, D, cluster, member
from tests.unit.changes import learner, node, nodes, replacement

ALIKE = [
    ("http://node1:2380", "HTTP://NODE1:2380", "http://node1:2380/", " http://Node1:02380"),
    ("https://10.0.0.1:443", "https://10.0.0.1", "https://10.0.0.1:443/"),
    ("http://[fd00::1]:2380", "http://[FD00:0:0::0001]:2380", "http://[fd00:0000:0000:0000:0000:0000:0000:1]:2380/"),
    ("http://10.0.0.1:2380", "http://[::ffff:10.0.0.1]:2380", "http://[::ffff:a00:1]:2380"),
    ("http://[fe80::1%25eth0]:2380", "HTTP://[FE80:0::1%25eth0]:2380"),
]
OTHERS = [
    "http://node1:2380",
    "https://node1:2380",
    "http://node1:2381",
    "http://node1.:2380",
    "http://node1.example:2380",
    "http://10.0.0.1:2380",
    "http://[fd00::1]:2380",
    "http://node1:2380/path",
    "http://ann@node1:2380",
    "http://node1:2380?a=b",
    "unix://node1:2380",
    "http://[fd00::1:2380",
    "http://node1:99999",
    "",
]


@pytest.mark.parametrize("urls", ALIKE)
def test_spellings_of_one_url_are_the_same(urls: tuple[str, ...]) -> None:
    """Case, zeros, the port that is meant anyway, a slash; and the form stays as it is when it is taken again."""
    assert len({*map(peer_url.canonical, urls)}) == 1
    assert peer_url.same(urls[:1], urls)
    assert peer_url.canonical(peer_url.canonical(urls[0])) == peer_url.canonical(urls[0])


def test_urls_that_may_mean_something_else_differ() -> None:
    """No name is looked up, and nothing that is no plain URL is healed."""
    assert len({*map(peer_url.canonical, OTHERS)}) == len(OTHERS)


def test_what_two_have_in_common_is_told_as_the_first_has_it() -> None:
    """People find what they have typed."""
    assert peer_url.shared(("http://B:1", "http://a:1"), ("http://b:1", "http://c:1")) == ("http://B:1",)


def test_learner_in_another_spelling_is_found_again() -> None:
    """It would be added twice else, and etcd, which compares text, would let it."""
    view = cluster(*nodes(0, 1, 2).members, learner(3, peer_urls=("HTTP://NODE3:2380",)))
    assert isinstance(plan(view, MemberPresent(CLUSTER, "node3", ("http://node3:2380",))), PromoteLearner)
    goal = MembersChanged(CLUSTER, (Joiner("node3", ("http://node3:2380",)),))
    found = goal.member_in(view, goal.joins[0])
    assert found is not None
    assert found.id == D


def test_peer_url_of_another_member_is_refused_in_any_spelling() -> None:
    """Two members would fight for one port."""
    view = cluster(member(A), member(B), member(C, peer_urls=("http://[fd00:0::1]:2380",)))
    for goal in (
        MemberPresent(CLUSTER, "node3", ("http://[fd00::1]:2380",)),
        MembersChanged(CLUSTER, (Joiner("node3", ("http://[fd00::1]:2380",)),)),
    ):
        decision = plan(view, goal)
        assert isinstance(decision, Refused)
        assert "http://[fd00::1]:2380" in decision.seen
    assert isinstance(plan(view, MemberPresent(CLUSTER, "node3", ("http://[fd00::2]:2380",))), AddLearner)


def test_replacement_at_the_same_address_is_seen_as_one_in_any_spelling() -> None:
    """The old member leaves first."""
    request = replacement(old="node0", new=0).state.request
    assert request.of_parts
    view = cluster(node(0, B, peer_urls=("http://NODE0:2380",)), node(1, B), node(2, B))
    decision = plan(view, MembersChanged(CLUSTER, (Joiner("node0", ("http://node0:2380",)),), (A,)))
    assert str(decision).startswith("StartRemoval")


def test_list_that_gives_one_url_twice_is_bad_input() -> None:
    """In two spellings."""
    members = (
        DesiredMember(name="node0", peer_urls=("http://node0:2380",)),
        DesiredMember(name="node1", peer_urls=("http://NODE0:2380",)),
    )
    with pytest.raises(ValidationError, match="is given twice"):
        MembershipRequest(cluster="prod", members=members)

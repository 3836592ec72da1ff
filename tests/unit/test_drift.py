"""The brake: a member list that contradicts too many EtcdMembers is not written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_handoff.cluster_view import ClusterView, Doubt, quorum
from etcd_handoff.doubts import (
    CLUSTER_CHANGED,
    CLUSTER_RESTORED,
    LISTS_DIFFER,
    OLD_ETCD,
    RESOURCES_DISAGREE,
    WRONG_CLUSTER,
    ResourceClaim,
)
from etcd_handoff.etcdmember_matching import member_of
from etcd_handoff.etcdmember_messages import HELD_BACK
from etcd_handoff.reconciler import drift
from tests.unit.builders import claim, view_of


def full(voters: int) -> list[ResourceClaim]:
    """EtcdMembers of a cluster of so many, all joined."""
    return [claim(f"node{n}", f"a{n}") for n in range(voters)]


def only(*numbers: int) -> ClusterView:
    """The list with these of its members."""
    return view_of(*((f"a{n}", f"node{n}") for n in numbers))


FOREIGN = view_of(("f1", "stranger"))


def test_foreign_list_is_held_with_both_sides_named() -> None:
    """No EtcdMember fits it: nothing is written, and nothing on EtcdMembers that may be another cluster's."""
    held = drift.hold(FOREIGN, full(3))
    assert held is not None
    assert (held.doubt.kind, held.names) == (RESOURCES_DISAGREE, ())
    for word in ("node0 of a0", "stranger (f1)", "etcd-handoff watch resync --confirm"):
        assert word in held.doubt.text + held.doubt.remedy


def test_cluster_that_the_profile_names_needs_no_witness_but_keeps_the_count() -> None:
    """One EtcdMember that fits nothing is put right; three are not, and bear no message all the same."""
    assert drift.hold(FOREIGN, full(1), cluster_id="cafe") is None
    assert drift.hold(FOREIGN, full(1), cluster_id="beef") is not None
    held = drift.hold(FOREIGN, full(3), cluster_id="cafe")
    assert held is not None
    assert (held.doubt.kind, held.names) == (drift.TOO_MANY_ABSENT, ())


def test_few_endpoints_are_held_until_the_cluster_is_known() -> None:
    """A new watcher of a cluster without EtcdMembers would make some for whatever answers at a wrong address."""
    few = only(0, 1).model_copy(update={"endpoints": 3, "answering": 1})
    for claims in ([], [claim("node9", "a9", "False")]):
        held = drift.hold(few, claims, bound=False)
        assert held is not None
        assert held.doubt.kind == WRONG_CLUSTER
        assert drift.hold(few, claims, bound=True) is None
        assert drift.hold(few, claims, cluster_id=few.cluster_id, bound=False) is None
    assert drift.hold(few, full(2), bound=False) is None


def test_more_than_a_minority_at_once_is_held_and_told_on_each() -> None:
    """Of three one may be missing, of five two: more is no ordinary day."""
    assert drift.hold(only(0, 1), full(3)) is None
    held = drift.hold(only(0), full(3))
    assert held is not None
    assert (held.doubt.kind, held.names) == (drift.TOO_MANY_ABSENT, ("node1", "node2"))
    assert held.message.startswith(HELD_BACK)
    assert "2 of 3 EtcdMembers" in held.message
    assert drift.hold(only(0, 1, 2), full(5)) is None
    assert drift.hold(only(0, 1), full(5)) is not None
    assert drift.hold(only(0), full(2)) is None
    unknown = [claim("node0", "a0"), claim("node1", "a1", "Unknown"), claim("node2", "a2", "Unknown")]
    assert drift.hold(only(0), unknown) is not None  # that does not say that they have left


def test_removals_of_ours_explain_who_is_absent() -> None:
    """However many they took out, and though no other EtcdMember says Joined=True any more."""
    assert drift.hold(only(0), full(3), explained={"a1", "a2"}) is None
    assert drift.hold(only(0), full(3), explained={"a1"}) is None
    assert drift.hold(view_of(("b9", "new")), full(1), explained={"a0"}) is None


def test_what_says_so_already_or_takes_a_new_id_on_turns_nothing() -> None:
    """Joined=False stays, and a node that joined again under its name stays Joined=True."""
    claims = [claim("node0", "a0"), claim("node1", "a1", "False"), claim("node2", "a2", "False"), claim("node3", "a3")]
    assert drift.hold(view_of(("a0", "node0"), ("b3", "node3")), claims) is None


def test_no_etcdmembers_hold_nothing() -> None:
    """A cluster whose EtcdMembers are still to be made has no witness."""
    assert drift.hold(only(0, 1, 2), []) is None
    assert drift.hold(only(0, 1, 2), [claim("node0", "", "True")]) is None


def test_confirmation_is_of_the_doubt_that_stands() -> None:
    """Nothing else can be confirmed: not nothing, not what ends by itself, and no doubt of another kind."""
    held = drift.hold(only(0), full(3))
    assert held is not None
    digest = drift.digest_of(held.doubt)
    for kind in ("", drift.TOO_MANY_ABSENT):
        assert drift.why_not_confirm(held.doubt, kind, digest) == ""
    assert "2 of 3 EtcdMembers" in drift.why_not_confirm(held.doubt, RESOURCES_DISAGREE, digest)
    assert "nothing is held back" in drift.why_not_confirm(None, "", digest)
    passing = Doubt(kind=LISTS_DIFFER, text="t", remedy="wait")
    assert "ListsDiffer ends by itself" in drift.why_not_confirm(passing, "", digest)


def test_confirmation_of_fewer_members_of_the_same_kind_is_refused() -> None:
    """Two were shown, and by now five are absent: the refusal tells all five, and how to confirm them."""
    shown, now = drift.hold(only(0), full(3)), drift.hold(only(0, 1), full(7))
    assert shown is not None
    assert now is not None
    digest = drift.digest_of(shown.doubt)
    assert drift.remedy_for(shown.doubt).endswith(f"`{drift.CONFIRM} {digest}`")
    why = drift.why_not_confirm(now.doubt, drift.TOO_MANY_ABSENT, digest)
    assert why.startswith(f"confirm: {digest} is about something else")
    for word in ("5 of 7", "node6", f"`{drift.CONFIRM} {drift.digest_of(now.doubt)}`"):
        assert word in why


def test_confirmation_without_a_digest_is_refused_and_says_which_to_give() -> None:
    """As an older command line and a hurried `temporal` send it: the kind alone may be about more than was seen."""
    held = drift.hold(only(0), full(3))
    assert held is not None
    for kind in ("", drift.TOO_MANY_ABSENT):
        why = drift.why_not_confirm(held.doubt, kind, "")
        assert f'"digest": "{drift.digest_of(held.doubt)}"' in why
        assert "2 of 3 EtcdMembers" in why


def test_digest_of_a_doubt_names_its_facts() -> None:
    """Another cluster has another one, other words for the same members have not; what ends by itself has none."""
    changed = Doubt(kind=CLUSTER_CHANGED, text="cluster f1 answers, cafe is meant", remedy="check")
    assert drift.digest_of(changed) == drift.digest_of(changed.model_copy(update={"remedy": "look"}))
    assert drift.digest_of(changed) != drift.digest_of(changed.model_copy(update={"text": "cluster f2 answers"}))
    absent = Doubt(kind=drift.TOO_MANY_ABSENT, text="2 of 3 EtcdMembers are gone: node1, node2", remedy="check")
    reworded = absent.model_copy(update={"text": "2 of 3 EtcdMembers describe nobody: node1, node2"})
    assert drift.digest_of(absent) == drift.digest_of(reworded)
    assert len(drift.digest_of(absent)) == drift.DIGEST_DIGITS
    assert drift.digest_of(Doubt(kind=LISTS_DIFFER, text="t", remedy="wait")) == drift.digest_of(None) == ""


def test_brake_says_only_what_the_watcher_knows() -> None:
    """It knows of no removal by the command line, which may have taken them out and not have recorded it yet."""
    held = drift.hold(only(0), full(3))
    assert held is not None
    assert "were removed by no operation that this watcher knows" in held.doubt.text


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("2 of 3 EtcdMembers with Joined=True are gone though nobody of ours was it, more than 1: node1, node2", True),
        ("2 of 3 EtcdMembers with Joined=True are gone though nobody of ours was it, more than 1: node0, node2", False),
        ("2 of 2 EtcdMembers with Joined=True are gone though nobody of ours was it, more than 1: node1, node2", False),
    ],
)
def test_confirmation_outlives_other_words_for_the_same_doubt(given: str, *, same: bool) -> None:
    """Workers of two versions word it differently; another number or another name is another doubt."""
    held = drift.hold(only(0), full(3))
    assert held is not None
    assert drift.is_confirmed(held.doubt, held.doubt)
    assert not drift.is_confirmed(held.doubt, None)
    assert drift.is_confirmed(held.doubt, held.doubt.model_copy(update={"text": given})) == same
    assert not drift.is_confirmed(held.doubt, held.doubt.model_copy(update={"kind": RESOURCES_DISAGREE}))
    other = Doubt(kind=RESOURCES_DISAGREE, text="one", remedy="r")
    assert not drift.is_confirmed(other, other.model_copy(update={"text": "another"}))


def test_doubt_that_a_confirmation_settles_says_so_once() -> None:
    """With the command that confirms this one alone; one that ends by itself names none."""
    held, foreign = drift.hold(only(0), full(3)), drift.hold(FOREIGN, full(3))
    assert held is not None
    assert foreign is not None
    for doubt in (held.doubt, foreign.doubt, Doubt(kind=CLUSTER_RESTORED, text="t", remedy="r")):
        assert drift.in_words(doubt).count(drift.CONFIRM) == 1
        assert f"`{drift.CONFIRM} {drift.digest_of(doubt)}`" in drift.in_words(doubt)
    assert f"{drift.CONFIRM} {drift.digest_of(held.doubt)}" in held.message
    assert drift.CONFIRM not in drift.in_words(Doubt(kind=LISTS_DIFFER, text="t", remedy="wait"))


ids = st.sampled_from([f"a{n}" for n in range(6)])
claims_ = st.lists(
    st.builds(
        ResourceClaim,
        name=st.sampled_from([f"node{n}" for n in range(6)]),
        member_id=ids | st.just(""),
        joined=st.sampled_from(["True", "True", "False", "Unknown"]),
    ),
    unique_by=lambda c: c.name,
    max_size=6,
)
views = st.lists(st.tuples(ids, st.sampled_from([f"node{n}" for n in range(6)])), unique=True, max_size=6).map(
    lambda members: view_of(*dict(members).items())
)


@given(views, claims_, st.frozensets(ids, max_size=3))
def test_never_more_turn_than_quorum_allows(
    seen: ClusterView, claims: list[ResourceClaim], explained: frozenset[str]
) -> None:
    """Whatever is listed: what is let through turns few EtcdMembers, and some EtcdMember stands for the cluster."""
    if drift.hold(seen, claims, explained) is not None:
        return
    joined = [c for c in claims if c.joined != "False"]
    surprising = [c for c in joined if c.member_id and c.member_id not in explained]
    becoming_absent = [c for c in surprising if member_of(c.name, c.member_id, seen.members) is None]
    assert len(becoming_absent) <= max(1, len(joined) - quorum(len(joined)))
    assert all(c.joined == "Unknown" for c in surprising) or any(seen.member(c.member_id) for c in surprising)


@given(views, claims_)
def test_list_that_fits_all_is_never_held(seen: ClusterView, claims: list[ResourceClaim]) -> None:
    """The brake does not get in the way of a true list."""
    fitting = [c for c in claims if c.joined == "False" or seen.member(c.member_id) is not None]
    assert drift.hold(seen, fitting) is None


@pytest.mark.parametrize(
    ("kind", "confirmable"), [(CLUSTER_CHANGED, True), (CLUSTER_RESTORED, True), (OLD_ETCD, False)]
)
def test_confirmation_is_named_only_where_it_settles_the_doubt(kind: str, *, confirmable: bool) -> None:
    """No confirmation makes an etcd newer, although that doubt lasts as well."""
    remedy = drift.remedy_for(Doubt(kind=kind, text="two sides", remedy="upgrade etcd first", lasting=True))
    assert remedy.startswith("upgrade etcd first")
    assert (drift.CONFIRM in remedy) == confirmable

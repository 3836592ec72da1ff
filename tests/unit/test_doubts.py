"""What may be believed of a look: each contradiction with both sides named, and no other."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_handoff import doubts, planning
from etcd_handoff.cluster_view import ClusterView, Doubt
from etcd_handoff.doubts import (
    Answer,
    Binding,
    ResourceClaim,
    bound,
    contradiction,
    contradictions,
    expected,
    resources_doubt,
)
from etcd_handoff.doubts.known_before import INDEX_SLACK
from etcd_handoff.doubts.one_look import TWO_LISTS, TWO_ROLES
from tests.unit.builders import CLUSTER, INDEX, A, B, C, D, claim, cluster, doubt, down, member

OTHER: Final = "1"
BOTH: Final = frozenset({A, B})
ALL: Final = frozenset({A, B, C})


def answered(member_id: str, listed: frozenset[str] | None = ALL, cluster_id: str = CLUSTER, number: int = 1) -> Answer:
    """What a member answers at an endpoint of the profile."""
    return Answer(f"endpoint {number} of the profile", cluster_id, member_id, listed)


def the_one(doubts: tuple[Doubt, ...], kind: str) -> Doubt:
    """The only contradiction, which is of this kind and says what to do."""
    (found,) = doubts
    assert found.kind == kind
    assert found.remedy
    return found


# --- one look -------------------------------------------------------------------------------------------------


def test_answers_that_agree_raise_no_doubt() -> None:
    """All lists are the one that was taken; who gives none, and who does not answer, contradicts nobody."""
    assert contradictions(CLUSTER, ALL, [answered(A), answered(B), answered(C, listed=None)]) == ()
    assert contradictions(CLUSTER, ALL, [answered(A)]) == ()
    assert contradictions(CLUSTER, ALL, []) == ()


def test_lists_that_call_a_member_voter_and_learner_differ() -> None:
    """Whoever counts it as a learner counts the quorum without it; etcd may forget a promotion on some members."""
    answers = [answered(A, BOTH), Answer("endpoint 2 of the profile", CLUSTER, B, BOTH, learners=frozenset({A}))]
    found = the_one(contradictions(CLUSTER, BOTH, answers), doubts.LISTS_DIFFER)
    assert f"member {B} lists {A} (learner), {B}" in found.text
    assert found.remedy == TWO_ROLES
    assert contradictions(CLUSTER, BOTH, answers[1:], {A}) == ()
    assert the_one(contradictions(CLUSTER, BOTH, answers, {A}), doubts.LISTS_DIFFER).remedy == TWO_ROLES
    shorter = answered(A, frozenset({A}))
    assert contradictions(CLUSTER, BOTH, [shorter, answers[1]])[0].remedy == TWO_LISTS


def test_endpoint_of_another_cluster_is_named_with_both_clusters() -> None:
    """Whichever of the two gave the list."""
    for mine, other in ((CLUSTER, OTHER), (OTHER, CLUSTER)):
        answers = [answered(A, cluster_id=mine), answered(D, frozenset({D}), other, number=4)]
        found = the_one(contradictions(mine, ALL, answers), planning.Reason.MIXED_CLUSTERS)
        for part in (mine, other, "endpoint 4 of the profile", D):
            assert part in found.text
        assert (found.member_id, found.lasting, found.by_status_alone) == (D, False, False)


def test_equal_member_ids_do_not_make_two_clusters_one() -> None:
    """Member IDs are made of peer URLs and a cluster token, so sites with one address plan may have the same."""
    twin = answered(A, ALL, OTHER, number=2)
    assert OTHER in the_one(contradictions(CLUSTER, ALL, [answered(A), twin]), planning.Reason.MIXED_CLUSTERS).text


def test_foreign_list_is_not_held_against_the_lists_of_this_cluster() -> None:
    """It is foreign, and that is said once."""
    foreign = answered(D, frozenset({D}), OTHER)
    the_one(contradictions(CLUSTER, ALL, [answered(A), answered(B), foreign]), planning.Reason.MIXED_CLUSTERS)


def test_member_that_runs_and_is_not_listed_is_named() -> None:
    """It gives no list: a removed member that still runs looks so."""
    found = the_one(
        contradictions(CLUSTER, BOTH, [answered(A, BOTH), answered(C, None, number=3)]), doubts.UNLISTED_MEMBER
    )
    assert f"member {C} (endpoint 3 of the profile) answers, but gives no member list that it is in" in found.text
    assert (found.member_id, found.by_status_alone) == (C, True)


def test_removed_member_that_lists_the_others_agrees_that_it_is_out() -> None:
    """For a moment after its removal it still answers, with the membership as it is now."""
    found = the_one(contradictions(CLUSTER, BOTH, [answered(A, BOTH), answered(C, BOTH)]), doubts.UNLISTED_MEMBER)
    assert found.by_status_alone


@pytest.mark.parametrize("own", [ALL, frozenset({C})], ids=["removed-elsewhere", "force-new-cluster"])
def test_member_that_lists_itself_against_the_others_is_no_leftover(own: frozenset[str]) -> None:
    """Both sides are named, and what each lists; nothing of it is by status alone."""
    unlisted, differ = contradictions(CLUSTER, BOTH, [answered(A, BOTH), answered(B, BOTH), answered(C, own)])
    assert (unlisted.kind, unlisted.member_id, unlisted.by_status_alone) == (doubts.UNLISTED_MEMBER, C, False)
    assert differ.kind == doubts.LISTS_DIFFER
    assert f"member {A}, {B} lists {A}, {B}; member {C} lists {', '.join(sorted(own))}" in differ.text


def test_list_that_was_taken_counts_though_its_giver_is_not_among_the_answers() -> None:
    """One answer is enough to contradict it."""
    found = the_one(contradictions(CLUSTER, BOTH, [answered(A, ALL)]), doubts.LISTS_DIFFER)
    assert f"the member list is {A}, {B}; member {A} lists {A}, {B}, {C}" in found.text


def test_empty_list_is_a_list() -> None:
    """One that names nobody contradicts, too."""
    found = the_one(contradictions(CLUSTER, BOTH, [answered(A, BOTH), answered(B, frozenset())]), doubts.LISTS_DIFFER)
    assert f"member {B} lists nobody" in found.text


@pytest.mark.parametrize(
    ("cluster_id", "listed", "answers"),
    [
        pytest.param("0", BOTH, [], id="cluster"),
        pytest.param(CLUSTER, frozenset({"0", A}), [], id="listed-member"),
        pytest.param(CLUSTER, BOTH, [answered("0", None, number=2)], id="member-that-answers"),
        pytest.param(CLUSTER, BOTH, [answered(A, BOTH), answered(B, None, "0", number=2)], id="cluster-of-an-answer"),
        pytest.param(CLUSTER, BOTH, [answered(A, frozenset({"0", A, B}), number=2)], id="in-a-members-list"),
    ],
)
def test_zero_id_is_named_first(cluster_id: str, listed: frozenset[str], answers: list[Answer]) -> None:
    """Etcd never gives it; a proxy that stands in for members does."""
    found = contradictions(cluster_id, listed, answers)[0]
    assert found.kind == doubts.ZERO_ID
    assert ("endpoint 2 of the profile" if answers else "the member list") in found.text


# --- what was known before ------------------------------------------------------------------------------------

VIEW: Final = cluster(member(A), member(B), member(C))
"""Stands at term 7, index 100,000."""


def test_first_look_binds_to_its_cluster() -> None:
    """Nothing was known before, so nothing contradicts it."""
    assert contradiction(VIEW, Binding()) is None
    assert bound(Binding(), VIEW) == Binding(cluster_id=CLUSTER, term=7, raft_index=INDEX)


def test_another_cluster_than_the_one_that_is_meant_lasts() -> None:
    """Both are named."""
    found = contradiction(VIEW, Binding(cluster_id=OTHER))
    assert found is not None
    assert (found.kind, found.lasting) == (doubts.CLUSTER_CHANGED, True)
    assert f"cluster {CLUSTER}, cluster {OTHER} is meant" in found.text


def test_doubt_of_the_look_goes_before_another_cluster() -> None:
    """Of two clusters in one profile either may answer first: that passes, and refuses nothing for good."""
    found = contradiction(cluster(member(A), doubts=doubt("MixedClusters")), Binding(cluster_id=OTHER))
    assert found is not None
    assert found.kind == "MixedClusters"


def test_member_that_has_left_may_run_on_without_a_list() -> None:
    """Only it, only without a list of its own, and only for whom it is known to have left."""
    alone = cluster(member(A), member(B), doubts=doubt(doubts.UNLISTED_MEMBER, C, by_status_alone=True))
    listing = cluster(member(A), member(B), doubts=doubt(doubts.UNLISTED_MEMBER, C))
    assert contradiction(alone, Binding(), departed=(C,)) is None
    assert contradiction(alone, Binding(), departed=(D,)) is not None
    assert contradiction(alone, Binding()) is not None
    assert contradiction(listing, Binding(), departed=(C,)) is not None


def test_member_that_has_left_and_runs_on_leaves_no_doubt_about_names() -> None:
    """It forbids a change; who lists others, or is of another cluster, leaves everything in doubt."""
    mute = contradictions(CLUSTER, ALL, [answered(A), answered(D, listed=None)])
    left = cluster(member(A), doubts=mute)
    assert doubts.silent_outsiders(left) == (D,)
    assert contradiction(left, Binding(), doubts.silent_outsiders(left)) is None
    for answer in (answered(D, frozenset({D})), answered(D, listed=None, cluster_id=OTHER)):
        odd = cluster(member(A), doubts=contradictions(CLUSTER, ALL, [answered(A), answer]))
        assert contradiction(odd, Binding(), doubts.silent_outsiders(odd)) is not None


def test_foreign_cluster_on_the_departed_members_address_is_a_contradiction() -> None:
    """A node that was removed, wiped and started anew is no leftover."""
    answers = [answered(A, BOTH), answered(B, BOTH), answered(D, frozenset({D}), OTHER)]
    view = cluster(member(A), member(B), doubts=contradictions(CLUSTER, BOTH, answers))
    assert contradiction(view, Binding(cluster_id=CLUSTER), departed=(C, D)) is not None


def test_old_etcd_is_believed_nothing() -> None:
    """Whoever concludes from a list asks here, so none of them takes one member's memory for it."""
    found = contradiction(cluster(member(A), member(B, version="3.4.37")), Binding())
    assert found is not None
    assert (found.kind, found.lasting) == (doubts.OLD_ETCD, True)
    assert "node1 runs 3.4.37" in found.text


@pytest.mark.parametrize(
    ("term", "index"),
    [(8, 0), (8, INDEX), (7, 2 * INDEX + 1), (7, INDEX + INDEX_SLACK + 1), (0, INDEX + INDEX_SLACK + 1)],
)
def test_restored_cluster_is_another_history(term: int, index: int) -> None:
    """Term or index have gone back: what was ordered before counts no more, and both standings are named."""
    found = contradiction(VIEW, Binding(cluster_id=CLUSTER, term=term, raft_index=index))
    assert found is not None
    assert (found.kind, found.lasting) == (doubts.CLUSTER_RESTORED, True)
    assert f"stood at term {term}, index {index}, and now stands at term 7, index {INDEX}" in found.text


@pytest.mark.parametrize(("term", "index"), [(7, INDEX), (6, INDEX), (7, INDEX + INDEX_SLACK), (0, 0)])
def test_leader_that_knows_of_some_entries_less_is_no_restore(term: int, index: int) -> None:
    """A new leader may not know yet that the newest entries are committed."""
    assert contradiction(VIEW, Binding(cluster_id=CLUSTER, term=term, raft_index=index)) is None


@pytest.mark.parametrize(
    ("before", "now", "restored"), [(100, 49, True), (100, 50, False), (5_000, 12, True), (99, 4, False)]
)
def test_young_cluster_that_lost_half_its_log_was_restored(before: int, now: int, *, restored: bool) -> None:
    """A restored member's log starts anew at a few entries, at the same term when it is the first again."""
    view = cluster(*(member(m, raft_index=now) for m in (A, B, C)))
    assert (contradiction(view, Binding(term=7, raft_index=before)) is not None) == restored


def test_nobody_is_called_restored_while_nobody_leads_or_the_leader_is_silent() -> None:
    """Only an agreed leader's own word tells how far the cluster is."""
    nobody = cluster(*(member(m, leader=None, term=1, raft_index=1) for m in (A, B, C)))
    silent = cluster(down(A), member(B, raft_index=1), member(C, raft_index=1))
    binding = Binding(cluster_id=CLUSTER, term=7, raft_index=INDEX)
    assert contradiction(nobody, binding) is None
    assert contradiction(silent, binding) is None
    assert contradiction(silent, binding.model_copy(update={"term": 8})) is not None


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 10**6), st.booleans(), st.booleans()), max_size=6))
def test_bound_never_goes_back(looks: list[tuple[int, int, bool, bool]]) -> None:
    """Whatever the order of looks, term and index only rise, to the highest that an agreed leader had."""
    binding, agreed = Binding(), list[tuple[int, int]]()
    for term, index, led, silent in looks:
        leader = down(A) if silent else member(A, term=term, raft_index=index, leader=A if led else None)
        others = (member(m, term=term, raft_index=index, leader=A if led else None) for m in (B, C))
        after = bound(binding, cluster(leader, *others))
        assert (after.term, after.raft_index) >= (binding.term, 0)
        assert after.raft_index >= binding.raft_index
        binding = after
        agreed += [(term, 0 if silent else index)] * led
    assert binding.term == max((term for term, _ in agreed), default=0)
    assert binding.raft_index == max((index for _, index in agreed), default=0)
    assert binding.cluster_id == (CLUSTER if looks else "")


def test_bound_keeps_what_was_seen_while_nobody_leads() -> None:
    """Neither the figures nor the cluster get lost."""
    nobody = cluster(*(member(m, leader=None) for m in (A, B, C)))
    for known in ("", CLUSTER):
        before = Binding(cluster_id=known, term=9, raft_index=3)
        assert bound(before, nobody) == Binding(cluster_id=CLUSTER, term=9, raft_index=3)


# --- witnesses ------------------------------------------------------------------------------------------------


def test_etcdmembers_that_all_speak_of_others_are_a_doubt() -> None:
    """The list may be another cluster's; the text names who describes whom."""
    found = resources_doubt(VIEW, [claim("node7", "7"), claim("node8", "8"), claim("node0", A, "False")])
    assert found is not None
    assert found.kind == doubts.RESOURCES_DISAGREE
    for part in ("node7 of 7", "node8 of 8", f"node0 ({A})", CLUSTER):
        assert part in found.text
    assert f"of {A}" not in found.text


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param([], id="there-are-none"),
        pytest.param([claim("node7", "7"), claim("node0", A)], id="one-fits"),
        pytest.param([claim("node7", "7", "False"), claim("node8", "8", "Unknown")], id="none-says-that-it-is-in"),
        pytest.param([claim("node7", "")], id="none-has-an-id"),
        pytest.param([claim("node7", "7"), claim("node0", A, "Unknown")], id="one-fits-that-may-have-left"),
    ],
)
def test_etcdmembers_that_fit_or_say_nothing_are_none(claims: list[ResourceClaim]) -> None:
    """One that fits is enough: stale ones are what this project puts right."""
    assert resources_doubt(VIEW, claims) is None


@pytest.mark.parametrize(
    ("endpoints", "answering", "believed"),
    [(3, 1, False), (2, 1, False), (4, 2, False), (3, 2, True), (1, 1, True), (0, 0, True)],
)
@pytest.mark.parametrize(
    ("claims", "why"),
    [
        (None, "the EtcdMembers could not be read"),
        ([], "no EtcdMember describes a present member"),
        ([claim("node7", "7", "False"), claim("node8", "8", "Unknown"), claim("node9", "")], "no EtcdMember describes"),
    ],
)
def test_where_no_etcdmember_fits_most_endpoints_must_answer(
    endpoints: int, answering: int, claims: list[ResourceClaim] | None, why: str, *, believed: bool
) -> None:
    """A single address may lead to another cluster; on a node of its own the one endpoint is all of them."""
    few = VIEW.model_copy(update={"endpoints": endpoints, "answering": answering})
    assert resources_doubt(few, claims) is None, "something else shows which cluster is meant"
    found = resources_doubt(few, claims, only=True)
    assert (found is None) == believed
    if found is not None:
        assert found.kind == doubts.WRONG_CLUSTER
        assert f"answers at {answering} of {endpoints} endpoints" in found.text
        assert why in found.text
        assert f'cluster_id = "{CLUSTER}"' in found.remedy
        assert not found.lasting
    assert resources_doubt(few, [*(claims or ()), claim("node0", A, "Unknown")], only=True) is None


def test_profile_may_name_its_cluster() -> None:
    """Another one is a contradiction of the look itself, before all others; none named, or the right one, is none."""
    assert expected(VIEW, "") is VIEW
    assert expected(VIEW, CLUSTER) is VIEW
    doubted = expected(cluster(member(A), doubts=doubt("MixedClusters")), OTHER)
    assert [d.kind for d in doubted.doubts] == [doubts.WRONG_CLUSTER, "MixedClusters"]
    assert OTHER in doubted.doubts[0].text
    assert CLUSTER in doubted.doubts[0].text


def test_every_kind_of_doubt_is_a_reason() -> None:
    """What blocks has a heading in the reference."""
    kinds = {name: value for name, value in vars(doubts).items() if name.isupper() and isinstance(value, str)}
    assert len(kinds) >= 8
    assert set(kinds.values()) <= {reason.value for reason in planning.Reason}


# --- any answers ----------------------------------------------------------------------------------------------

answers = st.builds(
    answered,
    st.sampled_from((A, A, B, B, C, C, D, "0")),
    st.sampled_from((None, None, ALL, ALL, ALL, ALL, BOTH, frozenset({C}))),
    st.sampled_from((CLUSTER,) * 9 + (OTHER, "0")),
)


@given(st.lists(answers, max_size=4), st.sampled_from((ALL, ALL, BOTH)), st.sampled_from((None, A, C, D)))
def test_view_is_believed_exactly_when_all_answers_agree(
    given_answers: list[Answer], listed: frozenset[str], departed: str | None
) -> None:
    """Judged by hand: one cluster, no zero, one list, and everybody who answers is in it, but for one that has left."""
    agree = True
    for answer in given_answers:
        same_cluster = answer.cluster_id == CLUSTER
        same_list = answer.listed is None or answer.listed == listed
        no_zero = "0" not in (answer.cluster_id, answer.member_id)
        leftover = answer.member_id == departed and (answer.listed is None or answer.member_id not in answer.listed)
        agree = agree and same_cluster and same_list and no_zero and (answer.member_id in listed or leftover)
    members = tuple(member(m) for m in sorted(listed, key=lambda text: int(text, 16)))
    view = ClusterView(cluster_id=CLUSTER, members=members, doubts=contradictions(CLUSTER, listed, given_answers))
    found = contradiction(view, Binding(cluster_id=CLUSTER), departed=(departed,) if departed else ())
    assert (found is None) == agree

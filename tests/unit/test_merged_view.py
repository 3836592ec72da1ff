"""One view out of several: nobody counts whom nobody reached, and nothing that contradicts is believed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from etcd_handoff.cluster_view import MIXED_CLUSTERS, Alarm, MemberSelfReport
from etcd_handoff.merged_view import ELSEWHERE, completed, merged, node_of
from etcd_handoff.planning import Blocked, MemberAbsent, MemberPresent, PromoteLearner, Reason, Remove, Transfer, plan
from tests.unit.builders import CLUSTER, A, B, C, D, cluster, doubt, down, hangs, member
from tests.unit.random_views import IDS, KINDS, ailing_member

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from random import Random

    from etcd_handoff.cluster_view import ClusterView, MemberView

SILENT: Final = {"reachable": False, "serves_reads": False, "leader_id": None, "term": 0, "raft_index": 0}


def seen_by(view: ClusterView, reached: Container[str], note: str = "connection refused") -> ClusterView:
    """The view of a worker that reaches these members."""
    members = [m if m.id in reached else m.model_copy(update={**SILENT, "note": note}) for m in view.members]
    return view.model_copy(update={"members": tuple(members)})


def bare(view: ClusterView) -> tuple[MemberView, ...]:
    """The members, without who saw them and why not."""
    return tuple(m.model_copy(update={"through_node": "", "note": ""}) for m in view.members)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterView:
    """One to five members, some of them ailing."""
    size = draw(st.integers(1, 5))
    leader = draw(st.sampled_from((*IDS[:1] * 9, None)))
    drawn = [(i, *draw(st.sampled_from(KINDS))) for i in sorted(IDS[:size], key=lambda text: int(text, 16))]
    return cluster(*(ailing_member(i, leader, ailments, lag, IDS[size - 1]) for i, ailments, lag in drawn))


@st.composite
def parts(draw: st.DrawFn) -> tuple[ClusterView, dict[str, ClusterView], dict[str, str]]:
    """A cluster, what the workers of some of its nodes see of it, and why the others are silent.

    A worker reaches its own node's member, and any of the others.
    """
    whole = draw(clusters())
    # A worker whose own member does not answer it has no list, and so no view.
    able = [m.id for m in whole.members if m.reachable]
    assume(able)
    answer = {m.id: m.reachable and draw(st.sampled_from((True, True, True, False))) for m in whole.members}
    answer[draw(st.sampled_from(able))] = True
    further = st.sets(st.sampled_from([m.id for m in whole.members]))
    views = {m.name: seen_by(whole, {m.id, *draw(further)}) for m in whole.members if answer[m.id]}
    silent = {m.name: f"node {m.name}: no worker" for m in whole.members if not answer[m.id]}
    return whole, views, silent


def reached_in(view: ClusterView) -> set[str]:
    """The members that answered."""
    return {m.id for m in view.members if m.reachable}


def merge(views: dict[str, ClusterView], silent: dict[str, str], first: str) -> ClusterView:
    """One view out of all of these."""
    others = {node: view for node, view in views.items() if node != first}
    return merged(views[first], first, others, silent, {})


# --- merged ---------------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(parts())
def test_member_counts_as_somebody_saw_it_and_not_at_all_when_nobody_did(
    given_parts: tuple[ClusterView, dict[str, ClusterView], dict[str, str]],
) -> None:
    """What is merged is the whole view as far as workers reached it; the rest is unreachable, and says why."""
    whole, views, silent = given_parts
    view = merge(views, silent, min(views))
    reached = {i for seen in views.values() for i in reached_in(seen)}
    assert bare(view) == bare(seen_by(whole, reached))
    for m in view.members:
        if m.id not in reached:
            assert not m.reachable
            assert m not in view.healthy_voters
            assert m.note.endswith(silent[m.name])
    assert view.doubts == ()


@settings(max_examples=300)
@given(parts(), st.randoms(use_true_random=False))
def test_neither_who_looks_first_nor_the_order_of_answers_matters(
    given_parts: tuple[ClusterView, dict[str, ClusterView], dict[str, str]], dice: Random
) -> None:
    """The same is seen of each member, through whoever looked first, its own node, or another one that reaches it."""
    _, views, silent = given_parts
    shuffled = sorted(views, key=lambda _: dice.random())
    again = {node: views[node] for node in shuffled}
    view = merge(views, silent, min(views))
    assert merge(again, silent, min(views)) == view
    first = shuffled[0]
    other = merge(again, silent, first)
    assert bare(other) == bare(view)
    assert other.merged == (reached_in(other) > reached_in(views[first]))
    for m in other.members:
        if other.merged and m.reachable:
            assert m.id in reached_in(views[m.through_node])
            own = m.name if m.name in views else m.through_node
            assert m.through_node == (first if m.id in reached_in(views[first]) else own)
        else:
            assert not m.through_node


WELL: Final = cluster(member(A), member(B), member(C))
GOAL: Final = MemberAbsent(CLUSTER, C)
OTHER_LISTS: Final = {
    "one less": cluster(member(A), member(B)),
    "one more": cluster(member(A), member(B), member(C), member(D)),
    "itself alone": cluster(member(B, B, term=8)),
    "another role": cluster(member(A), member(B), member(C, is_learner=True)),
    "nobody in common": cluster(member(D, D)),
}


@pytest.mark.parametrize("which", OTHER_LISTS)
@pytest.mark.parametrize("turned", [False, True])
def test_lists_that_differ_are_a_doubt(which: str, *, turned: bool) -> None:
    """Whoever looks first; nothing is planned on it, whatever else has been seen."""
    first, other = (OTHER_LISTS[which], WELL) if turned else (WELL, OTHER_LISTS[which])
    view = merged(first, "node0", {"node1": other, "node2": WELL}, {}, {})
    assert {d.kind for d in view.doubts} == {Reason.LISTS_DIFFER}
    for target in (A, B, C, D):
        decision = plan(view, MemberAbsent(CLUSTER, target))
        assert isinstance(decision, Blocked)
        assert decision.reason is Reason.LISTS_DIFFER


def test_clusters_that_differ_are_a_doubt_and_lend_nobody() -> None:
    """A member of the same ID in another cluster is not the member."""
    first = seen_by(WELL, {A})
    view = merged(first, "node0", {"node1": WELL.model_copy(update={"cluster_id": "dead"})}, {}, {})
    assert [d.kind for d in view.doubts] == [Reason.MIXED_CLUSTERS]
    assert bare(view) == bare(first)
    assert isinstance(plan(view, GOAL), Blocked)


def test_doubt_of_any_worker_counts() -> None:
    """Once, though two workers have it."""
    theirs = seen_by(cluster(member(A), member(B), member(C), doubts=doubt("UnlistedMember", D)), {B})
    view = merged(seen_by(WELL, {A}), "node0", {"node1": theirs, "node2": theirs}, {}, {})
    assert [d.kind for d in view.doubts] == ["UnlistedMember"]


def test_view_stays_as_it_is_where_others_reach_nobody_else() -> None:
    """Where every worker reaches every member nothing says that it was merged."""
    view = merged(WELL, "node0", {"node1": seen_by(WELL, {B})}, {}, {})
    assert view == WELL
    assert not view.merged


def test_member_that_its_own_worker_does_not_reach_says_so() -> None:
    """Its node has answered, and its member has not."""
    view = merged(seen_by(WELL, {A}), "node0", {"node1": seen_by(WELL, set())}, {}, {"node1": "node1"})
    found = view.member(B)
    assert found is not None
    assert found.note == "connection refused; the worker on node1 does not reach it either"


def test_member_is_seen_by_whom_it_answers_best() -> None:
    """One that answers its own node's worker only from memory, and another's with a read, answers."""
    half = seen_by(cluster(member(A), hangs(B), member(C)), {B})
    view = merged(seen_by(WELL, {A}), "node0", {"node1": half, "node2": seen_by(WELL, {B, C})}, {}, {})
    found = view.member(B)
    assert found is not None
    assert (found.serves_reads, found.through_node) == (True, "node2")


def test_node_has_the_name_of_its_member_but_for_the_table() -> None:
    """The profile's table comes first."""
    assert (node_of("node0", {}), node_of("node0", {"node0": "rack7"})) == ("node0", "rack7")


# --- completed: every small world -----------------------------------------------------------------------------------


class World(NamedTuple):
    """What was seen, what is true a moment later, and whose worker looks then.

    Attributes:
        before: The whole view as it was merged.
        now: The whole view later; members that the worker does not reach are as they were.
        own: The member that the worker reaches; it gave a linearizable list, so it takes part.
        changed: Something has changed that this worker can see.
    """

    before: ClusterView
    now: ClusterView
    own: str
    changed: bool


STATES: Final = ("well", "down", "hangs", "lags")


def in_state(state: str, member_id: str, leader: str, term: int) -> MemberView:
    """A member of a cluster that is led by this one."""
    if state == "down":
        return down(member_id)
    found = member(member_id, leader, term=term, raft_index=100_000 - 9_000 * (state == "lags"))
    return found.model_copy(update={"serves_reads": state != "hangs"})


def other_lists(view: ClusterView, own: str) -> Iterator[ClusterView]:
    """The same list, and some that differ."""
    yield view
    others = [m for m in view.members if m.id != own]
    yield view.only({own, *(m.id for m in others[1:])})
    yield view.model_copy(update={"members": (*view.members, down(D))})
    learner = others[-1].model_copy(update={"is_learner": True})
    yield view.model_copy(update={"members": tuple(learner if m.id == learner.id else m for m in view.members)})
    yield view.model_copy(update={"cluster_id": "dead"})


def worlds() -> Iterator[World]:
    """Two and three voters in every state; the leader, its term and the list change or stay."""
    for ids in ((A, B), (A, B, C)):
        for states in itertools.product(STATES, repeat=len(ids)):
            well = [i for i, state in zip(ids, states, strict=True) if state == "well"]
            for leader, own in itertools.product(well, well):
                before = cluster(*(in_state(s, i, leader, 7) for i, s in zip(ids, states, strict=True)))
                for leads, term in ((leader, 7), *((i, 8) for i in ids)):
                    same = cluster(*(in_state(s, i, leads, term) for i, s in zip(ids, states, strict=True)))
                    for number, now in enumerate(other_lists(same, own)):
                        yield World(through_nodes(before), now, own, bool(number) or (leads, term) != (leader, 7))


def through_nodes(view: ClusterView) -> ClusterView:
    """The view as workers of all nodes have made it."""
    reached = {m.id: f"node-{m.id}" for m in view.members if m.reachable}
    members = tuple(m.model_copy(update={"through_node": reached.get(m.id, "")}) for m in view.members)
    return view.model_copy(update={"members": members})


def test_completed_view_leads_to_no_step_that_the_whole_view_would_not() -> None:
    """Every small world: where anything has changed that the worker can see, it stands alone and does nothing.

    Where nothing has changed it decides as the whole view does, so it waits for nothing that others could go on with.

    What it cannot see is that a member has died, hangs, lags or has raised an alarm since the look through all nodes:
    these count here as they were. An entry that is committed first, and the three seconds after which nothing seen
    counts, bound that.
    """
    steps, worlds_seen = 0, 0
    for world in worlds():
        worlds_seen += 1
        own = seen_by(world.now, {world.own})
        view = completed(own, world.before)
        if world.changed:
            assert view == own, world
        for target in (A, B, C):
            goal = MemberAbsent(CLUSTER, target)
            decision = plan(view, goal)
            if isinstance(decision, Remove | Transfer) or not world.changed:
                steps += isinstance(decision, Remove | Transfer)
                assert decision == plan(world.now, goal), world
    assert worlds_seen > 1_500
    assert steps > 80


MERGED: Final = through_nodes(WELL)


@pytest.mark.parametrize(
    "own",
    [
        cluster(member(A), member(B), member(C), doubts=doubt("UnlistedMember", D)),
        cluster(member(A, None), member(B), member(C)),
        cluster(member(A, B), member(B), member(C)),
        cluster(member(A, term=8), member(B), member(C)),
        cluster(member(A, raft_index=99_999), member(B), member(C)),
        cluster(down(A), member(B), member(C)),
    ],
    ids=["it doubts", "nobody leads", "another leads", "another term", "index went back", "it reaches nobody"],
)
def test_worker_that_sees_another_cluster_than_before_stands_alone(own: ClusterView) -> None:
    """Nothing is taken from what was seen."""
    own = seen_by(own, {A})
    assert completed(own, MERGED) == own


def test_nothing_is_completed_by_a_view_without_a_leader() -> None:
    """No decision can have stood on it."""
    before = cluster(member(A, None), member(B, None), member(C, None))
    own = seen_by(before, {A})
    assert completed(own, through_nodes(before)) == own


def test_completed_view_has_the_indexes_of_one_moment() -> None:
    """A leader that has gone on since does not make the others lag."""
    own = seen_by(cluster(member(A, raft_index=900_000), member(B), member(C)), {A})
    assert {m.raft_index for m in completed(own, MERGED).members} == {100_000}


def test_members_that_were_seen_before_say_through_whom() -> None:
    """So that nobody takes them for members that this worker reaches."""
    view = completed(seen_by(WELL, {A}), MERGED)
    assert [m.through_node for m in view.members] == ["", f"node-{B}", f"node-{C}"]
    assert completed(seen_by(WELL, {A}), WELL).members[1].through_node == ELSEWHERE


# --- moments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("leader_says", "restored"), [({}, True), ({"leader_id": B, "term": 8}, False)])
def test_leader_that_was_seen_at_another_moment_does_not_date_the_cluster(
    leader_says: dict[str, object], *, restored: bool
) -> None:
    """Others name it from before it lost the lead; its index counts while it says itself that it leads."""
    leader = member(A, raft_index=10).model_copy(update=leader_says)
    view = through_nodes(cluster(leader, member(B), member(C)))
    decision = plan(view, MemberAbsent(CLUSTER, C, seen_term=7, seen_index=100_000))
    assert (getattr(decision, "reason", None) is Reason.CLUSTER_RESTORED) == restored


# --- a learner's own word -------------------------------------------------------------------------------------------

URL: Final = "https://10.0.0.4:2380"
JOINS: Final = MemberPresent(CLUSTER, "node3", (URL,))
FAR_LEARNER: Final = member(D, is_learner=True, serves_reads=False, peer_urls=(URL,)).model_copy(update=SILENT)
WORD: Final = MemberSelfReport(cluster_id=CLUSTER, id=D, is_learner=True, leader_id=A, term=7, raft_index=100_000)


def with_word(*words: MemberSelfReport, learner: MemberView = FAR_LEARNER) -> ClusterView:
    """The view of three workers, each of which sees its own voter, and of a fourth that has heard this."""
    whole = cluster(member(A), member(B), member(C), learner)
    views = {m.name: seen_by(whole, {m.id}) for m in whole.voters}
    others = {node: view for node, view in views.items() if node != "node0"}
    return merged(views["node0"], "node0", others, {"node3": "no list"}, {}, {"node3": words})


def test_learner_counts_by_its_own_word_and_is_promoted_through_the_leader() -> None:
    """It gives no list to anybody, so without it no learner would ever get its vote there."""
    view = with_word(WORD)
    learner = view.member(D)
    assert learner is not None
    assert (learner.reachable, learner.serves_reads, learner.through_node) == (True, False, "node3")
    assert (learner.raft_index, learner.leader_id, learner.term) == (100_000, A, 7)
    assert plan(view, JOINS) == PromoteLearner(D, A)
    silent = plan(with_word(), JOINS)
    assert isinstance(silent, Blocked)
    assert silent.reason is Reason.LEARNER_UNREACHABLE
    assert "no list" in silent.seen


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"raft_index": 10}, Reason.LEARNER_LAGS),
        ({"leader_id": B}, Reason.LEARNER_UNREACHABLE),
        ({"leader_id": None}, Reason.LEARNER_UNREACHABLE),
        ({"alarms": (Alarm(kind="CORRUPT", member_id=D),)}, Reason.CLUSTER_CORRUPT),
        ({"id": "abc"}, Reason.LEARNER_UNREACHABLE),
    ],
)
def test_what_it_says_is_judged_like_any_answer(change: dict[str, object], reason: Reason) -> None:
    """A lag, another leader, an alarm, or the word of somebody else."""
    decision = plan(with_word(WORD.model_copy(update=change)), JOINS)
    assert isinstance(decision, Blocked)
    assert decision.reason is reason


def test_word_of_another_cluster_is_a_contradiction() -> None:
    """Both nodes are named, and nothing is taken over."""
    view = with_word(WORD.model_copy(update={"cluster_id": "1"}))
    assert [doubt.kind for doubt in view.doubts] == [MIXED_CLUSTERS]
    assert "node3 hears of cluster 1" in view.doubts[0].text
    decision = plan(view, JOINS)
    assert isinstance(decision, Blocked)
    assert decision.reason is Reason.MIXED_CLUSTERS


def test_voter_does_not_count_by_its_word_alone() -> None:
    """It could give a list if it were well."""
    voter = FAR_LEARNER.model_copy(update={"is_learner": False})
    view = with_word(WORD.model_copy(update={"is_learner": False}), learner=voter)
    assert [m.id for m in view.members if not m.reachable] == [D]
    assert len(view.healthy_voters) == 3


def test_step_at_the_leader_goes_by_the_word_that_was_heard_a_moment_ago() -> None:
    """The leader's worker sees its own member alone; a promotion meanwhile is a change that it does not miss."""
    seen = with_word(WORD)
    own = seen_by(cluster(member(A), member(B), member(C), FAR_LEARNER), {A})
    assert plan(completed(own, seen), JOINS) == PromoteLearner(D, A)
    promoted = own.model_copy(
        update={"members": (*own.members[:3], own.members[3].model_copy(update={"is_learner": False}))}
    )
    assert completed(promoted, seen) == promoted

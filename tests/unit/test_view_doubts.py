"""What an operation believes of a list that one member alone gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff import time_limits
from etcd_handoff.activity_io import FindResourceResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.doubts import ResourceClaim, lone_list, shorter_list
from etcd_handoff.operation import commands as to
from etcd_handoff.planning import Reason
from tests.unit import changes
from tests.unit.builders import A, B, C, cluster, down, member, step
from tests.unit.test_node_looks import pauses, upcoming
from tests.unit.test_removal_loop import LED_BY_B, WITHOUT_A, Drive, begin, report

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.commands import Command

ALONE = cluster(member(B, B, term=8)).model_copy(update={"endpoints": 3, "answering": 1})
"""node1, forced into a cluster of its own; nobody reaches the others."""
B_IS_DOWN = cluster(member(A), down(B), member(C))


def sees(view: ClusterView, *claims: ResourceClaim) -> object:
    """What a look answers."""
    return report(StepOutcome.OBSERVED, view, claims=claims)


def waits(removal: Drive) -> Drive:
    """It is blocked, and no other node's worker answers."""
    if isinstance(upcoming(removal), to.LookThroughNodes):
        removal.do(to.LookThroughNodes, ())
    return pauses(removal, 1.0)


def blocked() -> Drive:
    """A removal of node0 that would leave too few voters that work."""
    removal = waits(begin().do(to.Observe, sees(B_IS_DOWN)))
    assert removal.state.doing.startswith(Reason.QUORUM_AT_RISK)
    return removal


def test_list_of_a_member_that_was_forced_apart_ends_no_removal() -> None:
    """The other two are a quorum that goes on; whoever acts on `removed` would stop one of them."""
    removal = waits(blocked().do(to.Observe, sees(ALONE)))
    assert not removal.state.absent
    assert removal.state.doing.startswith(f"{Reason.LISTS_DIFFER}: the member list lacks voters {C}, listed before")
    removal.do(to.Observe, sees(LED_BY_B)).next(to.AskQueue)


def test_member_that_another_operation_has_taken_out_may_be_missing() -> None:
    """Two of three have left, one after the other, and none of their endpoints answers any more."""
    removal = waits(blocked().do(to.Observe, sees(ALONE)))
    assert removal.next(to.Observe).ask.claims
    out = ResourceClaim(name="node2", member_id=C, joined="False")
    removal.result(sees(ALONE, out)).next(to.WriteStatus)
    removal = waits(blocked().do(to.Observe, sees(ALONE)))
    waits(removal.do(to.Observe, sees(ALONE, ResourceClaim(name="node2", member_id=C, joined="True"))))
    assert not removal.state.absent


def test_learner_that_somebody_has_taken_out_may_be_missing() -> None:
    """A single voter, one of two endpoints, and a learner that is there in one look and gone in the next."""
    one = cluster(member(A), member(B, is_learner=True, serves_reads=False)).model_copy(
        update={"endpoints": 2, "answering": 1}
    )
    removal = begin().do(to.Observe, sees(one, ResourceClaim(name="node0", member_id=A, joined="True")))
    removal.next(to.Fail)
    assert removal.state.voters_seen == (A,)


def test_list_that_most_endpoints_give_is_believed() -> None:
    """Somebody else has taken node2 out meanwhile."""
    most = cluster(member(B, B)).model_copy(update={"endpoints": 3, "answering": 2})
    blocked().do(to.Observe, sees(most)).next(to.WriteStatus)


def says(joined: str, **ids: str) -> tuple[ResourceClaim, ...]:
    """EtcdMembers of these names, with these IDs."""
    return tuple(ResourceClaim(name=name, member_id=member_id, joined=joined) for name, member_id in ids.items())


EVERYBODY = says("True", node0=A, node1=B, node2=C)


def first_look(
    view: ClusterView, claims: tuple[ResourceClaim, ...] | None, change: Drive | None = None, *, alone: bool = False
) -> Drive:
    """A removal of node0, or this change, whose first look shows this, and whose EtcdMember is there."""
    found = FindResourceResult(
        step=step("find_resource", StepOutcome.OBSERVED), name="node0", member_id=A, joined="True"
    )
    answers: dict[type[Command], object] = {
        to.Observe: report(StepOutcome.OBSERVED, view, claims=claims, alone=alone),
        to.LookThroughNodes: (),
        to.FindResource: found,
    }
    removal = change or begin()
    while (kind := type(upcoming(removal))) in answers:
        removal.do(kind, answers[kind])
    return removal


OUT_OF_ALL = ALONE.model_copy(update={"answering": 3})
HERE_ALONE = ALONE.model_copy(update={"endpoints": 1, "answering": 1})


@pytest.mark.parametrize(
    ("view", "claims", "alone", "believed"),
    [
        (ALONE, EVERYBODY, False, False),
        (HERE_ALONE, EVERYBODY, True, False),
        (HERE_ALONE, EVERYBODY, False, True),
        (OUT_OF_ALL, EVERYBODY, False, True),
        (ALONE, says("True", node0=A, node1=B), False, True),
        (ALONE, (*says("True", node0=A, node1=B), *says("False", node2=C)), False, True),
        (WITHOUT_A.model_copy(update={"endpoints": 3, "answering": 1}), EVERYBODY, False, True),
    ],
)
def test_first_list_of_one_member_alone_shows_nobody_out_who_says_otherwise(
    view: ClusterView, claims: tuple[ResourceClaim, ...], *, alone: bool, believed: bool
) -> None:
    """The member may have been forced apart before anybody looked; whoever acts on `already-absent` stops another."""
    removal = first_look(view, claims, alone=alone)
    if believed:
        assert not removal.next(to.WriteStatus).ask.joined
        return
    waits(removal)
    assert removal.state.pinned is None
    assert removal.state.doing.startswith(
        f"ListsDiffer: the member list has node1 ({B}) alone, {'nobody else' if alone else '1 of 3 endpoints'} confirm"
    )
    assert "and EtcdMembers node2 say Joined=True" in removal.state.doing
    assert "`etcd-handoff watch resync -c prod`, and confirm what it holds back" in removal.state.waiting_for


def test_member_that_one_member_alone_did_not_list_has_not_joined_since() -> None:
    """The list was not that of the cluster; once others answer, the member is the one that is meant."""
    removal = waits(first_look(ALONE, EVERYBODY))
    removal.do(to.Observe, sees(LED_BY_B, *EVERYBODY)).next(to.AskQueue)
    assert removal.state.target.member_id == A


def test_etcdmember_of_a_listed_member_with_an_old_id_is_no_witness_against_the_list() -> None:
    """It is described late, as after a restore."""
    late = says("True", node0=A, node1="1d")
    assert lone_list(ALONE, late, (A,), {"node1"}) is None
    assert lone_list(ALONE, late, (A,)) is not None


REJOINED = cluster(member("d", B, name="node0"), member(B, B), member(C, B))


def test_member_that_joined_while_one_member_alone_was_asked_is_not_meant() -> None:
    """The request was about the one that the EtcdMember described then; the waiting removal must not take another."""
    removal = waits(first_look(ALONE, EVERYBODY))
    now = says("True", node0="d", node1=B, node2=C)
    text = removal.do(to.Observe, sees(REJOINED, *now)).next(to.Fail).failure.text
    assert "has joined under that name since" in text
    replacement = waits(first_look(ALONE, EVERYBODY, changes.replacement())).do(to.Observe, sees(REJOINED, *now))
    assert "has joined under that name since" in replacement.next(to.Fail).failure.text


def test_membership_is_not_called_complete_by_one_member_alone() -> None:
    """Whoever acts on `already-applied` stops the others, which may be a quorum."""
    change = waits(first_look(ALONE, EVERYBODY, changes.membership(1)))
    assert change.state.pinned is None
    assert change.state.doing.startswith("ListsDiffer: the member list has node1")


def test_first_list_of_one_member_alone_needs_the_word_of_etcdmembers() -> None:
    """The profile names the cluster, so that nobody waits for them otherwise."""
    removal = begin().do(to.Observe, report(StepOutcome.OBSERVED, ALONE, worker_info={"cluster_id": ALONE.cluster_id}))
    found = step("find_resource", StepOutcome.OBSERVED)
    removal.do(to.FindResource, FindResourceResult(step=found, name="node0", member_id=A, joined="True"))
    second = removal.next(to.Observe)
    assert second.ask.patient_claims
    removal.result(report(StepOutcome.OBSERVED, ALONE))
    removal.do(to.FindResource, FindResourceResult(step=found, name="node0", member_id=A, joined="True"))
    waits(removal)
    assert removal.state.pinned is None
    assert "and the EtcdMembers could not be read" in removal.state.doing
    assert removal.state.waiting_for.startswith("make an API server reachable")


@pytest.mark.parametrize(
    ("view", "leaving", "doubted"),
    [
        (ALONE, {A}, True),
        (ALONE, {A, C}, False),
        (ALONE.model_copy(update={"answering": 2}), {A}, False),
        (ALONE.model_copy(update={"endpoints": 0, "answering": 0}), {A}, False),
        (WITHOUT_A.model_copy(update={"endpoints": 3, "answering": 1}), {A}, False),
        (WITHOUT_A.model_copy(update={"endpoints": 2, "answering": 1}), set(), False),
    ],
)
def test_only_members_that_leave_may_be_missing_where_few_answer(
    view: ClusterView, leaving: set[str], *, doubted: bool
) -> None:
    """Those of a larger change among them, and others where the list has several voters."""
    assert (shorter_list(view, (A, B, C), leaving) is not None) == doubted


def test_one_endpoint_alone_pins_nothing_where_no_etcdmember_speaks_of_its_members() -> None:
    """It may lead to another cluster, which also has a node0."""
    few = LED_BY_B.model_copy(update={"endpoints": 3, "answering": 1})
    for claims in ((), (ResourceClaim(name="node0", member_id=A, joined="False"),)):
        removal = begin().do(to.Observe, sees(few, *claims)).do(to.Wait)
        assert removal.state.pinned is None
        assert removal.state.doing.startswith(Reason.WRONG_CLUSTER)
    witness = ResourceClaim(name="node2", member_id=C, joined="True")
    begin().do(to.Observe, sees(few, witness)).next(to.AskQueue)


def test_looks_that_take_long_count_as_the_pauses_between_them_do() -> None:
    """Where no API server answers, each round takes a minute; a removal that may wait for three ends in about that."""
    removal, began = begin(blocked_timeout_seconds=180), 1_000.0
    for _ in range(20):
        removal.do(to.Observe, sees(B_IS_DOWN), after=65.0)
        if isinstance(upcoming(removal), to.LookThroughNodes):
            removal.do(to.LookThroughNodes, ())
        if isinstance(upcoming(removal), to.WriteStatus):
            break
        pauses(removal, 1.0)
    assert "Not removed: QuorumAtRisk" in removal.next(to.WriteStatus).ask.message
    assert 180 <= removal.now - began < 180 + 2 * 65


def test_time_without_any_worker_is_no_time_that_it_was_blocked() -> None:
    """The look that follows a pause waits for a worker; what it shows is not blamed for that."""
    removal = waits(begin(blocked_timeout_seconds=3_600).do(to.Observe, sees(B_IS_DOWN)))
    before = removal.state.blocked_remaining_seconds
    removal.do(to.Observe, sees(LED_BY_B), after=4_000.0).next(to.AskQueue)
    assert before - removal.state.blocked_remaining_seconds == time_limits.OPERATION.counted_look_seconds

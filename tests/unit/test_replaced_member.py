"""Which member a replacement is about: listed, gone, or misspelt."""

from __future__ import annotations

import pytest

from etcd_handoff.activity_io import FindResourceResult
from etcd_handoff.contract import FailureType, Outcome, StepOutcome
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import AddTarget
from tests.unit.builders import A, B, D, cluster, down, step
from tests.unit.changes import (
    RECORDED,
    UNKNOWN,
    adds,
    looks,
    node,
    nodes,
    observed,
    records,
    removes,
    replacement,
    unstarted,
    url,
)
from tests.unit.test_removal_loop import report
from tests.unit.test_replacement_loop import FOUR, THREE, WITHOUT_IT, ends

REMEMBERED = FindResourceResult(
    step=step("find_resource", StepOutcome.OBSERVED), name="node0", member_id=A, peer_address="node0"
)


def test_old_member_that_is_gone_leaves_only_the_addition() -> None:
    """Its EtcdMember says that its ID is no misspelt one."""
    change = looks(replacement(old=A), WITHOUT_IT).do(to.FindResource, REMEMBERED)
    looks(change, WITHOUT_IT).turn()
    records(adds(change, WITHOUT_IT, 3), 3, joined=True)
    looks(change, nodes(1, 2, 3, leader=B))
    recorded = change.next(to.WriteStatus).ask
    assert (recorded.member_id, recorded.joined) == (A, False)
    change.result(RECORDED)
    looks(change, nodes(1, 2, 3, leader=B))
    result = ends(change)
    assert [(p.kind, p.outcome) for p in result.parts] == [("add", "added"), ("remove", "already-absent")]


def test_old_member_that_an_etcdmember_remembers_is_known_by_its_name() -> None:
    """As a removal knows it."""
    change = looks(replacement(), WITHOUT_IT).do(to.FindResource, REMEMBERED)
    looks(change, WITHOUT_IT).turn()
    assert change.next(AddTarget).ask.name == "node3"


def test_etcdmember_that_was_not_read_with_the_list_remembers_nobody_of_it() -> None:
    """Another worker has read it, of another cluster: this one's member may never have left."""
    other = ResourceClaim(name="node1", member_id=B, joined="True")
    change = replacement().do(to.Observe, observed(WITHOUT_IT, claims=(other,))).do(to.FindResource, REMEMBERED)
    change.next(to.Wait)
    assert change.state.pinned is None
    assert "ResourcesDisagree: EtcdMember node0 exists" in change.state.doing


@pytest.mark.parametrize("there", [True, False])
def test_name_that_nothing_speaks_of(*, there: bool) -> None:
    """With the new member there it has been replaced; without, it may be misspelt, and nothing is added."""
    view = nodes(1, 2, 3, leader=B) if there else WITHOUT_IT
    change = looks(replacement(), view).do(to.FindResource, UNKNOWN)
    if not there:
        failure = change.next(to.Fail).failure
        assert failure.kind == FailureType.UNKNOWN_MEMBER
        assert f"`etcd-handoff add node3 --peer-url {url(3)} -c prod` does what is left" in failure.text
        return
    records(looks(change, view), 3, joined=True)
    looks(change, view)
    result = ends(change)
    assert (result.outcome, result.member_name, result.member_id) == (Outcome.ALREADY_REPLACED, "node0", "")
    assert result.warnings[0].startswith("neither etcd nor an EtcdMember knows a member called node0")


def test_member_with_the_name_and_peer_urls_of_the_new_one_is_refused_by_name() -> None:
    """Nobody could tell whether it has been replaced already."""
    failure = looks(replacement(old="node0", new=0), THREE).next(to.Fail).failure
    assert failure.kind == FailureType.CHANGE_REFUSED
    assert failure.text.startswith("SameMember: ")
    assert f"`etcd-handoff replace {A} --with node0 --peer-url {url(0)} -c prod`" in failure.text


def test_member_is_replaced_by_an_empty_one_at_its_address_by_its_id() -> None:
    """Etcd gives a peer URL to one member alone, so it leaves first; the ID tells the two apart."""
    led_by_b = nodes(0, 1, 2, leader=B)
    change = looks(replacement(old=A, new=0), led_by_b).turn()
    removes(change, WITHOUT_IT, 0)
    records(change, 0, joined=False)
    looks(change, WITHOUT_IT)
    ask = change.next(AddTarget).ask
    assert (ask.name, ask.peer_urls) == ("node0", (url(0),))


def test_name_that_both_members_have_means_the_one_with_other_peer_urls() -> None:
    """A node that comes back at another address."""
    moved = node(3, B, name="node0")
    change = looks(replacement(new=3, name="node0"), cluster(*nodes(0, 1, 2, leader=B).members, moved)).turn()
    assert change.next(to.RemoveTarget).ask.target_id == A


@pytest.mark.parametrize("there", [True, False])
def test_id_that_nothing_remembers_is_refused(*, there: bool) -> None:
    """It may be mistyped, also where the new member is there: the old one would stay, and be called replaced."""
    mistyped = f"{A[:-1]}a"
    view = FOUR if there else THREE
    failure = looks(replacement(old=mistyped), view).do(to.FindResource, UNKNOWN).next(to.Fail).failure
    assert failure.kind == FailureType.UNKNOWN_MEMBER
    assert mistyped in failure.text
    assert f"`etcd-handoff add node3 --peer-url {url(3)} -c prod` does what is left" in failure.text


def test_replacement_whose_old_member_is_out_goes_on_as_an_addition() -> None:
    """Without Kubernetes nothing would remember the ID."""
    dead = cluster(down(A, peer_urls=(url(0),)), node(1, B), node(2, B))
    change = looks(replacement(blocked_timeout_seconds=0), dead).turn()
    records(removes(change, WITHOUT_IT, 0), 0, joined=False)
    looks(change, WITHOUT_IT)
    waiting = cluster(*WITHOUT_IT.members, unstarted(3))
    change.do(AddTarget, report(StepOutcome.ADDED, waiting, added_id=D, proposed=True))
    failure = change.next(to.Fail).failure
    assert f"To go on: `etcd-handoff add node3 --peer-url {url(3)} -c prod`" in failure.text

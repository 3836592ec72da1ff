"""What a list that one node alone gives may not decide, where each worker sees its own member alone."""

from __future__ import annotations

import pytest

from etcd_handoff.contract import StepOutcome
from etcd_handoff.doubts import ResourceClaim
from etcd_handoff.operation import commands as to
from etcd_handoff.planning import Reason
from tests.unit.builders import A, B, C, cluster, member
from tests.unit.test_node_looks import LED_BY_B, NODE, WITHOUT_A, entry_first, looked, nodes_asked, pauses, sees, silent
from tests.unit.test_removal_loop import begin, report

LONE = cluster(member(C, C, term=8, raft_index=200_000))


def test_nodes_that_a_list_lacks_are_asked_too() -> None:
    """A member that lists itself alone would call everybody else out."""
    removal = looked().turn()
    removal.do(to.Observe, sees(LONE, C))
    assert nodes_asked(removal) == ["node0", "node1"]
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, B)))
    assert not removal.state.absent
    removal.next(to.AskQueue)
    assert removal.state.doing.startswith(Reason.LISTS_DIFFER)


@pytest.mark.parametrize("blind", [False, True], ids=["its own worker looks first", "a worker without a list"])
@pytest.mark.parametrize("contradicted", [False, True], ids=["nothing before", "contradicted before"])
def test_list_of_one_node_alone_calls_nobody_out(*, blind: bool, contradicted: bool) -> None:
    """The other workers are silent: most nodes have to confirm it, whichever worker looked first."""
    removal = looked().turn()
    if contradicted:
        removal.do(to.Observe, sees(LONE, C)).do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, B)))
        pauses(removal, 1.0)
    if blind:
        removal.do(to.Observe, sees(None, A).model_copy(update={"alone": False}))
        removal.do(to.LookThroughNodes, (silent(), sees(LONE, C)))
    else:
        removal.do(to.Observe, sees(LONE, C)).do(to.LookThroughNodes, (silent(), silent()))
    pauses(removal, 1.0)
    assert not removal.state.absent
    assert removal.state.doing.startswith(Reason.LISTS_DIFFER)


def test_list_of_one_node_is_believed_once_the_others_are_recorded_as_out() -> None:
    """Another operation has removed node1 meanwhile, and somebody else node0."""
    removal = looked().turn().do(to.Observe, sees(LONE, C)).do(to.LookThroughNodes, (silent(), silent()))
    pauses(removal, 1.0)
    assert removal.next(to.Observe).ask.claims
    out = (ResourceClaim(name="node1", member_id=B, joined="False"),)
    removal.result(sees(LONE, C, claims=out))
    assert removal.state.absent


def test_nodes_of_etcdmembers_that_a_list_lacks_are_asked_too() -> None:
    """At the first look nobody has seen any other node."""
    claims = tuple(ResourceClaim(name=name, member_id=i, joined="True") for i, name in NODE.items())
    gone = ResourceClaim(name="node9", member_id="9", joined="False")
    removal = begin().do(to.Observe, sees(LONE, C, claims=(*claims, gone)))
    assert nodes_asked(removal) == ["node0", "node1"]


@pytest.mark.parametrize("outcome", [StepOutcome.ALREADY_ABSENT, StepOutcome.REPLAN])
def test_list_of_a_step_alone_calls_nobody_out(outcome: StepOutcome) -> None:
    """Its own member may have been forced into a cluster of its own since: all nodes are looked through."""
    removal = entry_first(looked().turn()).do(to.RemoveTarget, report(outcome, LONE))
    assert not removal.state.absent
    removal.next(to.Observe)


def test_removal_that_etcd_itself_has_answered_needs_no_other_look() -> None:
    """Its answer is the membership without the member."""
    removal = entry_first(looked().turn()).do(to.RemoveTarget, report(StepOutcome.REMOVED, WITHOUT_A, proposed=True))
    assert removal.state.absent
    removal.next(to.WriteStatus)


def test_witness_is_asked_through_nodes_where_the_worker_sees_nothing() -> None:
    """Else a cluster that alone answers would be taken for the one that is meant, whatever EtcdMembers say."""
    foreign = cluster(member(A, B), member(B, B), member(C, B), cluster_id="dead")
    claims = (ResourceClaim(name="node0", member_id="abc", joined="True"),)
    # A doubt keeps the first look from pinning anybody.
    removal = begin().do(to.Observe, sees(LED_BY_B, B)).do(to.LookThroughNodes, (sees(foreign, A), sees(LED_BY_B, C)))
    assert removal.state.pinned is None
    removal.do(to.Wait, after=1.0).do(to.Observe, sees(None, B))
    command = removal.next(to.LookThroughNodes)
    assert all(look.ask.claims for look in command.looks)
    by_node = {node: member_id for member_id, node in NODE.items()}
    removal.result(tuple(sees(foreign, by_node[look.node], claims=claims) for look in command.looks))
    assert removal.state.claims == claims
    removal.next(to.Wait)
    assert removal.state.doing.startswith(Reason.RESOURCES_DISAGREE)

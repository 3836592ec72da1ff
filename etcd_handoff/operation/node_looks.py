"""Looks through the workers of other nodes, at members that the worker of a look does not reach. Pure.

A worker that runs on a node serves that node's own task queue, too. Where all workers reach all members nobody is
asked there. A node that gave no answer is left alone for a while, so that one that is down costs no time in each look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import StepOutcome
from etcd_handoff.merged_view import merged, node_of
from etcd_handoff.operation import observation
from etcd_handoff.operation.commands import LookThroughNodes, Observe, StepFailure
from etcd_handoff.operation.phases import HalfLook
from etcd_handoff.operation.state import Decided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState

ASK_AGAIN_SECONDS: Final = 10.0
"""How long a node is not asked again whose worker took no look."""


def looked(state: OperationState, command: Observe, report: StepResult, now: float) -> OperationState:
    """The state after one worker has looked: what it saw counts, or other nodes are asked first."""
    state = state.changed(traits=state.traits or report.traits)
    nodes = tuple(node for node in _nodes_to_ask(state, command, report) if _may_answer(state, node, now))
    if not nodes:
        return observation.observed(state, command, report)
    return state.changed(half_look=HalfLook(command=command, report=report, nodes=nodes))


def decide(state: OperationState, half: HalfLook) -> Decided:
    """Ask the nodes."""
    members, table = half.report.view.members if half.report.view else (), _table(state)
    claims = half.command.ask.claims and half.report.view is None  # a worker that saw no list has read none

    def look(node: str) -> Observe:
        # Only its own member is waited for.
        others = tuple(m.id for m in members if node_of(m.name, table) != node)
        ask = half.command.ask.model_copy(update={"claims": claims, "probe": False, "doubtful": others})
        return Observe(ask=ask, node=node, summary=f"members as {node} sees them")

    return Decided(state, LookThroughNodes(looks=tuple(look(node) for node in half.nodes)))


def answered(state: OperationState, results: Sequence[StepResult | StepFailure], now: float) -> OperationState:
    """The state once the nodes have answered, or have not."""
    half = state.half_look
    if half is None:
        msg = "nodes have answered that were not asked"
        raise RuntimeError(msg)
    views, silent, asleep = dict[str, "ClusterView"](), dict[str, str](), dict(state.silent_nodes)
    for node, result in zip(half.nodes, results, strict=False):
        asleep.pop(node, None)
        if isinstance(result, StepFailure):
            silent[node], asleep[node] = f"node {node}: {result.text}", now
        elif result.view is None:
            silent[node] = f"node {node}: {result.step.note}"
        else:
            views[node] = result.view
    told = (result.claims for result in results if not isinstance(result, StepFailure))
    claims = half.report.claims if half.report.claims is not None else next((c for c in told if c is not None), None)
    report = _merged_report(half.report.model_copy(update={"claims": claims}), views, silent, _table(state))
    view = report.view
    far = tuple(sorted({m.through_node for m in view.members} - {""})) if view and view.merged else state.far_nodes
    state = state.changed(half_look=None, silent_nodes=asleep, far_nodes=far)
    return observation.observed(state, half.command, report)


def _merged_report(
    report: StepResult, views: Mapping[str, ClusterView], silent: Mapping[str, str], nodes: Mapping[str, str]
) -> StepResult:
    """What the first worker told, with the view that all of them make."""
    first, first_node, others = report.view, report.step.node, dict(views)
    if first is None and others:
        first_node = min(others)
        first = others.pop(first_node)
    if first is None:
        return report
    view = merged(first, first_node, others, silent, nodes)
    leader = view.leadership
    note = f"{view.label(leader.id)} leads at term {leader.term}" if leader else "no leader"
    also = f"; also seen from {', '.join(sorted(views))}" if views else ""
    step = report.step.model_copy(update={"note": f"{note}{also}", "outcome": StepOutcome.OBSERVED})
    return report.model_copy(update={"view": view, "step": step})


def _nodes_to_ask(state: OperationState, command: Observe, report: StepResult) -> tuple[str, ...]:
    """Nodes of started members that the worker does not reach, but for those that were unreachable before.

    Also nodes whose members the worker's list lacks, though other workers or EtcdMembers know of them: a member that
    was forced into a cluster of its own lists nobody but itself, and contradicts nothing that its own worker sees.
    """
    if report.view is None:
        return tuple(node for node in state.far_nodes if node != report.step.node)
    known = state.view.members if state.view and not command.patient else ()
    silent = {m.id for m in known if not m.reachable}
    table = _table(state)
    far = [m for m in report.view.members if m.name and not m.reachable and m.id not in silent]
    listed = {node_of(m.name, table) for m in report.view.members}
    joined = (c for c in report.claims or () if c.joined == "True" and not report.view.member(c.member_id))
    elsewhere = (*state.far_nodes, *(node_of(c.name, table) for c in joined))
    nodes = dict.fromkeys((*(node_of(m.name, table) for m in far), *(n for n in elsewhere if n not in listed)))
    return tuple(node for node in nodes if node != report.step.node)


def _may_answer(state: OperationState, node: str, now: float) -> bool:
    asked = state.silent_nodes.get(node)
    return asked is None or now - asked >= ASK_AGAIN_SECONDS


def _table(state: OperationState) -> Mapping[str, str]:
    return state.traits.nodes if state.traits else {}

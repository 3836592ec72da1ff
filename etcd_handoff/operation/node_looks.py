"""Look at members that the worker of a look does not reach, through the workers of their nodes. Pure.

A worker that runs on a node serves that node's own task queue, too. Where all workers reach all members, no node is
asked. A node that gave no answer is skipped for a while, since a node that is down would delay every look. A node for
which Temporal lists no worker is not asked at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff import doubts, time_limits
from etcd_handoff.activity_io import CheckLeaderInput, known_worker_info
from etcd_handoff.merged_view import merged, node_of
from etcd_handoff.operation import node_doubts, observation, texts
from etcd_handoff.operation.commands import LookThroughNodes, Observe, StepFailure
from etcd_handoff.operation.node_answers import merge_looks
from etcd_handoff.operation.phases import HalfLook
from etcd_handoff.operation.state import NextCommand
from etcd_handoff.planning import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.operation.state import OperationState
    from etcd_handoff.planning import Refused


# --- what an operation does -------------------------------------------------------------------------------------------


def looked(state: OperationState, command: Observe, report: StepResult, now: float) -> OperationState:
    """Return the state after one worker has looked: what it saw counts, or other nodes are asked first."""
    state = state.changed(worker_info=known_worker_info(state.worker_info, report.worker_info))
    if report.view is not None:  # a worker that saw no list does not say whom it reaches
        state = state.changed(own_member_alone=report.alone)
    known = state.view.members if state.view and not command.patient and not report.worker_nodes else ()
    passed_over = {m.id for m in known if not m.reachable}
    others = (*state.far_nodes, *_unlisted_claims(report, _table(state)), *report.worker_nodes)
    if not command.patient:  # a look that ends a wait has the time to try them all the same
        state = state.changed(silent_nodes={**state.silent_nodes, **dict.fromkeys(report.idle_nodes, now)})
    report = _without_workers(report, state, now)
    nodes = nodes_to_ask(report, _table(state), state.silent_nodes, now, passed_over, others)
    if not nodes:
        report = _confirmed(state, report, {report.step.node})
        return observation.observed(state, command, node_doubts.confirmed_by_its_worker(report))
    return state.changed(half_look=HalfLook(command=command, report=report, nodes=nodes))


def decide(state: OperationState, half: HalfLook) -> NextCommand:
    """Ask the nodes."""
    claims = half.command.ask.claims and half.report.view is None  # a worker that saw no list has read none
    ask = half.command.ask
    look = looks_through(ask.cluster, ask.cluster_id, half.report, half.nodes, _table(state), claims=claims)
    return NextCommand(state, look)


def answered(state: OperationState, results: Sequence[StepResult | StepFailure], now: float) -> OperationState:
    """Return the state after the nodes' looks, answered or not.

    Raises:
        RuntimeError: No nodes were asked.
    """
    half = state.half_look
    if half is None:
        msg = "nodes have answered that were not asked"
        raise RuntimeError(msg)
    table = _table(state)
    report, agreeing, silent = merge_looks(half.report, half.nodes, results, table, state.silent_nodes, now)
    report = _confirmed(state, report, agreeing)
    state = state.changed(
        half_look=None, silent_nodes=silent, far_nodes=node_doubts.far_nodes(report) or state.far_nodes
    )
    return observation.observed(state, half.command, report)


def _confirmed(state: OperationState, report: StepResult, agreeing: Collection[str]) -> StepResult:
    """Return the look to believe, where each worker sees its own member alone.

    Where the last view was contradicted, it still stands until most nodes confirm that the member has left. Otherwise
    the nodes count as endpoints: a list that few of them give may be that of a member which was forced into a cluster
    of its own (`etcd_handoff.doubts.shorter_list`).

    Args:
        state: The state before this look.
        report: The look.
        agreeing: Nodes whose workers gave its list.
    """
    last, target, view = state.view, state.pinned, report.view
    if view is None or target is None or not (report.alone or state.own_member_alone):
        return report
    counts = {"endpoints": len({*state.far_nodes, *agreeing}), "answering": len(agreeing)}
    report = report.model_copy(update={"view": view.model_copy(update=counts)})
    if last is None or state.request.adds or state.absent:
        return report
    doubt = doubts.contradiction(last, doubts.Binding())
    if view.member(target.member_id) is not None or doubt is None or doubt.kind != doubts.LISTS_DIFFER:
        return report
    leave = {target.member_name, *(t.member_name for t in (state.whole.leaves if state.whole else ()))}
    known = set(state.far_nodes) - {node_of(name, _table(state)) for name in leave}
    if not (why := node_doubts.unconfirmed(report, agreeing, known, _table(state))):
        return report
    return report.model_copy(update={"view": last, "step": report.step.model_copy(update={"note": why})})


def without_workers(state: OperationState, refused: Refused) -> Blocked | None:
    """Return what to wait for instead, where a voter's worker took no look; None where all of them did.

    Where each worker sees its own member alone, a worker that restarts looks like a voter that is down.
    """
    voters = state.view.voters if state.view is not None else ()
    nodes = {node_of(m.name, _table(state)) for m in voters if not m.reachable} & {*state.silent_nodes}
    if not nodes or not state.own_member_alone:
        return None
    until = f"start the workers on {', '.join(sorted(nodes))}; or {refused.remedy}"
    return Blocked(refused.reason, refused.seen, until)


def _unlisted_claims(report: StepResult, table: Mapping[str, str]) -> list[str]:
    """Return the nodes of members that the list lacks and that no EtcdMember shows as out."""
    listed = {"", *(m.id for m in report.view.members)} if report.view else {""}
    return [node_of(c.name, table) for c in report.claims or () if c.joined != "False" and c.member_id not in listed]


def _without_workers(report: StepResult, state: OperationState, now: float) -> StepResult:
    """Return the look with a note on members whose nodes have no worker and are not asked again so soon."""
    resting = (n for n in state.silent_nodes if not _rested(state.silent_nodes, n, now))
    why = {node: texts.no_worker(node) for node in resting if node != report.step.node}
    if report.view is None or not why:
        return report
    return report.model_copy(update={"view": merged(report.view, report.step.node, {}, why, _table(state))})


def _rested(silent: Mapping[str, float], node: str, now: float) -> bool:
    """Whether a node whose worker took no look may be asked again; a clock that was set back delays nothing."""
    return node not in silent or not 0 <= now - silent[node] < time_limits.OPERATION.ask_again_seconds


def _table(state: OperationState) -> Mapping[str, str]:
    return state.worker_info.nodes if state.worker_info else {}


# --- what whoever looks does ------------------------------------------------------------------------------------------


def nodes_to_ask(  # noqa: PLR0913, PLR0917  # all that it follows from
    report: StepResult,
    table: Mapping[str, str],
    silent: Mapping[str, float],
    now: float,
    passed_over: Collection[str] = (),
    known: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return the nodes whose workers may reach started members that the worker of a look does not.

    Where a worker sees only its own member, all known nodes are asked. A member that was forced into a new cluster
    lists no other member, and contradicts nothing that its own worker sees. As long as it is not known which cluster is
    meant, all workers that Temporal lists are asked. That includes workers whose members are reached from here.

    Args:
        report: What that worker saw.
        table: Nodes of members that are named otherwise.
        silent: When each node was asked whose worker took no look.
        now: The time, in seconds.
        passed_over: Members that no worker reached the last time.
        known: Nodes named by Temporal, other workers or EtcdMembers.
    """
    if report.view is None:
        nodes = [*known]
    else:
        far = [m for m in report.view.members if m.name and not m.reachable and m.id not in passed_over]
        listed = {node_of(m.name, table) for m in report.view.members}
        nodes = [node_of(m.name, table) for m in far]
        if report.alone:
            nodes += [*(node for node in known if node not in listed), *report.worker_nodes]
    return tuple(dict.fromkeys(node for node in nodes if _rested(silent, node, now) and node != report.step.node))


def looks_through(  # noqa: PLR0913  # all that it follows from
    cluster: str,
    cluster_id: str,
    report: StepResult,
    nodes: Iterable[str],
    table: Mapping[str, str],
    *,
    claims: bool = False,
) -> LookThroughNodes:
    """Return the command that asks the nodes, each for its own member.

    Args:
        cluster: Cluster profile.
        cluster_id: The etcd cluster that is meant; empty when that is not known yet.
        report: What the worker of the look saw.
        nodes: The nodes.
        table: Nodes of members that are named otherwise.
        claims: EtcdMembers are read too.
    """
    members = report.view.members if report.view else ()

    def look(node: str) -> Observe:
        others = tuple(m.id for m in members if node_of(m.name, table) != node)  # these are not waited for
        ask = CheckLeaderInput(cluster=cluster, cluster_id=cluster_id, doubtful=others, claims=claims, for_node=True)
        return Observe(ask=ask, node=node, summary=f"look at the members as {node} sees them")

    return LookThroughNodes(looks=tuple(look(node) for node in nodes))

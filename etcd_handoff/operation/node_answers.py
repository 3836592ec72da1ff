"""Make one look of what the workers of several nodes have answered. Pure.

Each of them reaches its own node's member. `etcd_handoff.merged_view` merges their views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etcd_handoff.contract import StepOutcome
from etcd_handoff.merged_view import merged
from etcd_handoff.operation import node_doubts
from etcd_handoff.operation.commands import StepFailure
from etcd_handoff.operation.node_doubts import DataOnNodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView, MemberSelfReport


class NodeAnswers(NamedTuple):
    """The result of looks through nodes.

    Attributes:
        report: The look of all workers together.
        agreeing: Nodes whose workers gave the view's list; none where no worker saw one.
        silent: When each node was asked whose worker took no look.
    """

    report: StepResult
    agreeing: frozenset[str]
    silent: dict[str, float]


class _ByNode(NamedTuple):
    """What the nodes' workers have answered, by node.

    Attributes:
        views: The views of those that saw a member list.
        why: Why the others saw none.
        self_reports: What members said of themselves to workers that saw no list.
        data: What is known of the etcd data there, where a worker saw no list.
    """

    views: dict[str, ClusterView]
    why: dict[str, str]
    self_reports: dict[str, tuple[MemberSelfReport, ...]]
    data: DataOnNodes


def merge_looks(  # noqa: PLR0913, PLR0917  # all that it follows from
    report: StepResult,
    nodes: Sequence[str],
    results: Sequence[StepResult | StepFailure],
    table: Mapping[str, str],
    silent: Mapping[str, float],
    now: float,
) -> NodeAnswers:
    """Merge the look of a worker with those of the nodes' workers.

    Args:
        report: What the worker of the look saw.
        nodes: The nodes that were asked.
        results: Their results, in the same order; none when no node was asked after all.
        table: Nodes of members that are named otherwise.
        silent: When each node was asked before whose worker took no look.
        now: The time, in seconds.
    """
    answered = dict(zip(nodes, results, strict=False))
    claims = (r.claims for r in (report, *results) if not isinstance(r, StepFailure) and r.claims is not None)
    report = report.model_copy(update={"claims": next(claims, None)})
    return NodeAnswers(*_merged(report, _by_node(report, answered), table), _silent(silent, answered, now))


def _by_node(report: StepResult, answered: Mapping[str, StepResult | StepFailure]) -> _ByNode:
    """Sort the answers. The worker of the look counts too if it saw no list."""
    found = _ByNode({}, {}, {}, DataOnNodes({}, {}))
    if report.view is None:
        _note_data(found, report.step.node, report)
    for node, result in answered.items():
        if isinstance(result, StepFailure):
            found.why[node] = result.text
        elif result.view is None:
            found.why[node] = f"the worker on {node}: {result.step.note}"
            _note_data(found, node, result)
        else:
            found.views[node] = result.view
    return found


def _note_data(found: _ByNode, node: str, blind: StepResult) -> None:
    """Note what a worker without a list knows of its node."""
    found.self_reports[node] = blind.self_reports
    if blind.data_owner is not None:
        found.data.owners[node] = blind.data_owner
    if blind.data_error:
        found.data.unread[node] = blind.data_error


def _silent(
    before: Mapping[str, float], answered: Mapping[str, StepResult | StepFailure], now: float
) -> dict[str, float]:
    """Return when each node was asked whose worker took no look. An answer ends the silence of a node."""
    idle = {node: now for node, result in answered.items() if isinstance(result, StepFailure) and not result.taken}
    return {**{node: when for node, when in before.items() if node not in answered}, **idle}


def _merged(report: StepResult, found: _ByNode, table: Mapping[str, str]) -> tuple[StepResult, frozenset[str]]:
    """Return the look with the merged view, or as it was if there is nothing to merge; and who gave its list."""
    first, first_node, others = report.view, report.step.node, dict(found.views)
    if first is None and others:
        first_node = min(others)
        first = others.pop(first_node)
    if first is None or not (found.views or found.why):
        return report, frozenset({first_node} if first else ())
    view = merged(first, first_node, others, found.why, table, found.self_reports)
    agree = frozenset({first_node, *(node for node, other in others.items() if other.cluster_id == first.cluster_id)})
    if report.worker_nodes or report.workers_unlisted:  # it is still to be found out which cluster is meant
        unheard = set(report.worker_nodes) - {*found.views, *found.self_reports}
        view = node_doubts.confirmed_by_most(view, agree, unheard, found.data, unlisted=report.workers_unlisted)
    also = f"; also seen from {', '.join(sorted(found.views))}" if found.views else ""
    note = f"{view.who_leads}{also}{''.join(f'; {text}' for text in found.data.not_read)}"
    step = report.step.model_copy(update={"note": note, "outcome": StepOutcome.OBSERVED})
    return report.model_copy(update={"view": view, "step": step}), agree

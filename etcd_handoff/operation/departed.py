"""Check whether the etcd of a removed member still runs, through the worker on its node. Pure.

The answer goes into `next_steps`. It is a help and not part of the removal: it comes after the record and takes at most
a second. It is asked only where k0s runs the node, as k0s keeps running when its member has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.activity_io import SeeDepartedInput, SeeDepartedResult
from etcd_handoff.merged_view import node_of
from etcd_handoff.operation import process_end, recording
from etcd_handoff.operation.commands import SeeDeparted
from etcd_handoff.operation.phases import EndPhase
from etcd_handoff.operation.state import NextCommand

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState


def decide(state: OperationState) -> NextCommand | OperationState:
    """Ask the worker on the member's node, if it took part in the last look at that member."""
    following = EndPhase.STOP if process_end.is_due(state) else EndPhase.REPORT
    state, info = state.at_end(phase=following), state.worker_info
    if info is None or not state.absent or not recording.next_steps(state):
        return state
    node = node_of(state.target.member_name, info.nodes)
    if node not in state.far_nodes:
        return state
    ask = SeeDepartedInput(cluster=state.request.cluster)
    command = SeeDeparted(ask=ask, node=node, summary=f"check if the etcd of {state.label} still runs")
    return NextCommand(state, command)


def seen(state: OperationState, result: SeeDepartedResult | None) -> OperationState:
    """Return the state with the answer; without a result it stays unknown."""
    return state.at_end(runs_on=result.runs) if result is not None else state

"""A removal without Temporal: the product's own `decide` and `apply`, driven with the activities of a model.

Time passes only while the removal waits. Whoever calls `step` decides what happens in between.
"""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.hash_and_snapshot import HashAndSnapshotActivities
from activities.member_status import KubernetesActivities
from activities.worker_info import WorkerActivities
from etcd_handoff.contract import SECONDS_IN_30_DAYS, RemovalRequest
from etcd_handoff.errors import EtcdError, KubernetesError
from etcd_handoff.operation.commands import (
    Activity,
    AskQueue,
    DescribeWorker,
    Fail,
    Finish,
    HashThroughNodes,
    LookThroughNodes,
    Wait,
)
from etcd_handoff.operation.loop import apply, decide
from etcd_handoff.operation.queue_messages import QueuePosition, TakeTurnResult
from etcd_handoff.operation.state import OperationState
from etcd_handoff.operation.step_log import within
from tests.model.cluster import CrashError
from tests.model.gateways import claims_of, config_of, etcd_of, gateways_of
from workflows.activity_calls import CALLS

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import Command
    from tests.model.cluster import Cluster

CLUSTER: Final = "model"
STEPS_TO_END: Final = 40
"""More than any removal needs once nothing happens any more."""


class Loop:
    """One removal, which always has its turn.

    Args:
        cluster: The model; its target is to leave.

    Attributes:
        outcome: How it has ended: an outcome, or the type of a failure; empty before.
        message: The text of the failure.
        recorded: The result says that the EtcdMember tells the truth.
        continues: A new run goes on in place of the next pause, with what the one before has handed on.
    """

    asks_nodes: ClassVar[bool] = False
    """Whether nodes are asked for what their own workers see; else one worker reaches all that can be reached."""

    def __init__(self, cluster: Cluster) -> None:
        config, clusters = config_of([CLUSTER], alone=self.asks_nodes), {CLUSTER: cluster}
        self._config, self._clusters = config, clusters
        self._etcd = EtcdActivities(config, "model", etcd_of(clusters), claims=claims_of(clusters))
        self._kubernetes = KubernetesActivities(gateways_of(config, clusters), "model")
        self._worker = WorkerActivities(config, search_attributes=False)
        patience = float(SECONDS_IN_30_DAYS)
        request = RemovalRequest(
            cluster=CLUSTER,
            member=cluster.target,
            blocked_timeout_seconds=patience,
            hash_check="hash" in cluster.gates,
        )
        state = OperationState(run_id="model", blocked_remaining_seconds=patience, request=request, chain_id="model")
        self._now, self._number, self._attempt = 0.0, 0, 0
        self.outcome, self.message, self.recorded, self.continues = "", "", False, False
        self._next: Command | None = None
        self._state, self._next = self._to_an_activity(state)

    @property
    def unsettled(self) -> bool:
        """Whether nobody is left who could say which of two lists is right; everybody answers here."""
        return False

    async def step(self) -> None:
        """One activity has run, as far as it came; one that failed is what the next step tries again."""
        command = self._next
        if not isinstance(command, Activity | LookThroughNodes | HashThroughNodes):
            return
        self._attempt += 1
        try:
            result = await self._run(command)
        except (CrashError, EtcdError, KubernetesError, ApplicationError):
            return
        self._number, self._attempt = self._number + 1, 0
        self._state, self._next = self._to_an_activity(apply(self._state, command, result, self._now))

    def _to_an_activity(self, state: OperationState) -> tuple[OperationState, Command]:
        """Carry out whatever is no activity; ends with one, or when the removal has ended."""
        while True:
            state, command = decide(state, self._now)
            result: Any = None
            match command:
                case Wait() if command.resumable and self.continues:
                    state, self.continues = _handed_on(state), False
                    continue
                case Wait():
                    self._now += command.seconds or 0.0
                case AskQueue():
                    turn = QueuePosition(granted=command.waits, chain_id=state.chain_id, request=state.turn_request)
                    result = TakeTurnResult(turn=turn)
                case LookThroughNodes() if not self.asks_nodes:
                    result = ()
                case DescribeWorker():
                    result = self._worker.worker_info(command.cluster)
                case Finish():
                    self.outcome, self.recorded = str(command.result.outcome), command.result.status_recorded
                    return state, command
                case Fail():
                    self.outcome, self.message = str(command.failure.kind), command.failure.text
                    return state, command
                case _:
                    return state, command
            state = apply(state, command, result, self._now)

    async def _run(self, command: Activity | LookThroughNodes | HashThroughNodes) -> Any:
        if isinstance(command, LookThroughNodes | HashThroughNodes):
            msg = "no node is asked here"
            raise TypeError(msg)
        return await self._call(command, self._etcd, self._kubernetes)

    async def _call(
        self, command: Activity, etcd: EtcdActivities, kubernetes: KubernetesActivities, **info: Any
    ) -> Any:
        """One attempt of an activity, with these activities on etcd and on EtcdMembers."""
        name = CALLS[type(command)].method.__name__
        environment = ActivityEnvironment()
        changes = {"activity_type": name, "activity_id": str(self._number), "attempt": self._attempt, **info}
        environment.info = replace(environment.info, **changes)
        holders = (etcd, HashAndSnapshotActivities(self._config, "model", etcd.looks), kubernetes)
        holder = next(one for one in holders if hasattr(one, name))
        return await environment.run(getattr(holder, name), command.ask)


def _handed_on(state: OperationState) -> OperationState:
    """What a new run knows of a removal."""
    carried = OperationState.model_validate_json(within(state).model_dump_json())
    return carried.changed(request=state.request, chain_id=state.chain_id)


class Leap(selectors.DefaultSelector):
    """Time passes only while nobody has anything to do, and then at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nobody waits."""
        self.now += timeout or 0.0
        return super().select(0)


def leaping() -> asyncio.AbstractEventLoop:
    """An event loop in which waits take no time."""
    selector = Leap()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    return loop

"""A removal without Temporal whose activities run on nodes, each of which reaches its own member alone."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.leave_to_other_worker import leave_to_another_if_elsewhere
from activities.member_status import KubernetesActivities
from etcd_handoff.errors import EtcdError, KubernetesError
from etcd_handoff.operation.commands import (
    CheckHash,
    HashThroughNodes,
    LookThroughNodes,
    Observe,
    RemoveTarget,
    StepFailure,
)
from etcd_handoff.operation.node_doubts import UNSETTLED
from tests.model.cluster import CrashError
from tests.model.loop import Loop
from tests.model.node_gateway import ModelWorkers, NodeGateways, claims_on, data_on, gateway_on
from workflows import retries
from workflows.activity_calls import CALLS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from etcd_handoff.operation.commands import Activity, Command
    from etcd_handoff.operation.state import OperationState
    from tests.model.nodes import NodeCluster

STARTED: Final = ActivityEnvironment().info.started_time
LATE: Final = timedelta(seconds=10)
PENDING: Final = "the removal may still take place"
STEPS_TO_END: Final = 300
"""More than any removal needs once nothing happens any more. A look takes two steps. Where half of the workers cannot
make it, the dice may give it to them fifteen times in a row, and that several times."""


class NodeLoop(Loop):
    """One removal; whatever any worker may do is done on a node that the dice choose.

    Args:
        cluster: The model; its target is to leave.
        seed: Where the dice begin.
    """

    asks_nodes: ClassVar[bool] = True

    def __init__(self, cluster: NodeCluster, seed: int = 0) -> None:
        self._cluster = cluster
        self._dice = random.Random(seed)  # noqa: S311  # a test's
        self._workers = dict[str, tuple[EtcdActivities, KubernetesActivities]]()
        super().__init__(cluster)

    @property
    def doing(self) -> str:
        """Where it stands, in words."""
        return f"{self._state.doing}; {self._state.waiting_for}"

    @property
    def unsettled(self) -> bool:
        """Whether two lists differed, and those who could tell which is right have left, and their workers with them.

        A removal waits for them then: the other list may be that of a member that was forced into a cluster of its own.
        """
        return bool(self._state.steps) and UNSETTLED in self._state.steps[-1].note

    def _to_an_activity(self, state: OperationState) -> tuple[OperationState, Command]:
        if isinstance(self._next, RemoveTarget) and self._cluster.removal_is_late and not state.point_of_no_return:
            self._cluster.wrong.append(f"{PENDING}, and counts as one that was not proposed")
        state, command = super()._to_an_activity(state)
        if state.pinned is not None:
            self._cluster.note_pinned(state.pinned.member_id, present=state.pinned.present)
        self._cluster.invariants.led = state.binding.term > 0
        return state, command

    async def _run(self, command: Activity | LookThroughNodes | HashThroughNodes) -> Any:
        invariants = self._cluster.invariants
        if isinstance(command, LookThroughNodes):
            return tuple([await self._through(look) for look in command.looks])
        if isinstance(command, HashThroughNodes):
            return tuple([await self._through(check) for check in command.checks])
        if command.node and command.node not in self._cluster.names:
            self._cluster.wrong.append(
                f"steps: {command.summary} was sent to {command.node}, and there is no such node"
            )
        if command.node and command.node not in self._cluster.nodes:
            text, tried = f"no worker on {command.node}", self._attempt > 1
            return StepFailure(CALLS[type(command)].method.__name__, "", text, taken=False, tried=tried)
        late, self._cluster.late = self._cluster.late, False
        if isinstance(command, Observe):
            invariants.begin_look()
        invariants.stale = not isinstance(command, Observe) and (late or self._attempt > 1)
        node = command.node or self._dice.choice(self._cluster.nodes or sorted(self._cluster.names))
        try:
            return await self._on(node, command, **({"scheduled_time": STARTED - LATE} if late else {}))
        finally:
            invariants.stale = False

    async def _through(self, command: Observe | CheckHash) -> Any:
        """What a node's worker sees, or why it does not answer."""
        text = f"no worker on {command.node}"
        for attempt in range(1, retries.NODE_LOOK.maximum_attempts + 1):
            if command.node not in self._cluster.nodes:
                break
            try:
                return await self._on(
                    command.node, command, activity_id=f"{self._number} {command.node}", attempt=attempt
                )
            except (CrashError, EtcdError, KubernetesError, ApplicationError) as error:
                text = str(error)
        name = CALLS[type(command)].method.__name__
        return StepFailure(name, "", text, taken=command.node in self._cluster.nodes)

    async def _on(self, node: str, command: Activity, **info: Any) -> Any:
        """One attempt on a node."""
        if node not in self._workers:
            etcd = EtcdActivities(
                self._config,
                node,
                gateway_on(node, self._cluster),
                claims=claims_on(node, self._cluster),
                workers=ModelWorkers(self._cluster),
                data=data_on(node, self._cluster),
            )

            def elsewhere(cluster: str, cluster_id: str) -> Awaitable[None]:
                return leave_to_another_if_elsewhere(etcd.looks(cluster), cluster_id)

            gateways = NodeGateways(self._config, self._cluster, node)
            self._workers[node] = etcd, KubernetesActivities(gateways, node, elsewhere=elsewhere)
        return await self._call(command, *self._workers[node], **info)

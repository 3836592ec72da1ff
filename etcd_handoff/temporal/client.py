"""Start removals and follow them, from scripts and from the command line.

client = await connect()
removal = await start_removal(client, RemovalRequest(cluster="prod", member="node2"))
print((await removal.result()).outcome)
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, Final, TypeVar

from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import time_limits
from etcd_handoff.command_lines import START_A_WORKER
from etcd_handoff.contract import (
    TASK_QUEUE,
    HandoffState,
    MembershipRequest,
    MembershipResult,
    OperationRequest,
    OperationResult,
    Progress,
    RemovalRequest,
    RemovalResult,
    ReplacementRequest,
    ReplacementResult,
)
from etcd_handoff.errors import ConfigError, HandoffError
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest, watcher_id
from etcd_handoff.temporal.connection_failures import DEFAULT_ADDRESS, rpc_failure
from etcd_handoff.temporal.converter import data_converter
from etcd_handoff.temporal.process_exit import let_native_threads_leave
from etcd_handoff.temporal.same_request import require_same_request
from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, MEMBER_KEY, STATE_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from temporalio.client import Interceptor
    from temporalio.runtime import Runtime

RECONCILER_TYPE: Final = "ReconcileEtcdMembers"
UNANSWERED: Final = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION)
"""How a query ends that no worker answers in time. Temporal reports `no poller seen` if it knows that there is none."""
NO_WORKER: Final = f"no worker answers: {START_A_WORKER}; Temporal keeps the operation, and it goes on then"

ResultT = TypeVar("ResultT", bound=OperationResult)
Removal = WorkflowHandle[Any, RemovalResult]
Watcher = WorkflowHandle[Any, None]

atexit.register(let_native_threads_leave)


async def connect(
    interceptors: tuple[Interceptor, ...] = (), identity: str | None = None, runtime: Runtime | None = None
) -> Client:
    """Connect by Temporal's environment configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, profiles).

    Args:
        interceptors: Interceptors of the client.
        identity: The identity in Temporal's records; None for process and host.
        runtime: The SDK's runtime; by default the process's own, which exports no metrics.

    Raises:
        ConfigError: The environment names a profile or a file that cannot be used.
        RuntimeError: The server cannot be reached.
    """
    try:
        settings = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        msg = f"Temporal's environment configuration: {error}; correct TEMPORAL_PROFILE, TEMPORAL_TLS_* or the file"
        raise ConfigError(msg) from None
    settings.setdefault("target_host", DEFAULT_ADDRESS)
    return await Client.connect(
        **settings,
        data_converter=data_converter,
        interceptors=list(interceptors),
        identity=identity,
        runtime=runtime,
    )


async def start_removal(client: Client, request: RemovalRequest, task_queue: str = TASK_QUEUE) -> Removal:
    """Start the removal, or join the running one of this member.

    A dry run has a different workflow ID (`plan_id`), so no removal mistakes the end of a dry run for its own.

    Args:
        client: From `connect`, or any client with `etcd_handoff.temporal.converter.data_converter`.
        request: What to remove.
        task_queue: Task queue of the workers.

    Returns:
        The handle. Its `result()` is a `RemovalResult`, or raises `WorkflowFailureError` whose cause is an
            `ApplicationError` with one of the types in `etcd_handoff.contract.FailureType`.
    """
    return await start_operation(client, request, RemovalResult, task_queue)


async def start_replacement(
    client: Client, request: ReplacementRequest, task_queue: str = TASK_QUEUE
) -> WorkflowHandle[Any, ReplacementResult]:
    """Start the replacement of a member, or join the running one of this member.

    Args:
        client: As for `start_removal`.
        request: Which member, and what takes its place.
        task_queue: Task queue of the workers.

    Returns:
        The handle, as `start_removal` does. Meanwhile the query `progress` has the configuration to start etcd with.
    """
    return await start_operation(client, request, ReplacementResult, task_queue)


async def apply_membership(
    client: Client, request: MembershipRequest, task_queue: str = TASK_QUEUE
) -> WorkflowHandle[Any, MembershipResult]:
    """Give a cluster the members of a list, or join the running change of this cluster.

    Args:
        client: As for `start_removal`.
        request: The members.
        task_queue: Task queue of the workers.

    Returns:
        The handle, as `start_removal` does. Meanwhile the query `progress` has the configuration to start etcd with.
    """
    return await start_operation(client, request, MembershipResult, task_queue)


async def start_operation(
    client: Client, request: OperationRequest, result_type: type[ResultT], task_queue: str = TASK_QUEUE
) -> WorkflowHandle[Any, ResultT]:
    """Start any operation on a cluster, or join the running one of this member.

    Args:
        client: From `connect`, or any client with `etcd_handoff.temporal.converter.data_converter`.
        request: What to do.
        result_type: The result that its workflow has.
        task_queue: Task queue of the workers.

    Returns:
        The handle, as `start_removal` does.

    Raises:
        RunsAlreadyError: The running one has a different request.
    """
    summary = f"Plan to {request.summary[0].lower()}{request.summary[1:]}" if request.dry_run else request.summary

    async def start(attributes: TypedSearchAttributes) -> WorkflowHandle[Any, ResultT]:
        return await client.start_workflow(
            request.workflow_type,
            request,
            id=request.start_id,
            task_queue=task_queue,
            result_type=result_type,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=time_limits.WORKFLOWS.operation_task_timeout,
            search_attributes=attributes,
            static_summary=summary,
            static_details=request.reason or "No reason was given.",
        )

    operation = await _with_attributes(request, start)
    await require_same_request(client, operation, request)
    return operation


async def _with_attributes(
    request: OperationRequest, start: Callable[[TypedSearchAttributes], Awaitable[WorkflowHandle[Any, ResultT]]]
) -> WorkflowHandle[Any, ResultT]:
    values = {CLUSTER_KEY: request.cluster, MEMBER_KEY: request.subject, STATE_KEY: HandoffState.CHECKING.value}
    try:
        return await start(TypedSearchAttributes([SearchAttributePair(key, value) for key, value in values.items()]))
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
    return await start(TypedSearchAttributes.empty)  # the namespace may not have them


async def progress_of(operation: WorkflowHandle[Any, Any]) -> Progress | None:
    """Return an operation's answer to `progress`, or None while no worker or no Temporal answers in time."""
    answer = await progress_or_reason(operation)
    return answer if isinstance(answer, Progress) else None


async def progress_or_reason(operation: WorkflowHandle[Any, Any]) -> Progress | str:
    """Return an operation's answer to `progress`, or a text that says why there is none."""
    try:
        limit = time_limits.COMMANDS.query_timeout
        progress: Progress = await operation.query("progress", result_type=Progress, rpc_timeout=limit)
    except (WorkflowQueryFailedError, HandoffError) as error:
        return f"progress cannot be shown: {error}"
    except RPCError as error:
        if error.status is RPCStatusCode.UNAVAILABLE:
            return "Temporal does not answer; the operation does not depend on this command"
        if error.status not in UNANSWERED:
            return f"progress cannot be shown: {rpc_failure(error)[1]}"
        return NO_WORKER
    return progress


async def start_watcher(
    client: Client, request: ReconcileEtcdMembersRequest, task_queue: str = TASK_QUEUE, *, join: bool = True
) -> Watcher:
    """Start the watcher of a cluster: the workflow that reconciles its EtcdMembers.

    Args:
        client: From `connect`, or any client with `etcd_handoff.temporal.converter.data_converter`.
        request: What to watch.
        task_queue: Task queue of the workers.
        join: Whether to join a running watcher, whatever its settings are.

    Returns:
        The handle. Its query `status` has what it sees. To cancel it ends the watch but no removal.

    Raises:
        WorkflowAlreadyStartedError: One runs already, and `join` is False.
    """
    handle: Watcher = await client.start_workflow(
        RECONCILER_TYPE,
        request,
        id=watcher_id(request.cluster),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING if join else WorkflowIDConflictPolicy.FAIL,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=time_limits.WORKFLOWS.watcher_task_timeout,
        static_summary=f"Reconcile the EtcdMembers of cluster {request.cluster} with the members of etcd",
    )
    return handle

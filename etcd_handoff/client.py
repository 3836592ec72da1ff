"""Start removals and follow them, from scripts and from the command line.

client = await connect()
removal = await start_removal(client, RemovalRequest(cluster="demo", member="node2"))
print((await removal.result()).outcome)
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.contract import (
    TASK_QUEUE,
    TASK_TIMEOUT,
    HandoffState,
    OperationRequest,
    OperationResult,
    RemovalRequest,
    RemovalResult,
)
from etcd_handoff.errors import ConfigError
from etcd_handoff.exit_status import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE
from etcd_handoff.operation.reconciler_state import WATCH_TASK_TIMEOUT, ReconcileEtcdMembersRequest, watch_id
from etcd_handoff.temporal.converter import data_converter
from etcd_handoff.temporal.search_attributes import CLUSTER_KEY, MEMBER_KEY, STATE_KEY

if TYPE_CHECKING:
    from temporalio.client import Interceptor

WORKFLOW_TYPE: Final = RemovalRequest.workflow_type
WATCH_TYPE: Final = "WatchEtcdMembers"

DEFAULT_ADDRESS: Final = "localhost:7233"

EXIT_SECONDS: Final = 1.0
"""How long a script's end waits for the SDK's own threads."""

ResultT = TypeVar("ResultT", bound=OperationResult)
Removal = WorkflowHandle[Any, RemovalResult]
Watcher = WorkflowHandle[Any, None]


async def connect(interceptors: tuple[Interceptor, ...] = ()) -> Client:
    """A client by Temporal's environment configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, profiles).

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
    return await Client.connect(**settings, data_converter=data_converter, interceptors=list(interceptors))


async def start_removal(client: Client, request: RemovalRequest, task_queue: str = TASK_QUEUE) -> Removal:
    """Start the removal, or join the one of this member that runs already.

    A dry run has a workflow ID of its own (`plan_id`), so that no removal ever takes the end of one for its own.

    Args:
        client: From `connect`, or any client with `etcd_handoff.temporal.converter.data_converter`.
        request: What to remove.
        task_queue: Task queue of the workers.

    Returns:
        The handle; its `result()` is a `RemovalResult`, or raises `WorkflowFailureError` whose cause is an
        `ApplicationError` with one of the types in `etcd_handoff.model.FailureType`.
    """
    return await start_operation(client, request, RemovalResult, task_queue)


async def start_operation(
    client: Client, request: OperationRequest, result_type: type[ResultT], task_queue: str = TASK_QUEUE
) -> WorkflowHandle[Any, ResultT]:
    """Start any operation on a cluster, or join the one of this member that runs already.

    Args:
        client: From `connect`, or any client with `etcd_handoff.temporal.converter.data_converter`.
        request: What to do.
        result_type: The result that its workflow has.
        task_queue: Task queue of the workers.

    Returns:
        The handle, as `start_removal` does.
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
            task_timeout=TASK_TIMEOUT,
            search_attributes=attributes,
            static_summary=summary,
            static_details=request.reason or "No reason was given.",
        )

    values = {CLUSTER_KEY: request.cluster, MEMBER_KEY: request.subject, STATE_KEY: HandoffState.CHECKING.value}
    try:
        return await start(TypedSearchAttributes([SearchAttributePair(key, value) for key, value in values.items()]))
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
    return await start(TypedSearchAttributes.empty)  # the namespace may not have them


def removal_id(request: RemovalRequest) -> str:
    """The workflow ID under which `start_removal` starts the request."""
    return request.start_id


async def start_watch(client: Client, request: ReconcileEtcdMembersRequest, task_queue: str = TASK_QUEUE) -> Watcher:
    """Start watching the EtcdMembers of a cluster, or join the watcher that runs already.

    Args:
        client: From `connect`, or any client with `etcd_handoff.temporal.converter.data_converter`.
        request: What to watch.
        task_queue: Task queue of the workers.

    Returns:
        The handle; its query `watching` tells what it sees, and cancelling it ends the watch but no removal.
    """
    handle: Watcher = await client.start_workflow(
        WATCH_TYPE,
        request,
        id=watch_id(request.cluster),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=WATCH_TASK_TIMEOUT,
        static_summary=f"Do what EtcdMembers of cluster {request.cluster} ask for, and keep them true",
    )
    return handle


def remove_temporary_files() -> None:
    """Remove what the Kubernetes client wrote for itself, where one was used: keys must not stay behind.

    A program that ends by `os._exit` calls this before: nothing that the interpreter does at its exit is done then.
    """
    if (kubeconfig := sys.modules.get("etcd_handoff.kubernetes.kubeconfig")) is not None:
        kubeconfig.remove_temporary_files()


@atexit.register
def let_native_threads_leave(most_seconds: float = EXIT_SECONDS) -> None:
    """Return when no thread from outside Python runs Python code any more, or when time is up.

    The SDK's own threads hand answers to the event loop. A script that ends while one of them is about to return from
    there is killed by SIGABRT or SIGSEGV after its work is done (temporalio sdk-python#300), and its caller takes a
    removal that went well for one that failed.
    """
    end = time.monotonic() + most_seconds
    # All that run Python code, but those that Python's `threading` knows: these it has waited for, or need no waiting.
    while sys._current_frames().keys() - {thread.ident for thread in threading.enumerate()}:  # noqa: SLF001
        if time.monotonic() >= end:
            return
        time.sleep(0.001)


def temporal_address() -> str:
    """Where Temporal is looked for, for messages."""
    try:
        return ClientConfig.load_client_connect_config().get("target_host") or DEFAULT_ADDRESS
    except (RuntimeError, ValueError, OSError):
        return os.environ.get("TEMPORAL_ADDRESS", "an address that the environment does not tell")


def connection_failure(error: Exception) -> tuple[int, str]:
    """Exit status and text for a connection to Temporal that could not be made, or that broke.

    The SDK's own errors of a connection are RuntimeErrors with all their causes in one text.
    """
    if isinstance(error, RPCError):
        return rpc_failure(error)
    said = str(error)
    if any(code in said for code in ("code: Unauthenticated", "code: PermissionDenied")):
        return EXIT_FAILED, refused_note(connection_note(said))
    connecting = said.startswith(("Failed client connect", "Server connection error")) or not said
    if connecting or not isinstance(error, RuntimeError):
        return EXIT_UNREACHABLE, unreachable_note(error)
    return EXIT_FAILED, f"the connection to Temporal at {temporal_address()} ended: {said.splitlines()[0][:500]}"


def rpc_failure(error: RPCError) -> tuple[int, str]:
    """Exit status and text for a call that Temporal refused or did not answer."""
    said = error.message.rstrip(".")
    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        return EXIT_UNREACHABLE, f"Temporal at {temporal_address()} (TEMPORAL_ADDRESS) does not answer: {said}"
    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return EXIT_FAILED, refused_note(f"{error.status.name}: {said}")
    text = f"Temporal at {temporal_address()} refuses: {error.status.name}: {said}"
    if error.status is RPCStatusCode.NOT_FOUND:
        return EXIT_USAGE, f"{text}; set TEMPORAL_NAMESPACE to one that it has"
    return EXIT_FAILED, text


def refused_note(said: str) -> str:
    """What to say of credentials that Temporal does not take, with the remedy."""
    return (
        f"Temporal at {temporal_address()} refuses the credentials: {said}; renew TEMPORAL_API_KEY or the client"
        " certificate (TEMPORAL_TLS_*), and check that it may use the namespace"
    )


def unreachable_note(error: Exception) -> str:
    """What to say of a connection to Temporal that failed, with the remedy."""
    said = connection_note(str(error))
    return f"Temporal cannot be reached at {temporal_address()}: {said}; set TEMPORAL_ADDRESS to a running server"


def connection_note(said: str) -> str:
    """The part of the SDK's connection error that says something to people."""
    found = re.findall(r'(?:message|error): "([^"]+)"', said)
    return (found[-1] if found else said.removeprefix("Failed client connect: "))[:200] or "no answer in time"

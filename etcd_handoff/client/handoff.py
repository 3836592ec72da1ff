"""The connection of a script, and the operations that it can start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypedDict

from etcd_handoff import time_limits
from etcd_handoff.client.errors import (
    InvalidInputError,
    NotTakenError,
    TemporalRefusedError,
    TemporalUnreachableError,
    UnknownOperationError,
    temporal_errors,
)
from etcd_handoff.client.operation import Operation
from etcd_handoff.client.requests import checked
from etcd_handoff.contract import (
    TASK_QUEUE,
    AdditionRequest,
    AdditionResult,
    MembershipRequest,
    MembershipResult,
    OperationRequest,
    OperationResult,
    RemovalRequest,
    RemovalResult,
    ReplacementRequest,
    ReplacementResult,
)
from etcd_handoff.errors import ConfigError, RunsAlreadyError
from etcd_handoff.exit_status import EXIT_UNREACHABLE
from etcd_handoff.operation.people import SCRIPT
from etcd_handoff.temporal.client import ResultT, start_operation
from etcd_handoff.temporal.client import connect as connect_to_temporal
from etcd_handoff.temporal.connection_failures import connection_failure
from etcd_handoff.temporal.identity import user_identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Unpack

    from temporalio.client import Client

KINDS: Final[dict[str, tuple[type[OperationRequest], type[OperationResult]]]] = {
    RemovalRequest.workflow_type: (RemovalRequest, RemovalResult),
    AdditionRequest.workflow_type: (AdditionRequest, AdditionResult),
    ReplacementRequest.workflow_type: (ReplacementRequest, ReplacementResult),
    MembershipRequest.workflow_type: (MembershipRequest, MembershipResult),
}
"""Requests and results of all operations, by workflow type."""


class Options(TypedDict, total=False):
    """Options of every operation. docs/reference.md explains each."""

    reason: str
    require_approval: bool
    not_before: str
    not_after: str
    snapshot: bool
    hash_check: bool
    blocked_timeout_seconds: float
    dry_run: bool


class AdditionOptions(Options, total=False):
    """Further options of an operation that may add a member."""

    progress_timeout_seconds: float


async def connect(
    identity: str | None = None,
    task_queue: str = TASK_QUEUE,
    within: timedelta = time_limits.COMMANDS.script_connect_timeout,
) -> Handoff:
    """Connect by Temporal's environment configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, profiles).

    Args:
        identity: The identity in Temporal's records; None for `etcd-handoff-client:<user>@<host>`. The four-eyes rule
            compares its user.
        task_queue: Task queue of the workers.
        within: How long to wait for Temporal.

    Raises:
        InvalidInputError: The environment names a profile or a file that cannot be used.
        TemporalUnreachableError: No server answers.
        TemporalRefusedError: The server does not accept the credentials.
    """
    try:
        async with asyncio.timeout(within.total_seconds()):
            return Handoff(await connect_to_temporal(identity=identity or user_identity(SCRIPT)), task_queue)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from None
    except (RuntimeError, TimeoutError, ValueError, OSError) as error:
        status, text = connection_failure(error)
        raise (TemporalUnreachableError if status == EXIT_UNREACHABLE else TemporalRefusedError)(text) from None


class Handoff:
    """Starts operations, and attaches to running ones.

    A start attaches to the running operation of the same member if there is one, whose options then count. Each method
    that starts an operation raises `InvalidInputError` before anything is sent, `TemporalUnreachableError` or
    `TemporalRefusedError`. It raises `NotTakenError` if the running operation has other peer URLs, another new member
    or another list. `Operation.result` raises what workers find, such as an unknown member.

    Args:
        client: A client of Temporal with `etcd_handoff.temporal.converter.data_converter`, as `connect` makes one.
        task_queue: Task queue of the workers.
    """

    def __init__(self, client: Client, task_queue: str = TASK_QUEUE) -> None:
        self.client = client
        self._task_queue = task_queue

    async def remove(self, cluster: str, member: str, **options: Unpack[Options]) -> Operation[RemovalResult]:
        """Remove a member from a cluster.

        Args:
            cluster: Name of a cluster profile in the workers' configuration.
            member: Its name, or its ID in hex.
            options: See `Options`.
        """
        request = checked(RemovalRequest, {"cluster": cluster, "member": member, **options})
        return await self.start(request, RemovalResult)

    async def add(
        self, cluster: str, name: str, peer_urls: Sequence[str], **options: Unpack[AdditionOptions]
    ) -> Operation[AdditionResult]:
        """Add a member. `Progress.join_configuration` has the configuration to start its etcd with.

        Args:
            cluster: As for `remove`.
            name: The name that it will have.
            peer_urls: All its peer URLs.
            options: See `AdditionOptions`.
        """
        request = checked(AdditionRequest, {"cluster": cluster, "name": name, "peer_urls": tuple(peer_urls), **options})
        return await self.start(request, AdditionResult)

    async def replace(
        self, cluster: str, member: str, name: str, peer_urls: Sequence[str], **options: Unpack[AdditionOptions]
    ) -> Operation[ReplacementResult]:
        """Replace a member by a new one.

        Args:
            cluster: As for `remove`.
            member: The member that leaves: its name, or its ID in hex.
            name: The name of the new one.
            peer_urls: All peer URLs of the new one.
            options: See `AdditionOptions`.
        """
        fields = {"cluster": cluster, "member": member, "name": name, "peer_urls": tuple(peer_urls), **options}
        return await self.start(checked(ReplacementRequest, fields), ReplacementResult)

    async def apply(
        self, cluster: str, members: Mapping[str, Sequence[str]], **options: Unpack[AdditionOptions]
    ) -> Operation[MembershipResult]:
        """Give a cluster these members and no others, one change at a time.

        Args:
            cluster: As for `remove`.
            members: Peer URLs of each member, by its name.
            options: See `AdditionOptions`.
        """
        member_list = tuple({"name": name, "peer_urls": tuple(urls)} for name, urls in members.items())
        request = checked(MembershipRequest, {"cluster": cluster, "members": member_list, **options})
        return await self.start(request, MembershipResult)

    async def start(self, request: OperationRequest, result_type: type[ResultT]) -> Operation[ResultT]:
        """Start the operation of a request, or attach to the running operation of the same member.

        Args:
            request: The request.
            result_type: The result that its workflow has.

        Raises:
            NotTakenError: The running one has a different request.
        """
        try:
            with temporal_errors():
                handle = await start_operation(self.client, request, result_type, self._task_queue)
        except RunsAlreadyError as error:
            raise NotTakenError(str(error)) from None
        return Operation(handle, request.noun)

    async def attach(self, workflow_id: str) -> Operation[Any]:
        """Attach to the last operation with this workflow ID, running or ended.

        Raises:
            UnknownOperationError: There is none.
            TemporalUnreachableError: Temporal does not answer.
        """
        handle = self.client.get_workflow_handle(workflow_id)
        with temporal_errors(workflow_id):
            described = await handle.describe()
        if described.workflow_type not in KINDS:
            raise UnknownOperationError(f"{workflow_id} is a {described.workflow_type} and no operation on a member")
        return attached(self.client, workflow_id, described.raw_info.first_run_id, described.workflow_type)


def attached(client: Client, workflow_id: str, first_run_id: str, workflow_type: str) -> Operation[Any]:
    """Return an operation that Temporal has, and no later one with the same workflow ID.

    Args:
        client: A client.
        workflow_id: Its workflow ID.
        first_run_id: The first run of its chain; empty for the last chain.
        workflow_type: The workflow that carries it out, one of `KINDS`.
    """
    request, result = KINDS[workflow_type]
    first = first_run_id or None
    handle = client.get_workflow_handle(workflow_id, first_execution_run_id=first, result_type=result)
    return Operation(handle, request.noun)

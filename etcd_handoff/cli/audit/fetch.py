"""Read the histories of operations from Temporal."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.exit_status import EXIT_FAILED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import Client

    from etcd_handoff.cli.audit.members import Members
    from etcd_handoff.cli.audit.trail import Trail
    from etcd_handoff.cli.find_operation import FoundOperation

T = TypeVar("T")
AT_ONCE: Final = 8
"""Number of histories that are read in parallel."""
FORGOTTEN: Final = "earlier runs are missing: their retention is over"


class ForgottenError(CommandError):
    """Temporal listed the operation, but its retention ended before it was read.

    Args:
        workflow_id: Its workflow ID.
    """

    def __init__(self, workflow_id: str) -> None:
        super().__init__(EXIT_FAILED, f"Temporal has no history of {workflow_id} any more: its retention is over")


async def trails(client: Client, operations: Iterable[FoundOperation]) -> list[Trail]:
    """Read the trails of operations, in the same order.

    Operations whose retention ended after they were listed are left out.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    found = await _each(operations, lambda operation: trail(client, operation))
    return [trail for trail in found if trail is not None]


async def members_of(client: Client, operations: Iterable[FoundOperation]) -> list[Members]:
    """Read which members each operation concerns, in the same order.

    An operation whose retention has ended has no members.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    from etcd_handoff.cli.audit.members import Members, members_in

    async def one(operation: FoundOperation) -> Members:
        return members_in((await runs_of(client, operation))[0])

    return [members or Members(frozenset()) for members in await _each(operations, one)]


async def _each(operations: Iterable[FoundOperation], read: Callable[[FoundOperation], Awaitable[T]]) -> list[T | None]:
    """Read something of each operation; None for an operation whose retention ended after it was listed."""
    import asyncio

    places = asyncio.Semaphore(AT_ONCE)

    async def one(operation: FoundOperation) -> T | None:
        async with places:
            try:
                return await read(operation)
            except ForgottenError:
                return None

    return await asyncio.gather(*map(one, operations))


async def trail(client: Client, operation: FoundOperation) -> Trail:
    """Read the trail of an operation, over all runs that Temporal still has.

    Raises:
        ForgottenError: Temporal has none of them any more.
        CommandError: Temporal does not answer, or refuses.
    """
    from etcd_handoff.cli.audit.history import trail_of

    return trail_of(operation.workflow_id, *await runs_of(client, operation), operation.member)


async def runs_of(client: Client, operation: FoundOperation) -> tuple[list[list[HistoryEvent]], str]:
    """Read the events of all runs of an operation, and a note on what is missing before them.

    The first run comes first.

    Raises:
        ForgottenError: Temporal has none of them any more.
        CommandError: Temporal does not answer, or refuses.
    """
    from temporalio.service import RPCError

    from etcd_handoff.temporal.connection_failures import is_unknown_workflow

    runs: list[list[HistoryEvent]] = []
    run_id = operation.run_id
    while run_id:
        try:
            history = await client.get_workflow_handle(operation.workflow_id, run_id=run_id).fetch_history()
        except RPCError as error:
            if is_unknown_workflow(error) and runs:
                return runs, FORGOTTEN
            if is_unknown_workflow(error):
                raise ForgottenError(operation.workflow_id) from None
            raise temporal_error(error) from None
        events = list(history.events)
        runs.insert(0, events)
        run_id = events[0].workflow_execution_started_event_attributes.continued_execution_run_id
    return runs, ""

"""Find running and ended operations for `history`, `describe` and `report`."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff.cli.configuration import cluster_name, read_config
from etcd_handoff.cli.connections import connect_temporal
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.find_operation import by_member, by_workflow_id, id_in, is_about, listed_operations
from etcd_handoff.cli.replacements import replacements_by
from etcd_handoff.exit_status import EXIT_FAILED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from temporalio.client import Client

    from etcd_handoff.cli.find_operation import FoundOperation

MOST: Final = 500
"""How many operations are searched for a member that lists do not name; more of them would take seconds."""


class OperationsOn(NamedTuple):
    """The operations on a member, the last one first.

    Attributes:
        subject: Operations that were to change it, or have changed it.
        listed: Changes of the whole membership that list it and have left it alone so far.
    """

    subject: list[FoundOperation]
    listed: list[FoundOperation]


async def operations_on(client: Client, cluster: str, member: str) -> OperationsOn:
    """Return all operations on a member, by its name or ID, including replacements by it.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    listed = await listed_operations(client, cluster)
    about = [run for run in listed if is_about(run, cluster, member)]
    joins = await replacements_by(client, listed, member)
    known = newest_first([*about, *joins, *await by_member(client, cluster, member)])
    return await _with_recorded(client, known, listed, member)


async def _with_recorded(
    client: Client, known: Sequence[FoundOperation], listed: Iterable[FoundOperation], member: str
) -> OperationsOn:
    """Add operations whose histories name the member where lists do not: by its ID, or as one of several."""
    from etcd_handoff.cli.audit.fetch import members_of

    name, member_id, ids = member.strip().casefold(), id_in(member), {run.run_id for run in known}
    unclear = [run for run in newest_first(listed) if run.run_id not in ids and (member_id or run.kind.of_whole)][:MOST]
    recorded = list(zip(unclear, await members_of(client, unclear), strict=True))
    subject = [run for run, members in recorded if members.subjects & {name, member_id}]
    lists = [run for run, members in recorded if name in members.listed and run not in subject]
    return OperationsOn(newest_first([*known, *subject]), lists)


def newest_first(operations: Iterable[FoundOperation]) -> list[FoundOperation]:
    """Sort operations by their start, the last one first, and drop duplicates."""
    once = {run.run_id: run for run in operations}
    return sorted(once.values(), key=lambda run: (run.started, run.run_id), reverse=True)


async def last_operation(args: argparse.Namespace) -> tuple[Client, FoundOperation]:
    """Return a client and the operation that `args.operation` names.

    For a member it is the running operation, otherwise the last one.

    Raises:
        CommandError: There is none, or Temporal does not answer.
    """
    if "/" in args.operation:
        client = await connect_temporal()
        return client, await by_workflow_id(client, args.operation)
    cluster = cluster_name(args, read_config(args))
    client = await connect_temporal()
    found = await operations_on(client, cluster, args.operation)
    return client, the_last([*found.subject, *found.listed], args.operation, cluster)


def the_last(operations: Iterable[FoundOperation], member: str, cluster: str) -> FoundOperation:
    """Return the most relevant operation: a running one before an ended one, a change before a dry run.

    Args:
        operations: Operations on the member, then those that only list it, each with the last one first.
        member: The member, for the error message.
        cluster: Its cluster profile, for the error message.

    Raises:
        CommandError: There is none.
    """
    found = sorted(operations, key=lambda run: (not run.runs, run.dry_run))
    if not found:
        text = f"Temporal has no record of an operation on member {member} of cluster {cluster}"
        raise CommandError(EXIT_FAILED, f"{text}; `etcd-handoff history -c {cluster}` lists those that it has")
    return found[0]

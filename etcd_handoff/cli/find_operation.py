"""Find the operation that is meant, by its member's name or ID or by its workflow ID."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etcd_handoff.cli.configuration import cluster_name, read_config
from etcd_handoff.cli.errors import CommandError, temporal_error
from etcd_handoff.cli.operation_kinds import KINDS, RECORD_STATUS, OperationKind, is_dry_run_id, kind_of, names_of
from etcd_handoff.cli.replacements import replacements_by
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.exit_status import EXIT_FAILED, EXIT_USAGE
from etcd_handoff.search_attributes import CLUSTER_ATTRIBUTE, MEMBER_ATTRIBUTE, STATE_ATTRIBUTE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from temporalio.client import Client, WorkflowExecution, WorkflowHandle

    from etcd_handoff.client import Operation
    from etcd_handoff.contract import Progress

MEMBER_ID: Final = re.compile(r"(?:0x)?([0-9a-f]{1,16})", re.IGNORECASE)


class FoundOperation(NamedTuple):
    """An operation as Temporal lists it.

    Attributes:
        workflow_id: Its workflow ID.
        run_id: Its last run.
        first_run_id: The first run of its chain; empty if the list does not contain it.
        kind: Its kind.
        cluster: Its cluster profile.
        member: Its member, by name if that is known.
        state: Its state in Temporal's lists; empty if the namespace has no search attributes.
        started: When this run began, ISO 8601 in UTC.
        ended: When it ended; empty while it runs.
        status: Its status in Temporal: `RUNNING`, `COMPLETED`, `FAILED` and so on.
    """

    workflow_id: str
    run_id: str
    first_run_id: str
    kind: OperationKind
    cluster: str
    member: str
    state: str
    started: str
    ended: str
    status: str

    @property
    def runs(self) -> bool:
        """Whether it still runs."""
        return self.status == "RUNNING"

    @property
    def dry_run(self) -> bool:
        """Whether our client started it as a dry run."""
        return is_dry_run_id(self.workflow_id)

    @property
    def label(self) -> str:
        """The operation, for people."""
        whom = f" of {self.member}" if self.member else f" to cluster {self.cluster}"
        return f"the {'dry run of a ' if self.dry_run else ''}{self.kind.noun}{whom}"

    def operation(self, client: Client) -> Operation[Any]:
        """Return the Python client's object for it."""
        from etcd_handoff.client.handoff import attached

        return attached(client, self.workflow_id, self.first_run_id, self.kind.workflow_type)

    def handle(self, client: Client) -> WorkflowHandle[Any, Any]:
        """Return a handle on this operation, not on a later one with the same workflow ID."""
        return client.get_workflow_handle(self.workflow_id, first_execution_run_id=self.first_run_id or None)


def found(run: WorkflowExecution) -> FoundOperation | None:
    """Return the operation that Temporal describes; None for another kind of workflow."""
    kind = kind_of(run.workflow_type)
    if kind is None:
        return None
    values = {pair.key.name: str(pair.value) for pair in run.typed_search_attributes}
    cluster, member = names_of(run.id)
    return FoundOperation(
        workflow_id=run.id,
        run_id=run.run_id,
        first_run_id=run.raw_info.first_run_id,
        kind=kind,
        cluster=values.get(CLUSTER_ATTRIBUTE) or cluster,
        member=values.get(MEMBER_ATTRIBUTE) or member,
        state=values.get(STATE_ATTRIBUTE, ""),
        started=run.start_time.isoformat(timespec="milliseconds"),
        ended=run.close_time.isoformat(timespec="seconds") if run.close_time else "",
        status=run.status.name if run.status else "RUNNING",
    )


def is_about(operation: FoundOperation, cluster: str, member: str) -> bool:
    """Return whether an operation is on this member, by its name in lists or in its workflow ID."""
    names = {operation.member.casefold(), names_of(operation.workflow_id)[1].casefold()}
    return operation.cluster == cluster and member.strip().casefold() in names


def id_in(member: str) -> str:
    """Return the member ID in hex as etcd writes it; empty if the text can only be a name."""
    hex_id = MEMBER_ID.fullmatch(member.strip())
    return hex_id[1].lower().lstrip("0") if hex_id else ""


def the_one(operations: Iterable[FoundOperation], member: str, cluster: str) -> FoundOperation:
    """Return the only running operation; a dry run only if no other operation runs.

    Raises:
        CommandError: None runs, or several do.
    """
    running = sorted({run.workflow_id: run for run in operations if run.runs}.values(), key=lambda run: run.workflow_id)
    candidates = [run for run in running if not run.dry_run] or running
    if not candidates:
        text = f"no operation on member {member} of cluster {cluster} is running"
        text = f"{text}; `etcd-handoff history {member} -c {cluster}` shows those that have ended"
        raise CommandError(EXIT_FAILED, text)
    if len(candidates) > 1:
        text = f"several operations on member {member} of cluster {cluster} are running; give the workflow ID of one:"
        raise CommandError(EXIT_USAGE, "\n".join([text, *(f"  {run.workflow_id}" for run in candidates)]))
    return candidates[0]


async def running_operation(client: Client, args: argparse.Namespace) -> FoundOperation:
    """Return the running operation that `args.operation` names.

    Raises:
        CommandError: None does, several do, or Temporal does not answer.
    """
    if "/" in args.operation:
        operation = await by_workflow_id(client, args.operation)
        if not operation.runs:
            text = f"{operation.workflow_id} has ended ({operation.status}, {operation.ended})"
            raise CommandError(EXIT_FAILED, f"{text}; `etcd-handoff describe {operation.workflow_id}` shows how")
        return operation
    cluster = cluster_name(args, read_config(args))
    return the_one(await by_member(client, cluster, args.operation), args.operation, cluster)


async def by_workflow_id(client: Client, workflow_id: str) -> FoundOperation:
    """Return the last operation with this workflow ID.

    Raises:
        CommandError: There is none, it is another kind of workflow, or Temporal does not answer.
    """
    operation = await _described(client, workflow_id)
    if operation is None:
        kinds = ", ".join(f"{kind.prefix}/<cluster>/<member>" for kind in KINDS[:2])
        text = f"Temporal has no operation {workflow_id}: it was never started, or its retention is over"
        lists = with_cluster("`etcd-handoff history` lists them", names_of(workflow_id)[0])
        raise CommandError(EXIT_FAILED, f"{text}; IDs look like {kinds}, and {lists}")
    if isinstance(operation, str):
        from etcd_handoff.contract import names_in

        text = f"{workflow_id} is a {operation} and no operation on a member"
        shows = "shows what it waits for" if operation == RECORD_STATUS else "lists operations"
        shows = with_cluster(f"`etcd-handoff status` {shows}", names_in(workflow_id)[0])
        raise CommandError(EXIT_USAGE, f"{text}; {shows}")
    return operation


async def by_member(client: Client, cluster: str, member: str) -> list[FoundOperation]:
    """Return the running operations on this member, including replacements by it.

    It also asks for the workflow IDs, since Temporal's lists are some moments late.
    """
    import asyncio

    listed = await listed_operations(client, cluster, running=True)
    ids = [kind.id_of(cluster, member.strip()) for kind in KINDS]
    about = [run for run in listed if is_about(run, cluster, member)]
    about += await replacements_by(client, listed, member)
    if not about and (member_id := id_in(member)):
        answers = await asyncio.gather(*(progress_or_reason(run.handle(client)) for run in listed))
        about = [
            run
            for run, now in zip(listed, answers, strict=True)
            if not isinstance(now, str) and now.member_id == member_id
        ]
    described = await asyncio.gather(
        *(_described(client, name) for name in {*ids, *(run.workflow_id for run in about)})
    )
    return [run for run in described if isinstance(run, FoundOperation) and run.runs]


async def listed_operations(
    client: Client, cluster: str, *, running: bool | None = None, limit: int | None = None
) -> Sequence[FoundOperation]:
    """Return a cluster's operations, the last one first; works without search attributes.

    Args:
        client: A client.
        cluster: Cluster profile.
        running: Only those that run, or only those that have ended; None for all.
        limit: The largest number to return.

    Raises:
        CommandError: Temporal does not answer, or refuses.
    """
    from temporalio.service import RPCError

    types = " OR ".join(f'WorkflowType = "{kind.workflow_type}"' for kind in KINDS)
    # A run that was continued as new is part of the operation that its last run is listed for.
    statuses = {True: ['= "Running"'], False: ['!= "ContinuedAsNew"', '!= "Running"'], None: ['!= "ContinuedAsNew"']}
    query = " AND ".join([f"({types})", *(f"ExecutionStatus {status}" for status in statuses[running])])
    operations: list[FoundOperation] = []
    try:
        async for run in client.list_workflows(query):
            operation = found(run)
            if operation is not None and operation.cluster == cluster:
                operations.append(operation)
                if len(operations) == limit:
                    break
    except RPCError as error:
        raise temporal_error(error) from None
    return operations


async def progress_or_reason(operation: WorkflowHandle[Any, Any]) -> Progress | str:
    """Return the operation's progress, or why it does not answer, with what to do."""
    from etcd_handoff.temporal import client

    return await client.progress_or_reason(operation)


async def _described(client: Client, workflow_id: str) -> FoundOperation | str | None:
    """Return the last operation with this workflow ID, the type of another workflow, or None."""
    from temporalio.service import RPCError

    from etcd_handoff.temporal.connection_failures import is_unknown_workflow

    try:
        run = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if is_unknown_workflow(error):
            return None
        raise temporal_error(error) from None
    return found(run) or run.workflow_type

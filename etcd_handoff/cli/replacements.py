"""Find replacements by the member that joins. Temporal's lists have only the member that leaves."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from temporalio.client import Client

    from etcd_handoff.cli.find_operation import FoundOperation

MOST: Final = 20
"""How many replacements are read, with one event of each."""


async def replacements_by(client: Client, operations: Iterable[FoundOperation], member: str) -> list[FoundOperation]:
    """Return the replacements by this member, among the first few."""
    import asyncio

    replacements = [run for run in operations if run.kind.command == "replace"][:MOST]
    names = await asyncio.gather(*(_joining(client, run) for run in replacements))
    folded = member.strip().casefold()
    return [run for run, name in zip(replacements, names, strict=True) if name.casefold() == folded]


async def _joining(client: Client, replacement: FoundOperation) -> str:
    """Return the member that joins, from the history's first event; empty if that is gone."""
    from temporalio.service import RPCError

    from etcd_handoff.cli.audit.payloads import first

    handle = client.get_workflow_handle(replacement.workflow_id, run_id=replacement.run_id)
    try:
        async for event in handle.fetch_history_events(page_size=1):
            return str(first(event.workflow_execution_started_event_attributes.input).get("name", ""))
    except RPCError:
        pass  # the next call reports it
    return ""

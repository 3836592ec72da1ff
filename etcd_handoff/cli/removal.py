"""`plan` and `remove`."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.common import (
    Stop,
    attempt,
    cluster_name,
    connected,
    explain,
    load_clients,
    make_request,
    profile_of,
    read_config,
    read_resources,
    read_view,
    rpc_stop,
    tell,
    tell_error,
    tell_json,
    why_no_change,
)
from etcd_handoff.exit_status import EXIT_DONE, EXIT_INTERRUPTED, EXIT_UNREACHABLE, EXIT_USAGE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

    from etcd_handoff.cli.following import Story
    from etcd_handoff.cli.planning import Outlook
    from etcd_handoff.config import ClusterProfile
    from etcd_handoff.contract import Progress, RemovalRequest
    from etcd_handoff.temporal.client import Removal, ResultT

POLL_SECONDS: Final = 0.15
QUERY_SECONDS: Final = 2.0
ASIDE_SECONDS: Final = 2.0
"""How long `plan` waits for what only adds to it."""
NO_WORKER: Final = "no worker answers; the removal stands in Temporal and goes on once `etcd-handoff worker` runs"


def plan_command(given: argparse.Namespace) -> int:
    """`plan`: what a removal would do now; 3 where it would not go on, 1 where we may not do it."""
    import asyncio

    from etcd_handoff.cli import output as out
    from etcd_handoff.cli.planning import plan_lines, plan_object, planned

    name, profile = profile_of(given)
    request = make_request(given, name)
    load_clients(profile, temporal=False)
    outlook = asyncio.run(_outlook(profile))
    plan = planned(outlook, request.member)
    if given.output == "json":
        if plan.status == EXIT_USAGE:
            tell_error(plan.text)
        tell_json(out.view_object(name, outlook.view) | plan_object(plan, outlook.view))
        return plan.status
    if plan.status == EXIT_USAGE:
        raise Stop(EXIT_USAGE, plan.text)
    tell([out.cluster_line(name, outlook.view), *out.table(out.MEMBER_HEADINGS, out.member_rows(outlook.view)), ""])
    tell(plan_lines(plan))
    return plan.status


async def _outlook(profile: ClusterProfile) -> Outlook:
    """All that `plan` goes by, read at once; only what etcd says is waited for."""
    import asyncio

    from etcd_handoff.cli.planning import Outlook
    from etcd_handoff.cli.records import claims_of

    async def resources() -> list[dict[str, Any]]:
        async with asyncio.timeout(ASIDE_SECONDS):
            return await read_resources(profile.kubernetes) if profile.kubernetes else []

    async def rights() -> str:
        async with asyncio.timeout(ASIDE_SECONDS):
            return await why_no_change(profile)

    view, read, denied = await asyncio.gather(read_view(profile), attempt(resources()), attempt(rights()))
    unread = explain(read)[1] if isinstance(read, Exception) else ""
    if isinstance(read, TimeoutError):
        unread = f"no answer within {ASIDE_SECONDS:g} s"
    return Outlook(
        view,
        profile.cluster_id or "",
        records=profile.kubernetes is not None,
        claims=None if isinstance(read, Exception) else claims_of(read),
        unread=unread,
        denied="" if isinstance(denied, Exception) else denied,
    )


def remove_command(given: argparse.Namespace) -> int:
    """`remove`."""
    import asyncio

    from etcd_handoff.contract import TASK_QUEUE
    from etcd_handoff.temporal.client import removal_id

    config = read_config(given)
    request = make_request(
        given,
        cluster_name(given, config),
        reason=given.reason,
        require_approval=given.require_approval,
        snapshot=given.snapshot,
        hash_check=given.hash_check,
        blocked_timeout_seconds=given.blocked_timeout,
        dry_run=given.dry_run,
    )
    try:
        return asyncio.run(_remove(given, request, config.task_queue if config else TASK_QUEUE))
    except KeyboardInterrupt:
        name = removal_id(request)
        tell_error("\nNot following any more. A removal that has been started goes on; to cancel it, run:")
        tell_error(f"  temporal workflow cancel -w {name}")
        return EXIT_INTERRUPTED


async def _remove(given: argparse.Namespace, request: RemovalRequest, task_queue: str) -> int:
    from temporalio.client import WorkflowFailureError
    from temporalio.service import RPCError

    from etcd_handoff.cli import following as out

    say = _to_stderr if given.output == "json" else tell
    client = await connected()
    try:
        removal, joined = await _start(client, request, task_queue)
        say([out.start_line(removal.id, joined=joined)])
        if given.detach:
            if given.output == "json":
                tell_json({"workflow_id": removal.id, "run_id": removal.first_execution_run_id, "joined": joined})
            return EXIT_DONE
        result = await follow(removal, out.Story(removal.id), say)
    except WorkflowFailureError as failure:
        return _failed(given, failure)
    except RPCError as error:
        stop = rpc_stop(error)
        text = f"{stop}\nA removal that has been started goes on; run the same command again to follow it."
        raise Stop(stop.status, text if stop.status == EXIT_UNREACHABLE else str(stop)) from None
    if given.output == "json":
        tell_json(result.model_dump(mode="json"))
    else:
        tell(out.result_lines(result, dry_run=request.dry_run))
    status = out.result_exit(result, dry_run=request.dry_run)
    if given.output == "json" and status:
        say(out.result_lines(result, dry_run=request.dry_run))
    return status


async def _start(client: Client, request: RemovalRequest, task_queue: str) -> tuple[Removal, bool]:
    """The removal, and whether it ran before."""
    from temporalio.service import RPCError

    from etcd_handoff.temporal.client import removal_id, start_removal

    try:
        before = (await client.get_workflow_handle(removal_id(request)).describe()).run_id
    except RPCError:
        before = ""  # not found, most of the time; whatever else it was, the start says it again
    removal = await start_removal(client, request, task_queue)
    return removal, removal.first_execution_run_id == before


async def follow(removal: WorkflowHandle[Any, ResultT], story: Story, say: Callable[[Iterable[str]], None]) -> ResultT:
    """The result of a removal or an addition, with progress told meanwhile."""
    import asyncio

    from temporalio.client import WorkflowFailureError

    from etcd_handoff.contract import Progress

    watch = asyncio.ensure_future(_watch(removal, story, say))
    try:
        result = await removal.result()
    except WorkflowFailureError:
        if isinstance(last := await _ask(removal), Progress):
            say(story.steps(last.steps, last.steps_left_out))
        raise
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        if not watch.cancelled() and (error := watch.exception()):
            say(story.once(f"progress cannot be shown: {error}"))
    say(story.steps(result.steps, result.steps_left_out))
    return result


async def _watch(removal: WorkflowHandle[Any, Any], story: Story, say: Callable[[Iterable[str]], None]) -> None:
    """Tell progress until cancelled."""
    import asyncio

    while True:
        progress = await _ask(removal)
        say(story.once(progress) if isinstance(progress, str) else story.lines(progress))
        await asyncio.sleep(POLL_SECONDS)


async def _ask(removal: WorkflowHandle[Any, Any]) -> Progress | str:
    """The removal's progress, or why there is none."""
    from datetime import timedelta

    from temporalio.client import WorkflowQueryFailedError
    from temporalio.service import RPCError, RPCStatusCode

    from etcd_handoff.contract import Progress
    from etcd_handoff.errors import HandoffError

    limit = timedelta(seconds=QUERY_SECONDS)
    try:
        progress: Progress = await removal.query("progress", result_type=Progress, rpc_timeout=limit)
    except WorkflowQueryFailedError as error:
        return f"progress cannot be shown: {error}"
    except HandoffError as error:
        return f"progress cannot be shown: {error}"
    except RPCError as error:
        if error.status is RPCStatusCode.UNAVAILABLE:
            return "Temporal does not answer; the removal does not depend on this command"
        if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
            return f"progress cannot be shown: {rpc_stop(error)}"
        return NO_WORKER
    return progress


def _failed(given: argparse.Namespace, failure: WorkflowFailureError) -> int:
    """Say how the removal failed; its exit status."""
    from temporalio import exceptions

    from etcd_handoff.cli import following as out

    cause = failure.cause
    if isinstance(cause, exceptions.ApplicationError):
        kind, text = cause.type or "Failed", cause.message
    elif isinstance(cause, exceptions.CancelledError):
        kind, text = "Cancelled", "the removal was cancelled before anything was removed"
    elif isinstance(cause, exceptions.TerminatedError):
        kind, text = "Terminated", "the removal was terminated; `etcd-handoff status` says what is true now"
    elif isinstance(cause, exceptions.TimeoutError):
        kind, text = "TimedOut", "the removal timed out; `etcd-handoff status` says what is true now"
    else:
        kind, text = "Failed", str(cause)
    if given.output == "json":
        tell_json({"failure": kind, "message": text})
    tell_error(f"{kind}: {text}")
    return out.failure_exit(kind)


def _to_stderr(lines: Iterable[str]) -> None:
    for line in lines:
        tell_error(line)

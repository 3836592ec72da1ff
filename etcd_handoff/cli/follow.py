"""Follow an operation until it ends, and print its progress."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from temporalio.client import WorkflowHandle

    from etcd_handoff.cli.render.describe import PendingStep
    from etcd_handoff.cli.render.progress import ProgressLines
    from etcd_handoff.client import Operation
    from etcd_handoff.contract import Progress
    from etcd_handoff.temporal.client import ResultT


async def follow(
    removal: WorkflowHandle[Any, ResultT],
    lines: ProgressLines,
    print_progress: Callable[[Iterable[str]], None],
    on_progress: Callable[[Progress], None] | None = None,
    show: Callable[[str], None] | None = None,
) -> ResultT:
    """Print an operation's progress until it ends, and return its result.

    Args:
        removal: The operation.
        lines: Turns progress into lines.
        print_progress: Prints lines.
        on_progress: Called with each answer of the query `progress`, also with that of a failed operation.
        show: Overwrites the last line of a terminal; None without a terminal.

    Raises:
        OperationError: It failed.
        ClientError: Temporal does not answer.
    """
    import asyncio

    from etcd_handoff.client import Operation, OperationError, Progress

    operation = Operation(removal)
    polling = asyncio.ensure_future(_poll(removal, operation, lines, print_progress, show or _not_at_all, on_progress))
    try:
        result = await operation.result()
    except OperationError:
        if isinstance(last := await operation.now_or_reason(), Progress):
            print_progress(lines.steps(last.steps, last.steps_left_out))
            if on_progress is not None:
                on_progress(last)
        raise
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
        if not polling.cancelled() and (error := polling.exception()):
            print_progress(lines.remark(f"progress cannot be shown: {error}"))
    print_progress(lines.steps(result.steps, result.steps_left_out))
    return result


async def _poll(  # noqa: PLR0913, PLR0917  # whom to ask, and whom to tell
    removal: WorkflowHandle[Any, Any],
    operation: Operation[Any],
    lines: ProgressLines,
    print_progress: Callable[[Iterable[str]], None],
    show: Callable[[str], None],
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Print progress until cancelled; pending steps are read less often than progress."""
    import asyncio
    import time

    # The first look comes sooner: what is refused at once is told at once.
    early = time_limits.COMMANDS.step_seconds - time_limits.COMMANDS.first_step_seconds
    step, asked_at = "", time.monotonic() - early
    while True:
        answer = await operation.now_or_reason()
        if on_progress is not None and not isinstance(answer, str):
            on_progress(answer)
        print_progress(lines.remark(answer) if isinstance(answer, str) else lines.progress(answer))
        if time.monotonic() - asked_at >= time_limits.COMMANDS.step_seconds:
            pending, asked_at = await _pending_steps(removal), time.monotonic()
            for failing in (each for each in pending if each.failure):
                print_progress(lines.retried(failing))
            step = ", ".join(f"{p.name}, attempt {p.attempt}" if p.attempt > 1 else p.name for p in pending)
        show(answer if isinstance(answer, str) else lines.live(answer, step))
        await asyncio.sleep(time_limits.COMMANDS.poll_seconds)


async def _pending_steps(removal: WorkflowHandle[Any, Any]) -> tuple[PendingStep, ...]:
    """Return the steps that run or are being retried; none if Temporal does not answer."""
    from temporalio.service import RPCError

    from etcd_handoff.cli.describe import pending_steps

    try:
        return pending_steps(await removal.describe())
    except RPCError:
        return ()  # the query says what is wrong


def _not_at_all(_: str) -> None:
    """Print nothing, for output that is no terminal."""

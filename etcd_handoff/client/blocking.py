"""`etcd_handoff.client` for scripts without asyncio: the same names, and no `await`.

with connect() as handoff:
    removal = handoff.remove("prod", "node2")
    for now in removal.progress():
        print(now.state, now.doing)
    print(removal.result().outcome)
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from etcd_handoff import time_limits
from etcd_handoff.client import handoff as in_asyncio
from etcd_handoff.contract import TASK_QUEUE
from etcd_handoff.temporal.client import ResultT

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Self, Unpack

    from etcd_handoff.client.handoff import AdditionOptions, Options
    from etcd_handoff.client.operation import Operation as AsyncOperation
    from etcd_handoff.contract import (
        AdditionResult,
        MembershipResult,
        OperationRequest,
        Progress,
        RemovalResult,
        ReplacementResult,
    )

T = TypeVar("T")


class _Loop:
    """An event loop in a separate thread, which runs the work of other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="etcd-handoff-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of the work, or raise its exception. An interruption cancels the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop, and wait for its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def connect(
    identity: str | None = None,
    task_queue: str = TASK_QUEUE,
    within: timedelta = time_limits.COMMANDS.script_connect_timeout,
) -> Handoff:
    """Connect as `etcd_handoff.client.connect` does. Close the result, or use it in a `with` statement."""
    loop = _Loop()
    try:
        return Handoff(loop, loop.run(in_asyncio.connect(identity, task_queue, within)))
    except BaseException:
        loop.close()
        raise


class Operation(Generic[ResultT]):
    """As `etcd_handoff.client.Operation`."""

    def __init__(self, loop: _Loop, operation: AsyncOperation[ResultT]) -> None:
        self._loop = loop
        self._operation = operation

    @property
    def workflow_id(self) -> str:
        """Its workflow ID."""
        return self._operation.workflow_id

    def result(self) -> ResultT:
        """Return the result once the operation has ended well. Raise as `etcd_handoff.client.Operation.result` does."""
        return self._loop.run(self._operation.result())

    def progress(self, every: timedelta = time_limits.COMMANDS.script_poll_pause) -> Iterator[Progress]:
        """Yield where it stands, now and at each change, until it has ended."""
        changes = self._operation.progress(every)

        async def following() -> Progress | None:
            return await anext(changes, None)

        async def end() -> None:
            await changes.aclose()

        try:
            while (now := self._loop.run(following())) is not None:
                yield now
        finally:
            self._loop.run(end())

    def now(self) -> Progress | None:
        """Return where it stands now, or None while no worker answers."""
        return self._loop.run(self._operation.now())

    def now_or_reason(self) -> Progress | str:
        """Return where it stands now, or a text that says why there is no answer."""
        return self._loop.run(self._operation.now_or_reason())

    def approve(self, by: str, comment: str = "") -> str:
        """Approve an operation that waits for it."""
        return self._loop.run(self._operation.approve(by, comment))

    def recheck(self, reason: str = "") -> str:
        """Let the operation look at the cluster now."""
        return self._loop.run(self._operation.recheck(reason))

    def pause(self, by: str, reason: str = "") -> str:
        """Hold the operation before its next change."""
        return self._loop.run(self._operation.pause(by, reason))

    def resume(self, by: str, reason: str = "") -> str:
        """Resume a paused operation."""
        return self._loop.run(self._operation.resume(by, reason))

    def cancel(self, reason: str = "", within: timedelta = time_limits.COMMANDS.script_answer_timeout) -> str:
        """Cancel the operation, and wait until it has ended as cancelled."""
        return self._loop.run(self._operation.cancel(reason, within))


class Handoff:
    """As `etcd_handoff.client.Handoff`."""

    def __init__(self, loop: _Loop, handoff: in_asyncio.Handoff) -> None:
        self._loop = loop
        self._handoff = handoff

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Operations go on."""
        self._loop.close()

    def remove(self, cluster: str, member: str, **options: Unpack[Options]) -> Operation[RemovalResult]:
        """Remove a member from a cluster."""
        return self._started(self._handoff.remove(cluster, member, **options))

    def add(
        self, cluster: str, name: str, peer_urls: Sequence[str], **options: Unpack[AdditionOptions]
    ) -> Operation[AdditionResult]:
        """Add a member."""
        return self._started(self._handoff.add(cluster, name, peer_urls, **options))

    def replace(
        self, cluster: str, member: str, name: str, peer_urls: Sequence[str], **options: Unpack[AdditionOptions]
    ) -> Operation[ReplacementResult]:
        """Replace a member by a new one."""
        return self._started(self._handoff.replace(cluster, member, name, peer_urls, **options))

    def apply(
        self, cluster: str, members: Mapping[str, Sequence[str]], **options: Unpack[AdditionOptions]
    ) -> Operation[MembershipResult]:
        """Give a cluster these members and no others."""
        return self._started(self._handoff.apply(cluster, members, **options))

    def start(self, request: OperationRequest, result_type: type[ResultT]) -> Operation[ResultT]:
        """Start the operation of a request, or attach to the running operation of the same member."""
        return self._started(self._handoff.start(request, result_type))

    def attach(self, workflow_id: str) -> Operation[Any]:
        """Attach to the last operation with this workflow ID, running or ended."""
        return self._started(self._handoff.attach(workflow_id))

    def _started(self, starting: Coroutine[Any, Any, AsyncOperation[ResultT]]) -> Operation[ResultT]:
        return Operation(self._loop, self._loop.run(starting))

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
    """An event loop in a thread of its own, which waits for what other threads ask it to do."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="etcd-handoff-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns or raises; interrupted, it is cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """The loop has ended."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def connect(identity: str | None = None, task_queue: str = TASK_QUEUE) -> Handoff:
    """As `etcd_handoff.client.connect`; close it, or use it in a `with` statement."""
    loop = _Loop()
    try:
        return Handoff(loop, loop.run(in_asyncio.connect(identity, task_queue)))
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
        """Its result, once it has ended well; raises as the other does."""
        return self._loop.run(self._operation.result())

    def progress(self, every: timedelta = time_limits.COMMANDS.script_poll_pause) -> Iterator[Progress]:
        """Where it stands, now and at each change, until it has ended."""
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
        """Where it stands now; None while nobody answers."""
        return self._loop.run(self._operation.now())

    def now_or_reason(self) -> Progress | str:
        """Where it stands now, or in words why nobody says so."""
        return self._loop.run(self._operation.now_or_reason())

    def approve(self, by: str, comment: str = "") -> str:
        """Let it go on that waits for an approval."""
        return self._loop.run(self._operation.approve(by, comment))

    def recheck(self, reason: str = "") -> str:
        """Let it look at the cluster now."""
        return self._loop.run(self._operation.recheck(reason))

    def pause(self, by: str, reason: str = "") -> str:
        """Hold it before its next change."""
        return self._loop.run(self._operation.pause(by, reason))

    def resume(self, by: str, reason: str = "") -> str:
        """Let it go on that is paused."""
        return self._loop.run(self._operation.resume(by, reason))

    def cancel(self, reason: str = "", within: timedelta = time_limits.COMMANDS.script_answer_timeout) -> str:
        """Cancel it, and wait until it has ended so."""
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
        """End the connection; operations go on."""
        self._loop.close()

    def remove(self, cluster: str, member: str, **options: Unpack[Options]) -> Operation[RemovalResult]:
        """Take a member out of a cluster."""
        return self._started(self._handoff.remove(cluster, member, **options))

    def add(
        self, cluster: str, name: str, peer_urls: Sequence[str], **options: Unpack[AdditionOptions]
    ) -> Operation[AdditionResult]:
        """Add a member."""
        return self._started(self._handoff.add(cluster, name, peer_urls, **options))

    def replace(
        self, cluster: str, member: str, name: str, peer_urls: Sequence[str], **options: Unpack[AdditionOptions]
    ) -> Operation[ReplacementResult]:
        """Put a new member in the place of another one."""
        return self._started(self._handoff.replace(cluster, member, name, peer_urls, **options))

    def apply(
        self, cluster: str, members: Mapping[str, Sequence[str]], **options: Unpack[AdditionOptions]
    ) -> Operation[MembershipResult]:
        """Give a cluster these members and no others."""
        return self._started(self._handoff.apply(cluster, members, **options))

    def start(self, request: OperationRequest, result_type: type[ResultT]) -> Operation[ResultT]:
        """Start what a request says, or attach to the operation of the same member that runs."""
        return self._started(self._handoff.start(request, result_type))

    def attach(self, workflow_id: str) -> Operation[Any]:
        """The last operation with this workflow ID, whether it runs or has ended."""
        return self._started(self._handoff.attach(workflow_id))

    def _started(self, starting: Coroutine[Any, Any, AsyncOperation[ResultT]]) -> Operation[ResultT]:
        return Operation(self._loop, self._loop.run(starting))

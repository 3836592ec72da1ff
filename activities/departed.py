"""Observe what still runs on the node of a member that was removed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from temporalio import activity

from activities.interceptor import StepClock
from etcd_handoff import time_limits
from etcd_handoff.activity_io import SeeDepartedInput, SeeDepartedResult
from etcd_handoff.contract import StepOutcome

if TYPE_CHECKING:
    from etcd_handoff.config import Config


class DepartedActivities:
    """Observe what a removed member leaves behind.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
    """

    def __init__(self, config: Config, node: str) -> None:
        self._config = config
        self._node = node

    @activity.defn
    async def see_departed(self, ask: SeeDepartedInput) -> SeeDepartedResult:
        """Return whether the etcd on this node still listens, after a second in which it may end.

        It opens a TCP connection, sends nothing, and changes nothing. An etcd that knows of its removal panics at some
        calls (etcd `server/etcdserver/server.go`, IsLearner).
        """
        clock, etcd = StepClock(self._node), self._config.cluster(ask.cluster).etcd
        if not etcd.names_own_member_alone:
            return SeeDepartedResult(step=clock.step(StepOutcome.UNAVAILABLE, "the profile names other members too"))
        url, ends = urlsplit(etcd.endpoints[0]), time.monotonic() + time_limits.STEPS.departed_seconds
        while runs := await _listens(url.hostname or "", url.port or 0):
            if time.monotonic() >= ends:
                break
            await asyncio.sleep(time_limits.STEPS.departed_pause_seconds)
        note = "its etcd still listens" if runs else "its etcd listens no more"
        return SeeDepartedResult(step=clock.step(StepOutcome.OBSERVED, note), runs=runs)


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(time_limits.STEPS.departed_seconds):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True

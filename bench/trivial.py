"""A workflow of activities that do nothing: what Temporal alone costs.

A file of its own, since the workflow sandbox loads it with all that it imports.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def trivial(seconds: float) -> float:
    """Nothing but the way there and back, and a wait where one is asked for."""
    if seconds:
        await asyncio.sleep(seconds)
    return seconds


@workflow.defn
class Trivial:
    """Trivial activities one after another."""

    @workflow.run
    async def run(self, waits: list[float]) -> None:
        """One activity for each entry, with that wait in seconds."""
        for seconds in waits:
            await workflow.execute_activity(trivial, seconds, start_to_close_timeout=timedelta(minutes=1))

"""EtcdMembers that ask for a removal while their watcher cannot start one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from temporalio import workflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.reconciler.member_resources import MemberResource
    from etcd_handoff.reconciler.state import ReconcilerState

with workflow.unsafe.imports_passed_through():
    from etcd_handoff import time_limits
    from etcd_handoff.reconciler import request_messages
    from workflows import patches
    from workflows.progress_notes import note_progress


class WaitingOrders:
    """Writes the reason to them. It remembers what each EtcdMember shows; the next run may write that once more."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}

    async def write_reasons(self, cluster: str, state: ReconcilerState, resources: Sequence[MemberResource]) -> None:
        """Write why no removal was started, once for each reason. Write nothing while rounds succeed.

        Args:
            cluster: Cluster profile.
            state: What is known after a round.
            resources: All EtcdMembers.

        Raises:
            ActivityError: It was cancelled.
        """
        if not patches.is_on(patches.WAITS_TOLD):
            return
        notes = request_messages.waiting_notes(cluster, state, resources)
        self._notes = {name: text for name, text in self._notes.items() if any(n.resource == name for n in notes)}
        new = [note for note in notes if self._notes.get(note.resource) != note.message]
        limits = time_limits.WORKFLOWS
        written = await asyncio.gather(*(note_progress(note, timeout=limits.queue_note_timeout) for note in new))
        self._notes.update({note.resource: note.message for note, done in zip(new, written, strict=True) if done})

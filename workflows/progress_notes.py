"""Write the progress of a removal to the member's EtcdMember."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.etcdmembers import EtcdMemberActivities
    from etcd_handoff.operation.resource_progress import summary_of
    from workflows import retries

if TYPE_CHECKING:
    from datetime import timedelta

    from etcd_handoff.reconciler.removal_progress import NoteProgressInput


async def note_progress(note: NoteProgressInput, *, timeout: timedelta) -> bool:
    """Write a sentence to an EtcdMember if that is possible in time. A message is worth no more.

    Args:
        note: What to write.
        timeout: How long the activity may take, all its attempts together.

    Returns:
        Whether an API server has answered in time.

    Raises:
        ActivityError: It was cancelled.
    """
    try:
        await workflow.execute_activity_method(
            EtcdMemberActivities.note_progress,
            note,
            schedule_to_close_timeout=timeout,
            retry_policy=retries.NOTE,
            summary=summary_of(note),
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        workflow.logger.warning("no message was written to EtcdMember %s: %s", note.resource, error.cause)
        return False
    return True

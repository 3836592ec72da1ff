"""The workflow `Notify`: deliver one event of an operation to the webhook, while the operation goes on.

Its ID is the event's. So an event is never delivered by two workflows at once, nor again after it was.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.notices import NoticeActivities
    from etcd_handoff import time_limits
    from etcd_handoff.operation import current_details
    from etcd_handoff.operation.texts import NO_INPUT
    from etcd_handoff.temporal.converter import invalid_input
    from etcd_handoff.temporal.failure_converter import NOT_DELIVERED
    from etcd_handoff.unawaited import mark_exception_retrieved
    from etcd_handoff.webhook_notice import Notice
    from workflows import retries
    from workflows.failures import why_it_failed


@workflow.defn
class Notify:
    """Delivers one notice, for up to a day."""

    @workflow.run
    async def run(self, notice: Notice | None = None) -> int:
        """Deliver the notice. Without the default, a start without input would fail the workflow task for ever.

        Raises:
            ApplicationError: There is no input, or the notice was not delivered in time.
            ActivityError: It was cancelled.
        """
        if notice is None:
            raise invalid_input(NO_INPUT)
        about = f"{notice.event}: {notice.operation} of {notice.member} in {notice.cluster}"
        workflow.set_current_details(current_details.notice_details(about))
        try:
            return await workflow.execute_activity_method(
                NoticeActivities.send_notice,
                notice,
                start_to_close_timeout=time_limits.WORKFLOWS.delivery_timeout,
                heartbeat_timeout=time_limits.WORKFLOWS.delivery_heartbeat_timeout,
                schedule_to_close_timeout=time_limits.WORKFLOWS.notice_grace,
                retry_policy=retries.HANDED_OVER,
                summary=f"send {about}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            hours = time_limits.WORKFLOWS.notice_grace.total_seconds() / 3600
            text = f"{about}: not delivered within {hours:g} hours: {why_it_failed(error)[1]}; repair the webhook"
            raise ApplicationError(text, type=NOT_DELIVERED, non_retryable=True) from None


async def start_notice(notice: Notice | None, *, at_end: bool) -> None:
    """Start a separate workflow that delivers a notice. It stays when the operation has ended.

    Args:
        notice: The notice, or None for nothing.
        at_end: Whether the operation ends next. Then that workflow was started when this returns.

    Raises:
        asyncio.CancelledError: The worker evicts this run from its cache.
    """
    if notice is None:
        return
    beginning = asyncio.create_task(_begin(notice))
    mark_exception_retrieved(beginning)
    if not at_end:
        await asyncio.sleep(0)  # the order to start it stands before anything that ends this run
        return
    while not beginning.done():
        try:
            await asyncio.shield(beginning)
        except asyncio.CancelledError:
            if beginning.cancelled():
                raise  # this run is evicted from the worker's cache
            # The operation has ended, so the cancellation comes too late.


async def _begin(notice: Notice) -> None:
    try:
        await workflow.start_child_workflow(
            Notify.run,
            notice,
            id=f"etcd-notify/{notice.cluster}/{notice.event_id}",
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            task_timeout=workflow.info().task_timeout,
            static_summary=f"Send the event {notice.event} to the webhook",
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("%s was told already", notice.event_id)

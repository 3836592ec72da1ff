"""The workflow `RecordStatus`: write the EtcdMember of an operation that has ended before it was written.

It judges nothing. A removed member ID stays out, since etcd never gives one twice, unless a backup is restored. So the
activity looks at etcd, and leaves the EtcdMember alone if the member is in the cluster again. It also leaves the
EtcdMember alone if it has another ID by then, since the node has joined again. An added member may have left by then.
The activity checks that in etcd too.

For a removal that failed after its proposal, it writes the state by etcd's list. Without an answer it writes `Unknown`.
What others have written about the member meanwhile stays, unless the member has left.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.member_status import KubernetesActivities
    from etcd_handoff import time_limits
    from etcd_handoff.activity_io import UpdateStatusInput, UpdateStatusResult
    from etcd_handoff.etcdmember import joined_text
    from etcd_handoff.operation import current_details, texts
    from etcd_handoff.temporal.converter import invalid_input
    from etcd_handoff.temporal.failure_converter import NOT_RECORDED
    from workflows import patches, retries
    from workflows.failures import why_it_failed

if TYPE_CHECKING:
    from etcd_handoff.operation.commands import HandRecordOver


@workflow.defn
class RecordStatus:
    """Writes one EtcdMember, for up to a week."""

    def __init__(self) -> None:
        """Begin without an attempt."""
        self._text = ""

    @workflow.run
    async def run(self, record: UpdateStatusInput | None = None) -> UpdateStatusResult:
        """Write `record`. Without the default, a start without input would fail the workflow task for ever.

        Raises:
            ApplicationError: There is no input, or the EtcdMember was not written in time.
            ActivityError: It was cancelled.
        """
        if record is None:
            raise invalid_input(texts.NO_INPUT)
        record = record.model_copy(update={"late": True})
        member = record.member_name or record.member_id
        workflow.set_current_details(current_details.record_details(member, record))
        grace, pause = time_limits.WORKFLOWS.record_grace, time_limits.WORKFLOWS.record_first_pause
        end = workflow.time() + grace.total_seconds()
        while (remaining := end - workflow.time()) > 0:
            try:
                return await self._write(record, timedelta(seconds=remaining))
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._text = why_it_failed(error)[1]
            # It failed early, for example on a worker whose configuration lacks the profile.
            await workflow.sleep(pause, summary=f"wait before the next try: {self._text[:80]}")
            pause = min(2 * pause, time_limits.WORKFLOWS.record_longest_pause)
        text = f"the EtcdMember of {member} could not be written within {grace.days} days: {self._text}; "
        text += f"run the {'addition' if record.joined and not record.failed else 'removal'} of {member} again"
        raise ApplicationError(text, type=NOT_RECORDED, non_retryable=True)

    async def _write(self, record: UpdateStatusInput, most: timedelta) -> UpdateStatusResult:
        member = record.member_name or record.member_id
        return await workflow.execute_activity_method(
            KubernetesActivities.update_status,
            record,
            start_to_close_timeout=time_limits.WORKFLOWS.record_timeout,
            heartbeat_timeout=time_limits.WORKFLOWS.delivery_heartbeat_timeout,
            schedule_to_close_timeout=most,
            retry_policy=retries.HANDED_OVER,
            summary=f"write Joined={joined_text(record.joined)} to the EtcdMember of {member}",
        )


async def hand_over(command: HandRecordOver) -> bool:
    """Start the workflow that goes on writing an EtcdMember, instead of one with an older record.

    Returns:
        Whether it was started. A run that began before records of this kind were handed over does not start it.
    """
    record = command.record
    patch = patches.ADDITION_RECORDS if record.joined and not record.failed else patches.FAILED_RECORDS
    if record.joined is not False and not patches.is_on(patch):
        return False
    await workflow.start_child_workflow(
        RecordStatus.run,
        command.record,
        id=command.workflow_id,
        id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        task_timeout=workflow.info().task_timeout,
        static_summary=command.summary,
    )
    return True

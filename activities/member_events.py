"""Events on the EtcdMember of one member: what an operation did, and what is left to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from activities import timestamps
from etcd_handoff.contract import StepOutcome
from etcd_handoff.etcdmember_events import EventSpec, event_for

if TYPE_CHECKING:
    from etcd_handoff.activity_io import UpdateStatusInput
    from etcd_handoff.kubernetes.port import KubernetesPort

EVENTS_AT_ONCE: Final = 4
EVENT_STEPS: Final = 10
"""How many of the last steps get an Event. The history has them all."""
WARNING_OUTCOMES: Final = (
    StepOutcome.TRANSFER_FAILED,
    StepOutcome.NO_ELECTION,
    StepOutcome.REFUSED_BY_ETCD,
    StepOutcome.UNAVAILABLE,
)
"""Outcomes that an operator should know of, although the removal went on."""


async def send_events(gateway: KubernetesPort, resource: dict[str, Any], record: UpdateStatusInput) -> None:
    """Send Events: the request, the approval, the last steps, the end, and what is left to do.

    Sent again after a lost answer, they are the same Events.
    """
    news = [
        EventSpec(
            reason="".join(part.title() for part in step.name.split("_")),
            message=f"{step.outcome} in {step.milliseconds:.0f} ms on {step.node}"
            + (f": {step.note}" * bool(step.note)),
            warning=step.outcome in WARNING_OUTCOMES,
            once=f"{record.run_id} {number}",
        )
        for number, step in list(enumerate(record.steps))[-EVENT_STEPS:]
    ]
    if record.approved_by:
        news.insert(0, EventSpec(reason="Approved", message=f"approved by {record.approved_by}", once=record.run_id))
    if record.asked_by or record.reason:
        requester = f"asked for by {record.asked_by}" if record.asked_by else "asked for"
        message = ": ".join(filter(None, (requester, record.reason)))
        news.insert(0, EventSpec(reason="Requested", message=message, once=record.run_id))
    end = "Added" if record.joined and not record.failed else "NotRemoved" if record.failed else "Removed"
    news.append(EventSpec(reason=end, message=record.message, warning=record.failed, once=record.run_id))
    if record.next_steps:
        news.append(EventSpec(reason="LeftToDo", message="; ".join(record.next_steps), once=record.run_id))
    now, gate = timestamps.microseconds(), asyncio.Semaphore(EVENTS_AT_ONCE)

    async def send(item: EventSpec) -> None:
        async with gate:
            await gateway.record_event(event_for(resource, item, now), departing=record.member_name)

    await asyncio.gather(*(send(item) for item in news))

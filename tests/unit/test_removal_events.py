"""The Events of a removal: which there are, when they are sent, and that they hold nobody up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from temporalio.testing import ActivityEnvironment

from activities.member_events import EVENTS_AT_ONCE
from activities.member_status import KubernetesActivities
from etcd_handoff import time_limits
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.builders import step
from tests.unit.test_update_status import RECORD, gateways_to, resource

if TYPE_CHECKING:
    from etcd_handoff.activity_io import UpdateStatusResult


async def test_events_are_sent_after_the_answer_few_at_once() -> None:
    """The answer is there while they hang; the last ten steps and the end get one each."""
    steps = tuple(step(f"step_{n}") for n in range(15))
    fake = FakeKubernetes(resource())
    fake.events_pass.clear()
    gateways = gateways_to(fake)
    record = RECORD.model_copy(update={"steps": steps})
    recorded: UpdateStatusResult = await ActivityEnvironment().run(
        KubernetesActivities(gateways, "n").update_status, record
    )
    assert recorded.recorded
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(fake.events) == EVENTS_AT_ONCE
    fake.events_pass.set()
    await gateways.close()
    assert [event["reason"] for event in fake.events] == [*(f"Step{n}" for n in range(5, 15)), "Removed"]


async def test_event_says_who_approved() -> None:
    """On the resource, where kubectl shows it; none where nobody has."""
    for approver, notes in (("ann", ["approved by ann"]), ("", [])):
        fake = FakeKubernetes(resource())
        gateways = gateways_to(fake)
        record = RECORD.model_copy(update={"approved_by": approver})
        await ActivityEnvironment().run(KubernetesActivities(gateways, "n").update_status, record)
        await gateways.close()
        assert [event["note"] for event in fake.events if event["reason"] == "Approved"] == notes


@pytest.mark.parametrize(
    ("asked_by", "reason", "notes"),
    [
        ("ann", "new disk", ["asked for by ann: new disk"]),
        ("ann", "", ["asked for by ann"]),
        ("", "spec.leave of EtcdMember node2", ["asked for: spec.leave of EtcdMember node2"]),
        ("", "", []),
    ],
)
async def test_event_says_who_asked_and_why(asked_by: str, reason: str, notes: list[str]) -> None:
    """The first of the Events; the same one when the status is written again."""
    fake = FakeKubernetes(resource())
    gateways = gateways_to(fake)
    people = {"asked_by": asked_by, "reason": reason, "approved_by": "bob", "run_id": "run"}
    record = RECORD.model_copy(update=people)
    for _ in range(2):
        await ActivityEnvironment().run(KubernetesActivities(gateways, "n").update_status, record)
    await gateways.close()
    events = [event for event in fake.events if event["reason"] == "Requested"]
    assert [event["note"] for event in events[:1]] == notes
    assert len({event["metadata"]["name"] for event in events}) == len(notes)
    assert not notes or fake.events[0] == events[0]


async def test_events_that_hang_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for them longer than their own time, not even a worker that stops."""
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, events_seconds=0.01))
    fake = FakeKubernetes(resource())
    fake.events_pass.clear()
    gateways = gateways_to(fake)
    await ActivityEnvironment().run(KubernetesActivities(gateways, "n").update_status, RECORD)
    await gateways.close()
    assert len(fake.events) == 1

"""What EtcdMembers that ask for a removal are told while their watcher can start none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcdmember_repairs import to_member_resource
from activities.etcdmembers import EtcdMemberActivities
from etcd_handoff.config import Config
from etcd_handoff.etcdmember_messages import HELD_BACK, MESSAGE_JOINED, NOT_STARTED
from etcd_handoff.reconciler.member_resources import MemberResource, SyncMembersInput
from etcd_handoff.reconciler.request_messages import waiting_notes
from etcd_handoff.reconciler.state import LeaveOrder, ReconcilerState, RunningRemoval
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes
from tests.unit.builders import A, B, C, cluster, etcdmember, member
from workflows import patches, waiting_orders
from workflows.waiting_orders import WaitingOrders

if TYPE_CHECKING:
    from etcd_handoff.reconciler.removal_progress import NoteProgressInput

TROUBLE = "LISTS_DIFFER: node0 says this"
FAILED = ReconcilerState(trouble=TROUBLE, failed_rounds=1)
RUNNING = RunningRemoval(uid="u", resource="node1", generation=2, member_id=B, label="node1", workflow_id="w")
VIEW = cluster(member(A), member(B), member(C))


def asking(**fields: object) -> MemberResource:
    """The EtcdMember of node1, which is asked to leave."""
    usual = {"name": "node1", "uid": "u", "generation": 2, "leave": True, "member_id": B, "joined": "True"}
    return MemberResource.model_validate({**usual, **fields})


def order(**fields: object) -> dict[str, LeaveOrder]:
    """What is known of its order."""
    return {"u": LeaveOrder.model_validate({"uid": "u", "generation": 2, **fields})}


@pytest.mark.parametrize(
    ("known", "resource", "is_noted"),
    [
        ({}, asking(), True),
        ({}, asking(leave=False, annotation="true"), True),
        ({"orders": order(member_id=B)}, asking(), True),
        ({"orders": order(generation=1)}, asking(), True),
        ({"failed_rounds": 0}, asking(), False),
        ({}, asking(leave=False), False),
        ({}, asking(joined="False"), False),
        ({}, asking(leave_by_us=True), False),
        ({}, asking(old_request=True), False),
        ({}, asking(old_annotation=True, annotation="true"), False),
        ({"orders": order()}, asking(), False),
        ({"orders": order(), "annotated": order(annotation="tru")}, asking(annotation="tru"), False),
        ({"orders": order(), "annotated": order(annotation="true", member_id=B)}, asking(annotation="true"), True),
        ({"running": {"u": RUNNING}}, asking(), False),
    ],
)
def test_whoever_waits_for_a_removal_is_told_why(
    known: dict[str, Any], resource: MemberResource, *, is_noted: bool
) -> None:
    """And nobody else: what a message says is often all that a new watcher knows."""
    notes = waiting_notes("prod", FAILED.model_copy(update=known), [resource])
    assert bool(notes) is is_noted
    for note in notes:
        assert (note.cluster, note.resource, note.member_id, note.failed) == ("prod", "node1", B, False)
        assert note.message == f"{NOT_STARTED}{TROUBLE}"


async def test_each_reason_is_told_once_and_until_it_has_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that fails every minute for a day writes one message, and a new flag is told again."""
    messages, answers = list[str](), [False, True, True, True]

    async def note(note: NoteProgressInput, *_: object, **__: object) -> bool:
        messages.append(note.message.removeprefix(NOT_STARTED))
        return answers[len(messages) - 1]

    monkeypatch.setattr(patches, "is_on", lambda _: True)
    monkeypatch.setattr(waiting_orders, "note_progress", note)
    waiting, other = WaitingOrders(), FAILED.model_copy(update={"trouble": "other"})
    rounds = [
        (FAILED, True),
        (FAILED, True),
        (FAILED, True),
        (other, True),
        (other, True),
        (other, False),
        (other, True),
    ]
    for state, leave in rounds:
        await waiting.write_reasons("prod", state, [asking(leave=leave)])
    assert messages == [TROUBLE, TROUBLE, "other", "other"]
    monkeypatch.setattr(patches, "is_on", lambda _: False)
    await WaitingOrders().write_reasons("prod", FAILED, [asking()])
    assert len(messages) == 4


def stored(message: str) -> FakeKubernetes:
    """The API server's EtcdMember of node1."""
    metadata = {"resourceVersion": "1", "generation": 2}
    return FakeKubernetes(etcdmember("node1", B, leave=True, metadata=metadata, peerAddress="node1", message=message))


@pytest.mark.parametrize(("before", "written"), [(MESSAGE_JOINED, True), (f"{HELD_BACK}2 of 3", False)])
async def test_condition_stays_and_the_message_goes_with_its_cause(before: str, *, written: bool) -> None:
    """Why it is not corrected says more than why no removal was started."""
    fake = stored(before)
    config = Config.model_validate({"clusters": {"prod": {"etcd": {"endpoints": ["http://h:2379"]}}}})
    activities = EtcdMemberActivities(FakeGateways(config, "", {"prod": fake}))
    environment = ActivityEnvironment()
    (note,) = waiting_notes("prod", FAILED, [asking()])
    await environment.run(activities.note_progress, note)
    status = fake.resources["node1"]["status"]
    assert status["message"] == (note.message if written else before)
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Joined", "True")]
    assert "reconcileStatus" not in status
    digest = to_member_resource(fake.resources["node1"]).status_digest
    sync = SyncMembersInput(cluster="prod", status_digests={"node1": digest}, view=VIEW)
    await environment.run(activities.sync_members, sync)
    assert fake.resources["node1"]["status"]["message"] == MESSAGE_JOINED

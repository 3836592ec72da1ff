"""Two versions of the product side by side: what one adds or lacks never fails a workflow for good."""

from __future__ import annotations

import re
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from etcd_handoff.activity_io import (
    CheckLeaderInput,
    StepResult,
    UpdateStatusInput,
)
from etcd_handoff.contract import (
    Approval,
    HandoffState,
    Outcome,
    Progress,
    Recheck,
    RemovalRequest,
    RemovalResult,
    Step,
    StepOutcome,
)
from etcd_handoff.operation.queue_messages import ChangeQueueState
from etcd_handoff.operation.state import OperationState
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
from etcd_handoff.temporal.converter import VersionMismatchError
from etcd_handoff.wire import Request, WireModel
from tests.unit.conversion import CONVERTER, complaint, messages, read


class NewReport(StepResult):
    """What a newer worker answers."""

    hint: str = ""
    needed: int


class NewStep(Step):
    """A step as a newer worker describes it."""

    zone: str = ""


class NewRequest(RemovalRequest):
    """What a newer client asks for."""

    zone: str = ""
    minimum_voters: int = 0


STEP = Step(
    name="check_leader", started="", milliseconds=1, attempts=1, node="node1", outcome=StepOutcome.OBSERVED, note=""
)


def crossed(value: WireModel, hint: object) -> Any:
    """`value` as a process of another version reads it."""
    return CONVERTER.from_payloads(CONVERTER.to_payloads([value]), [hint])[0]  # type: ignore[list-item]


def test_older_worker_leaves_out_what_a_newer_one_adds() -> None:
    """An unknown field of an answer, at any depth, changes nothing for who does not know it."""
    new = NewReport(step=NewStep(**STEP.model_dump(), zone="a"), proposed=True, hint="x", needed=1)
    assert crossed(new, StepResult) == StepResult(step=STEP, proposed=True)


def test_newer_worker_that_lacks_a_field_leaves_the_task_to_an_older_one() -> None:
    """No failure of the workflow: the error is none of Temporal's, so the SDK fails the task alone."""
    with pytest.raises(VersionMismatchError, match=r"^NewReport was written by another.*needed: Field required"):
        crossed(StepResult(step=STEP), NewReport)
    assert not issubclass(VersionMismatchError, ApplicationError)


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (STEP, "outcome", "defragmented"),
        (Progress(state=HandoffState.DONE, cluster="c", member="m"), "state", "Defragmenting"),
        (
            RemovalResult(outcome=Outcome.REMOVED, cluster="c", cluster_id="1", member_id="2", member_name="m"),
            "outcome",
            "replaced",
        ),
    ],
)
def test_word_that_only_a_newer_worker_knows_is_text(message: WireModel, field: str, value: str) -> None:
    """It is read and shown; a word that is known comes out as the enum's."""
    known = crossed(message, type(message))
    assert type(getattr(known, field)) is type(getattr(message, field))
    found = crossed(message.model_copy(update={field: value}), type(message))
    assert getattr(found, field) == value


@pytest.mark.parametrize(
    "hint",
    [StepResult, StepResult | None, list[StepResult], tuple[StepResult, ...], OperationState, CheckLeaderInput],
)
@pytest.mark.parametrize("data", [b"{}", b"7", b"nope", b'{"step": 1, "cluster": 2}'])
def test_what_workers_tell_each_other_never_fails_a_workflow_for_good(hint: object, data: bytes) -> None:
    """Answers, inputs of activities and what a run carries into the next: unreadable here is readable elsewhere."""
    with pytest.raises(VersionMismatchError):
        read(data, hint)


def test_answer_in_another_encoding_is_left_to_another_worker_too() -> None:
    """As an answer that does not fit."""
    odd = Payload(metadata={"encoding": b"binary/compressed"}, data=b"x")
    with pytest.raises(VersionMismatchError, match="encoding 'binary/compressed' is not read"):
        CONVERTER.from_payloads([odd], [StepResult])


@pytest.mark.parametrize(
    "hint", [ReconcileEtcdMembersRequest, ChangeQueueState, RemovalRequest, UpdateStatusInput | None]
)
def test_input_of_a_workflow_is_invalid_input(hint: object) -> None:
    """Whoever starts one by hand with something else is answered."""
    assert "Field required" in complaint(b"{}", hint)


def test_option_that_a_newer_client_does_not_use_is_no_hindrance() -> None:
    """It writes out all options with their defaults; those that an older worker does not know are left out there."""
    assert crossed(NewRequest(cluster="prod", member="m"), RemovalRequest) == RemovalRequest(cluster="prod", member="m")
    assert crossed(RemovalRequest(cluster="prod", member="m"), NewRequest).zone == ""


def test_option_that_a_newer_client_uses_is_never_silently_lost() -> None:
    """An older worker cannot do what is asked for and says so; it does not blame a new option that is not used."""
    (sent,) = CONVERTER.to_payloads([NewRequest(cluster="prod", member="m", minimum_voters=3)])
    assert complaint_about(sent, RemovalRequest) == "minimum_voters: Extra inputs are not permitted"
    (sent,) = CONVERTER.to_payloads([NewRequest.model_construct(cluster="prod", member="a/b")])
    assert re.fullmatch(r"member: [^;]+", complaint_about(sent, RemovalRequest))


def complaint_about(sent: Payload, hint: object) -> str:
    """As `complaint`, of a payload with its metadata."""
    with pytest.raises(ApplicationError) as caught:
        CONVERTER.from_payloads([sent], [hint])  # type: ignore[list-item]
    assert caught.value.type == "InvalidInput"
    return caught.value.message


def test_request_for_the_next_run_is_left_to_a_worker_that_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its option was accepted once: an older worker neither drops it nor fails the removal, maybe after the commit."""
    monkeypatch.setattr(workflow, "in_workflow", lambda: True)
    (sent,) = CONVERTER.to_payloads([NewRequest(cluster="prod", member="m", minimum_voters=3)])
    with pytest.raises(VersionMismatchError):
        CONVERTER.from_payloads([sent], [RemovalRequest])
    (sent,) = CONVERTER.to_payloads([NewRequest(cluster="prod", member="m")])
    assert CONVERTER.from_payloads([sent], [RemovalRequest]) == [RemovalRequest(cluster="prod", member="m")]


def test_record_that_a_removal_hands_over_is_left_to_a_worker_that_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people start the workflow with fails it at once; what a removal has written must not be lost."""
    monkeypatch.setattr(workflow, "in_workflow", lambda: True)
    (sent,) = CONVERTER.to_payloads(
        [UpdateStatusInput(cluster="prod", member_name="n", member_id="a1", joined=False, message="x")]
    )
    sent.data = b"{}"
    with pytest.raises(VersionMismatchError):
        CONVERTER.from_payloads([sent], [UpdateStatusInput | None])  # type: ignore[list-item]  # a union is a hint too


def test_every_model_is_either_written_by_people_or_ignores_what_it_does_not_know() -> None:
    """A message that a later version extends is read by this one."""
    found = messages()
    strict = {m for m in found if m.model_config.get("extra") == "forbid"}
    assert strict == {m for m in found if issubclass(m, Request)}
    assert {RemovalRequest, Approval, Recheck} <= strict

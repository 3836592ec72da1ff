"""What crosses Temporal: bad input is answered in words, good input stays what it was, versions get on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from etcd_handoff import activity_io, contract
from etcd_handoff.activity_io import (
    AwaitElectionInput,
    CheckLeaderInput,
    StepInput,
    StepResult,
    Target,
    UpdateStatusInput,
    UpdateStatusResult,
)
from etcd_handoff.cluster_view import Alarm, ClusterView, MemberView
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
from etcd_handoff.operation.queue_state import ChangeQueueState
from etcd_handoff.operation.reconciler_state import ReconcileEtcdMembersRequest
from etcd_handoff.operation.state import OperationState
from etcd_handoff.temporal.converter import VersionMismatchError, data_converter, invalid_input
from etcd_handoff.wire import Message, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

CONVERTER = data_converter.payload_converter
INPUTS: tuple[Any, ...] = (RemovalRequest, RemovalRequest | None)
"""As a workflow may declare its input."""
M = TypeVar("M", bound=Message)


def payload(data: bytes) -> Payload:
    """JSON as the Temporal CLI and the Web UI send it."""
    return Payload(metadata={"encoding": b"json/plain"}, data=data)


def read(data: bytes, hint: object = RemovalRequest) -> object:
    """What a workflow gets for `data`."""
    return CONVERTER.from_payloads([payload(data)], [hint])[0]  # type: ignore[list-item]  # a union is a hint too


def complaint(data: bytes, hint: object = RemovalRequest) -> str:
    """The message of the failure that `data` leads to, its type and finality checked."""
    with pytest.raises(ApplicationError) as caught:
        read(data, hint)
    assert caught.value.type == "InvalidInput"
    assert caught.value.non_retryable
    return caught.value.message


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hint", INPUTS)
@pytest.mark.parametrize(
    ("given_input", "said"),
    [
        ({}, "cluster: Field required; member: Field required"),
        ({"cluster": "prod"}, "member: Field required"),
        ({"cluster": "prod", "member": "node1", "dryrun": True}, "dryrun: Extra inputs are not permitted"),
        ({"cluster": "prod", "member": "node1", "": None}, "input: Extra inputs are not permitted"),
        ({"cluster": "prod", "member": 1}, "member: Input should be a valid string"),
        ({"cluster": "prod", "member": 17237436991929493444}, "member: Input should be a valid string"),
        ({"cluster": "prod", "member": None}, "member: Input should be a valid string"),
        ({"cluster": "prod", "member": ""}, "member: String should have at least 1 character"),
        ({"cluster": "prod", "member": "n" * 254}, "member: String should have at most 253 characters"),
        ({"cluster": "prod", "member": "m", "dry_run": "yes"}, "dry_run: Input should be a valid boolean"),
        ({"cluster": "prod", "member": "m", "dry_run": 1}, "dry_run: Input should be a valid boolean"),
        (
            {"cluster": "prod", "member": "m", "reason": "r" * 1_001},
            "reason: String should have at most 1000 characters",
        ),
        (
            {"cluster": "prod", "member": "m", "blocked_timeout_seconds": -1},
            "blocked_timeout_seconds: Input should be greater than or equal to 0",
        ),
        (
            {"cluster": "prod", "member": "m", "blocked_timeout_seconds": 2_592_001},
            "blocked_timeout_seconds: Input should be less than or equal to 2592000",
        ),
        (
            {"cluster": "prod", "member": "m", "blocked_timeout_seconds": "1h"},
            "blocked_timeout_seconds: Input should be a valid number",
        ),
        (
            {"cluster": "prod", "member": "m", "blocked_timeout_seconds": float("nan")},
            "blocked_timeout_seconds: Input should be a finite number",
        ),
        ([], "input: Input should be an object"),
        ("prod", "input: Input should be an object"),
        (7, "input: Input should be an object"),
    ],
)
def test_wrong_input_is_said_field_by_field(given_input: object, said: str, hint: object) -> None:
    """One readable piece for each wrong field, the same whether the workflow's input is optional or not."""
    assert complaint(json.dumps(given_input).encode(), hint) == said


@pytest.mark.parametrize(
    "member",
    ["a/b", "/", " a", "a\nb", "a\tb", "a\rb", "a\0", "\x1b[31m", "a\x7f", "a\x85b", "a\u2028b", "a\u202eb", "\u200ba"],
)
def test_member_that_would_break_an_id_or_a_page_is_turned_down(member: str) -> None:
    """It stands in workflow IDs and in lines of text."""
    said = complaint(json.dumps({"cluster": "prod", "member": member}).encode())
    assert said == "member: give a member name or a hex ID: no '/', no control characters, no space at its start"


@pytest.mark.parametrize("member", ["node1", "Node 1", "knoten-ä", "節点", "0x8e9e05c52164694d", "a.b_c:d"])
def test_other_names_are_taken(member: str) -> None:
    """Etcd takes any text for a name, people use most of them."""
    assert read(json.dumps({"cluster": "prod", "member": member}).encode()) == RemovalRequest(
        cluster="prod", member=member
    )


@pytest.mark.parametrize("cluster", ["", "a/b", "-a", "a-", "a b", "a\n", "ä", "a" * 64])
def test_cluster_that_is_no_profile_name_is_turned_down(cluster: str) -> None:
    """It stands in workflow IDs and in search attributes."""
    said = complaint(json.dumps({"cluster": cluster, "member": "m"}).encode())
    assert said.startswith("cluster: give up to 63 letters, digits")


def test_key_is_cut_and_stays_on_its_line() -> None:
    """A key is somebody's input: a long one does not fill the history, an odd one does not break the line."""
    said = complaint(json.dumps({"cluster": "prod", "member": "m", "k" * 5_000: 1, "a\nb\x1b": 1}).encode())
    assert said == f"{'k' * 60}...: Extra inputs are not permitted; a?b?: Extra inputs are not permitted"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nope",
        b"{",
        b'{"cluster": "prod"',
        b"\xff\xfe",
        b'"\\ud800"',
        b"{}{}",
        b"[" * 5_000,
        b"{'a': 1}",
    ],
)
def test_no_json_is_said_to_be_none(data: bytes) -> None:
    """What can't be parsed is said in one line, without a traceback."""
    said = complaint(data)
    assert re.match(r"input: .*JSON", said)
    assert "\n" not in said


def test_complaint_does_not_repeat_values() -> None:
    """A secret in the wrong field does not reach the failure."""
    data = json.dumps({"cluster": "prod", "member": ["s3cr3t"], "password": "s3cr3t", "dry_run": "s3cr3t"})
    assert "s3cr3t" not in complaint(data.encode())


@pytest.mark.parametrize("hint", [Approval, Recheck])
@pytest.mark.parametrize("data", [b'{"by": 1}', b'{"reason": []}', b"[]", b'"yes"'])
def test_wrong_argument_of_an_update_is_invalid_input_too(hint: object, data: bytes) -> None:
    """Updates answer like starts do."""
    assert complaint(data, hint)


def test_invalid_input_is_final() -> None:
    """The contract's type, and no retry."""
    error = invalid_input("member: missing")
    assert (error.type, error.non_retryable, error.message) == ("InvalidInput", True, "member: missing")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "cluster": st.just("prod") | JSON,
        "member": st.just("node1") | JSON,
        "reason": JSON,
        "dry_run": st.booleans() | JSON,
        "blocked_timeout_seconds": st.integers(-1, 10) | JSON,
        "novelty": JSON,
    },
)


def outcome(data: bytes, hint: object) -> object:
    """What `data` becomes, or the failure that it leads to; anything else is raised."""
    try:
        return read(data, hint)
    except ApplicationError as error:
        return error


def is_request_or_invalid_input(found: object, hint: object) -> bool:
    """A request, a final failure in words, or None where the workflow allows it."""
    if isinstance(found, ApplicationError):
        return found.type == "InvalidInput" and found.non_retryable and ": " in found.message
    return isinstance(found, RemovalRequest) or (found is None and hint is not RemovalRequest)


@given(JSON | NEARLY, st.sampled_from(INPUTS))
@example(None, RemovalRequest | None)
def test_any_json_is_a_request_or_invalid_input(value: object, hint: object) -> None:
    """No JSON keeps a workflow's task failing: it fits, or the failure is InvalidInput."""
    assert is_request_or_invalid_input(outcome(json.dumps(value).encode(), hint), hint)


@given(st.binary(max_size=40), st.sampled_from(INPUTS))
def test_any_bytes_are_a_request_or_invalid_input(data: bytes, hint: object) -> None:
    """As any JSON, for what is none."""
    assert is_request_or_invalid_input(outcome(data, hint), hint)


# --- good input ---------------------------------------------------------------------------------------------

IDS = st.integers(1, 2**64 - 1).map(lambda n: format(n, "x"))
TEXT = st.text(max_size=8)
COUNT = st.integers(0, 2**53)
VIEWS = st.builds(
    ClusterView,
    cluster_id=IDS,
    members=st.lists(
        st.builds(
            MemberView,
            id=IDS,
            name=TEXT,
            peer_urls=st.lists(TEXT, max_size=2).map(tuple),
            is_learner=st.booleans(),
            reachable=st.booleans(),
            leader_id=st.none() | IDS,
            term=COUNT,
            raft_index=COUNT,
            alarms=st.lists(TEXT, max_size=2).map(tuple),
            note=TEXT,
        ),
        max_size=3,
    ).map(tuple),
    alarms=st.lists(st.builds(Alarm, kind=TEXT, member_id=TEXT), max_size=1).map(tuple),
)
STEPS = st.builds(
    Step,
    name=TEXT,
    started=TEXT,
    milliseconds=st.floats(0, 1e9),
    attempts=st.integers(0, 99),
    node=TEXT,
    outcome=st.sampled_from(StepOutcome),
    note=TEXT,
)
PINS = st.builds(
    Target, cluster_id=IDS, member_id=IDS, member_name=TEXT, leader_before=st.none() | IDS, term_before=COUNT
)
ACT = {"cluster": TEXT, "cluster_id": IDS, "target_id": IDS, "avoid": st.lists(IDS, max_size=2).map(tuple)}
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        RemovalRequest,
        cluster=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,5}[A-Za-z0-9])?", fullmatch=True),
        member=st.from_regex(r"[^\s/][^/]{0,20}", fullmatch=True).filter(str.isprintable),
        reason=TEXT,
        require_approval=st.booleans(),
        snapshot=st.booleans(),
        hash_check=st.booleans(),
        blocked_timeout_seconds=st.floats(0, 2_592_000) | st.integers(0, 2_592_000).map(float),
        dry_run=st.booleans(),
    ),
    VIEWS,
    STEPS,
    PINS,
    st.builds(StepInput, **ACT),
    st.builds(AwaitElectionInput, **ACT, term_before=COUNT),
    st.builds(StepResult, step=STEPS, view=st.none() | VIEWS, transferee_id=IDS, proposed=st.booleans()),
    st.builds(
        UpdateStatusInput,
        cluster=TEXT,
        member_name=TEXT,
        member_id=IDS,
        joined=st.booleans(),
        message=TEXT,
        members=st.lists(IDS, max_size=3).map(tuple),
    ),
    st.builds(UpdateStatusResult, step=STEPS, recorded=st.booleans(), note=TEXT),
    st.builds(Progress, state=st.sampled_from(HandoffState), cluster=TEXT, member=TEXT, member_id=IDS),
    st.builds(
        RemovalResult,
        outcome=st.sampled_from(Outcome),
        cluster=TEXT,
        cluster_id=IDS,
        member_id=IDS,
        member_name=TEXT,
        leader_before=IDS,
        leader_after=st.none() | IDS,
        steps=st.lists(STEPS, max_size=2).map(tuple),
    ),
)


def numbers(value: object) -> Iterator[float]:
    """All JSON numbers in `value`."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@given(MESSAGES)
def test_message_comes_out_as_it_went_in(message: Message) -> None:
    """Each message equals itself after the way through a payload, and readers of doubles lose no digit."""
    (sent,) = CONVERTER.to_payloads([message])
    assert sent.metadata["encoding"] == b"json/plain"
    assert CONVERTER.from_payload(sent, type(message)) == message
    assert all(abs(n) <= 2**53 for n in numbers(json.loads(sent.data)))


def test_defaults_are_written_out() -> None:
    """A history says what was in force, not what was left out."""
    (sent,) = CONVERTER.to_payloads([RemovalRequest(cluster="prod", member="node1")])
    assert json.loads(sent.data) == {
        "cluster": "prod",
        "member": "node1",
        "reason": "",
        "require_approval": False,
        "snapshot": False,
        "hash_check": False,
        "blocked_timeout_seconds": 3600,
        "dry_run": False,
    }


def test_whole_seconds_may_be_written_without_a_point() -> None:
    """People write 60, not 60.0."""
    found = read(b'{"cluster": "prod", "member": "m", "blocked_timeout_seconds": 60}')
    assert isinstance(found, RemovalRequest)
    assert found.blocked_timeout_seconds == 60


# --- two versions side by side ------------------------------------------------------------------------------


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


def crossed(value: Message, hint: object) -> Any:
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
def test_word_that_only_a_newer_worker_knows_is_text(message: Message, field: str, value: str) -> None:
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


def messages() -> set[type[Message]]:
    """All types of messages that the contract has, and those that activities take and return."""
    values = [*vars(contract).values(), *vars(activity_io).values()]
    return {m for m in values if isinstance(m, type) and issubclass(m, Message)}


def test_every_model_is_either_written_by_people_or_ignores_what_it_does_not_know() -> None:
    """A message that a later version extends is read by this one."""
    found = messages()
    strict = {m for m in found if m.model_config.get("extra") == "forbid"}
    assert strict == {m for m in found if issubclass(m, Request)}
    assert {RemovalRequest, Approval, Recheck} <= strict


# --- IDs ----------------------------------------------------------------------------------------------------


def kinds(schema: Any) -> Iterator[str]:  # JSON schema
    """The JSON types that a field's schema allows, those of a list's items included."""
    for option in schema.get("anyOf", [schema]):
        items = option.get("items", option)
        yield items.get("type", "")


def test_no_id_is_a_json_number() -> None:
    """In every message every ID and every list of IDs is text: readers of doubles lose a uint64's digits."""
    found = messages()
    extra = {"avoid", "doubtful", "leader_before", "leader_after"}
    fields = [
        (m.__name__, name, set(kinds(schema)))
        for m in found
        for name, schema in m.model_json_schema().get("properties", {}).items()
        if re.search(r"(^|_)ids?$", name) or name in extra
    ]
    assert len(fields) > 20
    assert [f for f in fields if not f[2] <= {"string", "null"}] == []


@pytest.mark.parametrize("wrong", [1, 17237436991929493444, "0xff", "FF", "", "f" * 17, "g", "f\n", None])
def test_id_in_another_form_is_turned_down(wrong: object) -> None:
    """Numbers, prefixes, upper case and padding beyond a uint64 are errors, in code and in payloads."""
    data = {"id": wrong, "name": "a"}
    with pytest.raises(ValidationError):
        MemberView.model_validate(data)
    with pytest.raises(VersionMismatchError, match=r"\(id: "):
        read(json.dumps(data).encode(), MemberView)


def test_message_is_immutable() -> None:
    """What a history holds can't be changed under the hands of a workflow."""
    request = RemovalRequest(cluster="prod", member="node1")
    with pytest.raises(ValidationError):
        request.member = "node2"  # type: ignore[misc]  # that is the point

"""Removals begun by an older worker go on with this one, and what histories keep can be shown to anybody."""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from etcd_handoff.contract import StepOutcome
from etcd_handoff.lab.nodes import TOKEN
from etcd_handoff.temporal.converter import data_converter
from tests.replay.record import UNKNOWN
from worker import INTERCEPTORS
from workflows.registry import WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parent
HISTORIES: Final = sorted((FOLDER / "histories").glob("*.json"))
DIVERGED: Final = sorted((FOLDER / "diverged").glob("*.json"))
COMPLETED: Final = "activityTaskCompletedEventAttributes"
SHOWS: Final = {
    "addition": ["timerFiredEventAttributes", "workflowExecutionCompletedEventAttributes"],
    "applied": ["timerFiredEventAttributes", "workflowExecutionCompletedEventAttributes"],
    "approved": ["workflowExecutionUpdateAcceptedEventAttributes"],
    "blocked": ["timerFiredEventAttributes", "workflowExecutionUpdateAcceptedEventAttributes"],
    "continued": ["workflowExecutionContinuedAsNewEventAttributes"],
    "continues": ["workflowExecutionCompletedEventAttributes"],
    "failed": ["workflowExecutionFailedEventAttributes"],
    "handed_over": ["startChildWorkflowExecutionInitiatedEventAttributes", "workflowExecutionCompletedEventAttributes"],
    "k0s": ["workflowExecutionCompletedEventAttributes"],
    "notify": ["workflowExecutionCompletedEventAttributes"],
    "newer": ["workflowExecutionCompletedEventAttributes"],
    "queued": ["workflowExecutionSignaledEventAttributes", "workflowExecutionCompletedEventAttributes"],
    "record": ["workflowExecutionCompletedEventAttributes"],
    "replacement": ["timerFiredEventAttributes", "workflowExecutionCompletedEventAttributes"],
    "told": ["startChildWorkflowExecutionInitiatedEventAttributes", "workflowExecutionUpdateAcceptedEventAttributes"],
    "through_nodes": ["markerRecordedEventAttributes", "workflowExecutionCompletedEventAttributes"],
}
"""What must occur in a history, or it is not the way to go that it stands for."""
STEPS: Final = {
    "leader": ["check_leader", "move_leader", "await_election", "remove_member", "update_status"],
    "follower": ["check_leader", "remove_member", "update_status"],
}
CHANGES: Final = ["add_learner", "promote_member", "update_status"]
SCHEDULED: Final = "activityTaskScheduledEventAttributes"
UPSERTED: Final = "upsertWorkflowSearchAttributesEventAttributes"
ADDRESS: Final = re.compile(r"(?:\w+://)?(?:localhost|\[?(?:\d{1,3}\.){3}\d{1,3}\]?)(?::\d+)?")
SECRET: Final = re.compile(rf"(?i){TOKEN}|-----BEGIN|password|bearer |_file\b|kubeconfig|endpoints|api_?key")
PROCESS: Final = re.compile(r"^(?:etcd-handoff-worker/.*:)?\d+@")
LOCAL_PATH: Final = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|var|Users|private)/")


def replayer() -> Replayer:
    """As a worker of ours runs workflows, but in the SDK's sandbox: what that would object to is found here."""
    return Replayer(
        workflows=WORKFLOWS,
        interceptors=INTERCEPTORS,
        data_converter=data_converter,
    )


def recorded(path: Path) -> WorkflowHistory:
    """A committed history."""
    return WorkflowHistory.from_json(path.stem, path.read_text())


def attributes_of(name: str, attributes: str) -> list[Any]:
    """What a committed history says in all events of one kind."""
    events = json.loads((FOLDER / "histories" / f"{name}.json").read_text())["events"]
    return [event[attributes] for event in events if attributes in event]


def strings(value: Any) -> Iterator[tuple[str, str]]:
    """Every text of a history with the key it stands under, those inside payloads too."""
    for key, item in value.items() if isinstance(value, dict) else [("", item) for item in value]:
        if isinstance(item, dict | list):
            yield from ((under or key, text) for under, text in strings(item))
        elif isinstance(item, str):
            yield key, item
            if key == "data":
                yield from _inside(item)


def _inside(payload: str) -> Iterator[tuple[str, str]]:
    try:
        text = base64.b64decode(payload, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return
    try:
        inner = json.loads(text)
    except ValueError:
        yield "payload", text
        return
    yield from strings(inner if isinstance(inner, dict | list) else {"payload": inner})


def leaks(history: dict[str, Any]) -> list[str]:
    """What a history should not have: secrets, paths, machines, and addresses other than the members' peer URLs."""
    texts = list(strings(history))
    found = [text for _, text in texts for wrong in (SECRET, PROCESS, LOCAL_PATH) if wrong.search(text)]
    peers = {text for key, text in texts if key == "peer_urls"}
    return found + [a for _, text in texts for a in ADDRESS.findall(text) if a not in peers]


def test_histories_are_present() -> None:
    """An empty folder must not look like a pass."""
    assert {path.stem for path in HISTORIES} >= {"leader", "follower", "queue", "reconciler", *SHOWS}
    assert DIVERGED


@pytest.mark.parametrize("name", SHOWS)
def test_history_goes_the_way_that_it_is_there_for(name: str) -> None:
    """A recording of a wait in which nothing had to be waited for would not test the wait."""
    assert [attributes for attributes in SHOWS[name] if not attributes_of(name, attributes)] == []


def test_second_run_knows_of_the_first() -> None:
    """What continued as new was handed on, and taken over."""
    (started,) = attributes_of("continues", "workflowExecutionStartedEventAttributes")
    assert started["continuedExecutionRunId"]
    assert "etcd-handoff-carried" in started["memo"]["fields"]


def test_k0s_was_asked_and_etcd_was_not() -> None:
    """The order of a removal by k0s has no removal of our own."""
    names = [scheduled["activityType"]["name"] for scheduled in attributes_of("k0s", SCHEDULED)]
    assert "request_leave" in names
    assert "remove_member" not in names


def test_answers_of_a_newer_version_have_what_this_one_does_not_know() -> None:
    """A field in every answer, and an outcome: without them the replay would show nothing."""
    answers = [
        json.loads(base64.b64decode(attributes["result"]["payloads"][0]["data"]))
        for attributes in attributes_of("newer", COMPLETED)
    ]
    assert all(set(UNKNOWN) <= set(answer) for answer in answers)
    assert answers[-1]["step"]["outcome"] not in set(StepOutcome)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_removal_begun_by_an_older_worker_still_replays(path: Path) -> None:
    """Deploying this commit cannot strand a half-done removal; if it must, see record.py."""
    await replayer().replay_workflow(recorded(path))


@pytest.mark.parametrize("path", DIVERGED, ids=lambda path: path.stem)
async def test_history_of_other_decisions_does_not_replay(path: Path) -> None:
    """The replayer notices a worker that decides otherwise, so the test above can fail."""
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(recorded(path))


@pytest.mark.parametrize("name", STEPS)
def test_history_has_the_steps_that_it_is_there_for(name: str) -> None:
    """A recording in which nothing had to be transferred would not test the transfer."""
    assert [scheduled["activityType"]["name"] for scheduled in attributes_of(name, SCHEDULED)] == STEPS[name]


def test_leader_takes_its_turn_with_the_transfer() -> None:
    """No local activity asks the queue, as one does for a follower."""
    markers = {name: len(attributes_of(name, "markerRecordedEventAttributes")) for name in STEPS}
    assert markers == {"leader": 1, "follower": 2}, "a marker for the patches, and one for a local activity"


def test_addition_has_both_of_its_changes() -> None:
    """A recording in which somebody else has promoted the learner would not test the promotion."""
    names = [scheduled["activityType"]["name"] for scheduled in attributes_of("addition", SCHEDULED)]
    assert [name for name in names if name not in ("check_leader", "await_sync")] == CHANGES
    assert names.index("add_learner") < names.index("await_sync") < names.index("promote_member")


def test_recorded_replacement_consists_of_an_addition_and_a_removal() -> None:
    """Each has the steps that it has alone."""
    names = [scheduled["activityType"]["name"] for scheduled in attributes_of("replacement", SCHEDULED)]
    changes = [*CHANGES, *STEPS["leader"][1:]]
    assert [name for name in names if name in changes] == changes


@pytest.mark.parametrize("name", STEPS)
def test_removal_writes_to_lists_once(name: str) -> None:
    """What passes within a second is not worth a write to Temporal's visibility store; the end is."""
    fields = [upserted["searchAttributes"]["indexedFields"] for upserted in attributes_of(name, UPSERTED)]
    states = [some["HandoffState"]["data"] for some in fields if "HandoffState" in some]
    assert [base64.b64decode(data) for data in states] == [b'"Done"']


@pytest.mark.parametrize("path", [*HISTORIES, *DIVERGED], ids=lambda path: path.stem)
def test_history_has_no_secret_and_no_address(path: Path) -> None:
    """Inputs name a cluster profile; where that leads, and how to get in, only the workers know."""
    history = json.loads(path.read_text())
    assert any(key == "cluster" and text == "demo" for key, text in strings(history)), "the payloads were not read"
    assert leaks(history) == []


@pytest.mark.parametrize(
    "slip",
    [
        {"endpoints_seen": ["http://127.0.0.1:2379"]},
        {"note": f"Authorization: {TOKEN}"},
        {"note": "failed to connect to 10.0.0.1:2379"},
        {"note": "-----BEGIN RSA PRIVATE KEY-----"},
        {"note": "no such file: /root/.kube/config"},
    ],
)
def test_leak_in_a_payload_would_be_found(slip: dict[str, Any]) -> None:
    """The look at the histories looks into their payloads, so that it can fail."""
    data = base64.b64encode(json.dumps(slip).encode()).decode()
    assert leaks({"events": [{"input": {"payloads": [{"data": data}]}}]})

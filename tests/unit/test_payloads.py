"""What crosses Temporal comes out as it went in, with IDs as text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from etcd_handoff.activity_io import (
    AwaitElectionInput,
    StepInput,
    StepResult,
    Target,
    UpdateStatusInput,
    UpdateStatusResult,
)
from etcd_handoff.cluster_view import Alarm, ClusterView, MemberView
from etcd_handoff.contract import (
    HandoffState,
    Outcome,
    Progress,
    RemovalRequest,
    RemovalResult,
    Step,
    StepOutcome,
)
from etcd_handoff.temporal.converter import VersionMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.wire import WireModel
from tests.unit.conversion import CONVERTER, messages, read

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
MESSAGES: st.SearchStrategy[WireModel] = st.one_of(
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
def test_message_comes_out_as_it_went_in(message: WireModel) -> None:
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
        "not_before": "",
        "not_after": "",
    }


def test_whole_seconds_may_be_written_without_a_point() -> None:
    """People write 60, not 60.0."""
    found = read(b'{"cluster": "prod", "member": "m", "blocked_timeout_seconds": 60}')
    assert isinstance(found, RemovalRequest)
    assert found.blocked_timeout_seconds == 60


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

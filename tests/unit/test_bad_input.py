"""Input of people: what is wrong is answered in words, field by field, and never fails a task for ever."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from etcd_handoff.contract import (
    Approval,
    Recheck,
    RemovalRequest,
)
from etcd_handoff.temporal.converter import invalid_input
from tests.unit.conversion import complaint, read

INPUTS: tuple[Any, ...] = (RemovalRequest, RemovalRequest | None)
"""As a workflow may declare its input."""


@pytest.mark.parametrize("hint", INPUTS)
@pytest.mark.parametrize(
    ("given_input", "text"),
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
def test_wrong_input_is_said_field_by_field(given_input: object, text: str, hint: object) -> None:
    """One readable piece for each wrong field, the same whether the workflow's input is optional or not."""
    assert complaint(json.dumps(given_input).encode(), hint) == text


@pytest.mark.parametrize(
    "member",
    ["a/b", "/", " a", "a\nb", "a\tb", "a\rb", "a\0", "\x1b[31m", "a\x7f", "a\x85b", "a\u2028b", "a\u202eb", "\u200ba"],
)
def test_member_that_would_break_an_id_or_a_page_is_turned_down(member: str) -> None:
    """It stands in workflow IDs and in lines of text."""
    text = complaint(json.dumps({"cluster": "prod", "member": member}).encode())
    assert text == "member: give a member name or a hex ID: no '/', no control characters, no space at its start"


@pytest.mark.parametrize("member", ["node1", "Node 1", "knoten-ä", "節点", "0x8e9e05c52164694d", "a.b_c:d"])
def test_other_names_are_taken(member: str) -> None:
    """Etcd takes any text for a name, people use most of them."""
    assert read(json.dumps({"cluster": "prod", "member": member}).encode()) == RemovalRequest(
        cluster="prod", member=member
    )


@pytest.mark.parametrize("cluster", ["", "a/b", "-a", "a-", "a b", "a\n", "ä", "a" * 64])
def test_cluster_that_is_no_profile_name_is_turned_down(cluster: str) -> None:
    """It stands in workflow IDs and in search attributes."""
    text = complaint(json.dumps({"cluster": cluster, "member": "m"}).encode())
    assert text.startswith("cluster: give up to 63 letters, digits")


def test_key_is_cut_and_stays_on_its_line() -> None:
    """A key is somebody's input: a long one does not fill the history, an odd one does not break the line."""
    text = complaint(json.dumps({"cluster": "prod", "member": "m", "k" * 5_000: 1, "a\nb\x1b": 1}).encode())
    assert text == f"{'k' * 60}...: Extra inputs are not permitted; a?b?: Extra inputs are not permitted"


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
    text = complaint(data)
    assert re.match(r"input: .*JSON", text)
    assert "\n" not in text


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

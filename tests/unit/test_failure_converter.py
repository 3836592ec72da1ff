"""Refusals and blocks cross Temporal in words, without a Python stack trace; faults of the program keep theirs."""

from __future__ import annotations

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from etcd_handoff.contract import FailureType
from etcd_handoff.errors import ApiUnavailableError
from etcd_handoff.temporal.converter import data_converter


def raised(error: Exception) -> Exception:
    """The error once it has been raised, so that it has a trace."""

    def fail() -> None:
        raise error

    try:
        fail()
    except type(error):
        pass
    assert error.__traceback__ is not None
    return error


async def converted(error: Exception) -> Failure:
    """The failure that Temporal is told when this is raised."""
    failure = Failure()
    await data_converter.encode_failure(raised(error), failure)
    return failure


@pytest.mark.parametrize("kind", [*FailureType, "StepFails", "NotRecorded"])
async def test_failure_in_words_has_no_trace(kind: str) -> None:
    """`temporal workflow show` and the Web UI show what was seen and what to do, and nothing round it."""
    failure = await converted(ApplicationError("the last voter stays; add another first", type=kind))
    assert (failure.stack_trace, failure.message) == ("", "the last voter stays; add another first")
    assert failure.application_failure_info.type == kind


async def test_what_a_server_answered_has_no_trace_either() -> None:
    """It stands behind the failure as its cause."""
    error = ApplicationError("no API server answered", type="NotRecorded")
    error.__cause__ = raised(ApiUnavailableError("connection refused"))
    failure = await converted(error)
    assert (failure.cause.message, failure.cause.stack_trace) == ("connection refused", "")


async def test_what_nobody_foresaw_keeps_its_trace() -> None:
    """Whoever heals it needs to know where it came from."""
    failure = await converted(ValueError("a bug"))
    assert "test_failure_converter.py" in failure.stack_trace
    assert failure.application_failure_info.type == "ValueError"

"""A Temporal server for the models."""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from etcd_handoff import time_limits
from etcd_handoff.lab import Lab, LabOptions
from tests.model.runner import Runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runner]:
    """Waits are short, since a model answers at once and moves on by being called."""
    folder = tmp_path_factory.mktemp("model")
    async with Lab(LabOptions(nodes=1, kubernetes=False, directory=folder)) as lab:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in lab.environment.items():
                patch.setitem(os.environ, name, value)
            patch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, transfer_seconds=0.1, election_seconds=0.1))
            operation = replace(
                time_limits.OPERATION, blocked_first_pause_seconds=0.02, blocked_longest_pause_seconds=0.2
            )
            patch.setattr(time_limits, "OPERATION", operation)
            yield Runner(folder)


@pytest.fixture(autouse=True)
def no_failure_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Each failure within a workflow is looked at; else asyncio logs it on the user's terminal at some later time."""
    yield
    gc.collect()
    messages = [record.message for record in (*caplog.get_records("call"), *caplog.records)]
    # What is no task but a bare future is the SDK's own, within a workflow that was cancelled at that moment.
    assert [text for text in messages if "never retrieved" in text and not text.startswith("Future ")] == []


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few looks are enough: what a model does not do at once it never does."""
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, transfer_seconds=0.01, election_seconds=0.01))

"""A start attaches to what runs under its workflow ID only if that wants the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.contract import (
    AdditionRequest,
    MembershipRequest,
    OperationRequest,
    RemovalRequest,
    ReplacementRequest,
)
from etcd_handoff.errors import RunsAlreadyError
from etcd_handoff.temporal.converter import data_converter
from etcd_handoff.temporal.same_request import require_same_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def addition(*urls: str, **options: Any) -> AdditionRequest:
    """An addition of node4 with these peer URLs."""
    return AdditionRequest(cluster="prod", name="node4", peer_urls=urls, **options)


def replacement(name: str, url: str = "http://node4:2380") -> ReplacementRequest:
    """A replacement of node2."""
    return ReplacementRequest(cluster="prod", member="node2", name=name, peer_urls=(url,))


def membership(*names: str) -> MembershipRequest:
    """A membership of members with these names."""
    members = [{"name": name, "peer_urls": (f"http://{name}:2380",)} for name in names]
    return MembershipRequest.model_validate({"cluster": "prod", "members": tuple(members)})


class Runs:
    """A client of a Temporal in which one operation runs.

    Attributes:
        requested: Runs whose history was read.
    """

    data_converter = data_converter

    def __init__(self, *given: object, error: Exception | None = None) -> None:
        self.requested: list[str] = []
        self._given, self._error = given, error

    def get_workflow_handle(self, workflow_id: str, run_id: str) -> Any:  # noqa: ARG002
        """Its history begins with its input."""
        self.requested.append(run_id)
        return SimpleNamespace(fetch_history_events=self._events)

    async def _events(self, page_size: int) -> AsyncGenerator[HistoryEvent]:  # noqa: ARG002
        if self._error:
            raise self._error
        event = HistoryEvent()
        payloads = await data_converter.encode(self._given)
        event.workflow_execution_started_event_attributes.input.payloads.extend(payloads)
        yield event


async def start(request: OperationRequest, runs: Runs) -> None:
    """The start has attached to it."""
    started: Any = SimpleNamespace(id=request.start_id, first_execution_run_id="run-1", result_run_id="run-2")
    client: Any = runs
    await require_same_request(client, started, request)


@pytest.mark.parametrize(
    ("running", "requested"),
    [
        (addition("http://a:2380"), addition("http://b:2380")),
        (addition("http://a:2380", "http://b:2380"), addition("http://a:2380")),
        (replacement("node4"), replacement("node5")),
        (replacement("node4"), replacement("node4", "http://node5:2380")),
        (membership("node1", "node2"), membership("node1", "node3")),
        (membership("node1", "node2", "node3"), membership("node1", "node2")),
    ],
)
async def test_operation_that_wants_something_else_is_not_attached_to(
    running: OperationRequest, requested: OperationRequest
) -> None:
    """Its end would be taken for the end of what was asked for."""
    assert running.start_id == requested.start_id
    with pytest.raises(RunsAlreadyError, match=f"{requested.start_id} runs already") as raised:
        await start(requested, Runs(running))
    assert f"`etcd-handoff cancel {requested.start_id}`" in str(raised.value)


@pytest.mark.parametrize(
    ("running", "requested"),
    [
        (addition("http://a:2380", "http://b:2380"), addition("http://B:2380", "http://a:2380", snapshot=True)),
        (replacement("node4"), replacement("node4")),
        (membership("node1", "node2"), membership("node2", "node1")),
    ],
)
async def test_the_same_wish_in_other_words_and_with_other_options_is_attached_to(
    running: OperationRequest, requested: OperationRequest
) -> None:
    """A script that was killed is started again in the same way."""
    runs = Runs(running)
    await start(requested, runs)
    assert runs.requested == ["run-2"]  # the first one may be past its retention


@pytest.mark.parametrize(
    "runs", [Runs(), Runs({"cluster": "prod"}), Runs(error=RPCError("x", RPCStatusCode.UNKNOWN, b""))]
)
async def test_input_that_cannot_be_read_stops_nobody(runs: Runs) -> None:
    """The workflow itself judges its input."""
    await start(addition("http://a:2380"), runs)


async def test_removal_is_for_the_member_that_its_workflow_id_names() -> None:
    """So nothing is read."""
    runs = Runs(RemovalRequest(cluster="prod", member="node2"))
    await start(RemovalRequest(cluster="prod", member="node2"), runs)
    assert runs.requested == []

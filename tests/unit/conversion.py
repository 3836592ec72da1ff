"""What a workflow gets for what somebody sends it."""

from __future__ import annotations

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from etcd_handoff import activity_io, contract
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.temporal.converter import data_converter
from etcd_handoff.wire import WireModel

CONVERTER = data_converter.payload_converter


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


def messages() -> set[type[WireModel]]:
    """All types of messages that the contract has, and those that activities take and return."""
    values = [*vars(contract).values(), *vars(activity_io).values()]
    return {m for m in values if isinstance(m, type) and issubclass(m, WireModel)}

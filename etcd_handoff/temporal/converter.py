"""Convert data for Temporal: JSON by pydantic, and errors for a payload that does not fit its model.

What people write (`wire.Request`, the input of a workflow) becomes `InvalidInput`. That is a readable failure of the
workflow or of the update. Otherwise the SDK would retry the workflow task for ever.

What workers send each other (every other `wire.WireModel`) becomes `VersionMismatchError`. It means that workers of two
versions run side by side, as during an update. Then another worker has to take the work:

- A workflow reads an activity's answer, or what it carried into a new run: the SDK fails the workflow *task*. The
  server offers it again, to any worker (temporalio `worker/_workflow_instance.py`, `_convert_payloads`: any error that
  is no FailureError).
- A worker reads an activity's input: the SDK fails the *attempt* with a retryable error (temporalio
  `worker/_activity.py`, "Failed decoding arguments").
- A workflow reads a signal: the SDK drops it whatever the error, so the sender must send it again.
"""

from __future__ import annotations

import dataclasses
import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, pydantic_data_converter
from temporalio.converter import BinaryNullPayloadConverter, CompositePayloadConverter, JSONProtoPayloadConverter
from temporalio.exceptions import ApplicationError

from etcd_handoff.activity_io import UpdateStatusInput
from etcd_handoff.contract import FailureType
from etcd_handoff.errors import HandoffError
from etcd_handoff.operation.queue_messages import ChangeQueueState, QueueEntry, RecallEntriesInput
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest
from etcd_handoff.temporal.failure_converter import HandoffFailureConverter
from etcd_handoff.wire import Request, WireModel, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

JSON: Final = "json/plain"
NULL: Final = "binary/null"
DEFAULTS: Final = "etcd-handoff-defaults"
"""Key of a payload's metadata: the fields of a request that have their default value."""
CONTINUED: Final = "etcd-handoff-continued"
"""Key of a payload's metadata: a workflow wrote this, for its own next run or for a workflow that it starts."""
WRITTEN_BY_PEOPLE: Final = (
    Request,
    ReconcileEtcdMembersRequest,
    ChangeQueueState,
    QueueEntry,
    RecallEntriesInput,
    UpdateStatusInput,
)
"""What people write, and inputs of workflows and updates that have no other way to report that they are unreadable."""


class VersionMismatchError(HandoffError):
    """A worker or client of another version wrote a payload that this one cannot read. One of that version has to."""


class _ReadableErrors(PydanticJSONPlainPayloadConverter):
    """pydantic's JSON. A misfit is `InvalidInput` or a `VersionMismatchError`, as the module documents."""

    def to_payload(self, value: Any) -> Payload | None:
        payload = super().to_payload(value)
        if payload is not None and isinstance(value, Request):
            unused = [name for name, field in type(value).model_fields.items() if getattr(value, name) == field.default]
            payload.metadata[DEFAULTS] = ",".join(unused).encode()
        if payload is not None and isinstance(value, Request | UpdateStatusInput) and workflow.in_workflow():
            payload.metadata[CONTINUED] = b"true"
        return payload

    def from_payload(self, payload: Payload, type_hint: type[Any] | None = None) -> Any:
        try:
            return super().from_payload(payload, type_hint)
        except ValidationError as error:
            if (fit := _without_unused(payload, error)) is not None:
                return self.from_payload(fit, type_hint)
            raise _unreadable("; ".join(describe(error)), payload, type_hint) from None


def _without_unused(payload: Payload, error: ValidationError) -> Payload | None:
    """Return the payload without the fields that only a newer version knows and that have their defaults there.

    A request from a newer client or worker that uses nothing new is valid for this version too. Return None if it has
    no such field.
    """
    unused = payload.metadata.get(DEFAULTS, b"").decode(errors="replace").split(",")
    unknown = [item["loc"][-1] for item in error.errors(include_url=False) if item["type"] == "extra_forbidden"]
    omitted = set(unknown) & set(filter(None, unused))
    if not omitted:
        return None
    kept = {name: value for name, value in json.loads(payload.data).items() if name not in omitted}
    metadata = {key: value for key, value in payload.metadata.items() if key != DEFAULTS}
    return Payload(metadata=metadata, data=json.dumps(kept).encode())


def _unreadable(text: str, payload: Payload, type_hint: object) -> ApplicationError | VersionMismatchError:
    types = tuple(_types(type_hint))
    between_workers = any(issubclass(t, WireModel) and not issubclass(t, WRITTEN_BY_PEOPLE) for t in types)
    if not between_workers and CONTINUED not in payload.metadata:
        return invalid_input(text)
    names = ", ".join(t.__name__ for t in types if issubclass(t, WireModel)) or "input"
    return VersionMismatchError(
        f"{names} was written by another version of etcd-handoff and cannot be read here ({text}); it is tried again"
        " until a worker of a version that can read it takes it"
    )


def _types(hint: object) -> Iterator[type]:
    """Yield the classes in a type hint such as `StepResult`, `OperationState | None` or `list[Step]`."""
    if parts := get_args(hint):
        for part in parts:
            yield from _types(part)
    elif isinstance(hint, type):
        yield hint


def invalid_input(text: str) -> ApplicationError:
    """Return the contract's failure for input that no retry can correct."""
    return ApplicationError(text, type=FailureType.INVALID_INPUT, non_retryable=True)


class HandoffPayloadConverter(CompositePayloadConverter):
    """JSON, and for None Temporal's null: nothing else is read.

    Protobuf messages are written too: a workflow's details for the Web UI are one.
    """

    def __init__(self) -> None:
        """Make the converter. The SDK calls this without arguments, inside the workflow sandbox too."""
        super().__init__(BinaryNullPayloadConverter(), JSONProtoPayloadConverter(), _ReadableErrors())

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Return the values, each of its type.

        Raises:
            ApplicationError: `InvalidInput`, for what people write.
            VersionMismatchError: For what workers send each other.
        """
        readable = [
            payload if hint is RawValue else _as_json(payload, hint)
            for payload, hint in zip_longest(payloads, type_hints or ())
        ]
        return super().from_payloads(readable, type_hints)


def _as_json(payload: Payload, hint: object) -> Payload:
    """Return the payload with null as JSON, so that it has to fit the type like any other value."""
    encoding = payload.metadata.get("encoding", b"").decode(errors="replace")
    if encoding == JSON:
        return payload
    if encoding == NULL and not payload.data:
        return Payload(metadata={"encoding": JSON.encode()}, data=b"null")
    known = f"encoding {encoding[:40]!r}" if encoding else "payload without encoding"
    raise _unreadable(f"input: {known} is not read; give JSON, encoding {JSON!r}", payload, hint)


data_converter = dataclasses.replace(
    pydantic_data_converter,
    payload_converter_class=HandoffPayloadConverter,
    failure_converter_class=HandoffFailureConverter,
)
"""Give it to every client and replayer."""

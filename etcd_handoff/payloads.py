"""How data crosses Temporal: JSON by pydantic, and bad input answered in words instead of by a task retried for ever.

A payload that does not fit its model would leave the workflow running and its task failing again and again. Here it
becomes a failure of the workflow, or of the update, that a person can read.
"""

from __future__ import annotations

import dataclasses
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.common import RawValue, SearchAttributeKey
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, pydantic_data_converter
from temporalio.converter import BinaryNullPayloadConverter, CompositePayloadConverter, JSONProtoPayloadConverter
from temporalio.exceptions import ApplicationError

from etcd_handoff.message import describe
from etcd_handoff.model import FailureType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JSON: Final = "json/plain"
NULL: Final = "binary/null"


class _ReadableErrors(PydanticJSONPlainPayloadConverter):
    """pydantic's JSON, with `InvalidInput` for what does not fit."""

    def from_payload(self, payload: Payload, type_hint: type[Any] | None = None) -> Any:
        try:
            return super().from_payload(payload, type_hint)
        except ValidationError as error:
            raise invalid_input("; ".join(describe(error))) from None


def invalid_input(text: str) -> ApplicationError:
    """The contract's failure for input that no retry can mend."""
    return ApplicationError(text, type=FailureType.INVALID_INPUT, non_retryable=True)


class HandoffPayloadConverter(CompositePayloadConverter):
    """JSON, and for None Temporal's null: nothing else is read.

    Protobuf messages are written too: what a workflow says of itself to the Web UI is one.
    """

    def __init__(self) -> None:
        """Make the converter; the SDK calls this without arguments, inside the workflow sandbox too."""
        super().__init__(BinaryNullPayloadConverter(), JSONProtoPayloadConverter(), _ReadableErrors())

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """The values, each fitting its type.

        Raises:
            ApplicationError: `InvalidInput`, since the SDK would retry the workflow's task for ever after any other.
        """
        readable = [
            payload if hint is RawValue else _as_json(payload)
            for payload, hint in zip_longest(payloads, type_hints or ())
        ]
        return super().from_payloads(readable, type_hints)


def _as_json(payload: Payload) -> Payload:
    """Null as JSON writes it, so that it has to fit the type as any other value."""
    encoding = payload.metadata.get("encoding", b"").decode(errors="replace")
    if encoding == JSON:
        return payload
    if encoding == NULL and not payload.data:
        return Payload(metadata={"encoding": JSON.encode()}, data=b"null")
    known = f"encoding {encoding[:40]!r}" if encoding else "payload without encoding"
    raise invalid_input(f"input: {known} is not read; give JSON, encoding {JSON!r}")


data_converter = dataclasses.replace(pydantic_data_converter, payload_converter_class=HandoffPayloadConverter)
"""Give it to every client and replayer."""

CLUSTER_KEY: Final = SearchAttributeKey.for_keyword("EtcdCluster")
MEMBER_KEY: Final = SearchAttributeKey.for_keyword("EtcdMember")
STATE_KEY: Final = SearchAttributeKey.for_keyword("HandoffState")
"""Search attributes (contract): lists in the Web UI and the CLI select by them."""
KEYWORD: Final = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


def attributes_of_another_type(known: Mapping[str, int]) -> list[str]:
    """Names of our search attributes that a namespace has, but not as Keyword; Temporal refuses values for them.

    Args:
        known: The namespace's custom search attributes, each with its `IndexedValueType`.
    """
    return [key.name for key in (CLUSTER_KEY, MEMBER_KEY, STATE_KEY) if known.get(key.name, KEYWORD) != KEYWORD]

"""How data crosses Temporal: JSON by pydantic, and bad input answered in words instead of by a task retried for ever.

A payload that does not fit its model would leave the workflow running and its task failing again and again. Here it
becomes a failure of the workflow, or of the update, that a person can read.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import pydantic_core
from pydantic import ValidationError
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    CompositePayloadConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.exceptions import ApplicationError

from etcd_handoff.model import FailureType, describe

if TYPE_CHECKING:
    from temporalio.api.common.v1 import Payload


class _ReadableErrors(PydanticJSONPlainPayloadConverter):
    """pydantic's JSON, with `InvalidInput` for what does not fit."""

    def from_payload(self, payload: Payload, type_hint: type[Any] | None = None) -> Any:
        try:
            return super().from_payload(payload, type_hint)
        except ValidationError as error:
            raise invalid_input("; ".join(describe(error))) from None
        except (ValueError, pydantic_core.PydanticSerializationError) as error:
            raise invalid_input(f"input: is no valid JSON: {error}") from None


def invalid_input(text: str) -> ApplicationError:
    """The contract's failure for input that no retry can mend."""
    return ApplicationError(text, type=FailureType.INVALID_INPUT, non_retryable=True)


class HandoffPayloadConverter(CompositePayloadConverter):
    """Temporal's own converters with ours for JSON."""

    def __init__(self) -> None:
        """Make the converter; the SDK calls this without arguments, inside the workflow sandbox too."""
        ours = _ReadableErrors()
        super().__init__(
            *(
                ours if isinstance(c, JSONPlainPayloadConverter) else c
                for c in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


data_converter = dataclasses.replace(pydantic_data_converter, payload_converter_class=HandoffPayloadConverter)
"""Give it to every client and replayer."""

CLUSTER_KEY: Final = SearchAttributeKey.for_keyword("EtcdCluster")
MEMBER_KEY: Final = SearchAttributeKey.for_keyword("EtcdMember")
STATE_KEY: Final = SearchAttributeKey.for_keyword("HandoffState")
"""Search attributes (contract): lists in the Web UI and the CLI select by them."""

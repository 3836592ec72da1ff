"""Convert failures for Temporal: those with a text for people get no Python stack trace.

A refusal, a block or a server's answer is no fault of the program. Thirty lines of trace would hide the one line with
the remedy, and name paths of the worker's machine. An unexpected failure, such as one of a workflow task, keeps its
trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from temporalio.converter import DefaultFailureConverter
from temporalio.exceptions import ApplicationError

from etcd_handoff.contract import FailureType
from etcd_handoff.errors import HandoffError
from etcd_handoff.planning import Reason

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.converter import PayloadConverter

NOT_RECORDED: Final = "NotRecorded"
"""Type of a failure to write an EtcdMember: another attempt may succeed later, or on another worker."""
NOT_DELIVERED: Final = "NotDelivered"
"""Type of a failure to deliver a notice: `Notify` tries again."""
IN_WORDS: Final = frozenset({*FailureType, Reason.STEP_FAILS.value, NOT_RECORDED, NOT_DELIVERED})
"""Types of failures whose text was made for people."""


class HandoffFailureConverter(DefaultFailureConverter):
    """The SDK's failures, without a trace if the text is sufficient."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Write the exception into the failure. The SDK calls this for each of its causes too."""
        super().to_failure(exception, payload_converter, failure)
        is_expected = isinstance(exception, ApplicationError) and exception.type in IN_WORDS
        if is_expected or isinstance(exception, HandoffError):
            failure.stack_trace = ""

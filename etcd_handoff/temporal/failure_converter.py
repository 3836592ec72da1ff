"""How failures cross Temporal: what is told in words carries no Python stack trace.

A refusal or a block is an answer and no fault of the program, and so is what a server has answered. Thirty lines of
trace round it hide its one line with the remedy, and name paths of the worker's machine. What nobody foresaw, such as
a workflow task that fails, keeps its trace.
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
"""Type of a failure to write an EtcdMember: `Recording` tries again."""
NOT_DELIVERED: Final = "NotDelivered"
"""Type of a failure to deliver a notice: `Notify` tries again."""
IN_WORDS: Final = frozenset({*FailureType, Reason.STEP_FAILS.value, NOT_RECORDED, NOT_DELIVERED})
"""Types of failures whose text was made for people."""


class HandoffFailureConverter(DefaultFailureConverter):
    """The SDK's failures, without a trace where the text says it all."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Write the exception into the failure; the SDK calls this for each of its causes too."""
        super().to_failure(exception, payload_converter, failure)
        is_expected = isinstance(exception, ApplicationError) and exception.type in IN_WORDS
        if is_expected or isinstance(exception, HandoffError):
            failure.stack_trace = ""

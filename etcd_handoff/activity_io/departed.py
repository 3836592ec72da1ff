"""What the activity takes and returns that looks after a member that is out."""

from __future__ import annotations

from etcd_handoff.contract import Step
from etcd_handoff.wire import Message


class SeeDepartedInput(Message):
    """Input of `see_departed`: the cluster whose member on the worker's own node is out."""

    cluster: str


class SeeDepartedResult(Message):
    """Answer of `see_departed`.

    Attributes:
        step: How it went.
        runs: The member's etcd still listens; None when that cannot be told.
    """

    step: Step
    runs: bool | None = None

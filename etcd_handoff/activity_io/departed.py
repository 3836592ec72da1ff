"""Input and result of the activity that observes the node of a removed member."""

from __future__ import annotations

from etcd_handoff.contract import Step
from etcd_handoff.wire import WireModel


class SeeDepartedInput(WireModel):
    """Input of `see_departed`: the cluster whose member on the worker's node has left."""

    cluster: str


class SeeDepartedResult(WireModel):
    """Answer of `see_departed`.

    Attributes:
        step: How it went.
        runs: Whether the member's etcd still listens; None when that is not known.
    """

    step: Step
    runs: bool | None = None

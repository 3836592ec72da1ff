"""Shapes of the output of `watch`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from etcd_handoff.cli.shapes.base import Document
from etcd_handoff.reconciler.state import ReconcilerStatus


class WatchStartOutput(Document):
    """Printed by `watch start`.

    Attributes:
        workflow_id: The watcher's workflow ID.
        run_id: Its run ID.
        note: What was done.
        warning: What to know about it; empty if there is nothing.
    """

    workflow_id: str
    run_id: str
    note: str
    warning: str


class WatchStopOutput(Document):
    """Printed by `watch stop`.

    Attributes:
        workflow_id: The watcher's workflow ID.
        stopped: Always true.
    """

    workflow_id: str
    stopped: bool


class WatchResyncOutput(Document):
    """Printed by `watch resync`.

    Attributes:
        workflow_id: The watcher's workflow ID.
        confirmed: Whether the corrections that it held back were confirmed.
        doubt: Kind of the confirmed contradiction; empty if there was none.
        answer: The watcher's answer.
    """

    workflow_id: str
    confirmed: bool
    doubt: str
    answer: str


class WatchStatusOutput(ReconcilerStatus):
    """Printed by `watch status`.

    Attributes:
        format: Version of its shape.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    format: Literal[1]

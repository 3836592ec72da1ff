"""Shapes of what `watch` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from etcd_handoff.cli.shapes.base import Document
from etcd_handoff.reconciler.state import ReconcilerStatus


class WatchStartOutput(Document):
    """Printed by `watch start`.

    Attributes:
        workflow_id: The watcher.
        run_id: Its run.
        note: What was done.
        warning: What to know about it; empty if nothing.
    """

    workflow_id: str
    run_id: str
    note: str
    warning: str


class WatchStopOutput(Document):
    """Printed by `watch stop`.

    Attributes:
        workflow_id: The watcher.
        stopped: True.
    """

    workflow_id: str
    stopped: bool


class WatchResyncOutput(Document):
    """Printed by `watch resync`.

    Attributes:
        workflow_id: The watcher.
        confirmed: What it held back was confirmed.
        doubt: Kind of the contradiction that was confirmed; empty if there was none.
        answer: What it answers.
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

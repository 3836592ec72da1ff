"""Shapes of operations' ends, and of requests to operations."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, RootModel

from etcd_handoff.cli.shapes.base import Document
from etcd_handoff.contract import AdditionResult, MembershipResult, RemovalResult, ReplacementResult

WHOLE = ConfigDict(json_schema_serialization_defaults_required=True)


class RemovalOutput(RemovalResult):
    """A removal that has ended well.

    Attributes:
        format: Version of its shape.
    """

    model_config = WHOLE

    format: Literal[1]


class AdditionOutput(AdditionResult):
    """An addition that has ended well.

    Attributes:
        format: Version of its shape.
    """

    model_config = WHOLE

    format: Literal[1]


class ReplacementOutput(ReplacementResult):
    """A replacement that has ended well.

    Attributes:
        format: Version of its shape.
    """

    model_config = WHOLE

    format: Literal[1]


class MembershipOutput(MembershipResult):
    """A change of the membership that has ended well.

    Attributes:
        format: Version of its shape.
    """

    model_config = WHOLE

    format: Literal[1]


class StartedOutput(Document):
    """An operation that was started with `--detach`.

    Attributes:
        workflow_id: Its workflow ID.
        run_id: Its first run.
        joined: Whether it already ran.
    """

    workflow_id: str
    run_id: str
    joined: bool


class FailureOutput(Document):
    """An operation that did not end well.

    Attributes:
        failure: The type of its failure, or `Cancelled`, `Terminated`, `TimedOut`, `Failed`.
        message: What was seen, and what to do.
        join_configuration: Settings that the new member's etcd was to start with; left out if there are none.
    """

    failure: str
    message: str
    join_configuration: dict[str, str] = Field(default_factory=dict)


class RemoveOutput(RootModel[RemovalOutput | StartedOutput | FailureOutput]):
    """Printed by `remove`: its result, its start, or its failure."""


class AddOutput(RootModel[AdditionOutput | StartedOutput | FailureOutput]):
    """Printed by `add`: its result, its start, or its failure."""


class ReplaceOutput(RootModel[ReplacementOutput | StartedOutput | FailureOutput]):
    """Printed by `replace`: its result, its start, or its failure."""


class ApplyOutput(RootModel[MembershipOutput | StartedOutput | FailureOutput]):
    """Printed by `apply`: its result, its start, or its failure."""


class InterventionOutput(Document):
    """Printed by `approve`, `recheck`, `pause`, `resume` and `cancel`.

    Attributes:
        action: The command.
        workflow_id: The operation.
        run_id: Its run.
        operation: Its kind.
        cluster: Cluster profile.
        member: Its member.
        by: Who sent it; only for `approve`, `pause` and `resume`.
        comment: Why; only for `approve`.
        reason: Why; for all others.
        answer: The operation's answer.
    """

    action: Literal["approve", "recheck", "pause", "resume", "cancel"]
    workflow_id: str
    run_id: str
    operation: str
    cluster: str
    member: str
    by: str = ""
    comment: str = ""
    reason: str = ""
    answer: str

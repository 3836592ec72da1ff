"""What all shapes have in common."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

FORMAT: Final = 1
"""Version of all shapes: within one, fields are added, and none is renamed, removed, or given another meaning."""


class Shape(BaseModel):
    """A part of what a command prints. A field with a default may be left out; one that is not listed is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Document(Shape):
    """All of what a command prints.

    Attributes:
        format: Version of its shape.
    """

    format: Literal[1]

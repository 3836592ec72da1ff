"""Base classes of all shapes."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

FORMAT: Final = 1
"""Version of all shapes. Within a version fields are added; none is renamed, removed, or given another meaning."""


class Shape(BaseModel):
    """A part of what a command prints.

    A field with a default may be left out. A field that is not listed is an error.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Document(Shape):
    """All of what a command prints.

    Attributes:
        format: Version of its shape.
    """

    format: Literal[1]

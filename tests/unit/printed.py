"""What a command prints in JSON, as tests compare it."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.terminal import print_json

if TYPE_CHECKING:
    from pydantic import BaseModel


def as_printed(shape: type[BaseModel], value: Any) -> Any:
    """The document that a command prints, read again; its shape is that of its schema."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        print_json(shape, value)
    return json.loads(out.getvalue())

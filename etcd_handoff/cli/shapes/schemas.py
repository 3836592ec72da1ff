"""The JSON Schemas of docs/schemas, made from the models: `python -m etcd_handoff.cli.shapes.schemas docs/schemas`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from etcd_handoff.cli.shapes import cluster, operations, status, trails, watch
from etcd_handoff.cli.shapes.base import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BY_COMMAND: Final[Mapping[str, type[BaseModel]]] = {
    "plan": cluster.PlanOutput,
    "status": status.StatusOutput,
    "doctor": cluster.DoctorOutput,
    "watch start": watch.WatchStartOutput,
    "watch stop": watch.WatchStopOutput,
    "watch status": watch.WatchStatusOutput,
    "watch resync": watch.WatchResyncOutput,
    "remove": operations.RemoveOutput,
    "add": operations.AddOutput,
    "replace": operations.ReplaceOutput,
    "apply": operations.ApplyOutput,
    "describe": trails.DescribeOutput,
    "history": trails.HistoryOutput,
    "report": trails.TrailOutput,
    **dict.fromkeys(("approve", "recheck", "pause", "resume", "cancel"), operations.InterventionOutput),
}
"""The model of each command's output with `-o json`."""
ATTRIBUTE: Final = re.compile(r"^(\w+): (.*(?:\n +.*)*)", re.MULTILINE)


def schema_of(command: str) -> dict[str, Any]:
    """Return the JSON Schema of a command's output, which allows fields that it does not list."""
    model = BY_COMMAND[command]
    schema = model.model_json_schema(mode="serialization")
    models = {kind.__name__: kind for kind in _subclasses(BaseModel)}
    for name, part in schema.get("$defs", {}).items():
        _tidy(part, models.get(name))
    _tidy(schema, model)
    name = command.replace(" ", "-")
    head = {"$schema": DIALECT, "$id": f"urn:etcd-handoff:format-{FORMAT}:{name}"}
    return {**head, "title": f"etcd-handoff {command} -o json", **schema}


def _subclasses(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def _tidy(part: dict[str, Any], model: type[BaseModel] | None) -> None:
    """Take descriptions of fields from docstrings, drop pydantic's titles, and allow fields of a later version."""
    part.pop("title", None)
    part["description"] = " ".join(part.get("description", "").partition("\n\nAttributes:")[0].split())
    fields, descriptions = part.get("properties", {}), _descriptions(model) if model else {}
    if fields:
        part.pop("additionalProperties", None)
    for name, field in fields.items():
        field.pop("title", None)
        field.pop("default", None)
        if name in descriptions:
            field["description"] = descriptions[name]


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the descriptions of fields in the docstrings of a model and of its base classes."""
    found: dict[str, str] = {}
    for kind in model.__mro__:
        _, _, attributes = (kind.__doc__ or "").partition("Attributes:\n")
        lines = "\n".join(line.removeprefix("        ") for line in attributes.splitlines())
        for name, text in ATTRIBUTE.findall(lines):
            found.setdefault(name, " ".join(text.split()))
    return found


def files() -> dict[str, str]:
    """Return the name and the text of each schema file."""
    return {
        f"{command.replace(' ', '-')}.json": json.dumps(schema_of(command), indent=2, ensure_ascii=False) + "\n"
        for command in BY_COMMAND
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")

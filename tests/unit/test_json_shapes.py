"""Every command that prints JSON has a schema in docs/schemas, which is that of the models it is checked by."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from etcd_handoff.cli.options import parser
from etcd_handoff.cli.shapes.base import FORMAT
from etcd_handoff.cli.shapes.operations import AddOutput, FailureOutput, InterventionOutput, RemoveOutput
from etcd_handoff.cli.shapes.schemas import BY_COMMAND, files, schema_of
from etcd_handoff.contract import RemovalResult
from tests.unit.printed import as_printed

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
WITHOUT = {"demo", "worker", "install-service", "completion", "man"}
"""Commands that print no JSON."""
REMOVED = RemovalResult(outcome="removed", cluster="prod", cluster_id="1", member_id="2", member_name="node2")


def commands() -> set[str]:
    """All commands, and those of `watch`."""
    (subparsers,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    (actions,) = (a.choices or () for a in subparsers.choices["watch"]._actions if a.dest == "what")
    return {*subparsers.choices, *(f"watch {name}" for name in actions)} - {"watch"}


def test_every_command_has_a_schema_or_prints_no_json() -> None:
    """A new command needs one."""
    assert set(BY_COMMAND) == commands() - WITHOUT


@pytest.mark.parametrize("command", sorted(WITHOUT))
def test_command_without_json_refuses_to_print_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A program would try to read a text as JSON."""
    with pytest.raises(SystemExit) as exit_:
        parser().parse_args([command, *["bash"] * (command == "completion"), "-o", "json"])
    assert exit_.value.code == 2
    assert "unrecognized arguments: -o json" in capsys.readouterr().err


def test_files_are_those_of_the_models() -> None:
    """`make schemas` writes them."""
    there = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.json")}
    assert there == files()


def described(schema: dict[str, Any]) -> list[str]:
    """Fields of ours without a description."""
    parts = {"": schema, **schema.get("$defs", {})}
    return [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, value in part.get("properties", {}).items()
        if "description" not in value
    ]


@pytest.mark.parametrize("command", sorted(BY_COMMAND))
def test_every_field_is_described_and_no_later_one_forbidden(command: str) -> None:
    """Programs that check by the schema go on when a field is added."""
    schema = schema_of(command)
    assert described(schema) == []
    assert '"additionalProperties": false' not in json.dumps(schema)
    if "properties" in schema:
        assert schema["properties"]["format"]["const"] == FORMAT
        assert "format" in schema["required"]
    references = set(re.findall(r"#/\$defs/(\w+)", json.dumps(schema)))
    assert references == set(schema.get("$defs", {}))


def test_what_is_printed_has_the_version_of_its_shape_first() -> None:
    """Of results, failures and answers alike."""
    printed = as_printed(RemoveOutput, REMOVED.model_dump(mode="json"))
    assert (next(iter(printed)), printed["format"], printed["outcome"]) == ("format", FORMAT, "removed")
    assert RemovalResult.model_validate_json(json.dumps(printed)) == REMOVED
    failed = {"failure": "BlockedTooLong", "message": "why"}
    assert as_printed(FailureOutput, failed) == as_printed(AddOutput, failed) == {"format": FORMAT, **failed}


@pytest.mark.parametrize("wrong", [{"answers": "x"}, {"action": "stop"}, {"answer": 1}])
def test_what_does_not_fit_its_schema_is_not_printed(wrong: dict[str, Any]) -> None:
    """A field that is not listed, a word that is not, another type."""
    fields = dict.fromkeys(("workflow_id", "run_id", "operation", "cluster", "member", "answer"), "x")
    assert as_printed(InterventionOutput, {"action": "recheck", **fields, "reason": ""})
    with pytest.raises(ValidationError):
        as_printed(InterventionOutput, {"action": "recheck", **fields, **wrong})

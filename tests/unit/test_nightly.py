"""The record of the long checks: what it holds, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bench import nightly
from bench.source import ROOT, product_hash

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("failing", "status"), [("", 0), ("model", 1), ("chaos", 1)])
def test_record_names_source_machine_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, status: int
) -> None:
    """A target that failed ends the whole with 1, and the record is written all the same."""

    def run_target(*arguments: str) -> dict[str, Any]:
        return {"command": " ".join(arguments), "ok": arguments[0] != failing}

    monkeypatch.setattr(nightly, "run_target", run_target)
    monkeypatch.setattr(nightly, "RESULT", tmp_path / "nightly.json")
    assert nightly.main("all") == status
    record = json.loads((tmp_path / "nightly.json").read_text())
    assert record["product"] == product_hash()
    assert record["machine"]["cores"] > 0
    assert [run["command"] for run in record["runs"]] == ["model", "model-joins", "stock", "chaos CHAOS=all"]


def test_target_that_make_does_not_know_is_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    """The command is run for real, from the root of the repository."""
    run = nightly.run_target("no-such-target")
    assert (run["command"], run["ok"]) == ("make no-such-target", False)
    assert "no-such-target" in capfd.readouterr().err
    assert (ROOT / "Makefile").exists()

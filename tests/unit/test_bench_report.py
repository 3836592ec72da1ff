"""What a measurement leaves behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench import report
from bench.source import commit, product_hash

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_result_names_the_source_that_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON file has the commit, and the hash that the results of the fault matrix have."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    stored = report.write("name", "title", {"series": [1.0, 2.0]}, "ms")
    assert json.loads(stored.read_text())["source"] == {"commit": commit(), "product": product_hash()}

"""What the fault matrix found, as a file for machines and a table for people."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab.parts import ETCD_CHOICE
from tests.chaos.cases import Case, all_cases, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = Path(__file__).parents[2] / "bench" / "results"


@dataclass
class Finding:
    """How one case ended.

    Attributes:
        name: The case.
        ended: `well`, `after mending` (the removal waited until the fault was undone), `refused safely`, or `broken`.
        seconds: From the strike until the removal had ended.
        gap_ms: Longest time between two acknowledged writes.
        failed_writes: Puts that were not acknowledged.
        said: What a judge said, when it is broken.
    """

    name: str
    ended: str = "broken"
    seconds: float = 0.0
    gap_ms: float = 0.0
    failed_writes: int = 0
    said: str = ""


def chosen() -> list[Case]:
    """All cases with `CHAOS=all`, those with `CHAOS=<part of a name>` in their name, else the sample."""
    wanted = os.environ.get("CHAOS", "")
    if wanted in ("", "sample"):
        return sample()
    return [case for case in all_cases() if wanted == "all" or wanted in case.name]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each chosen case, named as it."""
    if "case" in metafunc.fixturenames:
        cases = chosen()
        metafunc.parametrize("case", cases, ids=[case.name for case in cases])


@pytest.fixture(scope="session")
def findings() -> Iterator[list[Finding]]:
    """Collects what the cases found; when they were asked for, their rows take the place of older ones."""
    found: list[Finding] = []
    yield found
    if os.environ.get("CHAOS") and found:
        write(found)


def write(found: list[Finding]) -> None:
    """Store what was found beside what other runs have found of other cases."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    etcd = os.environ.get(ETCD_CHOICE, "")
    path = RESULTS / f"chaos{f'-etcd-{etcd}' * bool(etcd)}.json"
    older = [Finding(**row) for row in json.loads(path.read_text())] if path.exists() else []
    by_name = {finding.name: finding for finding in [*older, *found]}
    rows = [by_name[case.name] for case in all_cases() if case.name in by_name]
    path.write_text("[\n" + ",\n".join(json.dumps(asdict(row)) for row in rows) + "\n]\n")
    path.with_suffix(".md").write_text(table(rows))


def table(found: list[Finding]) -> str:
    """How the cases of each fault ended, as Markdown."""
    lines = [
        f"{len(found)} cases.",
        "",
        "| fault | cases | ended well | after mending | refused safely | broken | longest write gap, ms | median, ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for fault in dict.fromkeys(finding.name.rpartition("/")[2] for finding in found):
        of_it = [finding for finding in found if finding.name.endswith(f"/{fault}")]
        ends, gaps = Counter(finding.ended for finding in of_it), sorted(finding.gap_ms for finding in of_it)
        lines.append(
            f"| {fault} | {len(of_it)} | {ends['well']} | {ends['after mending']} | {ends['refused safely']} "
            f"| {ends['broken']} "
            f"| {gaps[-1]:.0f} | {gaps[len(gaps) // 2]:.0f} |"
        )
    broken = [f"- `{finding.name}`: {finding.said}" for finding in found if finding.ended == "broken"]
    return "\n".join([*lines, *(["", "Broken:", "", *broken] if broken else [])]) + "\n"

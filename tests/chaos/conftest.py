"""What the fault matrix found, as a file for machines and a table for people."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bench.source import product_hash
from etcd_handoff.lab import forks
from etcd_handoff.lab.binaries.catalog import ETCD_CHOICE
from tests.chaos import cases, changes, checks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    import pytest

    from etcd_handoff.lab.writer import WriteReport
    from tests.chaos.cases import Case
    from tests.chaos.changes import Change

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / "bench" / "results"
AnyCase = TypeVar("AnyCase", "Case", "Change")
KINDS: Final = ("case", "addition", "replacement", "command", "membership")
"""Fixtures that are a case each."""
IN_FILES: Final = {"failure": "said"}
"""Fields that the stored files call otherwise."""


@dataclass
class Finding:
    """How one case ended.

    Attributes:
        name: The case.
        ended: `well`, `after healing` (the removal waited until the fault was undone), `refused safely`, or `broken`.
        seconds: From the fault's injection until the operation had ended.
        gap_ms: Longest time between two acknowledged writes.
        failed_writes: Puts that were not acknowledged.
        failure: What a check said, when it is broken; `said` in the stored files.
        product: Which version of the product it was, as `product_hash` has it.
        idle_gap_ms: Longest time between two acknowledged writes while nothing was changed, where that was measured.
    """

    name: str
    ended: str = "broken"
    seconds: float = 0.0
    gap_ms: float = 0.0
    failed_writes: int = 0
    failure: str = ""
    product: str = ""
    idle_gap_ms: float = 0.0

    def counts(self, report: WriteReport) -> None:
        """Take what a writer met into account; of several writers the longest gap stands."""
        self.gap_ms = max(self.gap_ms, round(report.longest_gap_ms(), 1))
        self.failed_writes += len(report.failed)


@asynccontextmanager
async def recorded(name: str) -> AsyncIterator[Finding]:
    """How a case ends is stored, whether it ends well or not; nothing that it has started may outlive it."""
    finding = Finding(name)
    if forks.AVAILABLE:
        forks.fork_server()  # it goes on with this process
    before = checks.children()
    try:
        yield finding
        checks.nothing_remains(before)
    except BaseException as error:  # a case that hangs ends as one that is stopped: by a cancellation
        finding.ended, finding.failure = "broken", f"{type(error).__name__}: {error}"[:500]
        raise
    finally:
        store(finding)


def chosen(kind: str) -> list[Case] | list[Change]:
    """All cases with `CHAOS=all`, those with `CHAOS=<part of a name>` in their name, else the sample.

    With `CHAOS_REST=1` those that have not run with this version of the product.

    Args:
        kind: `case` for removals, or a kind of change.
    """
    if kind == "case":
        return _selected(cases.all_cases(), cases.SAMPLE)
    return _selected([change for change in changes.all_changes() if change.kind == kind], changes.SAMPLE)


def _selected(of_it: list[AnyCase], sample: Sequence[str]) -> list[AnyCase]:
    choice = os.environ.get("CHAOS", "")
    if choice in ("", "sample"):
        by_name = {case.name: case for case in of_it}
        return [by_name[name] for name in sample if name in by_name]
    with _alone():
        done = {row.name for row in stored() if os.environ.get("CHAOS_REST") and row.product == product_hash()}
    return [case for case in of_it if (choice == "all" or choice in case.name) and case.name not in done]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each chosen case, named as it."""
    for kind in KINDS:
        if kind in metafunc.fixturenames:
            of_it = chosen(kind)
            metafunc.parametrize(kind, of_it, ids=[case.name for case in of_it])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out kinds of cases of which none is chosen; pytest would show each as skipped."""
    if none := [item for item in items if item.name.endswith("[NOTSET]")]:
        config.hook.pytest_deselected(items=none)
        items[:] = [item for item in items if item not in none]


@contextmanager
def _alone() -> Iterator[None]:
    """Several runs may read and store at once, each other cases."""
    folder = os.open(RESULTS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def results_path() -> Path:
    """Where what is found is kept, a file for each version of etcd."""
    etcd = os.environ.get(ETCD_CHOICE, "")
    return RESULTS / f"chaos{f'-etcd-{etcd}' * bool(etcd)}.json"


def stored() -> list[Finding]:
    """What other runs have found."""
    path = results_path()
    return [_finding(row) for row in json.loads(path.read_text())] if path.exists() else []


def store(finding: Finding) -> None:
    """Let a finding take the place of the older one of its case; runs of other cases may do the same meanwhile."""
    if not os.environ.get("CHAOS"):
        return
    finding.product = product_hash()
    path = results_path()
    with _alone():
        by_name = {row.name: row for row in [*stored(), finding]}
        rows = [by_name[name] for name in all_names() if name in by_name]
        path.write_text("[\n" + ",\n".join(json.dumps(as_row(row)) for row in rows) + "\n]\n")
        path.with_suffix(".md").write_text(table(rows))


def all_names() -> list[str]:
    """The names of all cases, in an order that never changes."""
    return [case.name for case in cases.all_cases()] + [change.name for change in changes.all_changes()]


def table(findings: list[Finding]) -> str:
    """How the cases of each fault ended, as Markdown."""
    sources = Counter(finding.product or "older" for finding in findings)
    lines = [
        f"{len(findings)} of {len(all_names())} cases; by hash of the product's source: "
        + ", ".join(f"{source} {count}" for source, count in sources.most_common()),
        "",
        "| fault | cases | ended well | after healing | refused safely | broken | longest write gap, ms | median, ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for fault in dict.fromkeys(_row(finding) for finding in findings):
        of_it = [finding for finding in findings if _row(finding) == fault]
        ends, gaps = Counter(finding.ended for finding in of_it), sorted(finding.gap_ms for finding in of_it)
        lines.append(
            f"| {fault} | {len(of_it)} | {ends['well']} | {ends['after healing']} | {ends['refused safely']} "
            f"| {ends['broken']} "
            f"| {gaps[-1]:.0f} | {gaps[len(gaps) // 2]:.0f} |"
        )
    broken = [f"- `{finding.name}`: {finding.failure}" for finding in findings if finding.ended == "broken"]
    return "\n".join([*lines, *(["", "Broken:", "", *broken] if broken else [])]) + "\n"


def _row(finding: Finding) -> str:
    """The row of the table that a case counts in: that of its fault; isolated cases and changes have their own."""
    kind, fault = finding.name.partition("/")[0], finding.name.rpartition("/")[2]
    return f"{kind}/{fault}" if kind in ("isolated", *KINDS) else fault


def as_row(finding: Finding) -> dict[str, object]:
    """A finding as it is stored."""
    row = {IN_FILES.get(name, name): value for name, value in asdict(finding).items()}
    return row if finding.idle_gap_ms else {name: value for name, value in row.items() if name != "idle_gap_ms"}


def _finding(row: dict[str, Any]) -> Finding:
    names = {in_files: name for name, in_files in IN_FILES.items()}
    return Finding(**{names.get(key, key): value for key, value in row.items()})

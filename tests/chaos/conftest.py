"""What the fault matrix found, as a file for machines and a table for people."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.source import product_hash
from etcd_handoff.lab.binaries.catalog import ETCD_CHOICE
from tests.chaos.cases import Case, all_cases, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ADDITIONS: Final = ("test_additions", "test_memberships")
SAMPLED_ADDITIONS: Final = frozenset(
    {
        "test_worker_dies[promote_member.during]",
        "test_learner_dies[promote_member.before]",
        "test_somebody_else_is_faster[promotes]",
        "test_it_is_cancelled_in_a_step[add_learner.during]",
    }
)
"""Of the additions, what `make test` runs."""
ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / "bench" / "results"


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
        product: Which version of the product it was, as `product_hash` has it.
    """

    name: str
    ended: str = "broken"
    seconds: float = 0.0
    gap_ms: float = 0.0
    failed_writes: int = 0
    said: str = ""
    product: str = ""


def chosen() -> list[Case]:
    """All cases with `CHAOS=all`, those with `CHAOS=<part of a name>` in their name, else the sample.

    With `CHAOS_REST=1` those that have not run with this version of the product.
    """
    wanted = os.environ.get("CHAOS", "")
    if wanted in ("", "sample"):
        return sample()
    with _alone():
        found = {row.name for row in stored() if os.environ.get("CHAOS_REST") and row.product == product_hash()}
    return [case for case in all_cases() if (wanted == "all" or wanted in case.name) and case.name not in found]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each chosen case, named as it."""
    if "case" in metafunc.fixturenames:
        cases = chosen()
        metafunc.parametrize("case", cases, ids=[case.name for case in cases])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out additions that are not chosen: `CHAOS` says it for them as for all others, by `addition/<test>`."""
    wanted = os.environ.get("CHAOS", "")

    def counts(item: pytest.Item) -> bool:
        if item.path.stem not in ADDITIONS or wanted == "all":
            return True
        if wanted in ("", "sample"):
            return item.name in SAMPLED_ADDITIONS
        return wanted in f"addition/{item.name}"

    if others := [item for item in items if not counts(item)]:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if counts(item)]


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
    return [Finding(**row) for row in json.loads(path.read_text())] if path.exists() else []


def store(finding: Finding) -> None:
    """Let a finding take the place of the older one of its case; runs of other cases may do the same meanwhile."""
    if not os.environ.get("CHAOS"):
        return
    finding.product = product_hash()
    path = results_path()
    with _alone():
        by_name = {row.name: row for row in [*stored(), finding]}
        rows = [by_name[case.name] for case in all_cases() if case.name in by_name]
        path.write_text("[\n" + ",\n".join(json.dumps(asdict(row)) for row in rows) + "\n]\n")
        path.with_suffix(".md").write_text(table(rows))


def table(found: list[Finding]) -> str:
    """How the cases of each fault ended, as Markdown."""
    sources = Counter(finding.product or "older" for finding in found)
    lines = [
        f"{len(found)} of {len(all_cases())} cases; by hash of the product's source: "
        + ", ".join(f"{source} {count}" for source, count in sources.most_common()),
        "",
        "| fault | cases | ended well | after mending | refused safely | broken | longest write gap, ms | median, ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for fault in dict.fromkeys(_row(finding) for finding in found):
        of_it = [finding for finding in found if _row(finding) == fault]
        ends, gaps = Counter(finding.ended for finding in of_it), sorted(finding.gap_ms for finding in of_it)
        lines.append(
            f"| {fault} | {len(of_it)} | {ends['well']} | {ends['after mending']} | {ends['refused safely']} "
            f"| {ends['broken']} "
            f"| {gaps[-1]:.0f} | {gaps[len(gaps) // 2]:.0f} |"
        )
    broken = [f"- `{finding.name}`: {finding.said}" for finding in found if finding.ended == "broken"]
    return "\n".join([*lines, *(["", "Broken:", "", *broken] if broken else [])]) + "\n"


def _row(finding: Finding) -> str:
    """The row of the table that a case counts in: that of its fault, which isolated cases have for themselves."""
    mode = "isolated/" if finding.name.startswith("isolated/") else ""
    return f"{mode}{finding.name.rpartition('/')[2]}"

"""The output of `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etcd_handoff.cli.doctor_checks import CheckResult


def check_lines(results: Iterable[CheckResult]) -> list[str]:
    """Return one line for each check, with the remedy or the hint below it."""
    lines = []
    for result in results:
        first, *more = result.detail.splitlines() or [""]
        label = "FAILED" if result.status else ("hint" if result.remedy else "ok")
        lines.append(f"{label:<6}  {result.check:<20}  {first}".rstrip())
        more += [f"{'remedy' if result.status else 'hint'}: {result.remedy}"] if result.remedy else []
        lines += [f"{'':<30}{line}" for line in more]
    return lines


def check_object(result: CheckResult) -> dict[str, Any]:
    """Return one result for JSON."""
    return {"check": result.check, "ok": not result.status, "detail": result.detail, "remedy": result.remedy}

"""The output of the demo."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etcd_handoff.contract import Step
    from etcd_handoff.lab.writer import WriteReport


def say(text: str = "") -> None:
    """Print one line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_title(text: str) -> None:
    """Print a heading."""
    say()
    say(text)
    say("=" * len(text))


def say_steps(steps: Iterable[Step]) -> None:
    """Print the steps of an operation as a table."""
    say()
    say(f"{'step':16}{'node':8}{'ms':>8}  {'tries':6}{'outcome':16}note")
    for step in steps:
        say(f"{step.name:16}{step.node:8}{step.milliseconds:8.1f}  {step.attempts:<6}{step.outcome:16}{step.note}")
    say()


def say_writes(report: WriteReport, lost: dict[str, list[int]]) -> None:
    """Print how many writes were acknowledged, and their longest stall."""
    say(
        f"writes: {len(report.acknowledged)} acknowledged, {len(report.failed)} failed, longest gap "
        f"{report.longest_gap_ms():.0f} ms, acknowledged writes lost: {sum(map(len, lost.values()))}"
    )
    for error, count in Counter(put.error for put in report.failed).most_common(3):
        say(f"  {count} failed: {error}")

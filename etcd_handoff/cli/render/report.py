"""The output of `report`: one self-contained page on an operation, in Markdown or HTML."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.render.history import entry_text, facts, heading
from etcd_handoff.cli.render.table import elapsed
from etcd_handoff.cli.render.timeline import timeline_svg

if TYPE_CHECKING:
    from etcd_handoff.cli.audit.trail import Trail

COLUMNS: Final = ("time (UTC)", "what", "who or which node", "details")
PICTURE: Final = "Timeline of steps, with who led at which term"
STYLE: Final = (
    "body{font:14px/1.5 sans-serif;color:#222;max-width:1000px;margin:2em auto;padding:0 1em}"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.25em .6em;border-bottom:1px solid #ddd;overflow-wrap:anywhere}"
    "td:first-child{white-space:nowrap}th{background:#f4f4f4}.bad{color:#c0392b}"
)


def summary(trail: Trail) -> list[tuple[str, str]]:
    """Return the facts about the operation as a whole, each with its name."""
    return [*facts(trail), *result_facts(trail)]


def result_facts(trail: Trail) -> list[tuple[str, str]]:
    """Return the facts about the cluster from the result and from earlier looks."""
    result: dict[str, Any] = trail.result or {}
    seen = [(entry.leader, entry.term) for entry in trail.entries if entry.leader]
    writes = {True: "acknowledged", False: "NOT acknowledged by the members that remain"}
    known = [
        ("leader before", f"{seen[0][0]}, term {seen[0][1]}" if seen else ""),
        ("leader after", f"{seen[-1][0]}, term {seen[-1][1]}" if seen else ""),
        ("peer URLs", " ".join(map(str, result.get("peer_urls") or ()))),
        ("writes after it", writes.get(result.get("writes_acknowledged"), "")),  # type: ignore[arg-type]
        ("snapshot", str(result.get("snapshot") or "")),
        ("left to do", "; ".join(map(str, result.get("next_steps") or ()))),
        ("took", _took(trail)),
    ]
    return [(name, text) for name, text in known if text]


def markdown_lines(trail: Trail) -> list[str]:
    """Return the page in Markdown, with the picture embedded as data."""
    picture = base64.b64encode(timeline_svg(trail).encode()).decode()
    return [
        f"# {_md(_title(trail))}",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {_md(text)} |" for name, text in summary(trail)),
        "",
        "## Timeline",
        "",
        f"![{PICTURE}](data:image/svg+xml;base64,{picture})",
        "",
        "## Audit trail",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(map(_md, row))} |" for row in _rows(trail)),
    ]


def html_lines(trail: Trail) -> list[str]:
    """Return the page in HTML, with its style and its picture embedded."""
    verdict = ' class="bad"' if trail.ended_badly else ""
    return [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(_title(trail))}</title><style>{STYLE}</style></head><body>",
        f"<h1{verdict}>{escape(_title(trail))}</h1>",
        "<table>",
        *(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in summary(trail)),
        "</table>",
        "<h2>Timeline</h2>",
        timeline_svg(trail),
        "<h2>Audit trail</h2>",
        f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in COLUMNS)}</tr>",
        *(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in _rows(trail)),
        "</table></body></html>",
    ]


def _title(trail: Trail) -> str:
    text = heading(trail)
    return f"{text[0].upper()}{text[1:]}"


def _rows(trail: Trail) -> list[tuple[str, str, str, str]]:
    return [(e.at.replace("T", " ").rstrip("Z"), e.event, e.by, entry_text(e)) for e in trail.entries]


def _took(trail: Trail) -> str:
    from datetime import datetime  # noqa: PLC0415  # needed by this page alone

    if not trail.ended_at:
        return ""
    begins, ends = (datetime.fromisoformat(time) for time in (trail.asked_at, trail.ended_at))
    return elapsed((ends - begins).total_seconds())


def _md(text: str) -> str:
    """Escape a text so that it breaks no table and starts no markup."""
    flat = " ".join(text.split())
    for mark in ("\\", "|", "*", "_", "`", "[", "<"):
        flat = flat.replace(mark, f"\\{mark}")
    return flat

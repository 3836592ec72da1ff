"""The page on an operation that goes to a change ticket, from recorded histories of real operations."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from etcd_handoff.cli.audit.trail import Entry, Trail
from etcd_handoff.cli.render.report import html_lines, markdown_lines
from etcd_handoff.cli.render.table import elapsed
from etcd_handoff.cli.render.timeline import MOST_ENTRIES, timeline_svg
from tests.unit.test_audit_trail import HISTORIES, LEADER_STEPS, recorded

ALL: Final = sorted(path.stem for path in HISTORIES.glob("*.json"))
SVG: Final = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """What a page has: its texts, and what it would fetch from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        """A text."""
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that fetches something has one of these attributes."""
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "data", "srcset"}]


def picture(trail: Trail) -> ET.Element:
    """The picture as a reader of SVG sees it."""
    return ET.fromstring(timeline_svg(trail))  # noqa: S314  # our own text


def bars(trail: Trail, row: str) -> list[tuple[float, float, str]]:
    """Begin, end and title of the bars in a row, from left to right."""
    root = picture(trail)
    labels = {text.text: float(text.get("y", 0)) for text in root.iter(f"{SVG}text") if text.get("x") == "4"}
    found = []
    for rect in root.iter(f"{SVG}rect"):
        title = rect.find(f"{SVG}title")
        if title is not None and 0 < labels[row] - float(rect.get("y", 0)) < 20:
            left = float(rect.get("x", 0))
            found.append((left, left + float(rect.get("width", 0)), title.text or ""))
    return sorted(found)


@pytest.mark.parametrize("name", ALL)
def test_page_needs_nothing_else_and_is_the_same_each_time(name: str) -> None:
    """It can be attached to a ticket and read in ten years."""
    text = "\n".join(html_lines(recorded(name)))
    page = Page(text)
    assert page.fetched == []
    assert "url(" not in text
    assert "<script" not in text
    assert text == "\n".join(html_lines(recorded(name)))
    assert markdown_lines(recorded(name)) == markdown_lines(recorded(name))


def test_picture_has_a_row_for_each_step_in_order() -> None:
    """The steps of a leader's removal begin one after the other."""
    trail = recorded("leader")
    begins = [bars(trail, step)[0][0] for step in LEADER_STEPS]
    assert begins == sorted(begins)


def test_picture_shows_who_led_at_which_term() -> None:
    """The leadership moves where the transfer ends, and the bars meet there."""
    trail = recorded("leader")
    before, after = bars(trail, "leader")
    assert re.fullmatch(rf"{trail.member}, term \d+", before[2])
    assert trail.member not in after[2]
    assert before[1] == pytest.approx(after[0], abs=0.2)
    assert bars(trail, "move_leader")[0][1] == pytest.approx(after[0], abs=0.2)


def test_picture_shows_how_long_it_waited() -> None:
    """From the moment at which it was blocked until something else happened."""
    trail = recorded("blocked")
    waits, looks = bars(trail, "waits"), bars(trail, "check_leader")
    assert "blocked: QuorumAtRisk" in waits[0][2]
    assert all(begins < ends for begins, ends, _ in waits)
    assert waits[0][0] >= looks[0][1] - 0.2


@pytest.mark.parametrize("name", [*ALL])
def test_picture_stays_within_its_frame(name: str) -> None:
    """Whatever has happened, and however long it took."""
    root = picture(recorded(name))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for rect in root.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("x", 0)) <= width
        assert float(rect.get("y", 0)) + float(rect.get("height", 0)) <= height


def test_picture_of_a_day_is_not_longer_than_can_be_read() -> None:
    """One that was blocked on and off for a month."""
    entries = tuple(
        Entry(f"2026-01-01T{n // 60:02}:{n % 60:02}:00.000Z", ("looked", "waits")[n % 2], f"look {n}")
        for n in range(1200)
    )
    trail = Trail("etcd-remove/prod/node2", "removal", entries=entries)
    assert timeline_svg(trail).count("<title>") <= MOST_ENTRIES


def test_text_from_outside_is_no_markup() -> None:
    """A reason may hold anything."""
    reason = '<img src=x onerror="alert(1)"> | *bold* `code`'
    entry = Entry("2026-01-01T00:00:00.000Z", "requested", reason, by="<b>ann</b>", interface="command line")
    trail = Trail("etcd-remove/prod/node2", "removal", reason=reason, asked_at=entry.at, entries=(entry,))
    page = Page("\n".join(html_lines(trail)))
    assert page.fetched == []
    assert reason in page.texts
    row = next(line for line in markdown_lines(trail) if line.startswith("| reason"))
    assert row == '| reason | \\<img src=x onerror="alert(1)"> \\| \\*bold\\* \\`code\\` |'


def test_markdown_page_begins_with_the_verdict() -> None:
    """Then what is known of the whole, the picture, and the trail."""
    trail = recorded("leader")
    lines = markdown_lines(trail)
    assert lines[0] == f"# Removal of {trail.member} ({trail.member_id}), cluster demo: removed"
    assert [line for line in lines if line.startswith("## ")] == ["## Timeline", "## Audit trail"]
    assert any(line.startswith("![Timeline of steps") and "base64," in line for line in lines)
    assert "| writes after it | acknowledged |" in lines
    assert len([line for line in lines if line.startswith("| 2026-")]) == len(trail.entries)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0124, "12 ms"), (3.21, "3.2 s"), (61, "1 min 01 s"), (7325, "2 h 02 min")]
)
def test_time_that_has_passed_is_told_as_people_say_it(seconds: float, text: str) -> None:
    """From milliseconds to hours."""
    assert elapsed(seconds) == text

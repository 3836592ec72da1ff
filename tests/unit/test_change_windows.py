"""When a change window is open, against the clock on the wall: any zone, any day, the hours that jump among them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from etcd_handoff.change_windows import (
    DAYS,
    MINUTES_A_DAY,
    ChangeWindow,
    is_open,
    next_closing,
    next_opening,
    seconds_of,
    shown,
)
from etcd_handoff.change_windows import zone as zone_called
from etcd_handoff.contract import RemovalRequest
from etcd_handoff.wire import describe

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

BERLIN = zone_called("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana")
"""Lord Howe moves its clock by half an hour, Havana at midnight."""
EVERY_DAY = tuple(range(len(DAYS)))
MINUTE = 60.0

windows = st.builds(
    ChangeWindow,
    days=st.sets(st.sampled_from(EVERY_DAY), min_size=1).map(lambda days: tuple(sorted(days))),
    begins=st.integers(0, MINUTES_A_DAY - 1),
    ends=st.integers(0, MINUTES_A_DAY),
).filter(lambda window: window.begins != window.ends)
days_of_2026 = st.integers(int(seconds_of("2026-01-01T00:00:00Z")), int(seconds_of("2026-12-31T00:00:00Z")))
jumps = st.sampled_from(
    [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-04-04T15:00:00Z",
        "2026-10-03T15:30:00Z",
        "2026-03-08T05:00:00Z",
        "2026-11-01T05:00:00Z",
    ]
).map(lambda text: int(seconds_of(text)))
times = days_of_2026 | st.builds(lambda at, off: at + off, jumps, st.integers(-90_000, 90_000))


def window(begins: str, ends: str, *days: str) -> ChangeWindow:
    """A window as the configuration has it."""
    begin, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (begins, ends))
    return ChangeWindow(days=tuple(map(DAYS.index, days)) or EVERY_DAY, begins=begin, ends=end)


def opens(text: str, *all_windows: ChangeWindow, zone: ZoneInfo = BERLIN) -> str:
    """The next opening from this moment on, as people read it."""
    return shown(next_opening(all_windows, zone, seconds_of(text)), zone)


@given(st.lists(windows, min_size=1, max_size=3).map(tuple), st.sampled_from(ZONES), times)
@example((window("02:30", "03:00"),), "Europe/Berlin", int(seconds_of("2026-10-25T00:45:00Z")))
@example((window("23:30", "00:00"),), "America/Havana", int(seconds_of("2026-11-01T04:10:00Z")))
def test_next_opening_is_the_first_minute_at_which_the_wall_shows_a_window(
    all_windows: tuple[ChangeWindow, ...], name: str, time: int
) -> None:
    """It is open then, and at no whole minute between; a search minute by minute finds nothing earlier."""
    zone = zone_called(name)
    at = next_opening(all_windows, zone, time)
    assert at >= time
    assert is_open(all_windows, zone, at)
    minute = (time // 60 + 1) * MINUTE
    between = [time, *(minute + MINUTE * n for n in range(int((min(at, time + 3 * 86_400) - minute) // MINUTE) + 1))]
    assert not any(is_open(all_windows, zone, moment) for moment in between if time <= moment < at)


@given(st.lists(windows, min_size=1, max_size=3).map(tuple), st.sampled_from(ZONES), times)
@example((window("02:30", "03:00"),), "Europe/Berlin", int(seconds_of("2026-10-25T00:45:00Z")))
def test_next_closing_is_the_first_minute_at_which_the_wall_shows_none(
    all_windows: tuple[ChangeWindow, ...], name: str, time: int
) -> None:
    """From an open moment on it is open until then; where it never closes, some window is open at each minute."""
    zone = zone_called(name)
    time = int(next_opening(all_windows, zone, time))
    at = next_closing(all_windows, zone, time)
    assert at is None or not is_open(all_windows, zone, at)
    minute = (time // 60 + 1) * MINUTE
    end = min(at if at is not None else math.inf, time + 2 * 86_400)
    assert all(is_open(all_windows, zone, minute + MINUTE * n) for n in range(int((end - minute - 1) // MINUTE) + 1))


def test_zones_are_those_of_the_package() -> None:
    """Whatever the machine has: workers reckon alike."""
    assert zone_called("Europe/Berlin").key == "Europe/Berlin"
    for name in ("", "Europe", "../../etc/passwd", "Europe//Berlin", "/etc/localtime"):
        with pytest.raises(ValueError, match="is no time zone"):
            zone_called(name)


@given(windows, st.sampled_from(ZONES), times)
def test_window_is_open_exactly_while_the_wall_shows_it(one: ChangeWindow, name: str, time: int) -> None:
    """The days are those on which it begins, and what goes on after midnight belongs to the day before."""
    wall = datetime.fromtimestamp(time, zone_called(name)).replace(tzinfo=None)

    def within(begin_day: datetime) -> bool:
        begin = begin_day.replace(hour=0, minute=0, second=0, microsecond=0)
        over = timedelta(days=1) if one.ends <= one.begins else timedelta()
        inside = begin + timedelta(minutes=one.begins) <= wall < begin + over + timedelta(minutes=one.ends)
        return inside and begin.weekday() in one.days

    expected = within(wall) or within(wall - timedelta(days=1))
    assert is_open((one,), zone_called(name), time) == expected


@pytest.mark.parametrize(
    ("at", "one", "words"),
    [
        ("2026-11-25T12:00:00Z", window("01:00", "05:00", "sat", "sun"), "Sat 2026-11-28T01:00:00+01:00"),
        ("2026-11-28T02:00:00Z", window("01:00", "05:00", "sat", "sun"), "Sat 2026-11-28T03:00:00+01:00"),
        ("2026-11-28T04:00:00Z", window("01:00", "05:00", "sat", "sun"), "Sun 2026-11-29T01:00:00+01:00"),
        ("2026-11-27T23:30:00Z", window("22:00", "02:00", "fri"), "Sat 2026-11-28T00:30:00+01:00"),
        ("2026-11-28T01:00:00Z", window("22:00", "02:00", "fri"), "Fri 2026-12-04T22:00:00+01:00"),
        ("2026-11-28T01:00:00Z", window("00:00", "24:00", "sun"), "Sun 2026-11-29T00:00:00+01:00"),
        # The clock is put forward from 02:00 to 03:00.
        ("2026-03-28T23:30:00Z", window("02:15", "02:45", "sun"), "Sun 2026-04-05T02:15:00+02:00"),
        ("2026-03-28T23:30:00Z", window("02:15", "05:00", "sun"), "Sun 2026-03-29T03:00:00+02:00"),
        # The clock is put back from 03:00 to 02:00.
        ("2026-10-24T23:30:00Z", window("02:30", "02:45", "sun"), "Sun 2026-10-25T02:30:00+02:00"),
        ("2026-10-25T00:45:00Z", window("02:30", "02:45", "sun"), "Sun 2026-10-25T02:30:00+01:00"),
        ("2026-10-25T00:45:00Z", window("01:30", "02:15", "sun"), "Sun 2026-10-25T02:00:00+01:00"),
    ],
)
def test_openings_as_an_operator_reads_them(at: str, one: ChangeWindow, words: str) -> None:
    """Weekends, midnight, and both nights on which the clock jumps."""
    assert opens(at, one) == words


def test_without_windows_it_is_always_open() -> None:
    """Nothing to wait for."""
    assert is_open((), BERLIN, 0)
    assert next_opening((), BERLIN, 5.5) == 5.5


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (
            {"not_before": "2026-11-28T01:00:00"},
            "not_before: is no moment; write it with an offset, as in 2026-11-28T01",
        ),
        ({"not_after": "tomorrow"}, "not_after: is no moment; write it with an offset"),
        ({"not_after": "2026-11-28"}, "not_after: is no moment; write it with an offset"),
        ({"not_before": "0001-01-01T00:00:00Z"}, "not_before: lies in the year 1; give one from 2000 to 2999"),
        (
            {"not_before": "2026-11-28T02:00:00+01:00", "not_after": "2026-11-28T01:00:00Z"},
            "input: not_after is no later than not_before; correct one of them",
        ),
    ],
)
def test_wrong_moments_are_named_with_their_remedy(fields: dict[str, str], complaint: str) -> None:
    """No offset, no date, no sense."""
    with pytest.raises(ValidationError) as failed:
        RemovalRequest.model_validate({"cluster": "prod", "member": "node0", **fields})
    (line,) = describe(failed.value)
    assert line.startswith(complaint)

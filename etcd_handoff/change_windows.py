"""Compute when a cluster may be changed: weekly windows in local time, and moments with an offset. Pure.

A window is open while the wall clock of its time zone shows a time in it. Where the clock is put forward, the skipped
time does not exist. A window inside the skipped time does not open on that day. One that begins inside it opens right
after the jump. Where the clock is put back, a time that is shown twice is open twice.

The keys of the configuration file are in `config/policies.py`. `operation/schedule.py` waits for a window.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from etcd_handoff.wire import WireModel

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY: Final = 24 * 60
FIRST_YEAR, LAST_YEAR = 2000, 2999
SEARCHED_DAYS: Final = 29
"""A window opens every week; one that lies in the hour that a clock skips opens a week later."""


class ChangeWindow(WireModel):
    """A time of the week, in minutes since midnight by the wall clock.

    Attributes:
        days: The days on which it begins, 0 for Monday.
        begins: When it begins.
        ends: When it ends, on the next day if that is no later than it begins.
    """

    days: tuple[Annotated[int, Field(ge=0, lt=len(DAYS))], ...]
    begins: Annotated[int, Field(ge=0, lt=MINUTES_A_DAY)]
    ends: Annotated[int, Field(ge=0, le=MINUTES_A_DAY)]

    def shows(self, wall: datetime) -> bool:
        """Whether it is open when the wall clock shows this."""
        minute, today = wall.hour * 60 + wall.minute, wall.weekday()
        if self.begins < self.ends:
            return today in self.days and self.begins <= minute < self.ends
        yesterday = (today - 1) % len(DAYS)
        return (today in self.days and minute >= self.begins) or (yesterday in self.days and minute < self.ends)


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by the data of the package `tzdata`, whatever data the machine has.

    All workers have to compute alike: a worker that replays another's decision must get the same result.

    Raises:
        ValueError: There is no zone of that name.
    """
    parts = name.split("/")
    file = resources.files("tzdata").joinpath("zoneinfo", *parts)
    if not all(part and part not in (".", "..") for part in parts) or not file.is_file():
        msg = f'{name!r} is no time zone; write it as in "Europe/Berlin"'
        raise ValueError(msg)
    with file.open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def is_open(windows: tuple[ChangeWindow, ...], zone: ZoneInfo, time: float) -> bool:
    """Whether any of the windows is open; without windows it always is.

    Args:
        windows: The windows.
        zone: The time zone of the wall clock.
        time: Seconds since 1970.
    """
    return not windows or any(window.shows(datetime.fromtimestamp(time, zone)) for window in windows)


def next_opening(windows: tuple[ChangeWindow, ...], zone: ZoneInfo, time: float) -> float:
    """Return the first moment from `time` on at which any window is open: `time` itself where one is.

    Raises:
        ValueError: None opens within four weeks.
    """
    if is_open(windows, zone, time):
        return time
    at = _next(windows, zone, time, opens=True)
    if at is None:
        msg = f"no change window opens within {SEARCHED_DAYS} days"
        raise ValueError(msg)
    return at


def next_closing(windows: tuple[ChangeWindow, ...], zone: ZoneInfo, time: float) -> float | None:
    """Return the first moment after `time` at which no window is open; None where one is for four weeks."""
    return _next(windows, zone, time, opens=False)


def _next(windows: tuple[ChangeWindow, ...], zone: ZoneInfo, time: float, *, opens: bool) -> float | None:
    """Return the first moment after `time` at which some window is open, or none is.

    That is at an edge of a window, or at a jump of the clock.
    """
    today = datetime.fromtimestamp(time, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    minutes = {edge for window in windows for edge in (window.begins, window.ends)}
    for number in range(-1, SEARCHED_DAYS):
        day = today + timedelta(days=number)
        moments = {*_jumps(zone, day), *(at for minute in minutes for at in _shown_at(zone, day, minute))}
        if found := [at for at in sorted(moments) if at > time and is_open(windows, zone, at) == opens]:
            return found[0]
    return None


def _shown_at(zone: ZoneInfo, day: datetime, minute: int) -> tuple[float, ...]:
    """Return when the wall clock may show that minute of the day: twice where it is put back."""
    wall = day + timedelta(minutes=minute)
    return tuple(wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))


@lru_cache(maxsize=256)
def _jumps(zone: ZoneInfo, day: datetime) -> tuple[float, ...]:
    """Return when the wall clock is put forward or back on that day."""
    begin = int(day.replace(tzinfo=zone).timestamp())
    end = int((day + timedelta(days=1)).replace(tzinfo=zone, fold=1).timestamp())
    return tuple(
        _jump(zone, hour, hour + 3600)
        for hour in range(begin - 3600, end + 3600, 3600)
        if _offset(zone, hour) != _offset(zone, hour + 3600)
    )


def _jump(zone: ZoneInfo, before: int, after: int) -> float:
    """Return the first second between the two at which the clock shows its time after the jump."""
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == _offset(zone, after):
            after = middle
        else:
            before = middle
    return float(after)


def _offset(zone: ZoneInfo, time: int) -> timedelta | None:
    return datetime.fromtimestamp(time, zone).utcoffset()


def shown(time: float, zone: ZoneInfo) -> str:
    """Return a moment for people: `Sat 2026-11-28T01:00:00+01:00`."""
    wall = datetime.fromtimestamp(time, zone)
    return f"{DAYS[wall.weekday()].capitalize()} {wall.isoformat(timespec='seconds')}"


def seconds_of(moment: str) -> float:
    """Return a moment as written in a request, in seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


def _checked(text: str) -> str:
    """Return the text if it is an unambiguous moment, or empty.

    Raises:
        ValueError: It is no moment, has no offset, or lies too far away.
    """
    if not text:
        return text
    msg = "is no moment; write it with an offset, as in 2026-11-28T01:00:00+01:00 or 2026-11-28T00:00:00Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(msg) from None
    if moment.tzinfo is None or len(text) < len("2026-11-28T01:00Z"):
        raise ValueError(msg)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        msg = f"lies in the year {moment.year}; give one from {FIRST_YEAR} to {LAST_YEAR}"
        raise ValueError(msg)
    return text


Moment = Annotated[str, AfterValidator(_checked)]
"""RFC 3339 with an offset; empty for none."""

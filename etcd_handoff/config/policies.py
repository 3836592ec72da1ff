"""Define the policies of a cluster profile: what every change needs, however it is started."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from etcd_handoff import time_limits
from etcd_handoff.change_windows import DAYS, ChangeWindow, zone
from etcd_handoff.config.fields import Section
from etcd_handoff.contract import SECONDS_IN_30_DAYS

MOST_VOTERS: Final = 15
"""Far more than the seven that etcd's authors advise."""
MOST_WINDOWS: Final = 50
CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
MIDNIGHT: Final = "24:00"
"""The end of a day, which no clock shows."""


def _clock(text: str) -> str:
    if not CLOCK.fullmatch(text):
        msg = 'is no time of the day; write hours and minutes, from "00:00" to "23:59"'
        raise ValueError(msg)
    return text


def _end(text: str) -> str:
    if text != MIDNIGHT and not CLOCK.fullmatch(text):
        msg = 'is no time of the day; write hours and minutes, from "00:00" to "24:00"'
        raise ValueError(msg)
    return text


def _zone(name: str) -> str:
    return zone(name).key


class WindowProfile(Section):
    """One of `change_windows`.

    Attributes:
        days: The days on which it begins; every day where they are left out.
        begins: When it begins, by the clock on the wall; the key is `from`.
        ends: When it ends, on the next day if that is before it begins; the key is `to`.
    """

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(default=DAYS, min_length=1)
    begins: Annotated[str, AfterValidator(_clock)] = Field(alias="from")
    ends: Annotated[str, AfterValidator(_end)] = Field(alias="to")

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begins == self.ends:
            msg = 'from and to are the same; write from = "00:00" and to = "24:00" for the whole day'
            raise ValueError(msg)
        return self

    @property
    def window(self) -> ChangeWindow:
        """Return the same in minutes."""
        days = tuple(DAYS.index(day) for day in dict.fromkeys(self.days))
        return ChangeWindow(days=days, begins=_minutes(self.begins), ends=_minutes(self.ends))


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


class Policies(Section):
    """The part of a cluster profile that says what every change needs.

    Attributes:
        require_approval: Every change waits for an approval, however it is started.
        four_eyes: Every change waits for an approval by a second person, who has not started it.
        approval_lapses_after_seconds: How long an approval counts; then the change waits for another one.
        change_windows: When changes may begin; at any time where there is none.
        time_zone: The time zone of these windows.
        snapshot: Every change stores a snapshot first.
        hash_check: Every change compares the data of the voters first.
        min_voters: Nothing is done that would leave fewer voters.
    """

    require_approval: bool = False
    four_eyes: bool = False
    approval_lapses_after_seconds: Annotated[float, Field(gt=0, le=SECONDS_IN_30_DAYS)] = (
        time_limits.OPERATION.approval_lapses_after_seconds
    )
    change_windows: Annotated[tuple[WindowProfile, ...], Field(max_length=MOST_WINDOWS)] = ()
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    snapshot: bool = False
    hash_check: bool = False
    min_voters: Annotated[int, Field(ge=1, le=MOST_VOTERS)] = 1

    @property
    def windows(self) -> tuple[ChangeWindow, ...]:
        """Return the windows as workflows use them."""
        return tuple(profile.window for profile in self.change_windows)

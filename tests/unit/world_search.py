"""Every sequence of events up to a length, from one world on; worlds that are alike are gone on with once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from _typeshed import DataclassInstance

    class Clocked(DataclassInstance, Protocol):
        """A world with a clock."""

        @property
        def clock(self) -> int:
            """The time, in seconds."""

        @property
        def key(self) -> Hashable:
            """What makes it differ from others."""

    WorldT = TypeVar("WorldT", bound=Clocked)


def reached(first: WorldT, events: Iterable[Callable[[WorldT], WorldT]], length: int, seconds: int) -> int:
    """How many worlds the events lead to; they judge by themselves.

    Args:
        first: Where it begins.
        events: What may happen, each to any world.
        length: How many of them follow on each other.
        seconds: How much later each one is.
    """
    events = tuple(events)
    worlds, steps, fresh = {first.key}, 0, [first]
    for _ in range(length):
        later: list[WorldT] = []
        for world in fresh:
            for event in events:
                after = event(replace(world, clock=world.clock + seconds))
                steps += 1
                if after.key not in worlds:
                    worlds.add(after.key)
                    later.append(after)
        fresh = later
    print(f"\n{len(worlds)} worlds, {steps} events")  # noqa: T201
    return len(worlds)

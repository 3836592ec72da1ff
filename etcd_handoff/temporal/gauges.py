"""Gauges that a worker sets again and again, each for whatever labels there are at the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.common import MetricGaugeFloat

Labels = tuple[tuple[str, str], ...]


class Gauge:
    """A gauge whose values for labels that are not there any more become 0: the exporter forgets none.

    Args:
        gauge: The SDK's gauge.
    """

    def __init__(self, gauge: MetricGaugeFloat) -> None:
        self._gauge = gauge
        self._known: set[Labels] = set()

    def set(self, values: Mapping[Labels, float]) -> None:
        """These are the values now, and there are no others."""
        for labels in self._known | values.keys():
            self._gauge.set(values.get(labels, 0.0), dict(labels))
        self._known |= values.keys()

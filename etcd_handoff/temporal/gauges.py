"""Gauges that a worker sets repeatedly, for the labels of the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.common import MetricGaugeFloat

Labels = tuple[tuple[str, str], ...]


class Gauge:
    """A gauge whose values become 0 for labels that are gone, since the exporter forgets none.

    Args:
        gauge: The SDK's gauge.
    """

    def __init__(self, gauge: MetricGaugeFloat) -> None:
        self._gauge = gauge
        self._known: set[Labels] = set()

    def set(self, values: Mapping[Labels, float]) -> None:
        """Set all present values. There are no others."""
        for labels in self._known | values.keys():
            self._gauge.set(values.get(labels, 0.0), dict(labels))
        self._known |= values.keys()

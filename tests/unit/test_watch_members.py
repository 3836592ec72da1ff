"""What counts as news while API servers are watched."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from etcd_handoff import time_limits
from etcd_handoff.config import KubernetesProfile
from etcd_handoff.kubernetes.failover import ApiServers
from etcd_handoff.kubernetes.watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from etcd_handoff.errors import KubernetesError


class Garbled(Watch):
    """Both API servers answer a watch with something that is no event; at first, or always.

    Attributes:
        opened: Versions that watches were opened from.
        good_after: After so many of them there is an event.
    """

    def __init__(self, folder: Path, good_after: int) -> None:
        profile = KubernetesProfile.model_validate({"kubeconfig": folder / "k", "contexts": ["node0", "node1"]})
        super().__init__(ApiServers(profile, "node0"), profile.try_timeout_seconds)
        self.opened: list[str] = []
        self.good_after = good_after

    async def _events(
        self,
        context: str,
        version: str,
        refusals: dict[str, KubernetesError | None],  # noqa: ARG002
    ) -> AsyncIterator[tuple[str, str]]:
        self.opened.append(f"{context} {version}")
        if len(self.opened) > self.good_after:
            yield "MODIFIED", "9"
        yield "BOOKMARK", "5"
        json.loads("<html>")


async def test_answer_that_cannot_be_read_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as a broken connection: watched again after a pause, from what is known."""
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, watch_again_seconds=0.05))
    gateway = Garbled(tmp_path, good_after=1000)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gateway.wait_for_change("3"), 0.08)
    assert sorted(gateway.opened) == ["node0 3", "node0 5", "node1 3", "node1 5"]
    gateway = Garbled(tmp_path, good_after=2)
    await asyncio.wait_for(gateway.wait_for_change("3"), 5.0)
    assert len(gateway.opened) >= 3

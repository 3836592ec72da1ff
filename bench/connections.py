"""What a kept connection to an API server saves: an EtcdMember read, and read and written.

Run as `python -m bench.connections [ROUNDS]`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from unittest import mock

from bench import report
from etcd_handoff import time_limits
from etcd_handoff.config import load_config
from etcd_handoff.kubernetes.gateway import KubernetesGateway
from etcd_handoff.lab import Lab, LabOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable

KEPT, FRESH = "kept", "one for each request"
KEEP_SECONDS: Final = {KEPT: time_limits.KUBERNETES.idle_connection_seconds, FRESH: 0.0}
NODE: Final = "node0"


async def run(rounds: int) -> dict[str, list[float]]:
    """Milliseconds by what was done over which connections; all take turns."""
    samples: dict[str, list[float]] = defaultdict(list)
    async with Lab(LabOptions(temporal=False)) as lab:
        profile = load_config(lab.config_path).cluster(lab.cluster).kubernetes
        if profile is None:
            msg = "the lab's profile has no Kubernetes"
            raise RuntimeError(msg)
        for number in range(-1, rounds):
            for kind, seconds in KEEP_SECONDS.items():
                chosen = replace(time_limits.KUBERNETES, idle_connection_seconds=seconds)
                with mock.patch.object(time_limits, "KUBERNETES", chosen):
                    gateway = KubernetesGateway(profile, NODE)
                    await gateway.get(NODE)  # opens the client, and the connection that may be kept
                    read = await _taken(gateway.get(NODE))
                    both = await _taken(_write(gateway, f"round {number}"))
                    await gateway.close()
                if number >= 0:  # the first fills caches
                    samples[f"read, {kind}"].append(read)
                    samples[f"read and patch, {kind}"].append(both)
    return samples


async def _write(gateway: KubernetesGateway, message: str) -> None:
    await gateway.patch_status(await gateway.get(NODE), {"message": message})


async def _taken(doing: Awaitable[object]) -> float:
    began = time.perf_counter()
    await doing
    return (time.perf_counter() - began) * 1000


def print_results(samples: dict[str, list[float]]) -> None:
    """Store what was measured."""
    medians = {name: statistics.median(found) for name, found in samples.items()}
    saved = {w: medians[f"{w}, {FRESH}"] / medians[f"{w}, {KEPT}"] for w in ("read", "read and patch")}
    report.write(
        "connections",
        "Requests for an EtcdMember",
        samples,
        "ms",
        ["three members with an API server each, through our gateway"],
        figures={f"{what}, fresh / kept": ratio for what, ratio in saved.items()},
    )


if __name__ == "__main__":
    print_results(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 50)))

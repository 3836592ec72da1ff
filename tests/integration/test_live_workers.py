"""What Temporal's list tells of the workers that live."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from temporalio import workflow
from temporalio.runtime import Runtime

from etcd_handoff import time_limits
from etcd_handoff.certificate_ends import first_end
from etcd_handoff.cli.live_workers import live_workers
from etcd_handoff.config import Config
from etcd_handoff.lab import Lab, LabOptions, wait_until
from etcd_handoff.temporal.client import connect
from etcd_handoff.temporal.identity import worker_identity
from etcd_handoff.temporal.renewal import keep_identity
from etcd_handoff.temporal.worker import make_worker

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

QUEUE = "test-live-workers"


@workflow.defn
class Idle:
    """A worker needs a workflow."""

    @workflow.run
    async def run(self) -> None:
        """Nobody runs it."""


@pytest.mark.slow
async def test_renewed_certificate_is_told_by_a_living_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` shows until when, by one line for each worker; one that ends within a month is marked."""
    file = tmp_path / "ca.pem"
    etcd = {"endpoints": ["https://10.0.0.1:2379"], "ca_file": str(file)}
    plain = {"endpoints": ["http://10.0.0.1:2379"]}
    config = Config.model_validate({"clusters": {"prod": {"etcd": etcd}, "plain": {"etcd": plain}}})
    soon, late = ends_in(file, 20, config), None
    options = LabOptions(nodes=1, kubernetes=False, directory=tmp_path / "lab", forked=True)
    async with Lab(options) as lab:
        monkeypatch.setattr(time_limits, "WORKER", replace(time_limits.WORKER, identity_pause_seconds=0.05))
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        client = await connect(identity=worker_identity("node0", config))
        worker = make_worker(client, QUEUE, (Idle,), (), ())

        async def tells(ends: date | None) -> bool:
            found = await live_workers(client, QUEUE)
            return [dict(w.certificates) for w in found] == [{"prod": str(ends)}]

        async with worker:
            await wait_until(lambda: tells(soon), "the worker tells until when", 60)
            (found,) = await live_workers(client, QUEUE)
            assert (found.node, found.profiles, found.expiring) == ("node0", ("prod", "plain"), ("prod",))
            keeping = asyncio.create_task(keep_identity((worker,), Runtime.default(), config, "node0"))
            late = ends_in(file, 400, config)
            # A request for work that was sent before goes on for up to a minute, by the old identity.
            await wait_until(lambda: tells(late), "the worker tells of the new certificate", 90)
            (found,) = await live_workers(client, QUEUE)
            assert found.expiring == ()
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping


def ends_in(file: Path, days: int, config: Config) -> date:
    """The file holds a new certificate that ends in so many days; when."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is needed"
    new = ("req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=ca", "-keyout", f"{file}.key")
    subprocess.run([openssl, *new, "-days", str(days), "-out", file], check=True, capture_output=True)
    ends = first_end(config.clusters["prod"])
    assert ends is not None
    return ends.date()

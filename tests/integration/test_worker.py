"""The worker as a process: what it says, how it ends, what it does when it may not do everything."""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio

from etcd_handoff import __version__
from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.http import request
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.ports import Ports
from etcd_handoff.lab.processes import Process, run
from etcd_handoff.temporal.search_attributes import ensure_search_attributes, unusable
from tests.integration.temporal_proxy import proxy_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from temporalio.client import Client

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

GOOD = '[clusters.demo.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n'


async def test_start_line_search_attributes_and_a_graceful_end(live_cluster: MakeLiveCluster) -> None:
    """It says where it works and with what; SIGTERM in the middle of a step ends it well, and another one goes on."""
    async with live_cluster(workers=("node0",), failpoints="move_leader.after=hold") as b:
        process = b.lab.process(Role.WORKER, "node0")
        for words in ("node node0", "task queue etcd-handoff", "clusters demo", f"version {__version__}"):
            assert process.log_contains(words), words
        status, shown, _ = await b.lab.temporal("operator", "search-attribute", "list")
        assert status == 0
        for name in ("EtcdCluster", "EtcdMember", "HandoffState"):
            assert name in shown
        leader = await b.lab.leader()
        removal = await b.start(leader)
        await b.reached("move_leader.after")
        await b.lab.start_worker("node1", {})
        await b.lab.terminate(Role.WORKER, "node0")
        assert process.exit_status == 0
        assert process.log_contains("worker stopped")
        assert (await removal.result()).outcome == "removed"
        await b.judge({leader})


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        ([(f"Other{number}", "Keyword") for number in range(10)], "cannot have more than 10"),
        ([("HandoffState", "Int")], "not of type Keyword, to be removed first: HandoffState"),
    ],
    ids=["no-room", "another-type"],
)
async def test_search_attributes_that_cannot_be_had_do_not_hinder_a_removal(
    live_cluster: MakeLiveCluster, attributes: list[tuple[str, str]], cause: str
) -> None:
    """The server refuses to register them, or somebody else uses a name: the worker says so and goes on without."""
    async with live_cluster(workers=()) as b:
        named = [word for name, kind in attributes for word in ("--name", name, "--type", kind)]
        status, _, errors = await b.lab.temporal("operator", "search-attribute", "create", *named)
        assert status == 0, errors
        await b.lab.start_worker("node0")
        process = b.lab.process(Role.WORKER, "node0")
        for words in (", without search attributes", cause, "temporal operator search-attribute create"):
            assert process.log_contains(words), process.tail()
        status, shown, _ = await b.lab.handoff("doctor", "-o", "json")
        finding = next(f for f in json.loads(shown)["checks"] if f["check"] == "search attributes")
        assert (status, finding["ok"]) == (1, False)
        assert "temporal operator search-attribute" in finding["remedy"]
        target = b.lab.others(await b.lab.leader())[0].name
        assert (await b.remove(target)).outcome == "removed"
        await b.judge({target})


async def test_credentials_that_may_do_little_are_no_hindrance(live_cluster: MakeLiveCluster) -> None:
    """Managed Temporal refuses the OperatorService, and maybe DescribeNamespace.

    The worker starts, and uses search attributes where a query that names them is answered: before and after somebody
    has registered them.
    """
    async with live_cluster(workers=(), kubernetes=False) as b, proxy_to(b.lab.temporal_address) as proxy:
        refused = grpc.StatusCode.PERMISSION_DENIED
        proxy.refused = {"OperatorService": refused, "DescribeNamespace": refused}
        await removes_with_few_rights(b, proxy.address, "node0", registered=False)
        assert await ensure_search_attributes(b.client)
        await wait_until(lambda: usable(b.client), "queries may name the search attributes", 60)
        await b.lab.kill(Role.WORKER, "node0")
        await removes_with_few_rights(b, proxy.address, "node1", registered=True)


async def removes_with_few_rights(b: LiveCluster, temporal_address: str, node: str, *, registered: bool) -> None:
    """A worker of this node says whether there are search attributes, and removes a follower."""
    await b.lab.start_worker(node, {"TEMPORAL_ADDRESS": temporal_address})
    process = b.lab.process(Role.WORKER, node)
    assert process.log_contains(", without search attributes") == (not registered), process.tail()
    assert process.log_contains("in the console of a managed Temporal") == (not registered)
    checks = await doctor(b.lab, temporal_address)
    assert checks["temporal"]["ok"]
    assert checks["search attributes"]["ok"] == registered
    target = b.others(await b.lab.leader())[0]
    assert (await b.remove(target)).outcome == "removed"
    b.gone.add(target)


async def doctor(lab: Lab, temporal_address: str) -> dict[str, dict[str, Any]]:
    """The findings of `doctor`, by check."""
    command = [sys.executable, "-m", "etcd_handoff.cli", "doctor", "-o", "json"]
    environment = {**lab.environment, "TEMPORAL_ADDRESS": temporal_address}
    _, shown, _ = await run(command, environment, ROOT)
    return {finding["check"]: finding for finding in json.loads(shown)["checks"]}


async def usable(client: Client) -> bool:
    """A query may name our search attributes."""
    return not await unusable(client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(shared_path: Path) -> AsyncIterator[Lab]:
    """One member and Temporal, in front of which tests put proxies."""
    async with Lab(LabOptions(nodes=1, kubernetes=False, directory=shared_path)) as lab:
        yield lab


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("refused", "version", "status", "words"),
    [
        ({}, "1.24.2", 1, "Temporal Server 1.25 or newer is needed, and this one is 1.24.2"),
        (
            {"WorkflowService": "UNAUTHENTICATED"},
            "",
            1,
            "refuses the credentials: Request unauthorized.; renew TEMPORAL_API_KEY",
        ),
        ({"DescribeNamespace": "UNAUTHENTICATED"}, "", 1, "refuses the credentials: UNAUTHENTICATED"),
    ],
    ids=["old-server", "no-credentials", "expired-key"],
)
async def test_temporal_that_does_not_do_is_called_what_it_is(
    small: Lab, refused: dict[str, str], version: str, status: int, words: str
) -> None:
    """Neither is a server that cannot be reached; the worker and the command line say so alike."""
    lab = small
    async with proxy_to(lab.temporal_address) as proxy:
        proxy.refused = {call: grpc.StatusCode[code] for call, code in refused.items()}
        proxy.version = version
        environment = {**lab.environment, "TEMPORAL_ADDRESS": proxy.address}
        ended, shown, errors = await run([sys.executable, str(ROOT / "worker.py")], environment, ROOT)
        assert (ended, words in errors) == (status, True), errors
        assert "ready" not in shown
        assert "Traceback" not in errors
        assert "cannot be reached" not in errors
        finding = (await doctor(lab, proxy.address))["temporal"]
        assert (finding["ok"], words in finding["detail"]) == (False, True), finding


async def present(*files: Path, without: Path | None = None) -> bool:
    """These files are there, and that one is not."""
    there = {path for file in files for path in file.parent.iterdir()}
    return set(files) <= there and without not in there


async def test_probes_and_ready_file_tell_whether_temporal_answers(tmp_path: Path) -> None:
    """Without Temporal the worker takes no work and says so to probes; it is alive all the same, and comes back."""
    async with Lab(LabOptions(nodes=1, kubernetes=False, directory=tmp_path)) as lab:
        ready, alive = tmp_path / "ready", tmp_path / "ready.alive"
        leases = Ports("127.0.0.1")
        (port,) = leases.take(1)
        options = ["--ready-file", str(ready), "--probe-address", f"127.0.0.1:{port}"]
        command = [sys.executable, str(ROOT / "worker.py"), *options]
        worker = Process("worker", command, tmp_path / "worker.log", lab.environment, ROOT)
        worker.start()
        try:
            await wait_until(lambda: present(ready, alive), "the worker is ready", 60)
            assert await probed(port) == (200, "ready: it takes work\n", 200)
            await lab.kill(Role.TEMPORAL)
            await wait_until(lambda: present(alive, without=ready), "it is not ready without Temporal", 60)
            status, reason, living = await probed(port)
            assert (status, living) == (503, 200)
            assert re.fullmatch(r"not ready: Temporal has not answered for \d+ s: \w+: .*\n", reason), reason
            alive.unlink()
            await wait_until(lambda: present(alive, without=ready), "it is alive without Temporal", 60)
            await lab.start(Role.TEMPORAL)
            await wait_until(lambda: present(ready, alive), "it is ready again", 60)
            assert (await probed(port))[0] == 200
            worker.signal(signal.SIGTERM)
            assert await worker.ended() == 0
            assert not await present(ready)
            assert not await present(alive)
        finally:
            await worker.kill()
            leases.close()


async def probed(port: int) -> tuple[int, str, int]:
    """Status and body of `/readyz`, and the status of `/livez`."""
    status, reason = await request(f"http://127.0.0.1:{port}/readyz")
    return status, reason, (await request(f"http://127.0.0.1:{port}/livez"))[0]


@pytest.mark.parametrize(
    ("content", "environment", "status", "words"),
    [
        ('[clusters.demo.etcd]\nendpoints = ["nonsense"]\n', {}, 2, "clusters.demo.etcd.endpoints"),
        (GOOD.replace("http", "https") + 'ca_file = "gone.pem"\n', {}, 2, "clusters.demo.etcd.ca_file"),
        (GOOD, {"TEMPORAL_PROFILE": "nowhere"}, 2, "TEMPORAL_PROFILE"),
        (GOOD, {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/gone.pem"}, 2, "/gone.pem"),
        (GOOD, {}, 4, "Connection refused; set TEMPORAL_ADDRESS"),
    ],
    ids=["endpoint", "file", "profile", "certificate", "no-temporal"],
)
async def test_bad_configuration_and_no_temporal_end_it_at_once(
    tmp_path: Path, content: str, environment: dict[str, str], status: int, words: str
) -> None:
    """Each with its exit status and the remedy, and without a traceback."""
    config = tmp_path / "etcd-handoff.toml"
    config.write_text(content)
    command = [sys.executable, str(ROOT / "worker.py"), "--config", str(config)]
    ended, shown, errors = await run(command, {"TEMPORAL_ADDRESS": "127.0.0.1:1", **environment}, ROOT)
    assert (ended, words in errors) == (status, True), shown + errors
    assert "Traceback" not in errors
    assert "ready" not in shown


async def test_ready_file_in_a_folder_that_is_missing_ends_it_at_once(tmp_path: Path) -> None:
    """A mistake in the configuration, said before Temporal is asked."""
    config = tmp_path / "etcd-handoff.toml"
    config.write_text(GOOD)
    command = [sys.executable, str(ROOT / "worker.py"), "--config", str(config), "--ready-file", "/nowhere/ready"]
    status, _, errors = await run(command, {"TEMPORAL_ADDRESS": "127.0.0.1:1"}, ROOT)
    assert status == 2
    assert errors.startswith("--ready-file /nowhere/ready: No such file or directory; name a file in a folder")
    assert errors.count("\n") == 1


async def test_unknown_namespace_ends_it_and_ctrl_c_does_without_temporal(tmp_path: Path) -> None:
    """It never says that it is ready where it cannot work; and it stops well when the server is gone before it."""
    async with Lab(LabOptions(nodes=1, kubernetes=False, workers=("node0",), directory=tmp_path)) as lab:
        command = [sys.executable, str(ROOT / "worker.py")]
        status, shown, errors = await run(command, {**lab.environment, "TEMPORAL_NAMESPACE": "nowhere"}, ROOT)
        assert (status, "set TEMPORAL_NAMESPACE" in errors) == (2, True), errors
        assert "ready" not in shown
        await lab.kill(Role.TEMPORAL)
        process = lab.process(Role.WORKER, "node0")
        process.signal(signal.SIGINT)
        assert await process.ended() == 0
        assert process.log_contains("worker stopped")

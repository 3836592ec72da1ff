"""k0s as it comes: three controllers, one option for each worker, and no file written or copied."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.data_directory import identity
from etcd_handoff.lab import Lab, LabOptions, Role, disasters, wait_until
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.data_folders import data_folder
from etcd_handoff.lab.nodes import ROOT
from tests.integration.conftest import lead
from tests.integration.isolation import require_isolation
from tests.integration.pages import Block, blocks_of, follow, program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START_SECONDS = 60.0
CODE = "from etcd_handoff.cli import main; main()"


@pytest.fixture(autouse=True)
def _isolation_is_possible() -> None:
    require_isolation()


def on_controller(lab: Lab, node: str) -> list[str]:
    """The options of every command there: the lab lays a node's folder out like k0s's data directory."""
    return ["--k0s", "--data-dir", str(lab.directory / node)]


@asynccontextmanager
async def worker(lab: Lab, node: str, folder: Path) -> AsyncIterator[None]:
    """A worker on a controller, from when it tells its service manager that it is ready."""
    command = [*lab.inside(node), sys.executable, "-c", CODE, "worker", *on_controller(lab, node)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (folder / f"{node}.log").open("wb") as log:
        manager.bind(str(folder / f"{node}.notify"))
        manager.settimeout(START_SECONDS)
        environment = {**os.environ, **lab.environment_on(node), "NOTIFY_SOCKET": str(folder / f"{node}.notify")}
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log, cwd=ROOT)
        try:
            datagram = await asyncio.to_thread(manager.recv, 100)
            assert datagram == b"READY=1", (folder / f"{node}.log").read_text()
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def doctor(lab: Lab, node: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit status and findings of `doctor` on a controller, by check."""
    status, shown, errors = await lab.handoff("doctor", "-o", "json", *on_controller(lab, node), node=node)
    assert shown, errors
    return status, {finding["check"]: finding for finding in json.loads(shown)["checks"]}


async def dry_run_takes_the_place_of_a_plan(lab: Lab, member: str, node: str) -> None:
    """`plan` sees its own member alone, says so, and gives the command that asks all nodes."""
    status, shown, errors = await lab.handoff("plan", member, "-o", "json", *on_controller(lab, node), node=node)
    plan = json.loads(shown)
    assert (status, plan["decision"]) == (4, "unseen"), errors
    assert f"only {node} answers on this node" in plan["seen"]
    _, *words = shlex.split(plan["remedy"].split("`")[1])
    status, shown, errors = await lab.handoff(*words, "-o", "json", node=node)
    planned = json.loads(shown)
    assert (status, planned["outcome"], planned["blocked_by"]) == (0, "planned", ""), errors
    assert planned["plan"][0].startswith(f"hand leadership from {member} to ")


def commands_of_the_page() -> list[list[str]]:
    """Our commands in docs/k0s.md up to the removal by hand, in their order, as words."""
    page = (ROOT / "docs" / "k0s.md").read_text().partition("## What k0s does itself")[0]
    blocks: list[str] = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.split()[1:] for line in lines if line.startswith("etcd-handoff ")]


async def test_commands_of_the_page_on_k0s_remove_a_leader(tmp_path: Path) -> None:
    """As written, but for the data directory, the name of the leader and Temporal's address."""
    first, *others = commands_of_the_page()
    assert first == ["worker", "--k0s"]
    async with contextlib.AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(LabOptions(isolated=True, directory=tmp_path / "lab")))
        for node in lab.nodes:
            await stack.enter_async_context(worker(lab, node.name, tmp_path))
        leader = await lab.leader()
        survivor = lab.others(leader)[0].name
        for words in others:
            command = [leader if word == "node2" else word for word in words if word != "--k0s"]
            status, shown, errors = await lab.handoff(*command, *on_controller(lab, survivor), node=survivor)
            assert status == 0, (words, shown, errors)
        assert {m.name for m in await lab.members(survivor)} == {node.name for node in lab.others(leader)}
        shown = await lab.kubectl("get", "etcdmembers", context=survivor)
        assert {line.split()[0]: "True" in line for line in shown.splitlines()[1:]} == {
            node.name: node.name != leader for node in lab.nodes
        }


async def test_commands_of_the_page_on_k0s_remove_a_leader_with_kubectl_alone(tmp_path: Path) -> None:
    """As written, once a worker runs on each controller and the watcher has been started as the page says."""
    page = ROOT / "docs" / "k0s.md"
    blocks = [block for block in blocks_of(page) if "kubectl annotate etcdmember node2" in block.commands]
    removal, _taking_back = blocks
    watch = next(words for words in commands_of_the_page() if words[:2] == ["watch", "start"])
    listed = next(block.commands for block in blocks_of(page) if "k0s kubectl get" in block.commands).splitlines()[-1]
    async with contextlib.AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(LabOptions(isolated=True, directory=tmp_path / "lab")))
        for node in lab.nodes:
            await stack.enter_async_context(worker(lab, node.name, tmp_path))
        await lead(lab, "node2")
        status, shown, errors = await lab.handoff(*watch[:-1], *on_controller(lab, "node0"), node="node0")
        assert status == 0, (shown, errors)
        program(tmp_path, "kubectl", f"{locate_binaries().kubectl} --kubeconfig {lab.kubeconfig_path} --context node0")
        program(tmp_path, "k0s", "env")  # `k0s kubectl` is kubectl
        environment = {**lab.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        described = await follow(removal, environment, tmp_path)
        assert "condition met" in described
        assert {m.name for m in await lab.members("node0")} == {"node0", "node1"}

        async def followed() -> bool:
            resource = (await lab.etcdmembers("node0"))["node2"]
            return resource["spec"]["leave"] is True and LEAVE_ANNOTATION not in resource["metadata"].get(
                "annotations", {}
            )

        await wait_until(followed, "spec.leave is set and the annotation is gone", 30)
        rows = (await follow(Block(listed, ""), environment, tmp_path)).splitlines()[1:]
        assert {row.split()[0]: "True" in row.split() for row in rows} == {"node0": True, "node1": True, "node2": False}


async def test_controller_that_was_set_up_anew_is_not_the_cluster_while_all_others_are_down(tmp_path: Path) -> None:
    """It is the only one that gives a list, and its API server agrees with it; the others' data speak against it."""
    async with (
        Lab(LabOptions(nodes=2, isolated=True, directory=tmp_path / "lab")) as lab,
        worker(lab, "node0", tmp_path),
        worker(lab, "node1", tmp_path),
    ):
        original = identity(data_folder(lab, "node1"))
        assert original is not None
        await lab.kill(Role.ETCD, "node1")
        await disasters.become_foreign(lab, "node0")
        words = ("remove", "node0", "--dry-run", "-o", "json", *on_controller(lab, "node0"))
        status, shown, errors = await lab.handoff(*words, node="node0")
        planned = json.loads(shown)
        assert (status, planned["outcome"]) == (3, "planned"), errors
        assert planned["blocked_by"].startswith("WrongCluster: only the worker on node0 reports cluster ")
        assert f"the etcd data on node1 belong to cluster {original.cluster_id}" in planned["blocked_by"]


async def test_one_option_on_each_controller_is_enough(tmp_path: Path) -> None:
    """`doctor` names the controllers that lack a worker; with all three the leader leaves and its record is true."""
    async with (
        Lab(LabOptions(isolated=True, directory=tmp_path / "lab")) as lab,
        worker(lab, "node0", tmp_path),
        worker(lab, "node1", tmp_path),
    ):
        status, found = await doctor(lab, "node1")
        topology = found["topology"]
        assert topology["detail"].startswith("every member advertises 127.0.0.1: steps go through node queues; ")
        assert (status, topology["detail"].endswith("; node2 has no worker")) == (1, True), found
        assert "etcd-handoff worker --k0s` on node2" in topology["remedy"]
        assert {check for check, each in found.items() if not each["ok"]} == {"topology"}, found
        assert {"kubernetes node0", "kubernetes node1", "kubernetes node2"} <= set(found)
        async with worker(lab, "node2", tmp_path):
            status, found = await doctor(lab, "node2")
            assert (status, [name for name, each in found.items() if not each["ok"]]) == (0, []), found
            leader = await lab.leader()
            survivor = lab.others(leader)[0].name
            await dry_run_takes_the_place_of_a_plan(lab, leader, survivor)
            status, shown, errors = await lab.handoff(
                "remove", leader, *on_controller(lab, survivor), "-o", "json", node=survivor
            )
            assert status == 0, errors
            result = json.loads(shown)
            assert (result["outcome"], result["was_leader"], result["status_recorded"]) == ("removed", True, True)
            assert leader not in {m.name for m in await lab.members(survivor)}

            async def recorded() -> bool:
                conditions = (await lab.etcdmembers(survivor))[leader]["status"]["conditions"]
                return bool(next(c for c in conditions if c["type"] == "Joined")["status"] == "False")

            await wait_until(recorded, "the record says that it has left", 60)

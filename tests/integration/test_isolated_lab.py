"""The lab of isolated nodes is what k0s's controllers are: each sees its own member alone, and all say the same URL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from etcd_handoff.exit_status import EXIT_FAILED
from etcd_handoff.lab import Lab, LabOptions, Role, isolation, wait_until
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.demo import run_demo
from etcd_handoff.lab.isolation import IsolationError
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from tests.integration.isolation import require_isolation

BINARIES = locate_binaries()
LOCAL = "https://127.0.0.1:2379"
LOG_TIMEOUT_SECONDS = 10.0
DIAL = """
import socket, sys
for address in sys.argv[1:]:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        print(address, "open")
    except OSError as error:
        print(address, type(error).__name__)
"""
"""Says of each address whether somebody listens there."""
PARENT = """
import asyncio, json, pathlib, sys
from etcd_handoff.lab import Lab, LabOptions, Role

async def main():
    folder = pathlib.Path(sys.argv[1])
    options = LabOptions(nodes=1, isolated=True, temporal=False, kubernetes=False, directory=folder / "lab")
    async with Lab(options) as lab:
        pids = [lab.process(role, name).pid for role in (Role.NAMESPACE, Role.ETCD) for name in lab.nodes_with(role)]
        (folder / "pids.new").write_text(json.dumps([lab.isolation.cable, pids]))
        (folder / "pids.new").rename(folder / "pids")
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""A script that starts a lab of one node, says which processes it has, and waits for its end."""
WITHOUT_RIGHTS = """
import asyncio, pathlib, sys
from etcd_handoff.lab import Lab, LabOptions, isolation

print("obstacle" if isolation.obstacle() else "none", flush=True)
isolation.enter_own_namespace()

async def main():
    options = LabOptions(isolated=True, temporal=False, kubernetes=False, directory=pathlib.Path(sys.argv[1]))
    async with Lab(options) as lab:
        print(*sorted(m.name for m in await lab.members()), await lab.leader() in {n.name for n in lab.nodes})
        print(lab.isolation.cable)

asyncio.run(main())
"""
"""A script that starts an isolated lab, in namespaces of its own where it needs them; it says twice whether it does."""
NO_RIGHTS = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""What stands before a command that root runs as a user without any right, who still may read root's files."""


@pytest.fixture(autouse=True)
def _isolation_is_possible() -> None:
    require_isolation()


def etcd_alone(folder: Path, nodes: int = 3, node_names: tuple[str, ...] = ()) -> LabOptions:
    """A lab of isolated nodes with etcd and nothing else."""
    return LabOptions(
        nodes, (), temporal=False, kubernetes=False, directory=folder, isolated=True, node_names=node_names
    )


def cables() -> set[str]:
    """Ends of the labs' cables on this machine."""
    return {name for _, name in socket.if_nameindex() if name.startswith("eh-")}


def namespace_of(pid: int) -> str:
    """The network namespace that a process is in; empty when it has ended."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


async def dial(lab: Lab, node: str, *addresses: str) -> dict[str, str]:
    """What each address says to a connection from this node."""
    status, output, errors = await lab.run([sys.executable, "-I", "-c", DIAL, *addresses], node=node)
    assert status == 0, errors
    return dict(line.split() for line in output.splitlines())


async def etcdctl(lab: Lab, node: str, *arguments: str) -> list[dict[str, Any]]:
    """Answer of etcdctl on a node, with the credentials that k0s leaves there for it."""
    pki = lab.directory / node / "pki"
    client = pki / "apiserver-etcd-client"
    flags = [f"--endpoints={LOCAL}", f"--cacert={pki}/etcd/ca.crt", f"--cert={client}.crt", f"--key={client}.key"]
    command = [str(BINARIES.etcdctl), *flags, "-w", "json", *arguments]
    status, output, errors = await lab.run(command, node=node)
    assert status == 0, errors
    answer: Any = json.loads(output)
    members: list[dict[str, Any]] = answer if isinstance(answer, list) else answer["members"]
    return members


async def test_node_sees_its_own_member_alone_and_all_advertise_the_same(tmp_path: Path) -> None:
    """Its loopback has its own member, which wants a certificate; no client port of another node can be reached."""
    async with Lab(etcd_alone(tmp_path)) as lab:
        others = [node.address for node in lab.others("node0")]
        clients, peers = [f"{a}:2379" for a in others], [f"{a}:2380" for a in others]
        seen = await dial(lab, "node0", "127.0.0.1:2379", *clients, *peers, f"{lab.node('node0').address}:2379")
        assert {address for address, answer in seen.items() if answer == "open"} == {"127.0.0.1:2379", *peers}
        for node in lab.nodes:
            (status,) = await etcdctl(lab, node.name, "endpoint", "status")
            header = status["Status"]["header"]
            assert format(header["member_id"], "x") == await lab.member_id(node.name)
            members = await etcdctl(lab, node.name, "member", "list")
            assert {m["name"]: m["clientURLs"] for m in members} == {n.name: [LOCAL] for n in lab.nodes}
            assert {m["name"]: m["peerURLs"] for m in members} == {
                n.name: [f"https://{n.address}:2380"] for n in lab.nodes
            }
        ca = str(lab.directory / "node0" / "pki" / "etcd" / "ca.crt")
        without = [str(BINARIES.etcdctl), f"--endpoints={LOCAL}", f"--cacert={ca}", "--command-timeout=2s"]
        failed, _, _ = await lab.run([*without, "member", "list"], node="node0")
        assert failed, "a client without a certificate"

        async def refused() -> bool:
            return lab.process(Role.ETCD, "node0").log_contains("client didn't provide a certificate")

        # The client may write before it hears why it is cut off, so the reason is read from the member's own log.
        await wait_until(refused, "the member logs its refusal", LOG_TIMEOUT_SECONDS)


async def test_certificates_are_those_of_k0s(tmp_path: Path) -> None:
    """A member's server is certified for loopback, its peer for its address; admin.conf leads to its own API server."""
    async with Lab(etcd_alone(tmp_path, nodes=1)) as lab:
        pki, address = tmp_path / "node0" / "pki", lab.node("node0").address
    hosts = {}
    for name in ("etcd/server", "etcd/peer", "apiserver-etcd-client", "server"):
        certificate = x509.load_pem_x509_certificate((pki / f"{name}.crt").read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts[name] = {str(general.value) for general in names}
    assert hosts["etcd/server"] == hosts["apiserver-etcd-client"] == {"127.0.0.1", "localhost"}
    assert hosts["etcd/peer"] == {address}
    assert {address, "127.0.0.1", "localhost", "kubernetes"} <= hosts["server"]
    assert "https://localhost:6443" in (pki / "admin.conf").read_text()
    assert {(pki / name).stat().st_mode & 0o777 for name in ("etcd/server.key", "apiserver-etcd-client.key")} == {0o640}


async def test_members_die_and_come_back_and_are_judged_from_outside(tmp_path: Path) -> None:
    """Leader, list, writes and faults are seen through the relays; a dead member does not answer there."""
    async with Lab(etcd_alone(tmp_path / "lab")) as lab:
        first, term = await lab.leader_and_term()
        rest = [node.etcd_url for node in lab.others(first)]
        async with OpenLoopWriter(rest[0], tmp_path) as writer:
            await lab.kill(Role.ETCD, first)
            second, later = await lab.leader_and_term()
            assert (second != first, later > term) == (True, True)
            with pytest.raises((OSError, ConnectionError)):
                await lab.members(first)
            report = await writer.stop()
        assert report.acknowledged
        await lab.start(Role.ETCD, first)
        assert {m.name for m in await lab.members(first)} == {"node0", "node1", "node2"}
        assert await missing(report, [node.etcd_url for node in lab.nodes]) == {}
        learner = await lab.add_learner()
        assert {m.name: m.is_learner for m in await lab.members(second)}[learner.name]


async def test_api_servers_workers_and_command_line_reach_what_a_controller_reaches(tmp_path: Path) -> None:
    """All API servers from everywhere, Temporal from the nodes, and of etcd the node's own member."""
    async with Lab(LabOptions(isolated=True, workers=("node0",), directory=tmp_path)) as lab:
        ids = {m.name: m.id for m in await lab.members()}
        for node in lab.nodes:
            found = await lab.etcdmembers(node.name)
            assert {name: r["status"]["memberID"] for name, r in found.items()} == ids
            assert {name: r["status"]["peerAddress"] for name, r in found.items()} == {
                n.name: n.address for n in lab.nodes
            }
        kubectl = [str(BINARIES.kubectl), "--kubeconfig", str(tmp_path / "node0" / "pki" / "admin.conf")]
        status, output, errors = await lab.run([*kubectl, "get", "etcdmembers", "-o", "name"], node="node0")
        assert (status, len(output.split())) == (0, 3), errors
        api = [f"{n.address}:6443" for n in lab.nodes]
        assert set((await dial(lab, "node1", *api, lab.temporal_address)).values()) == {"open"}
        profile = tomllib.loads((tmp_path / "node1" / "etcd-handoff.toml").read_text())["clusters"]["demo"]
        assert profile["etcd"]["endpoints"] == [LOCAL]
        assert "nodes" not in profile
        status, shown, errors = await lab.handoff("plan", "node1", "-o", "json")
        assert status in (0, 3), errors
        views = json.loads(shown)
        assert views, "from outside"
        await lab.restart(Role.WORKER, "node0")
        await lab.kill(Role.APISERVER, "node2")
        await lab.start(Role.APISERVER, "node2")


async def test_worker_on_a_node_does_what_is_started_elsewhere(tmp_path: Path) -> None:
    """Temporal is reached from this machine and from the node; what the worker answers is of its own member."""
    async with Lab(LabOptions(1, ("node0",), isolated=True, kubernetes=False, directory=tmp_path)) as lab:
        for node in ("", "node0"):
            status, shown, errors = await lab.handoff("remove", "node0", "--dry-run", node=node)
            assert (status, "last voter" in shown + errors) == (3, True), shown + errors


async def test_nodes_may_have_other_names_than_their_members(tmp_path: Path) -> None:
    """Host name, context and the table of the profile say so; members and EtcdMembers keep theirs."""
    names = ("ctl-a", "ctl-b", "ctl-c")
    async with Lab(etcd_alone(tmp_path, node_names=names)) as lab:
        assert await lab.run(["hostname"], node="node1") == (0, "ctl-b\n", "")
        assert {m.name for m in await lab.members()} == {"node0", "node1", "node2"}
        profile = tomllib.loads(lab.config_path.read_text())["clusters"]["demo"]
        assert profile["nodes"] == dict(zip(("node0", "node1", "node2"), names, strict=True))
        assert "ctl-b" in lab.process(Role.WORKER, "node1").command


async def test_two_labs_do_not_see_each_other(tmp_path: Path) -> None:
    """Both have a leader of their own and 127.0.0.1:2379 on each node; their nodes do not reach the others'."""
    async with Lab(etcd_alone(tmp_path / "a", nodes=1)) as one, Lab(etcd_alone(tmp_path / "b", nodes=1)) as other:
        assert await one.member_id("node0") != await other.member_id("node0")
        own, foreign = f"{one.node('node0').address}:2380", f"{other.node('node0').address}:2380"
        assert {a: s == "open" for a, s in (await dial(one, "node0", own, foreign)).items()} == {
            own: True,
            foreign: False,
        }
        await other.close()
        assert await one.leader() == "node0"
    assert not {one.isolation.cable, other.isolation.cable} & cables()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_nothing_of_it_outlives_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However the process that started it ends: no process, no namespace and no device is left."""
    with (tmp_path / "parent.log").open("wb") as log:
        parent = subprocess.Popen(  # noqa: ASYNC220  # it must be no child of the event loop's machinery
            [sys.executable, "-c", PARENT, str(tmp_path)], stdout=log, stderr=log, env=os.environ
        )
    pids: list[int] = []
    try:

        async def up() -> bool:
            assert parent.poll() is None, (tmp_path / "parent.log").read_text()
            return (tmp_path / "pids").exists()

        await wait_until(up, "the parent's lab is up", 120)
        cable, pids = json.loads((tmp_path / "pids").read_text())
        assert cable in cables()
        assert len({namespace_of(pid) for pid in pids}) == 2, "of the bridge and of the node"
        parent.send_signal(number)

        async def gone() -> bool:
            return cable not in cables() and not any(namespace_of(pid) for pid in pids)

        await wait_until(gone, "the lab is gone", 60)
    finally:
        parent.kill()
        parent.wait()
        for pid in pids:  # the test is red: what it found alive must not outlive it as well
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_machine_that_cannot_isolate_says_why_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the kernel's word, or what lacks, and the way out; nobody mistakes it for a bug of the product."""
    monkeypatch.setattr(isolation, "PROBES", (("false",),))
    with pytest.raises(
        IsolationError, match=r"isolated nodes need network namespaces.*as root.*unshare --map-root-user"
    ):
        Lab(LabOptions(isolated=True))
    monkeypatch.setattr(isolation, "PROGRAMS", ("no-such-program",))
    with pytest.raises(IsolationError, match=r"need the programs no-such-program.*iproute2"):
        Lab(LabOptions(isolated=True))


def test_test_that_cannot_run_is_skipped_with_the_reason_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that did not run is told from one that passed."""
    monkeypatch.setattr(isolation, "PROGRAMS", ("no-such-program",))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        require_isolation()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        require_isolation()


def test_demo_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It fails with the reason and the way out, and no traceback."""
    monkeypatch.setattr(isolation, "PROGRAMS", ("no-such-program",))
    assert run_demo(k0s=True) == EXIT_FAILED
    assert "isolated nodes need the programs no-such-program. Remedy: install" in capsys.readouterr().err


def test_lab_needs_no_root_where_the_kernel_lets_everybody_have_namespaces(tmp_path: Path) -> None:
    """It starts anew in namespaces of its own, and isolates its nodes there."""
    without = NO_RIGHTS if os.geteuid() == 0 else ()
    probe = [*without, *isolation.OWN_NAMESPACE, "unshare", "--net", "--uts", "true"]
    allowed = subprocess.run(probe, capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"this kernel lets root alone have namespaces: {allowed.stderr.strip()}")
    command = [*without, sys.executable, "-c", WITHOUT_RIGHTS, str(tmp_path / "lab")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    *seen, cable = ran.stdout.split()
    assert seen == ["obstacle", "none", "node0", "node1", "node2", "True"], ran.stderr
    assert cable not in cables()

"""The activities on the process of a member, with real small commands: what they answer, and that they never raise."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.member_process import MemberProcessActivities, is_busy
from activities.registry import NODE_ACTIVITIES
from etcd_handoff.activity_io import PreflightMemberInput, ProcessResult, StartMemberInput, StopMemberInput
from etcd_handoff.config import Config
from etcd_handoff.contract import StepOutcome
from etcd_handoff.data_directory import Identity
from etcd_handoff.errors import UnknownClusterError
from tests.unit.test_member_process import JOIN, OBEDIENT, OURS, STARTS, verbs
from tests.unit.wal import written

if TYPE_CHECKING:
    from pathlib import Path

ETCD = {"endpoints": ("http://10.0.0.1:2379",)}
WHO: dict[str, Any] = {"cluster": "prod", "cluster_id": OURS.cluster_id, "name": "node3"}
STOP = StopMemberInput(**WHO, member_id=OURS.member_id)
START = StartMemberInput(**WHO, member_id=OURS.member_id, peer_urls=("http://10.0.0.4:2380",), join=JOIN)


@pytest.fixture
def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def acting(tmp_path: Path, script: str = OBEDIENT, **settings: Any) -> MemberProcessActivities:
    """The activities of a node whose command is this script."""
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}")
    path.chmod(0o755)
    member = {"command": (str(path),), "data_dir": tmp_path / "data", **settings}
    return MemberProcessActivities(
        Config.model_validate({"clusters": {"prod": {"etcd": ETCD, "member": member}}}), "node3"
    )


async def run(method: Any, ask: Any) -> ProcessResult:
    """What the activity answers."""
    answer: ProcessResult = await ActivityEnvironment().run(method, ask)
    return answer


def preflight(*ports: int) -> PreflightMemberInput:
    """A member with peer URLs on these ports."""
    return PreflightMemberInput(**WHO, peer_urls=tuple(f"http://127.0.0.1:{port}" for port in ports))


async def test_node_without_a_command_says_so() -> None:
    """All four answer at once, and nothing is run."""
    acts = MemberProcessActivities(Config.model_validate({"clusters": {"prod": {"etcd": ETCD}}}), "node3")
    for method, ask in (
        (acts.preflight_member, preflight(2380)),
        (acts.start_member, START),
        (acts.stop_member, STOP),
        (acts.archive_member, STOP),
    ):
        answer = await run(method, ask)
        assert (answer.command, answer.error, answer.step.outcome) == (False, "", StepOutcome.NO_COMMAND)
    with pytest.raises(UnknownClusterError):
        await run(acts.stop_member, STOP.model_copy(update={"cluster": "dev"}))


def test_they_are_served_on_the_nodes_own_queue() -> None:
    """No other node can do them."""
    names = {"preflight_member", "start_member", "stop_member", "archive_member"}
    assert names <= NODE_ACTIVITIES


async def test_preflight_tells_what_the_node_is_like(tmp_path: Path, free_port: int) -> None:
    """Empty first; then with a member's data, and with somebody on the peer port."""
    script = OBEDIENT.replace("exit 7", """echo '{"version": "3.6.16"}'; exit 7""")
    acts = acting(tmp_path, script, client_port=free_port)
    facts = (await run(acts.preflight_member, preflight(free_port))).facts
    assert facts is not None
    assert (facts.running, facts.data_of, facts.version, facts.busy_ports) == (False, "", "3.6.16", ())
    assert facts.free_bytes > 0
    written(tmp_path / "data", OURS)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = await run(acts.preflight_member, preflight(port, free_port))
    assert answer.facts is not None
    assert answer.facts.busy_ports == (port,)
    assert answer.facts.data_of == f"member {OURS.member_id} of cluster {OURS.cluster_id}"
    assert f"port {port} is in use" in answer.step.note
    assert verbs(tmp_path) == ["status", "status"]


async def test_start_stop_and_archive_answer_what_they_did(tmp_path: Path) -> None:
    """Each twice: the second one changes nothing."""
    acts = acting(tmp_path, STARTS)
    for method, ask, outcome in (
        (acts.start_member, START, StepOutcome.STARTED),
        (acts.stop_member, STOP, StepOutcome.STOPPED),
    ):
        answers = [await run(method, ask), await run(method, ask)]
        assert [(a.step.outcome, a.changed, a.error) for a in answers] == [(outcome, True, ""), (outcome, False, "")]
    written(tmp_path / "data", OURS)
    answers = [await run(acts.archive_member, STOP), await run(acts.archive_member, STOP)]
    assert [(a.step.outcome, a.changed) for a in answers] == [
        (StepOutcome.ARCHIVED, True),
        (StepOutcome.ARCHIVED, False),
    ]


async def test_what_goes_wrong_is_an_answer(tmp_path: Path) -> None:
    """A failing command, and data of another member."""
    answer = await run(acting(tmp_path, "echo broken >&2; exit 1").preflight_member, preflight(2380))
    assert (answer.command, answer.step.outcome) == (True, StepOutcome.FAILED)
    assert answer.error == answer.step.note == "`status` ended with status 1: broken"
    assert not answer.untouched
    written(tmp_path / "data", Identity("cdf818194e3a8c32", "1"))
    (tmp_path / "runs").touch()
    answer = await run(acting(tmp_path).stop_member, STOP)
    assert "not stopped" in answer.error
    assert answer.untouched
    assert (tmp_path / "runs").exists()
    (tmp_path / "runs").unlink()
    assert (await run(acting(tmp_path).archive_member, STOP)).untouched


async def test_two_attempts_on_one_node_do_not_overlap(tmp_path: Path) -> None:
    """A second attempt, after a heartbeat that came late, waits for the first one."""
    script = """if [ "$1" = start ]; then mkdir busy || touch overlap; sleep 0.3; rmdir busy; fi""" + STARTS
    acts = acting(tmp_path, script)
    answers = await asyncio.gather(run(acts.start_member, START), run(acts.start_member, START))
    assert sorted(a.changed for a in answers) == [False, True]
    assert not (tmp_path / "overlap").exists()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])  # noqa: S104  # for the test's time
def test_busy_port_is_seen_on_whichever_address(address: str) -> None:
    """IPv6 as well, where there is any."""
    try:
        other = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        other.bind((address, 0))
    except OSError:
        pytest.skip(f"this machine has no {address}")
    with other:
        other.listen()
        port = other.getsockname()[1]
        assert is_busy(port)
    assert not is_busy(port)

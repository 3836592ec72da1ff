"""Which cluster the etcd data on a node are of, and what follows where its member gives no list."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from temporalio.testing import ActivityEnvironment

import activities.node_data
from activities.etcd import EtcdActivities
from activities.node_data import NodeData
from etcd_handoff.activity_io import CheckLeaderInput
from etcd_handoff.config import Config
from etcd_handoff.config_choice import preset_config
from etcd_handoff.data_directory import Identity
from etcd_handoff.errors import UnreachableError
from etcd_handoff.operation import commands as to
from etcd_handoff.planning import Reason
from etcd_handoff.presets import PresetName, etcd_data_dir
from tests.fakes.etcd import FakeEtcd
from tests.unit.builders import A, B, C
from tests.unit.test_node_looks import LED_BY_B, pauses, sees, silent
from tests.unit.test_removal_loop import begin
from tests.unit.wal import written

if TYPE_CHECKING:
    from activities.leader_check import DataCluster
    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.commands import StepFailure

HERE, ELSEWHERE = LED_BY_B.cluster_id, "beef"


def config_of(**profile: object) -> Config:
    """A configuration with one profile, of a node that sees its own member alone."""
    return Config.model_validate({"clusters": {"demo": {"etcd": {"endpoints": ["http://127.0.0.1:2379"]}, **profile}}})


def with_directory(data_dir: Path) -> Config:
    """A configuration whose table `member` names the data directory."""
    return config_of(member={"command": ["/bin/true"], "data_dir": data_dir})


# --- what a worker reads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "folder", "expected"),
    [
        ("k0s", None, "/var/lib/k0s/etcd"),
        ("k0s", "/srv/k0s", "/srv/k0s/etcd"),
        ("kubeadm", None, "/var/lib/etcd"),
        ("k3s", None, "/var/lib/rancher/k3s/server/db/etcd"),
        ("rke2", None, "/var/lib/rancher/rke2/server/db/etcd"),
    ],
)
def test_preset_tells_where_the_data_of_etcd_are(preset: PresetName, folder: str | None, expected: str) -> None:
    """The distribution's own data directory may be another one."""
    assert etcd_data_dir(preset, Path(folder) if folder else None) == Path(expected)
    own = preset_config(preset, "demo", Path(folder) if folder else None).cluster("demo")
    assert own.etcd_data_dir == Path(expected)


async def test_data_tell_their_cluster(tmp_path: Path) -> None:
    """Without data, a directory or a profile for it nothing is known."""
    reads = NodeData(with_directory(tmp_path / "etcd"))
    assert await reads.cluster_id("demo") == ""
    written(tmp_path / "etcd", Identity("cafe", "1"))
    assert await reads.cluster_id("demo") == "cafe"
    assert await NodeData(config_of()).cluster_id("demo") == ""
    (tmp_path / "torn" / "member" / "wal").mkdir(parents=True)
    (tmp_path / "torn" / "member" / "wal" / f"{0:016x}-{0:016x}.wal").write_bytes(b"nothing of etcd")
    assert await NodeData(with_directory(tmp_path / "torn")).cluster_id("demo") == ""


async def test_disk_that_hangs_is_read_once_and_holds_up_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread waits for the disk, and the look goes on without it; once the disk answers it counts again."""
    released, reads = threading.Event(), []

    def hangs(folder: Path) -> Identity:
        reads.append(folder)
        assert released.wait(60)
        return Identity("cafe", "1")

    monkeypatch.setattr(activities.node_data, "identity", hangs)
    data = NodeData(with_directory(Path("/srv/etcd")))
    try:
        assert set(await asyncio.gather(data.cluster_id("demo"), data.cluster_id("demo"))) == {""}
        assert await data.cluster_id("demo") == ""
        assert reads == [Path("/srv/etcd")]
    finally:
        released.set()
    assert await data.cluster_id("demo") == "cafe"


class Blind(FakeEtcd):
    """A node whose member gives no list."""

    async def observe(self, doubtful: object = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """There is none."""
        msg = "connection refused"
        raise UnreachableError(msg)


@pytest.mark.parametrize(("fake", "expected"), [(Blind({"1": "n1"}), "cafe"), (FakeEtcd({"1": "n1"}), "")])
async def test_look_without_a_list_brings_what_the_data_tell(fake: FakeEtcd, expected: str) -> None:
    """Where a member gives a list, nobody reads the disk."""

    async def cafe(cluster: str) -> str:
        return {"demo": "cafe"}[cluster]

    data: DataCluster = cafe
    found = EtcdActivities(config_of(), "n1", lambda *_: fake, data=data)
    look = CheckLeaderInput(cluster="demo", for_node=True)
    assert (await ActivityEnvironment().run(found.check_leader, look)).data_cluster_id == expected


# --- what an operation makes of it ------------------------------------------------------------------------------------


def blind(own: str, cluster_id: str) -> StepResult:
    """What a worker answers that sees no list, and has read the data."""
    return sees(None, own, data_cluster_id=cluster_id)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((blind(A, HERE), blind(C, HERE)), None),
        ((blind(A, HERE), blind(C, ELSEWHERE)), None),
        ((blind(A, HERE), blind(C, "")), None),
        ((blind(A, HERE), silent()), None),
        ((blind(A, ""), blind(C, "")), None),
        ((blind(A, ELSEWHERE), blind(C, "")), Reason.WRONG_CLUSTER),
        ((blind(A, ELSEWHERE), blind(C, ELSEWHERE)), Reason.WRONG_CLUSTER),
        ((blind(A, ELSEWHERE), silent()), Reason.WRONG_CLUSTER),
        ((sees(LED_BY_B, A), blind(C, ELSEWHERE)), None),
    ],
)
def test_data_on_nodes_that_see_no_list_count_as_long_as_the_cluster_is_not_known(
    answers: tuple[StepResult | StepFailure, ...], reason: Reason | None
) -> None:
    """A node that was set up anew sees a list while the members of all others are down. Their data speak against it."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B, worker_nodes=("node0", "node1", "node2")))
    removal.do(to.LookThroughNodes, answers)
    assert removal.state.view is not None
    assert [doubt.kind for doubt in removal.state.view.doubts] == ([reason] if reason else [])
    if reason is not None:
        pauses(removal, 1.0)
        assert removal.state.pinned is None


def test_worker_that_looks_first_and_sees_no_list_counts_too() -> None:
    """The text says whose data speak for which cluster, and the remedy has all ways out."""
    removal = begin().do(to.Observe, sees(None, A, worker_nodes=("node0", "node1"), data_cluster_id=ELSEWHERE))
    pauses(removal.do(to.LookThroughNodes, (sees(LED_BY_B, B),)), 1.0)
    assert removal.state.pinned is None
    assert removal.state.doing.startswith(
        f"WrongCluster: only the worker on node1 speaks of cluster {HERE}, and the etcd data on node0 are of cluster"
        f" {ELSEWHERE}"
    )
    remedy = removal.state.waiting_for
    assert "start etcd on the nodes of the right cluster, and stop the workers on those of another one" in remedy
    assert f'cluster_id = "{HERE}"' in remedy


def test_data_do_not_count_once_the_cluster_is_known() -> None:
    """Nobody asks which workers there are then."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B))
    removal.do(to.LookThroughNodes, (blind(A, ELSEWHERE), blind(C, ELSEWHERE)))
    assert removal.state.view is not None
    assert removal.state.view.doubts == ()

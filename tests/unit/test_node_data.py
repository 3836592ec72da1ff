"""Whose etcd data lie on a node, and what follows where its member gives no list."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from temporalio.testing import ActivityEnvironment

import activities.node_data
from activities.etcd import EtcdActivities
from activities.node_data import NOT_IN_TIME, NodeData
from etcd_handoff import time_limits
from etcd_handoff.activity_io import CheckLeaderInput, DataOwner
from etcd_handoff.config import Config
from etcd_handoff.config.choice import preset_config
from etcd_handoff.config.presets import PresetName, etcd_data_dir
from etcd_handoff.data_directory import Identity
from etcd_handoff.errors import UnreachableError
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.node_doubts import DataOnNodes, confirmed_by_most
from etcd_handoff.planning import Reason
from tests.fakes.etcd import FakeEtcd
from tests.unit.builders import A, B, C
from tests.unit.test_node_looks import LED_BY_B, pauses, sees, silent
from tests.unit.test_removal_loop import begin
from tests.unit.wal import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etcd_handoff.activity_io import StepResult
    from etcd_handoff.cluster_view import ClusterView, Doubt
    from etcd_handoff.operation.commands import StepFailure

HERE, ELSEWHERE = LED_BY_B.cluster_id, "beef"
LEFT = "dd"
"""A member that is not listed any more."""
CAFE = DataOwner(cluster_id="cafe", member_id="1")


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


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long a read may take, in seconds: long on a machine with much to do, short for a disk that hangs."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, data_directory_seconds=seconds))

    return set_to


async def test_data_tell_their_owner(tmp_path: Path, limit: Callable[[float], None]) -> None:
    """Without data or a directory nothing is known, and nothing is wrong."""
    limit(60.0)
    reads = NodeData(with_directory(tmp_path / "etcd"))
    assert await reads.owner("demo") == (None, "")
    written(tmp_path / "etcd", Identity("cafe", "1"))
    assert await reads.owner("demo") == (CAFE, "")
    assert await NodeData(config_of()).owner("demo") == (None, "")


async def test_data_that_cannot_be_read_are_named(tmp_path: Path, limit: Callable[[float], None]) -> None:
    """An operator would not learn otherwise that they do not count."""
    limit(60.0)
    (tmp_path / "member" / "wal").mkdir(parents=True)
    (tmp_path / "member" / "wal" / f"{0:016x}-{0:016x}.wal").write_bytes(b"nothing of etcd")
    owner, why = await NodeData(with_directory(tmp_path)).owner("demo")
    assert (owner, why) == (None, f"{tmp_path} has a log that begins with no record of etcd")


class Disk:
    """It hangs until it is released."""

    def __init__(self) -> None:
        self.released, self.reads, self.found = threading.Event(), 0, Identity("cafe", "1")

    def identity(self, _: Path) -> Identity:
        """What a read of the data directory finds once it ends."""
        self.reads += 1
        found = self.found
        assert self.released.wait(60)
        return found


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, limit: Callable[[float], None]) -> Iterator[Disk]:
    """The disk with the data directory."""
    limit(0.1)
    hangs = Disk()
    monkeypatch.setattr(activities.node_data, "identity", hangs.identity)
    yield hangs
    hangs.released.set()


async def test_disk_that_hangs_is_read_once_and_holds_up_no_look(disk: Disk, limit: Callable[[float], None]) -> None:
    """A thread waits for it. What it brings late does not count: the data may be others by then."""
    data, hung = NodeData(with_directory(Path("/srv/etcd"))), (None, "/srv/etcd cannot be read: " + NOT_IN_TIME)
    assert list(await asyncio.gather(data.owner("demo"), data.owner("demo"))) == [hung, hung]
    assert (await data.owner("demo"), disk.reads) == (hung, 1)
    first = data._reading["demo"].found
    disk.found = Identity("beef", "2")
    disk.released.set()
    assert (await first)[0] == CAFE
    limit(60.0)
    assert await data.owner("demo") == (DataOwner(cluster_id="beef", member_id="2"), "")
    assert disk.reads == 2


async def test_read_that_ends_late_does_not_count_for_whoever_waits_for_it(disk: Disk) -> None:
    """The data may be others by then."""
    data = NodeData(with_directory(Path("/srv/etcd")))
    await data.owner("demo")
    later = asyncio.ensure_future(data.owner("demo"))
    disk.released.set()
    assert (await later)[0] is None


def test_worker_ends_while_the_disk_hangs(disk: Disk) -> None:
    """It has three seconds, and a disk may hang for ever."""
    asyncio.run(NodeData(with_directory(Path("/srv/etcd"))).owner("demo"))
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "etcd-data"] == [True]
    assert not disk.released.is_set()


class Blind(FakeEtcd):
    """A node whose member gives no list."""

    async def observe(self, doubtful: object = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """There is none."""
        msg = "connection refused"
        raise UnreachableError(msg)


LAST_ATTEMPT = replace(ActivityEnvironment.default_info(), attempt=time_limits.STEPS.elsewhere_attempts)
"""A worker that sees no list leaves the step to others before."""


async def looked(fake: FakeEtcd, config: Config, look: CheckLeaderInput) -> tuple[StepResult, int]:
    """What a look brings, and how often the data were read."""
    reads = 0

    async def cafe(cluster: str) -> tuple[DataOwner | None, str]:
        nonlocal reads
        reads += 1
        return {"demo": (CAFE, "torn")}[cluster]

    environment = ActivityEnvironment()
    environment.info = LAST_ATTEMPT
    steps = EtcdActivities(config, "n1", lambda *_: fake, data=cafe)
    return await environment.run(steps.check_leader, look), reads


@pytest.mark.parametrize("for_node", [False, True])
async def test_look_without_a_list_brings_what_the_data_tell(for_node: bool) -> None:  # noqa: FBT001
    """Through the common task queue and through that of its node."""
    look = CheckLeaderInput(cluster="demo", for_node=for_node)
    result, reads = await looked(Blind({"1": "n1"}), config_of(), look)
    assert (result.data_owner, result.data_error, reads) == (CAFE, "torn", 1)


@pytest.mark.parametrize(
    ("fake", "config", "cluster_id"),
    [
        (FakeEtcd({"1": "n1"}), config_of(), ""),
        (Blind({"1": "n1"}), config_of(), "cafe"),
        (Blind({"1": "n1"}), config_of(cluster_id="cafe"), ""),
        (Blind({"1": "n1"}), config_of(etcd={"endpoints": ["http://10.0.0.1:2379", "http://10.0.0.2:2379"]}), ""),
    ],
    ids=["there is a list", "the cluster is known", "the profile names it", "several members are asked"],
)
async def test_nobody_reads_the_disk_for_nothing(fake: FakeEtcd, config: Config, cluster_id: str) -> None:
    """A disk that hangs would make the look slower."""
    look = CheckLeaderInput(cluster="demo", cluster_id=cluster_id, for_node=True)
    result, reads = await looked(fake, config, look)
    assert (result.data_owner, reads) == (None, 0)


# --- what an operation makes of it ------------------------------------------------------------------------------------


def blind(own: str, cluster_id: str = "", member_id: str = "") -> StepResult:
    """What a worker answers that sees no list; it has read the data if these have an owner."""
    owner = DataOwner(cluster_id=cluster_id, member_id=member_id or own) if cluster_id else None
    return sees(None, own, data_owner=owner)


def doubt_after(*answers: StepResult | StepFailure, unlisted: bool = False) -> list[Doubt]:
    """What is doubted after a first look by node1, and looks through node0 and node2."""
    nodes = () if unlisted else ("node0", "node1", "node2")
    removal = begin().do(to.Observe, sees(LED_BY_B, B, worker_nodes=nodes, workers_unlisted=unlisted))
    removal.do(to.LookThroughNodes, answers)
    assert removal.state.view is not None
    if removal.state.view.doubts:
        pauses(removal, 1.0)
        assert removal.state.pinned is None
    return list(removal.state.view.doubts)


@pytest.mark.parametrize(
    ("answers", "doubtful"),
    [
        ((blind(A, HERE), blind(C, HERE)), False),
        ((blind(A, HERE), blind(C, ELSEWHERE)), False),
        ((blind(A, HERE), blind(C)), False),
        ((blind(A, HERE), silent()), False),
        ((blind(A), blind(C)), False),
        ((blind(A, HERE, LEFT), blind(C)), False),
        ((sees(LED_BY_B, A), blind(C, ELSEWHERE)), False),
        ((blind(A, ELSEWHERE), blind(C)), True),
        ((blind(A, ELSEWHERE), blind(C, ELSEWHERE)), True),
        ((blind(A, ELSEWHERE), silent()), True),
        ((blind(A, HERE, LEFT), blind(C, ELSEWHERE)), True),
        ((blind(A, HERE, LEFT), silent()), True),
    ],
)
def test_data_on_nodes_that_see_no_list_count_as_long_as_the_cluster_is_not_known(
    answers: tuple[StepResult | StepFailure, ...],
    doubtful: bool,  # noqa: FBT001
) -> None:
    """A node that was set up anew sees a list while the members of all others are down; their data speak against it.

    The first member of a cluster that is set up anew has the old cluster's ID. Data of a member that it does not list
    say nothing then.
    """
    assert [doubt.kind for doubt in doubt_after(*answers)] == [Reason.WRONG_CLUSTER] * doubtful


@pytest.mark.parametrize(
    ("agreeing", "silent_nodes", "owners", "doubtful"),
    [
        ({"n0", "n1"}, {"n2"}, {"n3": ELSEWHERE}, True),
        ({"n0"}, {"n2"}, {"n1": HERE, "n3": ELSEWHERE}, True),
        ({"n0"}, {"n2"}, {"n1": HERE}, False),
        ({"n0", "n1"}, set(), {"n2": HERE, "n3": ELSEWHERE, "n4": ELSEWHERE}, False),
        ({"n0"}, {"n0"}, {}, False),
    ],
)
def test_those_who_gave_no_answer_and_those_who_contradict_are_added_up(
    agreeing: set[str],
    silent_nodes: set[str],
    owners: dict[str, str],
    doubtful: bool,  # noqa: FBT001
) -> None:
    """More nodes have to confirm the cluster than both together."""
    found = {node: DataOwner(cluster_id=cluster_id, member_id=A) for node, cluster_id in owners.items()}
    view = confirmed_by_most(LED_BY_B, agreeing, silent_nodes, DataOnNodes(found, {}))
    assert bool(view.doubts) == doubtful


def test_text_says_who_speaks_for_which_cluster_and_what_to_do_either_way() -> None:
    """Whether the list or the data are of the right cluster, only the operator knows."""
    owners = {
        "n1": DataOwner(cluster_id=HERE, member_id=A),
        "n3": DataOwner(cluster_id=ELSEWHERE, member_id=A),
        "n4": DataOwner(cluster_id=HERE, member_id=LEFT),
    }
    data = DataOnNodes(owners, {"n5": "/srv/etcd cannot be read"})
    (doubt,) = confirmed_by_most(LED_BY_B, {"n0"}, {"n2"}, data).doubts
    assert doubt.text == (
        f"only the worker on n0 reports cluster {HERE}, and the etcd data on n1 belong to it, and the workers on n2"
        f" gave no answer, though Temporal lists them, and the etcd data on n3 belong to cluster {ELSEWHERE}, and those"
        f" on n4 belong to member {LEFT}, which is not listed, and the etcd data on n5 do not count: /srv/etcd cannot"
        " be read"
    )
    assert doubt.remedy == (
        "start these workers; Temporal lists one that has ended for about a minute; if this is the right cluster, set"
        f' cluster_id = "{HERE}" in the profile or move the etcd data on n3 away; if it is not, stop the worker on n0'
        " and start etcd on n3"
    )


def test_data_that_could_not_be_read_are_named_where_the_cluster_is_found_out_without_them() -> None:
    """Else nobody would learn that a unit lacks the right to read them."""
    unread = blind(A).model_copy(update={"data_error": "/srv/etcd cannot be read: Permission denied"})
    removal = begin().do(to.Observe, sees(LED_BY_B, B, worker_nodes=("node0", "node1", "node2")))
    removal.do(to.LookThroughNodes, (unread, blind(C)))
    assert removal.state.steps[-1].note.endswith(
        "; the etcd data on node0 do not count: /srv/etcd cannot be read: Permission denied"
    )


def test_node_is_told_which_cluster_is_known_so_that_it_reads_no_data() -> None:
    """A disk that hangs would make each look slower."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B))
    assert {look.ask.cluster_id for look in removal.next(to.LookThroughNodes).looks} == {""}
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), sees(LED_BY_B, C)))
    removal.turn().do(to.Observe, sees(LED_BY_B, B))
    assert {look.ask.cluster_id for look in removal.next(to.LookThroughNodes).looks} == {HERE}


def test_data_that_contradict_are_named_though_temporal_lists_no_workers() -> None:
    """Both are to be mended."""
    (doubt,) = doubt_after(blind(A, ELSEWHERE), blind(C), unlisted=True)
    assert "Temporal did not say in time" in doubt.text
    assert f"the etcd data on node0 belong to cluster {ELSEWHERE}" in doubt.text


def test_worker_that_looks_first_and_sees_no_list_counts_too() -> None:
    """Its own data are among the answers."""
    first = sees(None, A, worker_nodes=("node0", "node1"), data_owner=DataOwner(cluster_id=ELSEWHERE, member_id=A))
    removal = pauses(begin().do(to.Observe, first).do(to.LookThroughNodes, (sees(LED_BY_B, B),)), 1.0)
    assert removal.state.pinned is None
    assert removal.state.doing.startswith(
        f"WrongCluster: only the worker on node1 reports cluster {HERE}, and the etcd data on node0 belong to cluster"
        f" {ELSEWHERE}"
    )


def test_data_do_not_count_once_the_cluster_is_known() -> None:
    """Nobody asks which workers there are then."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B))
    removal.do(to.LookThroughNodes, (blind(A, ELSEWHERE), blind(C, ELSEWHERE)))
    assert removal.state.view is not None
    assert removal.state.view.doubts == ()

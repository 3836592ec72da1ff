"""Labs for the tests: real processes, started once for each test that asks, judged by the lab's own eyes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from etcd_handoff import time_limits
from etcd_handoff.contract import TASK_QUEUE, RemovalRequest, RemovalResult, workflow_id
from etcd_handoff.failpoints import FAILPOINTS_VARIABLE, FOLDER_VARIABLE
from etcd_handoff.lab import Lab, LabOptions, http, wait_until
from etcd_handoff.lab.writer import OpenLoopWriter, WriteReport, missing
from etcd_handoff.reconciler.state import ReconcileEtcdMembersRequest, watcher_id
from etcd_handoff.temporal.client import connect, start_removal
from etcd_handoff.temporal.search_attributes import STATE_KEY
from tests.integration.etcd_gateways import Cluster
from tests.integration.relayed_servers import RelayedServers, relayed_servers

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

WRITE_INTERVAL_MS = 10.0
"""Some puts are under way whenever leadership moves or a member leaves."""
LONG_AGO = "2026-01-01T00:00:00Z"
PROMPT_TIMERS = ("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="100ms"')
"""Temporal reads its timers a second ahead, so each retry takes a second: for tests of what many retries lead to."""
SHORT_HISTORIES = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=30")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs real processes."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.integration)


@dataclass
class LiveCluster:
    """A lab with workers, a Temporal client and a writer, and the judgement that all tests share.

    Attributes:
        lab: The lab.
        client: A Temporal client.
        folder: Where the failpoints' files and the writers' logs are.
        stack: What ends with it.
        failpoints: The points that its workers know.
        gone: Names of the members that have left, as tests tell `judge`.
    """

    lab: Lab
    client: Client
    folder: Path
    stack: AsyncExitStack
    failpoints: tuple[str, ...] = ()
    gone: set[str] = field(default_factory=set)

    async def start(self, member: str, **options: object) -> WorkflowHandle[object, RemovalResult]:
        """Start a removal."""
        request = RemovalRequest.model_validate({"cluster": self.lab.cluster, "member": member, **options})
        return await start_removal(self.client, request)

    async def remove(self, member: str, **options: object) -> RemovalResult:
        """Start a removal and await its result."""
        return await (await self.start(member, **options)).result()

    async def writer(self, node: str) -> OpenLoopWriter:
        """A writer through `node` that writes already."""
        url, forked = self.lab.node(node).etcd_url, self.lab.options.forked
        return await self.stack.enter_async_context(OpenLoopWriter(url, self.folder, WRITE_INTERVAL_MS, forked=forked))

    async def lead(self, member: str) -> None:
        """Somebody moves leadership to this voter; it leads when this returns."""
        await lead(self.lab, member)

    def others(self, member: str) -> list[str]:
        """The names of all members that have not left, but for this one."""
        return [node.name for node in self.lab.others(member) if node.name not in self.gone]

    def arm(self, *points: str) -> None:
        """Of all failpoints that the workers know these act from now on, once each: for labs of several tests."""
        for point in self.failpoints:
            hit, release = self.folder / f"{point}.hit", self.folder / f"{point}.release"
            if point in points:
                release.unlink(missing_ok=True)
                hit.unlink(missing_ok=True)
            else:
                hit.touch()
                release.touch()  # so that nobody is held whom a test before this one has left there

    async def reached(self, point: str) -> None:
        """A worker has come to this failpoint."""

        async def hit() -> bool:
            with contextlib.suppress(FileNotFoundError):
                return bool((self.folder / f"{point}.hit").read_text())  # empty where it is not armed
            return False

        await wait_until(hit, f"a worker reaches {point}", 60)

    async def lie(self, member: str, status: dict[str, object], via: str) -> None:
        """Write a status of an EtcdMember by hand."""
        patch = ["--subresource=status", "--type", "merge", "-p", json.dumps({"status": status})]
        await self.lab.kubectl("patch", "etcdmember", member, *patch, context=via)

    def release(self, point: str) -> None:
        """Let the worker that is held at this failpoint go on."""
        (self.folder / f"{point}.release").touch()

    async def judge(self, gone: set[str], report: WriteReport | None = None) -> None:
        """Members and resources agree on every surviving node, and every acknowledged write is there.

        Args:
            gone: Who has left since the last time.
            report: What a writer had acknowledged.
        """
        self.gone |= gone
        left = [node for node in self.lab.nodes if node.name not in self.gone]
        for node in left:
            assert {m.name for m in await self.lab.members(node.name)} == {n.name for n in left}
            joined = {name: _joined(r) for name, r in (await self.lab.etcdmembers(node.name)).items()}
            assert joined == {n.name: "False" if n.name in self.gone else "True" for n in self.lab.nodes}
        assert await self.lab.leader() not in self.gone
        if report is not None:
            assert report.acknowledged
            assert await missing(report, [node.etcd_url for node in left]) == {}


async def lead(lab: Lab, member: str) -> None:
    """Somebody moves leadership to this voter; it leads when this returns."""
    members = {m.name: m.id for m in await lab.members()}

    async def leads() -> bool:
        if (leader := await lab.leader()) == member:
            return True
        url = f"{lab.node(leader).etcd_url}/v3/maintenance/transfer-leadership"
        with contextlib.suppress(OSError):  # somebody else leads by now
            await http.post(url, {"targetID": str(int(members[member], 16))})
        return False

    await wait_until(leads, f"{member} leads", 30)


def _joined(resource: dict[str, object]) -> str:
    status = resource["status"]
    assert isinstance(status, dict)
    return str(next(c["status"] for c in status["conditions"] if c["type"] == "Joined"))


async def ends(lab: Lab, *arguments: str) -> tuple[int, str]:
    """Exit status of our command line, and all that it says."""
    status, shown, errors = await lab.handoff(*arguments)
    return status, shown + errors


def removal_id(b: LiveCluster, member: str) -> str:
    """The workflow ID of its removal."""
    return workflow_id(b.lab.cluster, member)


def joined_condition(status: str) -> dict[str, str]:
    """The condition Joined as somebody might write it by hand, long ago."""
    return {"type": "Joined", "status": status, "lastTransitionTime": LONG_AGO, "message": "by hand"}


async def in_state(removal: WorkflowHandle[Any, Any], state: str) -> None:
    """The removal says that it is in this state, in the search attribute that lists show."""
    states = [""]

    async def shown() -> bool:
        states.append(str((await removal.describe()).typed_search_attributes.get(STATE_KEY)))
        return states[-1] == state

    await wait_until(shown, f"HandoffState is {state}", 60, lambda: f"it is {states[-1]}")


async def another_run(b: LiveCluster, name: str, who: str) -> None:
    """The workflow has continued as new."""
    handle = b.client.get_workflow_handle(name)
    first = (await handle.describe()).run_id

    async def changed() -> bool:
        return (await handle.describe()).run_id != first

    await wait_until(changed, f"{who} continues as new", 60)


MakeLiveCluster = Callable[..., AbstractAsyncContextManager[LiveCluster]]


@asynccontextmanager
async def open_cluster(
    folder: Path, *, nodes: int = 3, failpoints: str = "", workers: tuple[str, ...] | None = None, **others: Any
) -> AsyncIterator[LiveCluster]:
    """A cluster whose lab lives in `folder`.

    Args:
        folder: For everything that it writes.
        nodes: How many nodes.
        failpoints: `move_leader.after=kill` and the like, separated by `;`.
        workers: On which nodes workers run; left out, on the first two, between which the steps are then divided, or on
            all where each reaches its own member alone. A worker takes as long to start as an API server.
        others: Further options of the lab.
    """
    names = tuple(f"node{i}" for i in range(nodes))
    env = ((FAILPOINTS_VARIABLE, failpoints), (FOLDER_VARIABLE, str(folder))) if failpoints else ()
    options = LabOptions(
        nodes=nodes,
        workers=(names if others.get("isolated") else names[:2]) if workers is None else workers,
        directory=folder / "lab",
        worker_env=env,
        **{"forked": True, **others},
    )
    async with Lab(options) as lab:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in lab.environment.items():
                patch.setitem(os.environ, name, value)
            await lab.wait_for_health_interval()
            async with AsyncExitStack() as stack:
                points = tuple(item.partition("=")[0] for item in failpoints.split(";") if item)
                yield LiveCluster(lab, await connect(), folder, stack, points)


@pytest.fixture
def live_cluster(tmp_path: Path) -> MakeLiveCluster:
    """What sets a cluster up for one test: `async with` it, with what `open_cluster` takes."""
    return partial(open_cluster, tmp_path)


async def start_workers_of_k0s(b: LiveCluster) -> None:
    """Workers on all nodes, with `sets_leave = true` in their profile, as k0s's preset has it."""
    own = {b.lab.environment_on(node.name).get("ETCD_HANDOFF_CONFIG", b.lab.config_path) for node in b.lab.nodes}
    for path in map(Path, own):
        path.write_text(f"{path.read_text()}sets_leave = true\n")
    for node in b.lab.nodes:
        await b.lab.start_worker(node.name)


@dataclass
class KubectlUser:
    """A cluster with a watcher, as somebody uses it who knows kubectl alone."""

    cluster: LiveCluster
    watch: WorkflowHandle[object, object]

    async def flag(self, *members: str, via: str, leave: bool = True) -> None:
        """`kubectl patch` of `spec.leave`."""
        patch = ["--type", "merge", "-p", json.dumps({"spec": {"leave": leave}})]
        await self.cluster.lab.kubectl("patch", "etcdmember", *members, *patch, context=via)

    async def out(self, *members: str, via: str, timeout: str = "120s") -> None:
        """`kubectl wait` until they have left."""
        condition = ["--for", "condition=Joined=False", f"--timeout={timeout}"]
        names = [f"etcdmember/{member}" for member in members]
        await self.cluster.lab.kubectl("wait", *names, *condition, context=via, timeout=timeout)

    async def status(self, member: str, via: str) -> dict[str, Any]:
        """The status of an EtcdMember."""
        status: dict[str, Any] = (await self.cluster.lab.etcdmembers(via))[member]["status"]
        return status

    async def says(self, member: str, *words: str, via: str) -> str:
        """The message of an EtcdMember, once it has all these words."""
        messages = [""]

        async def all_words() -> bool:
            messages.append(str((await self.status(member, via)).get("message")))
            return all(word in messages[-1] for word in words)

        await wait_until(all_words, f"EtcdMember {member} says {words}", 60, lambda: f"it says {messages[-1]}")
        return messages[-1]

    async def sees_all(self) -> None:
        """The watcher has seen the EtcdMembers of all members."""

        async def seen() -> bool:
            return len((await self.watching())["members"]) == len(self.cluster.lab.nodes)

        await wait_until(seen, "the watcher has seen all EtcdMembers", 60)

    async def watching(self) -> dict[str, Any]:
        """What the watcher tells of itself."""
        answer: dict[str, Any] = await self.watch.query("status")
        return answer


@pytest.fixture
def kubectl_user(live_cluster: MakeLiveCluster) -> Callable[..., AbstractAsyncContextManager[KubectlUser]]:
    """As `live_cluster`, with a watcher; `first` happens before it starts."""

    @asynccontextmanager
    async def make(
        *, resync_seconds: float = 300, first: Callable[[LiveCluster], Awaitable[None]] | None = None, **options: Any
    ) -> AsyncIterator[KubectlUser]:
        async with live_cluster(**options) as b:
            if first is not None:
                await first(b)
            yield await watched(b, resync_seconds)

    return make


async def watched(b: LiveCluster, resync_seconds: float = 300) -> KubectlUser:
    """The cluster with a watcher."""
    return KubectlUser(b, await start_watcher(b, resync_seconds))


async def start_watcher(b: LiveCluster, resync_seconds: float = 300) -> WorkflowHandle[object, object]:
    """The watcher of this cluster."""
    request = ReconcileEtcdMembersRequest(cluster=b.lab.cluster, resync_seconds=resync_seconds)
    handle: WorkflowHandle[object, object] = await b.client.start_workflow(
        "ReconcileEtcdMembers", request, id=watcher_id(b.lab.cluster), task_queue=TASK_QUEUE
    )
    return handle


MakeKubectlUser = Callable[..., AbstractAsyncContextManager[KubectlUser]]


@pytest.fixture(scope="module")
def shared_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what the tests of a file share; as `tmp_path`, it stays if one of them failed."""
    failed = request.session.testsfailed
    folder = tmp_path_factory.mktemp(request.path.stem)
    yield folder
    if request.session.testsfailed == failed:
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(shared_path: Path) -> AsyncIterator[Cluster]:
    """One cluster for all answers that leave it as it was."""
    options = LabOptions(kubernetes=False, temporal=False, directory=shared_path)
    async with Lab(options) as lab:
        yield Cluster(lab, await lab.add_learner())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relayed(shared_path: Path) -> AsyncIterator[RelayedServers]:
    """Two nodes for all tests; each leaves them as they were."""
    async with relayed_servers(shared_path) as servers:
        yield servers


@pytest.fixture
def one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next API server is asked when the one before has failed, not already when it takes its time."""
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, hedge_seconds=60.0))

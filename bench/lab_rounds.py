"""A lab of three members whose leader is removed again and again: what was removed is brought back in between."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import os
import re
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from etcd_handoff.lab import Lab, Role, http, observer
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.cluster import HEALTH_INTERVAL_SECONDS
from etcd_handoff.lab.nodes import bearer
from etcd_handoff.lab.waiting import ProcessError, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from etcd_handoff.lab.nodes import Node

BEGINS: Final = re.compile("starts to transfer leadership")
"""What the old leader logs when a transfer begins (raft `raft.go`, stepLeader)."""
HEARS: Final = re.compile(r"raft\.node: \w+ (lost|changed) leader")
"""What a member logs when it hears of a higher term (raft `node.go`, run)."""
FILL_SECONDS: Final = 30.0
"""How long one large put may take."""
PATCH: Final = {**bearer(), "Content-Type": "application/merge-patch+json"}


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is who in one removal.

    Attributes:
        leader: The node whose member leaves.
        writer: A survivor, through which a writer writes.
        other: The other survivor, through whose API server somebody looks.
    """

    leader: str
    writer: str
    other: str


class KubectlWatch:
    """`kubectl get --watch` of one EtcdMember through the API server of one node.

    It asks for a list of one: of a single object kubectl throws the first event of its watch away, which it takes for
    what it has shown already (`watch` in kubectl's pkg/cmd/get/get.go), so that a change which comes before the watch
    stands is never shown. The watch of a list begins where the list ended.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def of(cls, lab: Lab, member: str, context: str) -> Self:
        """It has shown what is now: Joined=True."""
        found = locate_binaries()
        show = 'jsonpath={.status.conditions[?(@.type=="Joined")].status}{"\\n"}'
        process = await asyncio.create_subprocess_exec(
            str(found.kubectl),
            *("--kubeconfig", str(lab.kubeconfig_path), "--context", context),
            *("get", "etcdmembers", "--field-selector", f"metadata.name={member}", "--watch", "-o", show),
            stdout=asyncio.subprocess.PIPE,
        )
        watch = cls(process)
        await watch.shows("True")
        return watch

    async def shows(self, joined: str) -> float:
        """When it shows this, in seconds of `time.perf_counter`."""
        if self._process.stdout is None:
            msg = "kubectl has no output"
            raise RuntimeError(msg)
        async with asyncio.timeout(30):
            while line := await self._process.stdout.readline():
                if line.decode().strip() == joined:
                    return time.perf_counter()
        msg = "kubectl's watch ended"
        raise RuntimeError(msg)

    async def end(self) -> None:
        """It has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def watching(lab: Lab, member: str, context: str) -> AsyncIterator[KubectlWatch]:
    """A watch that ends with the block."""
    watch = await KubectlWatch.of(lab, member, context)
    try:
        yield watch
    finally:
        await watch.end()


async def roles(lab: Lab) -> Roles:
    """Who is who now."""
    leader = await lab.leader()
    writer, other, *_ = (node.name for node in lab.others(leader))
    return Roles(leader, writer, other)


def keep_apart(lab: Lab, leaving: str) -> None:
    """The members that stay and whoever measures have a core of their own; all else shares the rest.

    In a real cluster the member that leaves stands on a host of its own: its end takes nothing from the others.

    Args:
        lab: It runs.
        leaving: The node whose member leaves next.

    Raises:
        RuntimeError: There is one core only.
    """
    # The first process's cores: this one has only some of them once it has been kept apart.
    first, *others = sorted(os.sched_getaffinity(1))
    if not others:
        msg = "two cores are needed to keep etcd apart from what else runs"
        raise RuntimeError(msg)
    etcd = [lab.process(Role.ETCD, node.name) for node in lab.others(leaving)]
    rest = [lab.process(role, node.name) for role in (Role.APISERVER, Role.WORKER) for node in lab.nodes]
    rest += [lab.process(Role.ETCD, leaving), lab.process(Role.TEMPORAL)]
    for cores, pids in (({first}, [os.getpid(), *(p.pid for p in etcd)]), (set(others), [p.pid for p in rest])):
        for pid in pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    os.sched_setaffinity(int(thread.name), cores)


def transfer(lab: Lab, who: Roles) -> tuple[float, float]:
    """When the last transfer began at the old leader, and when the writer's member heard of it, in monotonic seconds.

    By their own logs. In between the leader drops what that member forwards to it (raft `leadTransferee`).

    Raises:
        ValueError: The logs tell of none.
    """
    began = max(_logged(lab, who.leader, BEGINS), default=math.inf)
    heard = min((at for at in _logged(lab, who.writer, HEARS) if at >= began), default=None)
    if heard is None:
        msg = f"the logs of {who.leader} and {who.writer} tell of no transfer"
        raise ValueError(msg)
    boot = time.time() - time.monotonic()
    return began - boot, heard - boot


def _logged(lab: Lab, name: str, words: re.Pattern[str]) -> list[float]:
    """When a member has logged these words, in seconds since the epoch."""
    lines = lab.process(Role.ETCD, name).log.read_text(errors="replace").splitlines()
    return [datetime.fromisoformat(json.loads(line)["ts"]).timestamp() for line in lines if words.search(line)]


async def settle(lab: Lab) -> None:
    """All members have a leader, all peers are connected, and etcd takes changes of its membership."""
    await asyncio.gather(*(lab.ready(Role.ETCD, node.name) for node in lab.nodes))
    await lab.leader()
    peers, counts = len(lab.nodes) - 1, [0]

    async def connected() -> bool:
        counts[:] = await asyncio.gather(*(_active_peers(node.etcd_url) for node in lab.nodes))
        return min(counts) >= peers

    await wait_until(connected, f"all have {peers} peers", 30, lambda: f"they have {counts}")
    await asyncio.sleep(HEALTH_INTERVAL_SECONDS)


async def clear(lab: Lab, node: Node) -> None:
    """The node of a member that has left is free again: its process has ended, and its data are gone."""
    if lab.alive(Role.ETCD, node.name):
        await lab.kill(Role.ETCD, node.name)
    await asyncio.to_thread(shutil.rmtree, lab.directory / node.name / "etcd")


async def fill(url: str, values: int, value_bytes: int) -> None:
    """Put so many values of random bytes, which cannot be compressed."""
    for number in range(values):
        value = base64.b64encode(os.urandom(value_bytes)).decode()
        key = base64.b64encode(f"fill/{number}".encode()).decode()
        await http.post(f"{url}/v3/kv/put", {"key": key, "value": value}, timeout_seconds=FILL_SECONDS)


async def bring_back(lab: Lab, name: str) -> None:
    """A removed member is a member again, with an empty data directory and a new ID, and its EtcdMember says so."""
    await lab.kill(Role.ETCD, name)
    node, via = lab.node(name), lab.others(name)[0]
    await lab.leader()
    await observer.change_members(f"{via.etcd_url}/v3/cluster/member/add", {"peerURLs": [node.peer_url]})
    await asyncio.to_thread(shutil.rmtree, lab.directory / name / "etcd")
    process = lab.process(Role.ETCD, name)
    if "--initial-cluster-state=existing" not in process.command:
        process.command.append("--initial-cluster-state=existing")
    await lab.start(Role.ETCD, name)
    await asyncio.gather(_settle_again(lab, name), _recorded_again(lab, name, via.api_url))


async def _settle_again(lab: Lab, name: str) -> None:
    try:
        await settle(lab)
    except ProcessError:
        # At times a stream between two peers is not taken for active until it is made anew.
        await lab.restart(Role.ETCD, name)
        await settle(lab)


async def _recorded_again(lab: Lab, name: str, api_url: str) -> None:
    if lab.options.kubernetes:
        # It lost its etcd; it does not get over that in all cases.
        await lab.restart(Role.APISERVER, name)
        await _say_joined(lab, name, api_url)


async def _say_joined(lab: Lab, name: str, api_url: str) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Joined", "status": "True", "message": "Member joined", "lastTransitionTime": since}
    status = {"memberID": await lab.member_id(name), "message": "Member joined", "conditions": [condition]}
    url = f"{api_url}/apis/etcd.k0sproject.io/v1beta1/etcdmembers/{name}"
    await _patched(url, {"spec": {"leave": False}})
    await _patched(f"{url}/status", {"status": status})


async def _patched(url: str, patch: dict[str, Any]) -> None:
    status, text = await http.request(url, patch, method="PATCH", headers=PATCH, timeout_seconds=10)
    if status != 200:
        raise OSError(text)


async def _active_peers(url: str) -> int:
    try:
        _, text = await http.request(f"{url}/metrics")
    except http.FAILURES:
        return 0
    lines = [line for line in text.splitlines() if line.startswith("etcd_network_active_peers{")]
    return sum(line.rpartition(" ")[2] == "1" for line in lines)


async def etcdctl(lab: Lab, *arguments: str, endpoints: list[str]) -> Any:
    """The answer of etcdctl, from its JSON.

    Raises:
        OSError: It failed.
    """
    urls = ",".join(lab.node(name).etcd_url for name in endpoints)
    process = await asyncio.create_subprocess_exec(
        str(locate_binaries().etcdctl),
        *("--endpoints", urls, "--write-out", "json", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise OSError(errors.decode())
    try:
        return json.loads(output)
    except ValueError:  # `move-leader` answers in words
        return output.decode()

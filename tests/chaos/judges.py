"""What must be true after a case, whatever struck. Each judge raises AssertionError with what it saw."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import ProcessError, http, judge, wait_until
from etcd_handoff.lab.resources import joined
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from etcd_handoff.model import FailureType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterable, Mapping

    from temporalio.client import Client

    from etcd_handoff.lab.writer import WriteReport

QUORUM_SECONDS: Final = 15.0
"""How long the cluster that is left may take to answer while something strikes: a few elections."""

IDLE_SECONDS: Final = 90.0
"""How long the queue of a cluster may take to notice that its last removal has ended, on a worker that was struck."""


def members_are(listed: Iterable[str], before: Iterable[str], target: str) -> None:
    """Exactly the target has left."""
    assert set(listed) == set(before) - {target}, f"members are {sorted(listed)}, and {target} was to leave"


async def quorum_is_kept(url: str, target: str, seconds: float = QUORUM_SECONDS) -> None:
    """The target is still a member, or those that remain have a quorum; for before what struck is undone.

    A removal that leaves no quorum is committed and so stands in the member's own list; a linearizable read, which
    needs a quorum, then has no answer.
    """

    async def kept() -> bool:
        with contextlib.suppress(*http.FAILURES):
            own = await http.post(f"{url}/v3/cluster/member/list", {})
            return target in {m.get("name") for m in own["members"]} or bool(await judge.list_members(url))
        return False

    await _becomes(kept, f"those that remain without {target} have a quorum", seconds)


def resources_agree(listed: Iterable[str], resources: Mapping[str, dict[str, Any]]) -> None:
    """No EtcdMember says anything else than the member list."""
    present = set(listed)
    lies = {name: joined(r) for name, r in resources.items() if joined(r) != str(name in present)}
    assert not lies, f"members are {sorted(present)}, but EtcdMembers say Joined: {lies}"


async def writes_are_there(report: WriteReport, urls: list[str]) -> None:
    """Every surviving voter has every acknowledged write."""
    assert report.acknowledged, "no write was acknowledged, so nothing was judged"
    lost = await missing(report, urls)
    assert not lost, f"acknowledged writes are missing: { {url: len(numbers) for url, numbers in lost.items()} }"


def revisions_go_forward(report: WriteReport) -> None:
    """A put that was sent after another one had been acknowledged has a higher revision than that."""
    answered = sorted(report.acknowledged, key=lambda put: put.answered, reverse=True)
    highest = 0
    for put in sorted(report.acknowledged, key=lambda put: put.sent):
        while answered and answered[-1].answered < put.sent:
            highest = max(highest, answered.pop().revision)
        assert put.revision > highest, f"put {put.number} has revision {put.revision}, and {highest} was known before"


async def revisions_are_kept(report: WriteReport, urls: list[str]) -> None:
    """No surviving voter is behind the highest revision that was acknowledged."""
    highest = max(put.revision for put in report.acknowledged)
    reached = {url: int((await _hash(url, 0))["header"]["revision"]) for url in urls}
    behind = {url: revision for url, revision in reached.items() if revision < highest}
    assert not behind, f"revision {highest} was acknowledged, and members are at {behind}"


async def hashes_agree(urls: list[str]) -> None:
    """All surviving voters hold the same data at one revision, whatever is written meanwhile.

    Hashes of members can be compared where these have compacted equally (`InitialCheck` in etcd's
    server/etcdserver/corrupt.go); API servers compact for the first time after five minutes.
    """
    newest = [await _hash(url, 0) for url in urls]
    revision = min(int(answer["header"]["revision"]) for answer in newest)
    answers = {url: await _hash(url, revision) for url in urls}
    hashes = {url: (answer["hash"], answer.get("compact_revision")) for url, answer in answers.items()}
    assert len(set(hashes.values())) == 1, f"hashes at revision {revision} differ (hash, compacted at): {hashes}"


async def writes_go_on(url: str, folder: Path) -> None:
    """The cluster that is left takes writes."""
    async with OpenLoopWriter(url, folder) as writer:
        report = await writer.stop()
    assert report.acknowledged, f"no further write is acknowledged: {dict(report.reasons)}"


async def nothing_runs(client: Client, seconds: float = IDLE_SECONDS) -> None:
    """No workflow is open any more: no removal, and no queue that waits for one."""
    open_ones: list[str] = []

    async def none() -> bool:
        open_ones[:] = [run.id async for run in client.list_workflows("ExecutionStatus = 'Running'")]
        return not open_ones

    await _becomes(none, "no workflow is open", seconds, lambda: str(open_ones))


def nothing_is_left(before: Container[int]) -> None:
    """No process that this one has started runs any more, but those that ran before."""
    left = {process_id: command for process_id, command in children().items() if process_id not in before}
    assert not left, f"the lab has closed, and these run: {left}"


def children() -> dict[int, str]:
    """Processes of ours that run, by process ID, with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def ended_well(outcome: str, *, recorded: bool, has_resource: bool) -> None:
    """The removal says that the member is out, and that its resource says so too."""
    assert outcome in ("removed", "already-absent"), outcome
    assert recorded or not has_resource, "the status was not recorded"


def refused_truly(kind: str | None, message: str, *, has_resource: bool) -> None:
    """The one refusal that can be right here: who is neither a member nor remembered by an EtcdMember is unknown."""
    assert kind == FailureType.UNKNOWN_MEMBER, f"{kind}: {message}"
    assert not has_resource, f"its EtcdMember knows it: {message}"


async def _becomes(
    check: Callable[[], Awaitable[bool]], what: str, seconds: float, seen: Callable[[], str] = lambda: ""
) -> None:
    try:
        await wait_until(check, what, seconds, seen)
    except ProcessError as error:
        raise AssertionError(str(error)) from error


async def _hash(url: str, revision: int) -> dict[str, Any]:
    """HashKV, which is of the keys up to a revision; `maintenance/hash` is of all that is stored, whatever asked."""
    return await http.post(f"{url}/v3/maintenance/hashkv", {"revision": str(revision)})

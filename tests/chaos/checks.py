"""What must be true after a case, whatever its fault. Each check raises AssertionError with what it saw."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from etcd_handoff.contract import FailureType
from etcd_handoff.lab import ProcessError, Role, http, observer, wait_until
from etcd_handoff.lab.resources import joined
from etcd_handoff.lab.writer import OpenLoopWriter, missing
from tests.chaos.cases import TAKES_WRITES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
    from types import TracebackType

    from temporalio.client import Client

    from etcd_handoff.lab import Lab, ListedMember
    from etcd_handoff.lab.writer import WriteReport
    from tests.chaos.cases import Case

QUORUM_SECONDS: Final = 15.0
"""How long the cluster that is left may take to answer with the fault in place: a few elections."""

LOCK_KEY: Final = "/etcd-handoff/change"
LOCK_SECONDS: Final = 30.0
"""Longer than a step that was cut short takes to run again."""
MEMORY_SECONDS: Final = 0.1

RECORDED_SECONDS: Final = 60.0
"""How long what could not be recorded may take to come by itself once nothing is in its way."""
IDLE_SECONDS: Final = 90.0
"""How long the queue of a cluster may take to notice that its last removal has ended, on a worker that met a fault."""


def members_are(
    members: Iterable[ListedMember], before: Iterable[ListedMember], target: str, *, returns: bool = False
) -> None:
    """Exactly the target has left; where its node returns, it is a member of another ID and nobody else is new."""
    old = {m.id for m in before if m.name != target}
    left = {m.id for m in before if m.name == target}
    listed = list(members)
    new = [m.name for m in listed if m.id not in old]
    right = {m.id for m in listed} >= old and not left & {m.id for m in listed} and new == [target] * returns
    assert right, f"members are {[(m.name, m.id) for m in listed]}, and {target} ({', '.join(left)}) was to leave"


def membership_is(members: Iterable[ListedMember], voters: Iterable[str], learners: Iterable[str] = ()) -> None:
    """Exactly these members vote, and exactly these are learners, by ID: a name may have another member's data."""
    listed = list(members)
    right = (sorted(voters), sorted(learners))
    ids = tuple(sorted(m.id for m in listed if m.is_learner is learner) for learner in (False, True))
    assert ids == right, f"members are {listed}, and voters {right[0]} and learners {right[1]} would be right"


def nobody_down_got_a_vote(lists: Sequence[Iterable[ListedMember]]) -> None:
    """Of the member lists read while a learner was down, none gives it the vote that the one before it did not.

    Etcd itself would promote one that has just died: it compares what it has sent to it, and asks nobody.
    """
    for before, after in itertools.pairwise(lists):
        learners = {m.id for m in before if m.is_learner}
        promoted = [m.id for m in after if m.id in learners and not m.is_learner]
        assert not promoted, f"a learner was promoted while it was down: {promoted}"


async def change_is_right(  # noqa: PLR0913  # each is a check's
    lab: Lab,
    client: Client | None,
    *,
    voters: Iterable[str],
    learners: Iterable[str] = (),
    down: Sequence[Iterable[ListedMember]] = (),
    reports: Iterable[WriteReport] = (),
) -> None:
    """What must be true after an addition, a replacement or an applied membership, however it ended.

    Args:
        lab: Where it was done; all its voters run.
        client: Of the Temporal server; None where the lab has none.
        voters: IDs of the members that vote.
        learners: IDs of the learners, which are somebody else's.
        down: Member lists read while a learner was down, in order.
        reports: What writers were acknowledged meanwhile.
    """
    members = await lab.members()
    membership_is(members, voters, learners)
    nobody_down_got_a_vote(down)
    names = [m.name for m in members if not m.is_learner]
    urls = [lab.node(name).etcd_url for name in names]
    for report in reports:
        await writes_are_there(report, urls)
        revisions_go_forward(report)
        await revisions_are_kept(report, urls)
    await hashes_agree(urls)
    await writes_are_acknowledged(urls[0])
    for name in set(names) & set(lab.nodes_with(Role.APISERVER)):
        await resources_come_to_agree(lab.members, partial(lab.etcdmembers, name), RECORDED_SECONDS)
    await no_lock_remains(urls[0])
    if client is not None:
        await nothing_runs(client)


async def quorum_is_kept(url: str, target: str, seconds: float = QUORUM_SECONDS) -> None:
    """The target is still a member, or those that remain have a quorum; for before the fault is undone.

    A removal that leaves no quorum is committed and so stands in the member's own list; a linearizable read, which
    needs a quorum, then has no answer.
    """

    async def kept() -> bool:
        with contextlib.suppress(*http.FAILURES):
            own = await http.post(f"{url}/v3/cluster/member/list", {})
            return target in {m.get("name") for m in own["members"]} or bool(await observer.list_members(url))
        return False

    await _becomes(kept, f"those that remain without {target} have a quorum", seconds)


async def nothing_is_stopped(case: Case, url: str, target: str, *, done: bool, seconds: float = QUORUM_SECONDS) -> None:
    """No removal takes the quorum or the writes; for before the fault is undone.

    A removal that was proposed before the fault may meet one that takes a voter which it needs: then the fault has
    stopped the writes, and not the removal.

    Args:
        case: Which fault, and when.
        url: Client URL of a member that stays.
        target: The member that leaves.
        done: Whether the removal has ended.
        seconds: How long each answer may take.
    """
    if not case.proposed:
        await quorum_is_kept(url, target, seconds)
    if case.commits or (done and not case.proposed and case.fault not in TAKES_WRITES):
        await writes_are_acknowledged(url, seconds)


def resources_agree(members: Iterable[ListedMember], resources: Mapping[str, dict[str, Any]]) -> None:
    """No EtcdMember, the target's or another's, says anything else than the member list, and none is a stranger's.

    Members that have one are said to be members, with their ID; whoever is none is not said to be one.
    """
    present = {m.name: m.id for m in members}
    lies = {
        name: (joined(r), said_id(r))
        for name, r in resources.items()
        if (joined(r), said_id(r) if name in present else "") != (str(name in present), present.get(name, ""))
    }
    assert not lies, f"members are {present}, but EtcdMembers say (Joined, member ID): {lies}"


def said_id(resource: Mapping[str, Any]) -> str:
    """The member that an EtcdMember describes."""
    return str(resource.get("status", {}).get("memberID", ""))


async def resources_come_to_agree(
    members: Callable[[], Awaitable[Iterable[ListedMember]]],
    resources: Callable[[], Awaitable[Mapping[str, dict[str, Any]]]],
    seconds: float,
) -> None:
    """As `resources_agree`, within some time: what could not be written by the end of a removal comes by itself."""
    errors = [""]

    async def agree() -> bool:
        try:
            resources_agree(await members(), await resources())
        except AssertionError as error:
            errors.append(str(error))
            return False
        return True

    await _becomes(agree, "EtcdMembers say what is so", seconds, lambda: errors[-1])


def denied(
    before: Iterable[ListedMember], resources: Mapping[str, dict[str, Any]], after: Iterable[ListedMember]
) -> dict[str, str]:
    """EtcdMembers that said of a present member that it is none: name of the EtcdMember and ID of the member.

    Args:
        before: The member list before the EtcdMembers were read.
        resources: The EtcdMembers.
        after: The member list afterwards: who is in both was a member meanwhile.
    """
    present = {m.id for m in before} & {m.id for m in after}
    return {name: said_id(r) for name, r in resources.items() if joined(r) == "False" and said_id(r) in present}


def never_denied(looks: int, lies: Mapping[str, str]) -> None:
    """EtcdMembers were read, and none said of a present member that it is none."""
    assert looks, "EtcdMembers could never be read, so nothing was judged"
    assert not lies, f"EtcdMembers said Joined=False of members that were present: {lies}"


class Memory:
    """What EtcdMembers said during a case, read again and again through one node, and which of it was a lie.

    Args:
        lab: The running lab.
        via: The node whose etcd and API server are asked.

    Attributes:
        lies: EtcdMembers that said of a present member that it is none.
        looks: How often they were read.
    """

    def __init__(self, lab: Lab, via: str) -> None:
        self._lab, self._via = lab, via
        self._task: asyncio.Task[None] | None = None
        self.lies: dict[str, str] = {}
        self.looks = 0

    async def __aenter__(self) -> Self:
        """Begin."""
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def nobody_was_denied(self) -> None:
        """No present member was said to be none, at any time."""
        never_denied(self.looks, self.lies)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(ProcessError, *http.FAILURES):
                before = await self._lab.members(self._via)
                resources = await self._lab.etcdmembers(self._via)
                self.lies |= denied(before, resources, await self._lab.members(self._via))
                self.looks += 1
            await asyncio.sleep(MEMORY_SECONDS)


async def no_lock_remains(url: str, seconds: float = LOCK_SECONDS) -> None:
    """Nobody holds the lock in etcd that excludes other changes."""
    key = base64.b64encode(LOCK_KEY.encode()).decode()
    holders: list[str] = []

    async def none() -> bool:
        with contextlib.suppress(*http.FAILURES):
            answer = await http.post(f"{url}/v3/kv/range", {"key": key})
            holders[:] = [base64.b64decode(pair["value"]).decode(errors="replace") for pair in answer.get("kvs", [])]
            return not holders
        return False

    await _becomes(none, f"{LOCK_KEY} is gone", seconds, lambda: str(holders))


async def writes_are_acknowledged(url: str, seconds: float = QUORUM_SECONDS) -> None:
    """The cluster takes a write as it is, with the fault still in place."""
    body = {"key": base64.b64encode(b"handoff-lab/unhealed").decode(), "value": ""}

    async def acknowledged() -> bool:
        with contextlib.suppress(*http.FAILURES):
            return bool(await http.post(f"{url}/v3/kv/put", body, timeout_seconds=seconds))
        return False

    await _becomes(acknowledged, "a write is acknowledged before anything is healed", seconds)


def ended_rightly(ended: str, right: Iterable[str]) -> None:
    """The case ended in one of the ways that are right for it."""
    assert ended in right, f"it ended {ended}, and {' or '.join(right)} would be right"


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
    async with OpenLoopWriter(url, folder, forked=True) as writer:
        report = await writer.stop()
    assert report.acknowledged, f"no further write is acknowledged: {dict(report.reasons)}"


async def nothing_runs(client: Client, seconds: float = IDLE_SECONDS) -> None:
    """No workflow is open any more: no removal, and no queue that waits for one."""
    open_ones: list[str] = []

    async def none() -> bool:
        open_ones[:] = [run.id async for run in client.list_workflows("ExecutionStatus = 'Running'")]
        return not open_ones

    await _becomes(none, "no workflow is open", seconds, lambda: str(open_ones))


def nothing_remains(before: Container[int]) -> None:
    """No process that this one has started runs any more, but those that ran before."""
    left = {process_id: command for process_id, command in children().items() if process_id not in before}
    assert not left, f"the lab has closed, and these run: {left}"


def children() -> dict[int, str]:
    """Processes of ours that run, by process ID, with their command lines."""
    commands = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                commands[int(entry.name)] = command.decode(errors="replace")
    return commands


def ended_well(outcome: str) -> None:
    """The removal says that the member has left."""
    assert outcome in ("removed", "already-absent"), outcome


def recorded_or_said(*, recorded: bool, has_resource: bool, note: str) -> None:
    """The removal says that the member's EtcdMember says so too, or why it does not."""
    assert recorded or not has_resource or note, "the status was not recorded, and the result does not say why"


def refused_truly(kind: str | None, message: str, *, has_resource: bool) -> None:
    """The one refusal that can be right here: who is neither a member nor remembered by an EtcdMember is unknown."""
    assert kind == FailureType.UNKNOWN_MEMBER, f"{kind}: {message}"
    assert not has_resource, f"its EtcdMember knows it: {message}"


def refused_for_rights(kind: str | None, message: str) -> None:
    """The removal says that etcd does not allow it, and what to do."""
    right = kind == FailureType.PERMISSION_DENIED and "a user with the root role" in message
    assert right, f"{kind}: {message}"


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

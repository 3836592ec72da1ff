"""An etcd cluster and its EtcdMembers as a program: what gateways would see of it, do to it, and run into.

Real are the workflows, the activities, the planner and Temporal; a model stands for what lies behind the gateways. It
counts every call, and at some of them something happens, as its script says. After the script's last entry everything
is mended, so that progress is possible wherever etcd allows any. It judges each change at the moment of its effect.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.errors import (
    ApiUnavailableError,
    ConflictError,
    MemberNotFoundError,
    NotLeaderError,
    ObjectGoneError,
    UnhealthyClusterError,
    UnknownOutcomeError,
    UnreachableError,
)
from etcd_handoff.model import ClusterView, MemberView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CALMS_AFTER: Final = 4
"""Calls after the script's last entry until everything is mended."""
MAYBE: Final = "may have taken place"
"""What a failure has to say when nobody could be asked any more after the removal was proposed."""
LAST_CALL: Final = 400
"""More calls than any removal needs: a loop that makes them goes round in circles."""


class Trouble(StrEnum):
    """What happens at a call."""

    ANSWER_LOST = "the effect takes place, its answer is lost"
    NO_EFFECT = "nothing takes place, and no answer comes"
    CRASH = "the effect takes place, and the worker dies"
    REFUSED = "etcd refuses changes for now"
    LEADER_MOVES = "somebody moves leadership"
    NO_LEADER = "the leader is lost, and nobody is elected"
    OTHER_DIES = "another voter dies"
    TARGET_DIES = "the target dies"
    TARGET_REMOVED = "somebody removes the target"
    OTHER_REMOVED = "somebody removes another voter"
    NAMESAKE = "somebody replaces the target by a new member of the same name"
    ADDED = "somebody adds a voter that has not started"
    API_GONE = "no API server answers"
    CONFLICT = "somebody writes the EtcdMember at the same moment"
    RESOURCE_DELETED = "somebody deletes the target's EtcdMember"


class CrashError(Exception):
    """What the workflow sees of a worker that died in a step: the step has failed, nobody knows how far it came."""


@dataclass
class Member:
    """One member.

    Attributes:
        id: Member ID.
        name: Member name; empty while it has not started.
        voter: Whether it has a vote.
        alive: Whether it runs.
    """

    id: str
    name: str
    voter: bool = True
    alive: bool = True


@dataclass
class Cluster:
    """The model.

    Attributes:
        number: Makes IDs distinct.
        members: By ID.
        leader: ID of the leader; empty while there is none.
        target: Name of the member that is to leave.
        script: What happens, by the number of the call.
        resources: EtcdMembers by name.
        term: Raft term.
        calls: Calls so far.
        wrong: Invariants that were broken, in words.
        removed: IDs that we removed.
        states: Different states that calls have met.
    """

    number: int
    members: dict[str, Member]
    leader: str
    target: str
    script: Mapping[int, Trouble]
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    term: int = 2
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    _pinned: str = ""
    _sure: bool = False
    """Nothing has happened since somebody of ours last looked."""
    _absent: bool = False
    _write: int = 0
    _crashes: bool = False

    @property
    def cluster_id(self) -> str:
        """The cluster's ID."""
        return f"c{self.number:x}"

    # --- what gateways ask ----------------------------------------------------------------------------------------

    def view(self) -> ClusterView:
        """What a look shows; the first one pins the target."""
        trouble = self._call()
        if trouble in (Trouble.NO_EFFECT, Trouble.ANSWER_LOST):
            raise UnreachableError(trouble)
        if trouble is Trouble.CRASH:
            raise CrashError(trouble)
        if not self._quorum(self.members.values()):
            msg = "no quorum"
            raise UnreachableError(msg)
        if not self._pinned:
            self._pinned = next((m.id for m in self.members.values() if m.name == self.target), "")
        self._sure, self._absent = True, bool(self._pinned) and self._pinned not in self.members
        members = tuple(
            MemberView(
                id=m.id,
                name=m.name,
                peer_urls=(f"http://{m.id}:2380",),
                is_learner=not m.voter,
                reachable=m.alive,
                leader_id=(self.leader or None) if m.alive else None,
                term=self.term if m.alive else 0,
                raft_index=100 if m.alive else 0,
            )
            for m in sorted(self.members.values(), key=lambda m: int(m.id, 16))
        )
        return ClusterView(cluster_id=self.cluster_id, members=members)

    def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term as a member names them; watching a transfer is no step of the script."""
        if self._crashes:
            self._crashes = False
            raise CrashError(Trouble.CRASH)
        member = self.members.get(member_id)
        if member is None or not member.alive:
            msg = "it does not answer"
            raise UnreachableError(msg)
        return self.leader or None, self.term

    def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """Leadership goes to the transferee."""
        trouble = self._call()
        if trouble is Trouble.NO_EFFECT:
            raise UnknownOutcomeError(trouble)
        if self.leader != leader_id:
            msg = "not leader"
            raise NotLeaderError(msg)
        transferee = self.members.get(transferee_id)
        if self._sure and (transferee is None or not transferee.voter or not transferee.alive):
            self.wrong.append("leadership was offered to somebody who cannot take it")
        if transferee_id == self._pinned:
            self.wrong.append("leadership was offered to the target")
        if transferee is not None and transferee.voter and transferee.alive:
            self.leader, self.term = transferee_id, self.term + 1
        self._crashes = trouble is Trouble.CRASH

    def remove_member(self, member_id: str, via_id: str) -> None:
        """The member is out; everything that must never happen is looked for first."""
        trouble = self._call()
        if trouble is Trouble.REFUSED:
            raise UnhealthyClusterError(trouble)
        via = self.members.get(via_id)
        if trouble is Trouble.NO_EFFECT or via is None or not via.alive or not self._quorum(self.members.values()):
            msg = "no definite answer"
            raise UnknownOutcomeError(msg)
        if member_id != self._pinned:
            self.wrong.append(f"identity: {member_id} was to be removed, and {self._pinned} is the one that is meant")
        if member_id not in self.members:
            if self._absent:
                self.wrong.append("removed once more what a look had shown to be out")
            msg = "member not found"
            raise MemberNotFoundError(msg)
        if self._sure:
            self._judge(member_id, via_id)
        self.removed.append(member_id)
        self._drop(member_id)
        self._fail_after(trouble)

    def get(self, name: str) -> dict[str, Any]:
        """One EtcdMember."""
        self._api()
        if name not in self.resources:
            msg = "there is none"
            raise ObjectGoneError(msg)
        return self.resources[name]

    def everything(self) -> list[dict[str, Any]]:
        """All EtcdMembers."""
        self._api()
        return [*self.resources.values()]

    def patch_status(self, resource: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """The EtcdMember says so, unless somebody was quicker."""
        trouble = self._api()
        name = resource["metadata"]["name"]
        stored = self.resources.get(name)
        if stored is None:
            msg = "there is none"
            raise ObjectGoneError(msg)
        if trouble is Trouble.CONFLICT:
            self._touch(name)
        if self.resources[name]["metadata"]["resourceVersion"] != resource["metadata"]["resourceVersion"]:
            msg = "it has changed"
            raise ConflictError(msg)
        self._touch(name)
        self.resources[name]["status"] = {**self.resources[name]["status"], **status}
        if trouble is Trouble.ANSWER_LOST:
            raise ApiUnavailableError(trouble)
        if trouble is Trouble.CRASH:
            raise CrashError(trouble)
        return self.resources[name]

    # --- what happens ---------------------------------------------------------------------------------------------

    def _call(self) -> Trouble | None:
        number, self.calls = self.calls, self.calls + 1
        if number > LAST_CALL:
            self.wrong.append("the loop goes round in circles")
        if number > max(self.script, default=-1) + CALMS_AFTER:
            self._mend()
        trouble = self.script.get(number)
        self._strike(trouble)
        self.states.add(repr((sorted((m.name, m.voter, m.alive) for m in self.members.values()), self._who(), trouble)))
        return trouble

    def _api(self) -> Trouble | None:
        trouble = self._call()
        if trouble in (Trouble.API_GONE, Trouble.NO_EFFECT):
            raise ApiUnavailableError(trouble)
        return trouble

    def _fail_after(self, trouble: Trouble | None) -> None:
        if trouble is Trouble.ANSWER_LOST:
            raise UnknownOutcomeError(trouble)
        if trouble is Trouble.CRASH:
            raise CrashError(trouble)

    def _strike(self, trouble: Trouble | None) -> None:
        target = next(
            (m for m in self.members.values() if m.id == (self._pinned or m.id) and m.name == self.target), None
        )
        others = [m for m in self.members.values() if m is not target and m.voter and m.alive]
        self._sure = self._sure and trouble in (None, Trouble.ANSWER_LOST, Trouble.NO_EFFECT, Trouble.CRASH)
        if trouble is Trouble.LEADER_MOVES:
            to_target = target is not None and target.voter and target.alive and self.leader != target.id
            wanted = target if to_target else next((m for m in others if m.id != self.leader), None)
            self._elect(wanted)
        elif trouble is Trouble.NO_LEADER:
            self.leader, self.term = "", self.term + 1
        elif trouble is Trouble.OTHER_DIES and others:
            self._die(others[-1])
        elif trouble is Trouble.TARGET_DIES and target is not None:
            self._die(target)
        elif trouble is Trouble.OTHER_REMOVED and len(others) > 1:
            self._drop(others[-1].id)
        elif (
            trouble in (Trouble.TARGET_REMOVED, Trouble.NAMESAKE)
            and target is not None
            and (others or not target.voter)
        ):
            self._drop(target.id)
            if trouble is Trouble.NAMESAKE:
                self._add(Member(f"e{self.number:x}", target.name, voter=target.voter))
        elif trouble is Trouble.ADDED:
            self._add(Member(f"f{self.number:x}", "", alive=False))
        elif trouble is Trouble.RESOURCE_DELETED:
            self.resources.pop(self.target, None)

    def _mend(self) -> None:
        for member in self.members.values():
            if not member.alive:
                member.alive, member.name, self._sure = True, member.name or "late", False
        if not self.leader:
            self._elect(next((m for m in self.members.values() if m.voter), None))

    def _elect(self, member: Member | None) -> None:
        if member is not None and self._quorum(self.members.values()):
            self.leader, self.term, self._sure = member.id, self.term + 1, False

    def _die(self, member: Member) -> None:
        member.alive = False
        if self.leader == member.id:
            self.leader = ""
            self._elect(next((m for m in self.members.values() if m.voter and m.alive), None))

    def _drop(self, member_id: str) -> None:
        del self.members[member_id]
        if self.leader == member_id:
            self.leader = ""
            self._elect(next((m for m in self.members.values() if m.voter and m.alive), None))

    def _add(self, member: Member) -> None:
        self.members.setdefault(member.id, member)

    def _touch(self, name: str) -> None:
        self._write += 1
        resource = self.resources[name]
        metadata = {**resource["metadata"], "resourceVersion": f"w{self._write}"}
        self.resources[name] = {**resource, "metadata": metadata}

    # --- judging --------------------------------------------------------------------------------------------------

    def _judge(self, member_id: str, via_id: str) -> None:
        """A removal right after a look, with nothing in between."""
        left = [m for m in self.members.values() if m.id != member_id]
        if self.members[member_id].voter and not any(m.voter for m in left):
            self.wrong.append("quorum: the last voter was removed")
        elif not self._quorum(left):
            self.wrong.append("quorum: those that remain have none")
        if self.leader == member_id:
            self.wrong.append("transfer: the leader was removed while it led")
        if via_id == member_id:
            self.wrong.append("transfer: the member was removed through itself")

    @staticmethod
    def _quorum(members: Iterable[Member]) -> bool:
        voters = [m for m in members if m.voter]
        return 2 * sum(m.alive for m in voters) > len(voters)

    def _who(self) -> str:
        return self.members[self.leader].name if self.leader in self.members else ""

    def judge_end(self, outcome: str, said: str, *, recorded: bool) -> list[str]:
        """What is not true at the end, beside what was wrong on the way.

        Args:
            outcome: `removed`, `already-absent`, or the type of a failure.
            said: The failure's message.
            recorded: The result says that the EtcdMember tells the truth.
        """
        wrong, pinned = list(self.wrong), self._pinned
        if outcome in ("removed", "already-absent") and pinned in self.members:
            wrong.append(f"it says {outcome}, and the member is there")
        if outcome not in ("removed", "already-absent") and pinned in self.removed and MAYBE not in said:
            wrong.append(f"it says {outcome}: {said}, and we have removed the member")
        if len(self.removed) != len(set(self.removed)) or set(self.removed) - {pinned}:
            wrong.append(f"we removed {self.removed}, and {pinned} was meant")
        for name, resource in self.resources.items():
            says = {c["type"]: c["status"] for c in resource["status"]["conditions"]}["Joined"]
            member_id = resource["status"]["memberID"]
            if says == "False" and member_id in self.members:
                wrong.append(f"EtcdMember {name} says that {member_id} is out, and it is there")
            if recorded and member_id == pinned and says != "False":
                wrong.append(f"it says that EtcdMember {name} was written, and that says Joined={says}")
        return wrong


def resource(name: str, member_id: str) -> dict[str, Any]:
    """An EtcdMember that says what is true of a member."""
    condition = {"type": "Joined", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"memberID": member_id, "peerAddress": "10.0.0.1", "message": "Member joined", "conditions": [condition]}
    metadata = {"name": name, "uid": f"u-{member_id}", "generation": 1, "resourceVersion": "1"}
    return {"kind": "EtcdMember", "metadata": metadata, "spec": {"leave": False}, "status": status}


class ModelEtcd:
    """The gateway to the etcd of a model."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def close(self) -> None:
        """Nothing is open."""

    async def observe(self, doubtful: Iterable[str] = (), leaving: str = "") -> ClusterView:  # noqa: ARG002
        """A look."""
        await asyncio.sleep(0)
        return self._cluster.view()

    async def status_of(self, member_id: str) -> tuple[str | None, int]:
        """One member's own words."""
        return self._cluster.status_of(member_id)

    async def move_leader(self, leader_id: str, transferee_id: str) -> None:
        """A transfer."""
        self._cluster.move_leader(leader_id, transferee_id)

    async def remove_member(self, member_id: str, via_id: str) -> None:
        """A removal."""
        self._cluster.remove_member(member_id, via_id)


class ModelKubernetes:
    """The gateway to the API servers of a model."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def get(self, name: str, departing: str = "") -> dict[str, Any]:  # noqa: ARG002
        """One EtcdMember."""
        return self._cluster.get(name)

    async def list(self, departing: str = "") -> list[dict[str, Any]]:  # noqa: ARG002
        """All EtcdMembers."""
        return self._cluster.everything()

    async def patch_status(
        self,
        resource: dict[str, Any],
        status: dict[str, Any],
        departing: str = "",  # noqa: ARG002
    ) -> dict[str, Any]:
        """A status is written."""
        return self._cluster.patch_status(resource, status)

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:
        """Events are no step of the script."""

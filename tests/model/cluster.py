"""An etcd cluster and its EtcdMembers as a program: what gateways would see of it, do to it, and run into.

Real are the workflows, the activities, the planner and Temporal; a model stands for what lies behind the gateways. It
counts every call, and at some of them something happens, as its script says. After the script's last entry everything
is mended, so that progress is possible wherever etcd allows any. It judges each change at the moment of its effect.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
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
from etcd_handoff.etcdmember import member_id_of, says, status_of
from etcd_handoff.model import FailureType
from etcd_handoff.view import ClusterView, MemberView
from tests.model.trouble import TO_CALLS, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CALMS_AFTER: Final = 4
"""Calls after the script's last entry until everything is mended."""
LATE_CALLS: Final = 3
"""Calls until a removal takes place that gave no answer."""
MAYBE: Final = "may have taken place"
"""What a failure has to say when nobody could be asked any more after the removal was proposed."""
OUT: Final = "out, and it is there"
LAST_CALL: Final = 400
"""More calls than any removal needs: a loop that makes them goes round in circles."""
REVISION: Final = 100


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
        behind: Leader and term that it goes on naming while it is cut off from its peers.
        diverged: Whether it holds other data than the rest.
    """

    id: str
    name: str
    voter: bool = True
    alive: bool = True
    behind: tuple[str, int] | None = None
    diverged: bool = False

    @property
    def well(self) -> bool:
        """Whether it runs and hears its peers."""
        return self.alive and self.behind is None


@dataclass
class Cluster:
    """The model.

    Attributes:
        number: Makes IDs distinct.
        members: By ID.
        leader: ID of the leader; empty while there is none.
        target: Name of the member that is to leave, and that is struck.
        script: What happens, by the number of the call.
        resources: EtcdMembers by name.
        meant: IDs that may be removed; None until the first look pins the target.
        mends: Whether everything is mended once the script is over.
        gates: What must have happened before anything is changed: `approval`, `hash`, `snapshot`.
        passed: Those of them that have.
        term: Raft term.
        calls: Calls so far.
        wrong: Invariants that were broken, in words.
        removed: IDs that we removed, of those that are meant.
        states: Different states that calls have met.
    """

    number: int
    members: dict[str, Member]
    leader: str
    target: str
    script: Mapping[int, Trouble]
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    meant: frozenset[str] | None = None
    mends: bool = True
    gates: frozenset[str] = frozenset()
    passed: set[str] = field(default_factory=set)
    term: int = 2
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    _looks: dict[str, frozenset[str]] = field(default_factory=dict)
    """Who was a member when an activity looked that has proposed nothing since."""
    _fresh: set[str] = field(default_factory=set)
    """Activities since whose look nothing has happened."""
    _asked: dict[str, set[str]] = field(default_factory=dict)
    """Voters that answered when an activity looked: whose hashes it has to know."""
    _told: dict[str, dict[str, int]] = field(default_factory=dict)
    """Hashes that an activity was told, by member."""
    _differ: bool = False
    """Whether hashes that differ were told."""
    _late: tuple[str, int] | None = None
    _write: int = 0
    _born: int = 0
    _crashes: bool = False

    @property
    def cluster_id(self) -> str:
        """The cluster's ID."""
        return f"c{self.number:x}"

    @property
    def version(self) -> str:
        """Counts writes of EtcdMembers."""
        return f"w{self._write}"

    @property
    def calm(self) -> bool:
        """Whether the script is over, for long enough that the last call has found everything mended."""
        return self.calls - 1 > max(self.script, default=-1) + CALMS_AFTER

    # --- what gateways ask ----------------------------------------------------------------------------------------

    def view(self, who: str) -> ClusterView:
        """What a look shows to an activity; the first one pins the target."""
        trouble = self._call()
        if trouble in (Trouble.NO_EFFECT, Trouble.ANSWER_LOST):
            raise UnreachableError(trouble)
        if trouble is Trouble.CRASH:
            raise CrashError(trouble)
        if not self._quorum(self.members.values()):
            msg = "no quorum"
            raise UnreachableError(msg)
        if self.meant is None:
            self.meant = frozenset(m.id for m in self.members.values() if m.name == self.target)
        self._looks[who] = frozenset(self.members)
        self._fresh.add(who)
        self._asked[who] = {m.id for m in self.members.values() if m.voter and m.alive}
        members = sorted(self.members.values(), key=lambda m: int(m.id, 16))
        return ClusterView(cluster_id=self.cluster_id, members=tuple(self._seen(m) for m in members))

    def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term as a member names them; watching a transfer is no step of the script."""
        if self._crashes:
            self._crashes = False
            raise CrashError(Trouble.CRASH)
        member = self.members.get(member_id)
        if member is None or not member.alive:
            msg = "it does not answer"
            raise UnreachableError(msg)
        leader_id, term = member.behind or (self.leader, self.term)
        return leader_id or None, term

    def hash_of(self, who: str, member_id: str, revision: int) -> tuple[int, int]:
        """Hash of a member's data, and its revision; the gate is passed when all at one revision are the same."""
        self._reach(member_id)
        found = int(self.members[member_id].diverged)
        if revision:
            told = self._told.setdefault(who, {})
            told[member_id] = found
            self._differ = self._differ or len(set(told.values())) > 1
            if self._asked[who] <= told.keys() and len(set(told.values())) == 1:
                self.passed.add("hash")
        return found, REVISION

    def snapshot(self, member_id: str) -> bytes:
        """What a member streams; without an answer its end is missing."""
        data = b"all that there is"
        if self._reach(member_id, breaks=False) is Trouble.ANSWER_LOST:
            return data
        self.passed.add("snapshot")
        return data + hashlib.sha256(data).digest()

    def move_leader(self, who: str, leader_id: str, transferee_id: str) -> None:
        """Leadership goes to the transferee."""
        trouble = self._call()
        self._judge_gates()
        if who not in self._looks:
            self.wrong.append("leadership was moved without a look before")
        if trouble is Trouble.NO_EFFECT:
            raise UnknownOutcomeError(trouble)
        if self.leader != leader_id:
            msg = "not leader"
            raise NotLeaderError(msg)
        transferee = self.members.get(transferee_id)
        able = transferee is not None and transferee.voter and transferee.well
        if who in self._fresh and not able:
            self.wrong.append("leadership was offered to somebody who cannot take it")
        if transferee_id == leader_id:
            self.wrong.append("leadership was offered to the target")
        if able:
            self._elect(transferee)
        self._crashes = trouble is Trouble.CRASH

    def remove_member(self, who: str, member_id: str, via_id: str) -> None:
        """The member is out, now or later; everything that must never happen is looked for first."""
        trouble = self._call()
        self._judge_gates()
        seen, fresh = self._looks.pop(who, None), who in self._fresh
        if seen is None:
            self.wrong.append("a removal was proposed without a look before")
        if trouble is Trouble.REFUSED:
            raise UnhealthyClusterError(trouble)
        via = self.members.get(via_id)
        if trouble is Trouble.NO_EFFECT or via is None or not via.well or not self._quorum(self.members.values()):
            msg = "no definite answer"
            raise UnknownOutcomeError(msg)
        if member_id not in self.members:
            if seen is not None and member_id not in seen:
                self.wrong.append("removed once more what a look had shown to be out")
            msg = "member not found"
            raise MemberNotFoundError(msg)
        self._judge(member_id, via_id, fresh=fresh)
        if trouble is Trouble.LATE:
            self._late = (member_id, self.calls + LATE_CALLS)
        else:
            self._take_out(member_id)
        if trouble in (Trouble.ANSWER_LOST, Trouble.LATE):
            raise UnknownOutcomeError(trouble)
        if trouble is Trouble.CRASH:
            raise CrashError(trouble)

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

    def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        """An EtcdMember that has no status yet."""
        trouble = self._api()
        name = resource["metadata"]["name"]
        if name in self.resources:
            msg = "there is one"
            raise ConflictError(msg)
        metadata = {**resource["metadata"], "uid": f"u-{self.version}", "generation": 1}
        self.resources[name] = {**resource, "metadata": metadata}
        self._touch(name)
        return self._stored(name, trouble)

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
        self.resources[name]["status"] = {**status_of(stored), **status}
        return self._stored(name, trouble)

    def _stored(self, name: str, trouble: Trouble | None) -> dict[str, Any]:
        """An EtcdMember after a write, whose answer may not arrive."""
        if trouble is Trouble.ANSWER_LOST:
            raise ApiUnavailableError(trouble)
        if trouble is Trouble.CRASH:
            raise CrashError(trouble)
        return self.resources[name]

    # --- what happens ---------------------------------------------------------------------------------------------

    def aim(self, target: str) -> None:
        """The next removal is another one."""
        self.target, self.meant, self.removed = target, None, []
        self._looks.clear()

    def strike(self, trouble: Trouble) -> None:
        """It happens now, as far as it can; what only a call runs into does not."""
        target, others = self._target, self._others
        if trouble is Trouble.LEADER_MOVES:
            to_target = target is not None and target.voter and target.well and self.leader != target.id
            self._elect(target if to_target else next((m for m in others if m.id != self.leader), None))
        elif trouble is Trouble.NO_LEADER:
            self.leader, self.term = "", self.term + 1
            self._fresh.clear()
        elif trouble is Trouble.LEFT_BEHIND and others:
            others[-1].behind = (self.leader, self.term)
            self._lose(others[-1])
        elif trouble is Trouble.OTHER_DIES and others:
            others[-1].alive = False
            self._lose(others[-1])
        elif trouble is Trouble.TARGET_DIES and target is not None:
            target.alive = False
            self._lose(target)
        elif trouble is Trouble.DIVERGES and others:
            others[-1].diverged = True
        elif trouble in (Trouble.API_GONE, Trouble.CONFLICT, *TO_CALLS):
            return
        elif self._quorum(self.members.values()):
            self._change(trouble, target, others)

    def _change(self, trouble: Trouble, target: Member | None, others: list[Member]) -> None:
        """Somebody changes the membership or an EtcdMember, which nobody can without a quorum."""
        if trouble is Trouble.OTHER_REMOVED and len(others) > 1:
            self._drop(others[-1])
        elif trouble in (Trouble.TARGET_REMOVED, Trouble.NAMESAKE) and target and (others or not target.voter):
            self._drop(target)
            if trouble is Trouble.NAMESAKE:
                self._add("e", target.name, voter=target.voter)
        elif trouble is Trouble.ADDED:
            self._add("f", "", alive=False)
        elif trouble is Trouble.RESOURCE_DELETED and self.target in self.resources:
            self._write += 1
            del self.resources[self.target]
        elif trouble is Trouble.LIE and self.resources:
            name, member_id = max((name, member_id_of(r)) for name, r in self.resources.items())
            self._touch(name)
            self.resources[name]["status"] = _status(member_id, str(member_id not in self.members))

    def _call(self) -> Trouble | None:
        number, self.calls = self.calls, self.calls + 1
        if number > LAST_CALL:
            self.wrong.append("the loop goes round in circles")
        if self.mends and self.calm:
            self.mend()
        if self._late and number >= self._late[1] and self._quorum(self.members.values()):
            self._take_out(self._late[0])
            self._late = None
        trouble = self.script.get(number)
        if trouble is not None:
            self.strike(trouble)
        who = self.members[self.leader].name if self.leader in self.members else ""
        members = sorted((m.name, m.voter, m.alive, m.well) for m in self.members.values())
        self.states.add(repr((members, who, self.target, trouble, self._late is not None)))
        return trouble

    def _reach(self, member_id: str, *, breaks: bool = True) -> Trouble | None:
        """A read of one member's own data."""
        trouble = self._call()
        member = self.members.get(member_id)
        if trouble is Trouble.CRASH:
            raise CrashError(trouble)
        lost = trouble is Trouble.NO_EFFECT or (breaks and trouble is Trouble.ANSWER_LOST)
        if lost or member is None or not member.alive:
            msg = "it does not answer"
            raise UnreachableError(msg)
        return trouble

    def _api(self) -> Trouble | None:
        trouble = self._call()
        if trouble in (Trouble.API_GONE, Trouble.NO_EFFECT):
            raise ApiUnavailableError(trouble)
        return trouble

    @property
    def _target(self) -> Member | None:
        named = (m for m in self.members.values() if m.name == self.target)
        return next((m for m in named if self.meant is None or m.id in self.meant), None)

    @property
    def _others(self) -> list[Member]:
        target = self._target
        return [m for m in self.members.values() if m is not target and m.voter and m.well]

    def mend(self) -> None:
        """Everybody is well, and somebody leads."""
        for member in self.members.values():
            if not member.well or not member.name:
                member.alive, member.behind, member.name = True, None, member.name or f"late-{member.id}"
                self._fresh.clear()
        if not self.leader:
            self._elect(next((m for m in self.members.values() if m.voter), None))

    def _elect(self, member: Member | None) -> None:
        if member is not None and self._quorum(self.members.values()):
            self.leader, self.term = member.id, self.term + 1
            self._fresh.clear()

    def _lose(self, lost: Member) -> None:
        """The others vote again, where that one led or somebody is to notice that it was left behind."""
        self._fresh.clear()
        leader = self.members.get(self.leader)
        if self.leader == lost.id or lost.behind:
            self.leader = ""
            able = [m for m in self.members.values() if m.voter and m.well]
            self._elect(leader if leader in able else next(iter(able), None))

    def _drop(self, member: Member) -> None:
        del self.members[member.id]
        self._lose(member)

    def _take_out(self, member_id: str) -> None:
        """What we proposed takes place, maybe when the next removal is under way already."""
        if member_id in self.members:
            self.removed += [member_id] * (member_id in (self.meant or ()))
            self._drop(self.members[member_id])

    def _add(self, kind: str, name: str, *, voter: bool = True, alive: bool = True) -> None:
        self._born += 1
        member = Member(f"{kind}{self.number:x}{self._born:02x}", name, voter=voter, alive=alive)
        self.members[member.id] = member
        self._fresh.clear()

    def _touch(self, name: str) -> None:
        self._write += 1
        resource = self.resources[name]
        metadata = {**resource["metadata"], "resourceVersion": self.version}
        self.resources[name] = {**resource, "metadata": metadata}

    # --- judging --------------------------------------------------------------------------------------------------

    def _judge_gates(self) -> None:
        if missing := sorted(self.gates - self.passed):
            self.wrong.append(f"gates: something was to be changed without {' and '.join(missing)}")

    def _judge(self, member_id: str, via_id: str, *, fresh: bool) -> None:
        """A removal; all but whom it means depends on nothing having happened since the look."""
        if member_id not in (self.meant or ()):
            self.wrong.append(f"identity: {member_id} was to be removed, and {self.meant} are meant")
        if not fresh:
            return
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
        return 2 * sum(m.well for m in voters) > len(voters)

    def _seen(self, member: Member) -> MemberView:
        leader_id, term = member.behind or (self.leader, self.term)
        return MemberView(
            id=member.id,
            name=member.name,
            peer_urls=(f"http://{member.id}:2380",),
            is_learner=not member.voter,
            reachable=member.alive,
            leader_id=(leader_id or None) if member.alive else None,
            term=term if member.alive else 0,
            raft_index=100 if member.alive else 0,
        )

    def judge_end(self, outcome: str, said: str, *, recorded: bool) -> list[str]:
        """What is not true at the end, beside what was wrong on the way.

        Args:
            outcome: `removed`, `already-absent`, or the type of a failure.
            said: The failure's message.
            recorded: The result says that the EtcdMember tells the truth.
        """
        wrong, meant, gone = list(self.wrong), self.meant or frozenset(), outcome in ("removed", "already-absent")
        if gone and meant & set(self.members):
            wrong.append(f"it says {outcome}, and the member is there")
        if not gone and meant & set(self.removed) and MAYBE not in said:
            wrong.append(f"it says {outcome}: {said}, and we have removed the member")
        wrong += [lie for lie in self.lies() if lie.endswith(OUT)]
        named = [
            r for name, r in self.resources.items() if member_id_of(r) in meant or (recorded and name == self.target)
        ]
        if gone and not all(says(r) == "False" for r in named):
            wrong.append(f"it says {outcome}, and an EtcdMember says something else: {named}")
        last = {m.id for m in self.members.values() if m.voter} == meant
        if outcome == FailureType.REMOVAL_REFUSED and not last and not self._differ:
            wrong.append(f"it says {said}, and that is neither the last voter nor do the data differ")
        if outcome == FailureType.UNKNOWN_MEMBER and (meant or self.target in self.resources):
            wrong.append(f"it says {said}, and the member is known")
        return wrong

    def lies(self) -> list[str]:
        """What EtcdMembers say that is not true."""
        found = [(name, member_id_of(r), says(r) == "True") for name, r in self.resources.items()]
        wrong = [(name, i, joined) for name, i, joined in found if joined != (i in self.members)]
        return [f"EtcdMember {name} says that {i} is {'in' if joined else OUT}" for name, i, joined in wrong]

    def untold(self) -> list[str]:
        """Members that have started, and of whom no EtcdMember speaks."""
        told = {*self.resources, *map(member_id_of, self.resources.values())}
        alone = [m for m in self.members.values() if m.name and not {m.name, m.id} & told]
        return [f"no EtcdMember speaks of {m.name}" for m in alone]


def resource(name: str, member_id: str, *, leave: bool = False) -> dict[str, Any]:
    """An EtcdMember that says what is true of a member."""
    metadata = {"name": name, "uid": f"u-{member_id}", "generation": 1, "resourceVersion": "1"}
    status = _status(member_id, "True")
    return {"kind": "EtcdMember", "metadata": metadata, "spec": {"leave": leave}, "status": status}


def _status(member_id: str, joined: str) -> dict[str, Any]:
    condition = {"type": "Joined", "status": joined, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"memberID": member_id, "peerAddress": member_id, "message": "as it was", "conditions": [condition]}

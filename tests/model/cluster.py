"""An etcd cluster and its EtcdMembers as a program: what gateways would see of it, do to it, and run into.

Real are the workflows, the activities, the planner and Temporal; a model stands for what lies behind the gateways. It
counts every call, and at some of them something happens, as its script says (`tests.model.faults`). After the script's
last entry everything is healed, so that progress is possible wherever etcd allows any. Each change is judged at the
moment of its effect (`tests.model.invariants`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from etcd_handoff.errors import (
    MemberNotFoundError,
    NotLeaderError,
    UnhealthyClusterError,
    UnknownOutcomeError,
    UnreachableError,
)
from etcd_handoff.etcdmember import joined_condition, member_id_of
from etcd_handoff.etcdmember_matching import claim_of
from tests.model import faults, looks
from tests.model.fault_kinds import Fault
from tests.model.invariants import Invariants
from tests.model.members import Member, Standing, most
from tests.model.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.doubts import ResourceClaim

CALMS_AFTER: Final = 4
"""Calls after the script's last entry until everything is healed."""
LATE_CALLS: Final = 3
"""Calls until a removal takes place that gave no answer."""
REVISION: Final = 100
FIRST_TERM: Final = 7
FIRST_INDEX: Final = 100_000
"""Where a cluster stands at first: further than a restored one comes within any script."""
ANOTHER: Final = "another holder"
STALE_AFTER: Final = 10
"""How often others find an abandoned lock before it counts as stale; the real gateway goes by the clock."""


class CrashError(Exception):
    """What the workflow sees of a worker that died in a step: the step has failed, nobody knows how far it came."""


class Lock(NamedTuple):
    """The lock in etcd.

    Attributes:
        holder: Who has it.
        label: The same for people.
    """

    holder: str
    label: str

    @property
    def ours(self) -> bool:
        """Whether one of our removals has it."""
        return self.holder != ANOTHER


@dataclass
class Cluster(Resources):
    """The model.

    Attributes:
        number: Makes IDs distinct.
        members: By ID.
        leader: ID of the leader; empty while there is none.
        target: Name of the member that is to leave, and that faults are about.
        script: What happens, by the number of the call.
        resources: EtcdMembers by name.
        target_ids: IDs that may be removed; None until the first look pins the target.
        heals: Whether everything is healed once the script is over.
        gates: What must have happened before anything is changed: `approval`, `hash`, `snapshot`.
        passed: Those of them that have.
        term: Raft term.
        index: Raft index.
        lock: The lock in etcd.
        lists: Who else gives the member list; None while members do.
        lone: Who was forced into a cluster of its own.
        runs_on: Whether members that are removed run on.
        running_on: IDs of those that do.
        restored: Whether the cluster was restored since a look has shown how far it is.
        calls: Calls so far.
        removed: IDs that we removed, of those that are meant.
        states: Different states that calls have met.
        invariants: Say what is wrong.
    """

    last_call: ClassVar[int] = 400
    """More calls than any removal needs: a loop that makes them goes round in circles."""
    number: int
    members: dict[str, Member]
    leader: str
    target: str
    script: Mapping[int, Fault]
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    target_ids: frozenset[str] | None = None
    heals: bool = True
    gates: frozenset[str] = frozenset()
    passed: set[str] = field(default_factory=set)
    term: int = FIRST_TERM
    index: int = FIRST_INDEX
    lock: Lock | None = None
    lists: Fault | None = None
    lone: str = ""
    runs_on: bool = False
    running_on: set[str] = field(default_factory=set)
    restored: bool = False
    calls: int = 0
    removed: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    invariants: Invariants = field(default_factory=Invariants)
    _late: tuple[str, int] | None = None
    _born: int = 0
    _crashes: bool = False
    _found_locked: int = 0

    @property
    def cluster_id(self) -> str:
        """The cluster's ID."""
        return f"c{self.number:x}"

    @property
    def standing(self) -> Standing:
        """How far the cluster is, as its members know it that take part."""
        return Standing(self.leader, self.term, self.index)

    @property
    def wrong(self) -> list[str]:
        """Invariants that were broken, in words."""
        return self.invariants.wrong

    @property
    def removal_is_late(self) -> bool:
        """Whether a removal that got no answer is still to take place."""
        return self._late is not None

    @property
    def calm(self) -> bool:
        """Whether the script is over, for long enough that the last call has found everything healed."""
        return self.calls - 1 > max(self.script, default=-1) + CALMS_AFTER

    @property
    def leaving(self) -> Member | None:
        """The member that is to leave, while it is there."""
        named = (m for m in self.members.values() if m.name == self.target)
        return next((m for m in named if self.target_ids is None or m.id in self.target_ids), None)

    @property
    def others(self) -> list[Member]:
        """The other voters that take part."""
        return [m for m in self.members.values() if m is not self.leaving and m.voter and m.well]

    @property
    def is_told_apart(self) -> bool:
        """Whether EtcdMembers tell it from another cluster: no look is believed while all describe others."""
        joined = {member_id_of(r) for r in self.resources.values() if joined_condition(r) == "True"}
        return not joined or bool(joined & self.members.keys())

    # --- what gateways to etcd ask --------------------------------------------------------------------------------

    def view(self, who: str) -> ClusterView:
        """What a look shows to an activity; the first true one that can be believed pins the target."""
        fault = self.call()
        if fault in (Fault.NO_EFFECT, Fault.ANSWER_LOST):
            self.invariants.lock_abandoned = True
            raise UnreachableError(fault)
        self.crash_at(fault)
        if self.lists in (Fault.FOREIGN_LIST, Fault.FOREIGN_ALONE):
            alone = self.lists is Fault.FOREIGN_ALONE or not looks.answers(self)
            if (
                alone
                and self.target_ids is None
                and not any(joined_condition(r) == "True" for r in self.resources.values())
            ):
                msg = "nothing would tell the other cluster from this one"
                raise UnreachableError(msg)
            self.invariants.misled = self.invariants.misled or alone
            return looks.foreign_look(self, alone=alone)
        lone = self.members.get(self.lone) if self.lists is not None else None
        if lone is not None and self.lists is Fault.LONE_LIST and len(self.members) > 2:
            return looks.one_answer(self, lone)
        self._needs("well")
        if lone is not None and not any(a.listed is not None and a.member_id != lone.id for a in looks.answers(self)):
            lone = None  # nobody else gives a list that would contradict its own
        if lone is not None and self.lists is Fault.LISTS_DIFFER:
            return looks.half_a_look(self, lone)
        if self.target_ids is None and self.is_told_apart:
            named = frozenset(m.id for m in self.members.values() if m.name == self.target)
            self.invariants.named = bool(named)
            remembered = member_id_of(self.resources.get(self.target, {})) or self.invariants.claimed
            self.target_ids = named or frozenset(filter(None, [remembered]))
        self.invariants.note_look(self, who)
        if lone is not None and self.lists is Fault.ROLES_DIFFER and lone.well and lone.voter:
            return looks.forgetful_look(self, lone)
        return looks.true_look(self)

    def claims(self) -> tuple[ResourceClaim, ...]:
        """What the EtcdMembers say while an activity looks; it is no step of the script."""
        claims = tuple(map(claim_of, self.resources.values()))
        self.invariants.claimed = next((claim.member_id for claim in claims if claim.name == self.target), "")
        return claims

    def status_of(self, member_id: str) -> tuple[str | None, int]:
        """Leader and term as a member names them; watching a transfer is no step of the script."""
        if self._crashes:
            self._crashes = False
            raise CrashError(Fault.CRASH)
        member = self.members.get(member_id)
        if member is None or not member.alive:
            msg = "it does not answer"
            raise UnreachableError(msg)
        standing = member.memory or self.standing
        return standing.leader or None, standing.term

    def hash_of(self, who: str, member_id: str) -> tuple[int, int]:
        """Hash of a member's data, and its revision; the gate is passed when all are the same."""
        self._reach(member_id)
        found = int(self.members[member_id].diverged)
        if self.invariants.same_hashes(who, member_id, found):
            self.passed.add("hash")
        return found, REVISION

    def snapshot(self, member_id: str) -> bytes:
        """What a member streams; without an answer its end is missing."""
        data = b"all that there is"
        if self._reach(member_id, breaks=False) is Fault.ANSWER_LOST:
            return data
        self.passed.add("snapshot")
        return data + hashlib.sha256(data).digest()

    def move_leader(self, who: str, leader_id: str, transferee_id: str) -> None:
        """Leadership goes to the transferee."""
        fault = self.call()
        self.invariants.check_gates(self)
        if who not in self.invariants.looks:
            self.wrong.append("leadership was moved without a look before")
        leader = self.members.get(leader_id)
        if fault is Fault.NO_EFFECT or (leader is not None and not leader.well):
            raise UnknownOutcomeError(fault or "it hangs")
        if self.leader != leader_id:
            msg = "not leader"
            raise NotLeaderError(msg)
        self.invariants.check_transfer(self, who, leader_id, transferee_id)
        transferee = self.members.get(transferee_id)
        if transferee is not None and transferee.voter and transferee.writes:
            self.elect(transferee)
        self._crashes = fault is Fault.CRASH

    def acquire_lock(self, who: str, holder: str, label: str, via_id: str) -> str:
        """The lock is the holder's, or the label of who has it; an entry is written either way."""
        if via_id in looks.FOREIGN_IDS:
            self.call()
            return ""
        fault = self._write(via_id)
        self.invariants.wrote.add(who)
        other = self.take_lock(who, holder, label)
        self._lost_at(fault)
        return other

    def take_lock(self, who: str, holder: str, label: str) -> str:
        """The lock is the holder's, or the label of who has it."""
        if self.lock is not None and self.lock.holder != holder:
            self._found_locked += 1
            if not (self.lock.ours and self.invariants.lock_abandoned and self._found_locked > STALE_AFTER):
                return self.lock.label
        self.lock, self.invariants.lock_abandoned, self._found_locked = Lock(holder, label), False, 0
        self.invariants.locked[who] = holder
        return ""

    def release_lock(self, holder: str, via_id: str) -> None:
        """The lock is not the holder's; an entry is written either way."""
        fault = self._write(via_id)
        if self.lock is not None and self.lock.holder == holder:
            self.lock, self.invariants.lock_abandoned = None, False
        self._lost_at(fault)

    def commit_probe(self, who: str, via_id: str) -> None:
        """An entry is written that changes nothing."""
        fault = self._write(via_id or next((m.id for m in self.members.values() if m.writes), ""))
        self.invariants.wrote.add(who)
        self._lost_at(fault)

    def remove_member(self, who: str, member_id: str, via_id: str) -> None:
        """The member has left, now or later; everything that must never happen is looked for first."""
        fault = self.call()
        if via_id in looks.FOREIGN_IDS:
            self.wrong.append(f"identity: {member_id} of another cluster was to be removed")
        self.invariants.check_gates(self)
        self.invariants.check_proposal(self, who, member_id)
        if fault is Fault.REFUSED:
            raise UnhealthyClusterError(fault)
        via = self.members.get(via_id)
        if fault is Fault.NO_EFFECT or via is None or not via.well or not most(self.members.values(), "writes"):
            self.invariants.lock_abandoned = True
            msg = "no definite answer"
            raise UnknownOutcomeError(msg)
        if member_id not in self.members:
            msg = "member not found"
            raise MemberNotFoundError(msg)
        self.invariants.check_removal(self, who, member_id, via_id)
        if fault is Fault.LATE:
            self._late = (member_id, self.calls + LATE_CALLS)
        else:
            self._remove(member_id)
        self._lost_at(Fault.ANSWER_LOST if fault is Fault.LATE else fault)

    # --- what happens ---------------------------------------------------------------------------------------------

    def aim(self, target: str) -> None:
        """The next removal is another one; what is late takes place before, as nobody would mean it then."""
        self.target, self.target_ids, self.removed, self.restored = target, None, [], False
        self.invariants = Invariants(
            wrong=self.invariants.wrong, lock_abandoned=self.invariants.lock_abandoned, early=self.invariants.early
        )

    def inject(self, fault: Fault) -> None:
        """It happens now, as far as it can."""
        faults.inject(self, fault)

    def heal(self) -> None:
        """Everybody is well, and somebody leads."""
        faults.heal(self)

    def call(self) -> Fault | None:
        """One more call; what happens at it has happened."""
        number, self.calls = self.calls, self.calls + 1
        if number > self.last_call:
            self.wrong.append("the loop goes round in circles")
        if self.heals and self.calm:
            self.heal()
        if self._late and number >= self._late[1] and most(self.members.values(), "writes"):
            self._remove(self._late[0])
            self._late = None
        fault = self.script.get(number)
        if fault is not None:
            self.inject(fault)
        who = self.members[self.leader].name if self.leader in self.members else ""
        members = sorted((m.name, m.voter, m.alive, m.well, m.writes, m.doomed) for m in self.members.values())
        lock = self.lock and self.lock.ours
        self.states.add(repr((members, who, self.target, fault, self._late is not None, self.lists, lock)))
        return fault

    def elect(self, member: Member | None) -> None:
        """A voter leads, at a higher term, where there is a quorum; a leader begins with an entry of its own."""
        if member is not None and most(self.members.values(), "writes"):
            self.leader, self.term = member.id, self.term + 1
            self.invariants.fresh.clear()
            self.commit()

    def lose(self, lost: Member, *, elect_anew: bool = False) -> None:
        """The others vote again, where that one led or somebody is to notice that it was left behind."""
        self.invariants.fresh.clear()
        leader = self.members.get(self.leader)
        if self.leader == lost.id or elect_anew:
            self.leader = ""
            able = [m for m in self.members.values() if m.voter and m.writes]
            self.elect(leader if leader in able else next(iter(able), None))

    def commit(self) -> None:
        """An entry is written: who could not, and had only not been asked to, hangs from now on."""
        self.index += 1
        for member in self.members.values():
            if member.doomed and member.well:
                member.doomed, member.memory = False, self.standing
                if member.id == self.leader:
                    self.lose(member)

    def drop(self, member: Member) -> None:
        """The member has left."""
        del self.members[member.id]
        if self.runs_on and member.alive:
            self.running_on.add(member.id)
        self.lose(member)

    def add(self, kind: str, name: str, *, voter: bool = True, alive: bool = True) -> None:
        """A new member is in."""
        self._born += 1
        member = Member(f"{kind}{self.number:x}{self._born:02x}", name, voter=voter, alive=alive)
        self.members[member.id] = member
        self.invariants.fresh.clear()

    def restore(self, term: int, index: int) -> None:
        """The log begins anew, and what was under way never takes place; cluster and members keep their IDs."""
        self.term, self.index, self._late, self.lock = term, index, None, None
        self.restored = self.restored or self.invariants.led
        for member in self.members.values():
            if member.alive:
                member.heal()
        self.invariants.fresh.clear()

    def take_lock_for_another(self) -> None:
        """Somebody who shares this etcd cluster, and no Temporal namespace, has the lock."""
        if self.lock is None:
            self.lock = Lock(ANOTHER, "somebody's removal elsewhere")

    # --- small things ---------------------------------------------------------------------------------------------

    def _needs(self, quality: str) -> None:
        if not most(self.members.values(), quality):
            self.invariants.lock_abandoned = True
            msg = "no quorum"
            raise UnreachableError(msg)

    def _write(self, via_id: str) -> Fault | None:
        """An entry is written through a member, or there is no definite answer."""
        fault, via = self.call(), self.members.get(via_id)
        if fault is Fault.NO_EFFECT or via is None or not via.well or not most(self.members.values(), "writes"):
            self.invariants.lock_abandoned = True
            msg = "no definite answer"
            raise UnknownOutcomeError(msg)
        self.commit()
        return fault

    def _lost_at(self, fault: Fault | None) -> None:
        """The effect has taken place; its answer may not arrive."""
        if fault is Fault.ANSWER_LOST:
            self.invariants.lock_abandoned = True
            raise UnknownOutcomeError(fault)
        self.crash_at(fault)

    def crash_at(self, fault: Fault | None) -> None:
        """The worker dies, where that is what happens."""
        if fault is Fault.CRASH:
            self.invariants.lock_abandoned = True
            raise CrashError(fault)

    def _reach(self, member_id: str, *, breaks: bool = True) -> Fault | None:
        """A read of one member's own data."""
        fault = self.call()
        member = self.members.get(member_id)
        self.crash_at(fault)
        lost = fault is Fault.NO_EFFECT or (breaks and fault is Fault.ANSWER_LOST)
        if lost or member is None or not member.alive:
            msg = "it does not answer"
            raise UnreachableError(msg)
        return fault

    def _remove(self, member_id: str) -> None:
        """What we proposed takes place, maybe when the next removal is under way already."""
        if member_id in self.members:
            self.removed += [member_id] * (member_id in (self.target_ids or ()))
            self.drop(self.members[member_id])
            self.commit()

    def check_write(self, activity: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """An activity is about to write an EtcdMember."""
        self.invariants.check_status(self, activity, before, after)

    def check_end(self, outcome: str, text: str, *, recorded: bool) -> list[str]:
        """What is not true at the end; see `Invariants.check_end`."""
        return self.invariants.check_end(self, outcome, text, recorded=recorded)

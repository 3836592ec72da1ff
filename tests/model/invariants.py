"""What must never happen in a cluster of the model, judged at the moment of each effect and at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.contract import FailureType
from etcd_handoff.etcdmember import joined_condition, member_id_of
from etcd_handoff.planning import Reason
from tests.model.looks import FOREIGN
from tests.model.members import most

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.model.cluster import Cluster
    from tests.model.members import Member

MAYBE: Final = "may have taken place"
"""What a failure has to say when nobody could be asked any more after the removal was proposed."""
OUT: Final = "out, and it is there"


@dataclass
class Invariants:
    """The invariants of one cluster.

    Attributes:
        wrong: Invariants that were broken, in words.
        looks: Who was a member when an activity looked that has proposed nothing since.
        fresh: Activities since whose look nothing has happened.
        locked: For whom an activity took the lock in etcd.
        wrote: Activities that have written an entry.
        proved: Those of them that have looked since: who hangs at the next entry would have been seen to hang.
        compared: Voters that answered when an activity looked, whose hashes it has to know: those that stay, where they
            are most of the voters.
        hashes: Hashes that an activity has read, by member.
        differ: Whether hashes that differ were read.
        claimed: ID that the target's EtcdMember gave when an activity read all of them last.
        named: Whether the first look showed a member of the target's name.
        led: Whether a look showed a leader: how far the cluster is.
        misled: Whether a look showed another cluster's list alone.
        lock_abandoned: A worker died, or an answer was lost, while the lock was held: it may go stale.
        early: EtcdMembers that were written by the step that removes the member.
    """

    wrong: list[str] = field(default_factory=list)
    looks: dict[str, frozenset[str]] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    locked: dict[str, str] = field(default_factory=dict)
    wrote: set[str] = field(default_factory=set)
    proved: set[str] = field(default_factory=set)
    compared: dict[str, set[str]] = field(default_factory=dict)
    hashes: dict[str, dict[str, int]] = field(default_factory=dict)
    differ: bool = False
    claimed: str = ""
    named: bool = False
    led: bool = False
    misled: bool = False
    lock_abandoned: bool = False
    early: int = 0

    def note_look(self, cluster: Cluster, who: str) -> None:
        """An activity knows who is a member."""
        self.looks[who] = frozenset(cluster.members)
        self.fresh.add(who)
        self.led = self.led or bool(cluster.leader)
        self.proved |= {who} & self.wrote
        voters = {m.id for m in cluster.members.values() if m.voter}
        stay = voters - set(cluster.target_ids or ())
        self.compared[who] = {
            id_ for id_ in (stay if 2 * len(stay) > len(voters) else voters) if cluster.members[id_].alive
        }

    def same_hashes(self, who: str, member_id: str, found: int) -> bool:
        """Whether an activity knows by now that all voters that answered hold the same data."""
        known = self.hashes.setdefault(who, {})
        known[member_id] = found
        self.differ = self.differ or len(set(known.values())) > 1
        return self.compared.get(who, set()) <= known.keys() and len(set(known.values())) == 1

    # --- effects on etcd ------------------------------------------------------------------------------------------

    def check_gates(self, cluster: Cluster) -> None:
        """What was asked to happen before a change has happened."""
        if missing := sorted(cluster.gates - cluster.passed):
            self.wrong.append(f"gates: something was to be changed without {' and '.join(missing)}")

    def check_transfer(self, cluster: Cluster, who: str, leader_id: str, transferee_id: str) -> None:
        """Leadership is offered to somebody who can take it."""
        transferee = cluster.members.get(transferee_id)
        able = transferee is not None and transferee.voter and transferee.writes
        if who in self.fresh and not able and self.knew_unable(transferee):
            self.wrong.append("leadership was offered to somebody who cannot take it")
        if transferee_id == leader_id:
            self.wrong.append("leadership was offered to the target")

    def check_proposal(self, cluster: Cluster, who: str, member_id: str) -> None:
        """A removal is about to be proposed: after a look, and for somebody who has the lock."""
        seen = self.looks.pop(who, None)
        if seen is None:
            self.wrong.append("a removal was proposed without a look before")
        elif member_id not in seen:
            self.wrong.append("removed once more what a look had shown to be out")
        holder = cluster.lock.holder if cluster.lock else ""
        if who in self.fresh and self.locked.get(who) != holder:
            self.wrong.append("lock: a removal was proposed by somebody who does not hold it")

    def check_removal(self, cluster: Cluster, who: str, member_id: str, via_id: str) -> None:
        """A removal takes place; all but whom it means depends on nothing having happened since the look."""
        if member_id not in (cluster.target_ids or ()):
            self.wrong.append(f"identity: {member_id} was to be removed, and {cluster.target_ids} are meant")
        if who not in self.fresh:
            return
        left = [m for m in cluster.members.values() if m.id != member_id]
        if cluster.members[member_id].voter and not any(m.voter for m in left):
            self.wrong.append("quorum: the last voter was removed")
        elif not self.may_remain(left, who):
            self.wrong.append("quorum: those that remain have none that works")
        if cluster.leader == member_id:
            self.wrong.append("transfer: the leader was removed while it led")
        if via_id == member_id:
            self.wrong.append("transfer: the member was removed through itself")
        if cluster.restored:
            self.wrong.append("order: it was given before the cluster was restored")

    def may_remain(self, left: Collection[Member], who: str) -> bool:
        """Whether a removal may leave these members, as far as an activity can know by its look."""
        return most(left, "writes" if who in self.proved else "works")

    def knew(self, member: Member | None) -> bool:  # noqa: ARG002  # one look shows everybody
        """Whether a look must have shown that this member, who is not well, was not well."""
        return True

    def knew_unable(self, member: Member | None) -> bool:
        """Whether a look must have shown that this member, who cannot take leadership, could not."""
        return self.knew(member)

    # --- effects on EtcdMembers -----------------------------------------------------------------------------------

    def check_status(self, cluster: Cluster, activity: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """An EtcdMember that we write describes whom it described before, and reports no listed member as removed."""
        old_id, new_id = member_id_of(before), member_id_of(after)
        if activity == "remove_member":
            self.early += 1
        of_removal = activity in ("update_status", "remove_member")
        if of_removal and old_id not in ("", new_id):
            self.wrong.append(f"status: an EtcdMember that describes {old_id} was written for {new_id}")
        if of_removal and new_id not in (cluster.target_ids or ()):
            self.wrong.append(f"status: an EtcdMember of {new_id} was written, and {cluster.target_ids} are meant")
        turned = (old_id, joined_condition(before)) != (new_id, joined_condition(after))
        if turned and joined_condition(after) == "False" and new_id in cluster.members:
            self.wrong.append(f"status: Joined=False was written for {new_id}, which is {OUT}")

    # --- the end --------------------------------------------------------------------------------------------------

    def check_end(self, cluster: Cluster, outcome: str, text: str, *, recorded: bool) -> list[str]:
        """What is not true at the end, beside what was wrong on the way.

        Args:
            cluster: How it is now.
            outcome: `removed`, `already-absent`, or the type of a failure.
            text: The failure's message.
            recorded: The result says that the EtcdMember tells the truth.
        """
        target_ids, gone = cluster.target_ids or frozenset(), outcome in ("removed", "already-absent")
        ours = cluster.lock is not None and cluster.lock.ours
        return [
            *self.wrong,
            *self._wrong_outcome(cluster, outcome, text),
            *(lie for lie in lies(cluster) if lie.endswith(OUT)),
            *(self._wrong_record(cluster, target_ids, recorded=recorded) if gone else ()),
            *(["lock: it has ended, and the lock is still held"] if ours and not self.lock_abandoned else ()),
        ]

    def _wrong_outcome(self, cluster: Cluster, outcome: str, text: str) -> Iterator[str]:
        target_ids, gone = cluster.target_ids or frozenset(), outcome in ("removed", "already-absent")
        if gone and target_ids & set(cluster.members):
            yield f"it says {outcome}, and the member is there"
        if gone and not target_ids:
            yield f"it says {outcome}, and nobody knows of whom"
        if not gone and target_ids & set(cluster.removed) and MAYBE not in text:
            yield f"it says {outcome}: {text}, and we have removed the member"
        if outcome == FailureType.REMOVAL_REFUSED and not self.lasts(cluster, text):
            yield f"it says {text}, and that is not so"
        if outcome == FailureType.UNKNOWN_MEMBER and (self.named or self._known(cluster)):
            yield f"it says {text}, and the member is known"

    def lasts(self, cluster: Cluster, text: str) -> bool:
        """Whether what a refusal says is so, and no wait could heal it.

        Another cluster that alone answers, if only once, is refused for good: nobody knows whether the members that
        are meant come back behind these endpoints, and nothing was changed.
        """
        reason, _, seen = text.partition(": ")
        changed = f"now answer for cluster {FOREIGN}, cluster {cluster.cluster_id} is meant"
        lasting = {
            Reason.LAST_VOTER: {m.id for m in cluster.members.values() if m.voter}
            == (cluster.target_ids or frozenset()),
            Reason.DATA_INCONSISTENT: self.differ,
            Reason.CLUSTER_RESTORED: cluster.restored,
            Reason.CLUSTER_CHANGED: self.misled and changed in seen,
        }
        return any(reason == known and so for known, so in lasting.items())

    @staticmethod
    def _known(cluster: Cluster) -> bool:
        """Whether an EtcdMember remembers the member that was meant."""
        found = cluster.resources.get(cluster.target)
        return found is not None and member_id_of(found) in {"", *(cluster.target_ids or ())}

    @staticmethod
    def _wrong_record(cluster: Cluster, target_ids: frozenset[str], *, recorded: bool) -> Iterator[str]:
        named = [
            r
            for name, r in cluster.resources.items()
            if member_id_of(r) in target_ids or (recorded and name == cluster.target)
        ]
        if not all(joined_condition(r) == "False" for r in named):
            yield f"it says that the member has left, and an EtcdMember says something else: {named}"


def lies(cluster: Cluster) -> list[str]:
    """What EtcdMembers say that is not true."""
    found = [(name, member_id_of(r), joined_condition(r)) for name, r in cluster.resources.items()]
    wrong = [(name, i, joined) for name, i, joined in found if joined != str(i in cluster.members)]
    words = {"True": "in", "False": OUT}
    return [f"EtcdMember {name} says that {i} is {words.get(joined, 'perhaps in')}" for name, i, joined in wrong]


def untold(cluster: Cluster) -> list[str]:
    """Members that have started, and of whom no EtcdMember speaks."""
    known = {*cluster.resources, *map(member_id_of, cluster.resources.values())}
    alone = [m for m in cluster.members.values() if m.name and not {m.name, m.id} & known]
    return [f"no EtcdMember describes {m.name}" for m in alone]

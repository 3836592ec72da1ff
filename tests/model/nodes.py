"""The model where each worker reaches its own node's member alone, as on stock k0s.

A member runs on the node of its name. What a worker cannot see it cannot be blamed for: the invariants hold against a
step only what the looks have shown that it stands on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from etcd_handoff.errors import UnreachableError
from etcd_handoff.etcdmember import member_id_of
from etcd_handoff.planning import Reason
from tests.model import looks
from tests.model.cluster import Cluster
from tests.model.fault_kinds import Fault
from tests.model.invariants import Invariants
from tests.model.members import resource, status_saying

if TYPE_CHECKING:
    from collections.abc import Collection

    from etcd_handoff.cluster_view import ClusterView
    from tests.model.members import Member


@dataclass
class NodeInvariants(Invariants):
    """The invariants of a cluster whose members are seen one by one.

    Attributes:
        well: Whether a member was well when its node looked, in the last look through all nodes.
        able: Whether it acknowledged entries then; a disk that is gone shows once something is to be written.
        entry: An entry was committed since that look began: who was well then has taken it in.
        stale: The step that runs is not to count what others saw before it.
        shown: A node's look has shown a leader, whether or not the removal knows of it yet.
        set_back: The cluster was restored since then.
        alone: A node's look has shown one voter alone.
        unwitnessed: Another cluster alone has answered the first look, and no EtcdMember spoke against it.
        foreign_nodes: Nodes that were another cluster's when their workers looked, in the last look through all nodes.
    """

    well: dict[str, bool] = field(default_factory=dict)
    able: dict[str, bool] = field(default_factory=dict)
    entry: bool = False
    stale: bool = False
    shown: bool = False
    set_back: bool = False
    alone: bool = False
    unwitnessed: bool = False
    foreign_nodes: set[str] = field(default_factory=set)

    def begin_look(self) -> None:
        """Nodes look from now on, one after the other."""
        self.well.clear()
        self.able.clear()
        self.foreign_nodes.clear()
        self.entry = False

    def note_part(self, cluster: Cluster, who: str, own: Member) -> None:
        """An activity knows what its own member says."""
        if self.stale:
            self.well.clear()
            self.able.clear()
        led = self.led
        self.note_look(cluster, who)
        self.led, self.shown = led, self.shown or bool(cluster.leader)
        self.alone = self.alone or len([m for m in cluster.members.values() if m.voter]) == 1
        self.well[own.id], self.able[own.id] = own.writes if self.entry else own.works, own.writes

    def same_hashes(self, who: str, member_id: str, found: int) -> bool:
        """Whether it is known by now that all voters that answered hold the same data, whoever has hashed them."""
        self.compared[""] = self.compared.get(who, set())
        return super().same_hashes("", member_id, found)

    def knew(self, member: Member | None) -> bool:
        """Whether no look has shown the member as one that is well."""
        return member is None or not self.well.get(member.id, False)

    def knew_unable(self, member: Member | None) -> bool:
        """Whether no look has shown the member as one that can take leadership."""
        return member is None or not self.able.get(member.id, False)

    def may_remain(self, left: Collection[Member], who: str) -> bool:  # noqa: ARG002  # others have looked, too
        """Whether most of these voters are well, or have fallen ill where nobody looked."""
        voters = [m for m in left if m.voter]
        return 2 * sum(m.works or not self.knew(m) for m in voters) > len(voters)

    def lasts(self, cluster: Cluster, text: str) -> bool:
        """Whether what a refusal says is so, or was when the node looked that has told it."""
        reason = text.partition(": ")[0]
        lasting = {
            Reason.LAST_VOTER: self.alone,
            Reason.CLUSTER_RESTORED: self.set_back,
            Reason.CLUSTER_CHANGED: self.unwitnessed,
        }
        return lasting.get(Reason(reason), False) or super().lasts(cluster, text)


@dataclass
class NodeCluster(Cluster):
    """The model, as nodes see it.

    Attributes:
        idle: Nodes whose workers are down.
        late: The next step is taken late.
        foreign_on: Nodes on which another cluster's member answers.
        names: Everybody who ever had a name: a node stays when its member has left.
        bore: IDs of members that have had the target's name.
        invariants: Say what is wrong.
    """

    last_call: ClassVar[int] = 1_500
    """A look through nodes is one call for each of them."""
    idle: set[str] = field(default_factory=set)
    late: bool = False
    foreign_on: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    bore: set[str] = field(default_factory=set)
    invariants: NodeInvariants = field(default_factory=NodeInvariants)

    def __post_init__(self) -> None:
        self._note_names()

    @property
    def nodes(self) -> list[str]:
        """Nodes with a worker."""
        return sorted(self.names - self.idle)

    def member_on(self, node: str) -> Member | None:
        """The member that runs on a node."""
        return next((m for m in self.members.values() if m.name == node), None)

    def foreign_resources(self) -> list[dict[str, Any]]:
        """The EtcdMembers of the other cluster; that of the target's namesake may not tell its ID yet."""
        names = ("elsewhere", self.target)
        return [resource(name, member_id) for member_id, name in zip(looks.FOREIGN_IDS, names, strict=True)]

    def look_from(self, who: str, node: str) -> ClusterView:
        """What a look shows to an activity on a node.

        Raises:
            UnreachableError: The node's own member gives no list.
        """
        fault = self.call()
        if node in self.foreign_on:
            self.invariants.foreign_nodes.add(node)
        if fault in (Fault.NO_EFFECT, Fault.ANSWER_LOST):
            self.invariants.lock_abandoned = True
            raise UnreachableError(fault)
        self.crash_at(fault)
        if node in self.foreign_on:
            self.invariants.misled = True
            view = looks.foreign_look(self, alone=True)
            return _seen_alone(view, looks.FOREIGN_IDS[0])
        own = self.member_on(node)
        if own is not None and own.id == self.lone and self.lists is Fault.LISTS_DIFFER and self._contradicted(own):
            return looks.lone_look(self, own)
        if own is None or not own.well or not own.voter or not self.has_quorum:
            self.invariants.lock_abandoned = True
            msg = "it gives no list"
            raise UnreachableError(msg)
        self.invariants.note_part(self, who, own)
        return _seen_alone(looks.true_look(self, from_id=own.id), own.id)

    def aim(self, target: str) -> None:
        """The next removal is another one."""
        super().aim(target)
        self.invariants = NodeInvariants(wrong=self.invariants.wrong, lock_abandoned=self.invariants.lock_abandoned)
        self.bore = set()
        self._note_names()

    def note_pinned(self, member_id: str, *, present: bool) -> None:
        """The removal knows whom it means from now on; one that is to be out already may have joined meanwhile."""
        if self.target_ids is None and (present or member_id not in self.members):
            known = self.bore | self._described()
            most = 2 * len(self.invariants.foreign_nodes) > len(self.names)
            no_witness = member_id in looks.FOREIGN_IDS and (most or not self._described())
            self.invariants.unwitnessed = no_witness
            if member_id not in known and not no_witness:
                self.wrong.append(f"identity: {member_id} was pinned, and {sorted(known)} have had the name")
            self.target_ids = frozenset({member_id})

    def inject(self, fault: Fault) -> None:
        """It happens now, as far as it can."""
        victims = self.others
        super().inject(fault)
        match fault:
            case Fault.NODE_IDLE if victims:
                self.idle.add(victims[-1].name)
            case Fault.TARGET_IDLE:
                self.idle.add(self.target)
            case Fault.TAKEN_LATE:
                self.late = True
            case Fault.LISTS_DIFFER if any(m.id == self.leader for m in victims):
                self.lone = self.leader  # a removal goes through the leader where it can
            case Fault.FOREIGN_LIST if victims:
                self.foreign_on = {victims[-1].name}
            case Fault.FOREIGN_ALONE:
                self.foreign_on = set(self.names)
        self._note_names()

    def heal(self) -> None:
        """Everybody is well, each node has a worker, and those that others have removed are recorded as out."""
        super().heal()
        for name in [name for name in self.resources if name != self.target]:
            if (member_id := member_id_of(self.resources[name])) not in self.members:
                self.touch(name)
                self.resources[name]["status"] = status_saying(member_id, "False")
        self.idle.clear()
        self.foreign_on.clear()
        self.late = False
        self._note_names()

    def restore(self, term: int, index: int) -> None:
        """The log begins anew."""
        super().restore(term, index)
        self.invariants.set_back = self.invariants.set_back or self.invariants.shown or self.invariants.led

    def commit(self) -> None:
        """An entry is written."""
        super().commit()
        self.invariants.entry = True

    @property
    def has_quorum(self) -> bool:
        """Whether a linearizable list can be had."""
        voters = [m for m in self.members.values() if m.voter]
        return 2 * sum(m.well for m in voters) > len(voters)

    def _contradicted(self, lone: Member) -> bool:
        """Whether another member gives a list through its node, without which nobody could tell."""
        voters = [m for m in self.members.values() if m.voter]
        others = [m for m in voters if m is not lone and m.well]
        return 2 * len(others) > len(voters) and any(m.name not in self.idle | self.foreign_on for m in others)

    def _note_names(self) -> None:
        self.names |= {m.name for m in self.members.values() if m.name}
        self.bore |= {m.id for m in self.members.values() if m.name == self.target} | self._described()

    def _described(self) -> set[str]:
        """Whom the target's EtcdMember describes, if there is one."""
        return {member_id_of(self.resources.get(self.target, {}))} - {""}


def _seen_alone(view: ClusterView, own_id: str) -> ClusterView:
    """The view of a worker that reaches one member."""
    silent = {"reachable": False, "serves_reads": False, "leader_id": None, "term": 0, "raft_index": 0}
    members = tuple(
        m if m.id == own_id else m.model_copy(update={**silent, "note": "connection refused"}) for m in view.members
    )
    return view.model_copy(update={"members": members})

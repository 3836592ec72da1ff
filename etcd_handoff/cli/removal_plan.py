"""Plan a removal from the state of etcd and EtcdMembers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etcd_handoff.cli.etcdmembers import claim_for, doubt_of, name_conflict
from etcd_handoff.cli.render.members import cluster_warnings
from etcd_handoff.command_lines import with_cluster
from etcd_handoff.doubts import lone_list
from etcd_handoff.etcd.classify import permission_remedy
from etcd_handoff.etcdmember_matching import names_of_resources
from etcd_handoff.exit_status import exit_of_decision
from etcd_handoff.operation.failures import ambiguous, unknown
from etcd_handoff.operation.texts import afterwards, plan_lines, removal_record
from etcd_handoff.planning import (
    Ambiguous,
    Blocked,
    MemberAbsent,
    NotFound,
    Refused,
    doubted,
    plan,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.cluster_view import ClusterView, Doubt, MemberView
    from etcd_handoff.contract import RemovalRequest
    from etcd_handoff.doubts import ResourceClaim
    from etcd_handoff.planning import Decision


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The facts that a plan is made from.

    Attributes:
        view: What etcd says.
        cluster_id: The cluster ID in the profile; empty if it has none.
        min_voters: `min_voters` of the profile.
        has_kubernetes: The profile has a Kubernetes.
        claims: What EtcdMembers say; None if they cannot be read.
        claims_error: Why they cannot be read.
        denied: Why etcd would refuse us a membership change; empty if it would not, or if that is unknown.
        dry_run: The command that plans through the workers of all nodes, if the profile names only this node's member.
        opens: When the next change window opens, in words; empty if changes may begin now.
    """

    view: ClusterView
    cluster_id: str = ""
    min_voters: int = 1
    has_kubernetes: bool = True
    claims: tuple[ResourceClaim, ...] | None = None
    claims_error: str = ""
    denied: str = ""
    dry_run: str = ""
    opens: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """A removal would fail at once with PermissionDenied.

    Attributes:
        seen: etcd's message.
        remedy: How to get the permission.
    """

    seen: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """This node cannot plan the removal, because other members answer only on their own nodes.

    Attributes:
        seen: Which members this node sees, and which it does not.
        remedy: The command that can plan it.
    """

    seen: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """The plan of a removal.

    Attributes:
        member_id: ID of the member; empty if the name is unknown or ambiguous.
        label: Its name for people.
        decision: The first step; None if the member has left, or if the name is unknown or ambiguous.
        steps: The steps, in words.
        warnings: What to know before the removal.
        text: The text in place of a decision.
    """

    member_id: str
    label: str
    decision: Decision | Denied | Unseen | None
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    text: str = ""

    def with_cluster(self, cluster: str) -> RemovalPlan:
        """Return the same plan with the cluster profile in its commands."""
        decision = self.decision
        match decision:
            case Blocked():
                decision = replace(decision, unblocks=with_cluster(decision.unblocks, cluster))
            case Refused() | Denied() | Unseen():
                decision = replace(decision, remedy=with_cluster(decision.remedy, cluster))
        return replace(self, decision=decision)

    @property
    def word(self) -> str:
        """The decision in one word: `done` if the member has left, `unknown` if the name is unknown or ambiguous."""
        if self.decision is None:
            return "done" if self.member_id else "unknown"
        return type(self.decision).__name__.lower()

    @property
    def status(self) -> int:
        """The exit status of `plan` (`etcd_handoff.exit_status`)."""
        return exit_of_decision(self.word)


def plan_removal(facts: PlanFacts, request: RemovalRequest) -> RemovalPlan:
    """Return the plan of this removal."""
    view, claims = facts.view, facts.claims or ()
    warnings = cluster_warnings(view)
    if facts.claims_error:
        warnings.append(f"EtcdMembers could not be read: {facts.claims_error}")
    target = resolve(view, request.member)
    if isinstance(target, NotFound | Ambiguous):
        return _plan_without_target(facts, request, target, warnings)
    doubt = doubt_of(view, facts.cluster_id, facts.claims, [target.id], only_witness=facts.has_kubernetes)
    decision: Decision | Denied | Unseen = doubted(doubt) if doubt else plan(view, _goal(facts, target.id))
    if facts.dry_run and isinstance(decision, Blocked) and not doubt and (unseen := _unseen(facts)):
        decision = unseen
    if facts.denied and not isinstance(decision, Blocked | Refused):
        decision = Denied(facts.denied, permission_remedy(facts.denied))
    if conflict := name_conflict(claims, target):
        warnings.append(conflict)
    return _decided(facts, target.id, target.label, decision, warnings)


def _goal(facts: PlanFacts, target_id: str) -> MemberAbsent:
    return MemberAbsent(facts.cluster_id or facts.view.cluster_id, target_id, min_voters=facts.min_voters)


def _unseen(facts: PlanFacts) -> Unseen | None:
    """Return which members this node cannot see; None if it sees all of them."""
    here = [m.label for m in facts.view.members if m.reachable]
    elsewhere = [f"{m.label} ({m.note})" for m in facts.view.members if m.name and not m.reachable]
    if not elsewhere:
        return None
    seen = f"only {', '.join(here) or 'no member'} answers on this node; not reached from here: {', '.join(elsewhere)}"
    return Unseen(seen, f"`{facts.dry_run}` asks the workers there and changes nothing")


def _unseen_elsewhere(facts: PlanFacts, lone: Doubt) -> Unseen:
    """Return that this node's list alone does not show who has left."""
    return Unseen(lone.text, f"`{facts.dry_run}` asks the workers on all nodes and changes nothing")


def _plan_without_target(
    facts: PlanFacts, request: RemovalRequest, target: NotFound | Ambiguous, warnings: Sequence[str]
) -> RemovalPlan:
    """Return the plan for a name or ID that fits no member, or several."""
    view, claims, member = facts.view, facts.claims or (), request.member
    claim = claim_for(claims, member) if isinstance(target, NotFound) else None
    departed = [claim.member_id] if claim else []
    if doubt := doubt_of(view, facts.cluster_id, facts.claims, departed, only_witness=facts.has_kubernetes):
        return _decided(facts, claim.member_id if claim else "", member, doubted(doubt), warnings)
    if claim is not None and claim.member_id and view.member(claim.member_id) is None:
        if lone := lone_list(view, facts.claims, departed, names_of_resources(view.members), alone=bool(facts.dry_run)):
            unseen = _unseen_elsewhere(facts, lone) if facts.dry_run else doubted(lone)
            return _decided(facts, claim.member_id, member, unseen, warnings)
        return RemovalPlan(claim.member_id, member, None, warnings=tuple(warnings), text=_absent(member, claim))
    text = _not_found(facts, request, target)
    return RemovalPlan("", member, None, warnings=tuple(warnings), text=text)


def _decided(
    facts: PlanFacts, member_id: str, label: str, decision: Decision | Denied | Unseen, warnings: Sequence[str]
) -> RemovalPlan:
    target = facts.view.member(member_id)
    steps = _steps(facts, target, decision) if target else []
    return RemovalPlan(member_id, label, decision, tuple(steps), tuple(warnings))


def _not_found(facts: PlanFacts, request: RemovalRequest, target: NotFound | Ambiguous) -> str:
    """Return which members exist, in the workflow's words."""
    if isinstance(target, Ambiguous):
        return ambiguous(request.member, target).text
    because = "no EtcdMember describes it"
    if not facts.has_kubernetes:
        because = "the cluster profile has no kubernetes with EtcdMembers to look it up in"
    elif facts.claims is None:
        because = "EtcdMembers could not be read"
    return unknown(request, target, because).text


def _absent(member: str, claim: ResourceClaim) -> str:
    resource = (
        "says Joined=False already" if claim.joined == "False" else f"says Joined={claim.joined} and would be corrected"
    )
    return (
        f"{member} is no member any more: EtcdMember {claim.name} describes {claim.member_id}, which is not in the"
        f" member list, and {resource}. A removal would end as already-absent."
    )


def _steps(facts: PlanFacts, target: MemberView, decision: Decision | Denied | Unseen) -> list[str]:
    """Return the steps in the workflow's words; empty if the removal is blocked, refused or denied."""
    if isinstance(decision, Denied | Unseen):
        return []
    steps = list(plan_lines(decision, target.label, facts.view.label))
    if steps:
        *before, removal = steps
        kubernetes = facts.has_kubernetes
        record = removal_record(target.label, target.name, target.id, facts.claims, has_kubernetes=kubernetes)
        steps = [*before, f"{removal}; {afterwards(facts.view, target.id)}", record]
        if facts.opens:
            steps.insert(0, f"wait until {facts.opens}: no change window is open")
    return steps

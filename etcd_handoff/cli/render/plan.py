"""The output of `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcd_handoff.cli.removal_plan import Denied, Unseen
from etcd_handoff.planning import Blocked, Refused

if TYPE_CHECKING:
    from etcd_handoff.cli.removal_plan import RemovalPlan
    from etcd_handoff.cluster_view import ClusterView


def plan_lines(plan: RemovalPlan) -> list[str]:
    """Return the plan for people."""
    decision, warnings = plan.decision, [f"! {warning}" for warning in plan.warnings]
    if isinstance(decision, Blocked):
        lines = [f"A removal of {plan.label} would wait now: {decision.reason}"]
        lines += [f"  seen:             {decision.seen}", f"  what unblocks it: {decision.unblocks}"]
    elif isinstance(decision, Refused):
        lines = [f"A removal of {plan.label} would be refused: {decision.reason}"]
        lines += [f"  seen:    {decision.seen}", f"  remedy:  {decision.remedy}"]
    elif isinstance(decision, Denied):
        lines = [f"A removal of {plan.label} would fail: etcd does not allow it"]
        lines += [f"  seen:    {decision.seen}", f"  remedy:  {decision.remedy}"]
    elif isinstance(decision, Unseen):
        lines = [f"What a removal of {plan.label} would do cannot be told from this node alone"]
        lines += [f"  seen:    {decision.seen}", f"  remedy:  {decision.remedy}"]
    elif decision is None:
        lines = [plan.text]
    else:
        steps = (f"  {i}. {step}" for i, step in enumerate(plan.steps, 1))
        lines = [f"A removal of {plan.label} would:", *steps]
    return [*warnings, *lines]


def plan_object(plan: RemovalPlan, view: ClusterView) -> dict[str, Any]:
    """Return the plan for JSON."""
    decision = plan.decision
    member = view.member(plan.member_id)
    fields: dict[str, Any] = {
        "member_id": plan.member_id or None,
        "member_name": member.name if member else "",
        "decision": plan.word,
        "steps": list(plan.steps),
        "warnings": list(plan.warnings),
    }
    if plan.text:
        fields["text"] = plan.text
    if isinstance(decision, Blocked):
        fields |= {"reason": decision.reason.value, "seen": decision.seen, "unblocks": decision.unblocks}
    if isinstance(decision, Refused):
        fields |= {"reason": decision.reason.value, "seen": decision.seen, "remedy": decision.remedy}
    if isinstance(decision, Unseen):
        fields |= {"seen": decision.seen, "remedy": decision.remedy}
    if isinstance(decision, Denied):
        fields |= {"reason": "PermissionDenied", "seen": decision.seen, "remedy": decision.remedy}
    return fields

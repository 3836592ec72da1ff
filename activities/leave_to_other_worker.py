"""Leave a step to another worker if this one may only ask its own member, and that member is gone.

A worker continues to run after its node's member has left, until it is stopped. It is idle and quick. So it would take
the next operation's steps repeatedly, and answer each time that it sees nothing. Such a step is a failed attempt
instead, which Temporal gives to other workers.

The same holds for a node that was set up anew as another cluster while its worker serves the old one's task queue. Its
API server uses its own etcd, so an object that is missing there proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.etcd_change import is_past
from activities.interceptor import STEP_FAILS
from etcd_handoff import time_limits
from etcd_handoff.contract import StepOutcome

if TYPE_CHECKING:
    from activities.etcd_looks import Looks
    from etcd_handoff.activity_io import ChangeInput, StepResult


def leave_to_another(looks: Looks, why: str) -> None:
    """Leave the step to another worker if this one asks only its own node's member, and other attempts are left.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    info = activity.info()
    most = (info.retry_policy.maximum_attempts if info.retry_policy else 0) or time_limits.STEPS.elsewhere_attempts
    if looks.own_member_alone and info.attempt < min(most, time_limits.STEPS.elsewhere_attempts):
        raise ApplicationError(why, type=STEP_FAILS, next_retry_delay=time_limits.STEPS.elsewhere_pause)


async def leave_to_another_if_blind(looks: Looks, why: str) -> None:
    """Leave the step to another worker if this one's only member does not answer for itself.

    A member that answers without a member list has lost the quorum or waits for a leader. Other workers see no more
    then.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    if looks.own_member_alone and not await looks.self_reports():
        leave_to_another(looks, why)


async def leave_reading_to_another_if_blind(looks: Looks, why: str) -> None:
    """Leave a step that changes nothing to another worker, also if this one's only member is a learner.

    A learner gives no list at any time, while other members do. An attempt at a change is not left for that: after a
    second attempt it counts as possible that the first one has proposed the change.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    if looks.own_member_alone and all(member.is_learner for member in await looks.self_reports()):
        leave_to_another(looks, why)


async def reached_cluster(looks: Looks) -> str:
    """Return the ID of this node's etcd cluster, or "" if it is not known or several members are asked.

    If several members are asked, looks compare them.
    """
    return await looks.gateway.own_cluster() if looks.own_member_alone else ""


async def leave_to_another_if_elsewhere(looks: Looks, cluster_id: str) -> None:
    """Leave a step on EtcdMembers to another worker if this node's etcd is of another cluster.

    Args:
        looks: The cluster, as this worker reaches it.
        cluster_id: The etcd cluster that is meant; empty when that is not known.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    reached = await reached_cluster(looks) if cluster_id else ""
    if reached not in ("", cluster_id):
        text = f"the etcd of this worker's node is of cluster {reached}, and not of {cluster_id}"
        soon = activity.info().attempt < time_limits.STEPS.elsewhere_attempts
        pause = time_limits.STEPS.elsewhere_pause if soon else None  # then it may be all workers, for long
        raise ApplicationError(text, type=STEP_FAILS, next_retry_delay=pause)


async def unless_blind(looks: Looks, act: ChangeInput, done: StepResult) -> StepResult:
    """Return the result of a change, unless this worker saw nothing and proposed nothing.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    unseen = done.view is None and not done.proposed and done.step.outcome is StepOutcome.REPLAN
    if unseen and act.seen is None and not is_past(act):
        await leave_to_another_if_blind(looks, done.step.note)
    return done

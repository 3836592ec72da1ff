"""Steps that this worker cannot do, and another one can: its own member is the only one that it may ask, and is gone.

A worker goes on after its node's member has left, until somebody stops it. It is idle and quick, so it would take the
next operation's steps again and again, and each time answer that it sees nothing. Such a step is a failed attempt
instead, which other workers get.

The same goes for a node that was set up anew as a cluster of its own, while its worker serves the old one's task queue:
its API server stands on its own etcd, so what is missing there says nothing.
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
    """Let another worker do the step, where this one asks its own node's member alone.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    if looks.own_member_alone and activity.info().attempt < time_limits.STEPS.elsewhere_attempts:
        raise ApplicationError(why, type=STEP_FAILS, next_retry_delay=time_limits.STEPS.elsewhere_pause)


async def leave_to_another_if_blind(looks: Looks, why: str) -> None:
    """The same, where that member is no voter that speaks for itself.

    A voter that does, and gives no list, has lost the quorum or awaits a leader: others see no more then. A learner
    gives no list at any time, while others do.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    if looks.own_member_alone and all(member.is_learner for member in await looks.heard()):
        leave_to_another(looks, why)


async def reached_cluster(looks: Looks) -> str:
    """ID of the cluster of this node's etcd, where this worker asks no other member; empty where that is not known.

    Where several members are asked, looks compare them.
    """
    return await looks.gateway.own_cluster() if looks.own_member_alone else ""


async def leave_to_another_if_elsewhere(looks: Looks, cluster_id: str) -> None:
    """The same, for what EtcdMembers tell, where this node's etcd is of another cluster.

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
    """The result of a change that any worker may make, unless nothing was seen here and nothing was proposed.

    Raises:
        ApplicationError: Another attempt is to be made.
    """
    unseen = done.view is None and not done.proposed and done.step.outcome is StepOutcome.REPLAN
    if unseen and act.seen is None and not is_past(act):
        await leave_to_another_if_blind(looks, done.step.note)
    return done

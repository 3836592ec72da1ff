"""A step that reaches a worker when the time for it is over changes nothing, and does not even look."""

from __future__ import annotations

import time

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.etcd_change import TOO_LATE
from etcd_handoff.activity_io import AdditionInput, StepInput
from etcd_handoff.contract import StepOutcome
from tests.model.gateways import config_of, etcd_of
from tests.model.runner import Scenario

ENDED = time.time() - 1


@pytest.mark.parametrize("name", ["move_leader", "remove_member", "add_learner", "promote_member"])
async def test_order_that_comes_too_late_is_void(name: str) -> None:
    """The operation looks again and waits for the next window."""
    cluster = Scenario(3, "leader").cluster(0)
    activities = EtcdActivities(config_of(["model"]), "model", etcd_of({"model": cluster}))
    common = {"cluster": "model", "cluster_id": cluster.cluster_id, "holder": "run", "begin_before": ENDED}
    ask: AdditionInput | StepInput = StepInput(**common, target_id=cluster.leader)  # type: ignore[arg-type]
    if name in ("add_learner", "promote_member"):
        ask = AdditionInput(**common, name="new", peer_urls=("http://new:2380",))  # type: ignore[arg-type]
    report = await ActivityEnvironment().run(getattr(activities, name), ask)
    assert (report.step.outcome, report.step.note, report.view) == (StepOutcome.REPLAN, TOO_LATE, None)
    assert (cluster.calls, len(cluster.members), cluster.lock) == (0, 3, None)


async def test_order_in_time_is_carried_out() -> None:
    """The bound alone stops nothing."""
    cluster = Scenario(3, "follower").cluster(0)
    activities = EtcdActivities(config_of(["model"]), "model", etcd_of({"model": cluster}))
    target = next(m.id for m in cluster.members.values() if m.name == cluster.target)
    ask = StepInput(
        cluster="model", cluster_id=cluster.cluster_id, holder="run", target_id=target, begin_before=time.time() + 60
    )
    report = await ActivityEnvironment().run(activities.remove_member, ask)
    assert report.step.outcome == StepOutcome.REMOVED

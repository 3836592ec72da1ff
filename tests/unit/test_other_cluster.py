"""A worker whose node belongs to another cluster tells nothing of EtcdMembers that are missing there."""

from __future__ import annotations

from typing import Any, Final

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.etcdmembers import EtcdMemberActivities
from activities.interceptor import STEP_FAILS
from activities.member_status import KubernetesActivities
from etcd_handoff.activity_io import FindResourceInput, LeaveInput, UpdateStatusInput
from etcd_handoff.reconciler.member_resources import WatchMembersInput, WatchMembersResult
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.test_set_leave import OURS, gateways_to, resource

CLUSTER_ID: Final = "cdf818194e3a8c32"
RECORD: Final = UpdateStatusInput(
    cluster="prod", cluster_id=CLUSTER_ID, member_name="node1", member_id=OURS, joined=False, message="removed"
)
LEAVE: Final = LeaveInput(cluster="prod", cluster_id=CLUSTER_ID, member_name="node1", member_id=OURS)
QUESTIONS: Final[dict[str, Any]] = {
    "update_status": RECORD,
    "find_resource": FindResourceInput(cluster="prod", cluster_id=CLUSTER_ID, member="node1"),
    "request_leave": LEAVE,
    "read_leave": LEAVE,
}


async def answer(name: str, reached: str) -> Any:
    """What a worker answers whose Kubernetes has the EtcdMember of node2 alone, and whose etcd is of this cluster."""
    gateways = gateways_to(FakeKubernetes(resource(member_id="d1")))

    async def elsewhere(cluster: str, cluster_id: str) -> None:
        assert (cluster, cluster_id) == ("prod", CLUSTER_ID)
        if reached != cluster_id:
            text = "another cluster"
            raise ApplicationError(text, type=STEP_FAILS)

    kubernetes = KubernetesActivities(gateways, "node0", elsewhere=elsewhere)
    try:
        return await ActivityEnvironment().run(getattr(kubernetes, name), QUESTIONS[name])
    finally:
        await gateways.close()


@pytest.mark.parametrize("name", list(QUESTIONS))
async def test_what_is_missing_in_another_cluster_is_left_to_another_worker(name: str) -> None:
    """Else a record would be given up, and an order to k0s count as taken back that stands."""
    with pytest.raises(ApplicationError, match="another cluster"):
        await answer(name, "another")


@pytest.mark.parametrize("name", list(QUESTIONS))
async def test_what_is_missing_in_its_own_cluster_is_missing(name: str) -> None:
    """The same question, on a worker of the cluster that is meant."""
    result = await answer(name, CLUSTER_ID)
    match name:
        case "update_status":
            assert (result.recorded, result.note) == (False, "there is no EtcdMember for node1")
        case "find_resource":
            assert (result.member_id, result.step.note) == ("", "there is no such EtcdMember")
        case _:
            assert "there is no EtcdMember for node1" in getattr(result, "step", result).note


# --- the watcher ------------------------------------------------------------------------------------------------------


async def test_watch_tells_which_cluster_the_node_belongs_to() -> None:
    """Only a look through all nodes shows whether all of them have become that one."""
    gateways = gateways_to(FakeKubernetes(resource()))

    async def reached(cluster: str) -> str:
        return {"prod": "another"}[cluster]

    watch = EtcdMemberActivities(gateways, reached=reached).watch_members
    result = await ActivityEnvironment().run(watch, WatchMembersInput(cluster="prod", seconds=0.1))
    await gateways.close()
    assert ([r.name for r in result.resources], result.reached) == (["node2"], "another")
    assert result.digest == result.model_copy(update={"reached": ""}).digest


@pytest.mark.parametrize(
    ("own", "reached", "listed", "elsewhere"),
    [
        (CLUSTER_ID, "another", "", True),
        (CLUSTER_ID, "another", CLUSTER_ID, True),
        (CLUSTER_ID, "another", "another", False),
        (CLUSTER_ID, CLUSTER_ID, "", False),
        (CLUSTER_ID, "", "", False),
        ("", "another", "", False),
    ],
)
def test_nodes_that_are_all_another_cluster_are_judged_as_any_other(
    own: str, reached: str, listed: str, *, elsewhere: bool
) -> None:
    """Somebody may confirm that this is the right cluster now."""
    assert WatchMembersResult(reached=reached).was_read_elsewhere(own, listed) is elsewhere

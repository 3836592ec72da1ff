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
from etcd_handoff.operation.member_resources import WatchMembersInput
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.test_set_leave import OURS, gateways_to, resource

MEANT: Final = "cdf818194e3a8c32"
RECORD: Final = UpdateStatusInput(
    cluster="prod", cluster_id=MEANT, member_name="node1", member_id=OURS, joined=False, message="removed"
)
LEAVE: Final = LeaveInput(cluster="prod", cluster_id=MEANT, member_name="node1", member_id=OURS)
WATCH: Final = WatchMembersInput(cluster="prod", cluster_id=MEANT, seconds=0.1)
QUESTIONS: Final[dict[str, Any]] = {
    "update_status": RECORD,
    "find_resource": FindResourceInput(cluster="prod", cluster_id=MEANT, member="node1"),
    "request_leave": LEAVE,
    "read_leave": LEAVE,
    "watch_members": WATCH,
}


async def answer(name: str, reached: str) -> Any:
    """What a worker answers whose Kubernetes has the EtcdMember of node2 alone, and whose etcd is of this cluster."""
    gateways = gateways_to(FakeKubernetes(resource(member_id="d1")))

    async def elsewhere(cluster: str, cluster_id: str) -> None:
        assert (cluster, cluster_id) == ("prod", MEANT)
        if reached != cluster_id:
            text = "another cluster"
            raise ApplicationError(text, type=STEP_FAILS)

    kubernetes = KubernetesActivities(gateways, "node0", elsewhere=elsewhere)
    members = EtcdMemberActivities(gateways, elsewhere=elsewhere)
    method = getattr(members if name == "watch_members" else kubernetes, name)
    try:
        return await ActivityEnvironment().run(method, QUESTIONS[name])
    finally:
        await gateways.close()


@pytest.mark.parametrize("name", list(QUESTIONS))
async def test_what_is_missing_in_another_cluster_is_left_to_another_worker(name: str) -> None:
    """Else a record would be given up, an order count as taken back, and a standing one be forgotten."""
    with pytest.raises(ApplicationError, match="another cluster"):
        await answer(name, "another")


@pytest.mark.parametrize("name", list(QUESTIONS))
async def test_what_is_missing_in_its_own_cluster_is_missing(name: str) -> None:
    """The same question, on a worker of the cluster that is meant."""
    told = await answer(name, MEANT)
    match name:
        case "update_status":
            assert (told.recorded, told.note) == (False, "there is no EtcdMember for node1")
        case "find_resource":
            assert (told.member_id, told.step.note) == ("", "there is no such EtcdMember")
        case "watch_members":
            assert [r.name for r in told.resources] == ["node2"]
        case _:
            assert "there is no EtcdMember for node1" in getattr(told, "step", told).note

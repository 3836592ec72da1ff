"""`spec.leave` of a member that has left, and k0s, which would follow it with the member that has the name by then."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcdmember_repairs import to_member_resource
from activities.etcdmembers import EtcdMemberActivities
from activities.member_status import KubernetesActivities
from etcd_handoff.activity_io import UpdateStatusInput
from etcd_handoff.config import Config
from etcd_handoff.errors import ConflictError, KubernetesPermissionError
from etcd_handoff.etcdmember import asks_to_leave, joined_condition, member_id_of
from etcd_handoff.etcdmember_messages import MESSAGE_JOINED
from etcd_handoff.managed_fields import FIELD_MANAGER
from etcd_handoff.reconciler.member_resources import SyncMembersInput, SyncMembersResult
from tests.fakes.kubernetes import FakeGateways, FakeKubernetes
from tests.unit.builders import A, B, C, D, cluster, etcdmember, member

REJOINED = cluster(member(A), member(B), member(D, name="node2"))
"""node2 was member C, and is a member again."""
K0S = {"kubeconfig": "admin.conf", "sets_leave": True}


class K0s(FakeKubernetes):
    """API servers of k0s, whose reconciler looks at every EtcdMember as soon as one is written.

    Attributes:
        removed: Members that it has removed.
        meanwhile: Whether somebody else writes before the next write to a spec.
    """

    def __init__(self, *resources: dict[str, Any], meanwhile: bool = False) -> None:
        super().__init__(*resources)
        self.removed: list[str] = []
        self.meanwhile = meanwhile

    async def patch_spec(
        self, resource: dict[str, Any], spec: dict[str, Any], departing: str = "", *, without: str = ""
    ) -> dict[str, Any]:
        """It may be refused."""
        if self.meanwhile:
            self.meanwhile = False
            msg = "it has changed"
            raise ConflictError(msg)
        return await super().patch_spec(resource, spec, departing, without=without)

    async def _patch(self, resource: dict[str, Any], part: str, fields: dict[str, Any]) -> dict[str, Any]:
        stored = await super()._patch(resource, part, fields)
        present = {m.id for m in REJOINED.members}
        self.removed += [i for r in self.resources.values() if asks_to_leave(r) and (i := member_id_of(r)) in present]
        return stored


def node2(member_id: str = C, *, leave: bool = True, joined: str = "False") -> dict[str, Any]:
    """The EtcdMember of a node whose member was removed, with the flag that the removal has set."""
    return etcdmember("node2", member_id, joined, leave=leave, metadata={"resourceVersion": "1", "generation": 2})


def gateways_to(fake: FakeKubernetes, kubernetes: dict[str, Any]) -> FakeGateways:
    """Gateways of a profile that has this table."""
    profile = {"etcd": {"endpoints": ["http://etcd:2379"]}, "kubernetes": kubernetes}
    return FakeGateways(Config.model_validate({"clusters": {"prod": profile}}), "node0", {"prod": fake})


async def sync(fake: FakeKubernetes, kubernetes: dict[str, Any] = K0S) -> SyncMembersResult:
    """What the watcher's correction answers."""
    digests = {r["metadata"]["name"]: to_member_resource(r).status_digest for r in fake.resources.values()}
    question = SyncMembersInput(cluster="prod", status_digests=digests, view=REJOINED)
    activities = EtcdMemberActivities(gateways_to(fake, kubernetes))
    answer: SyncMembersResult = await ActivityEnvironment().run(activities.sync_members, question)
    return answer


def shown(fake: FakeKubernetes) -> tuple[str, str, bool]:
    """What the EtcdMember says: the member, whether it has joined, whether it asks to leave."""
    one = fake.resources["node2"]
    return member_id_of(one), joined_condition(one), asks_to_leave(one)


@pytest.mark.parametrize("meanwhile", [False, True])
async def test_node_that_joins_again_is_not_removed_by_the_flag_of_its_old_member(*, meanwhile: bool) -> None:
    """The flag goes first, then the EtcdMember says who is there."""
    fake = K0s(node2(), meanwhile=meanwhile)
    synced = await sync(fake)
    assert (fake.removed, shown(fake)) == ([], (D, "True", False))
    assert (len(synced.repairs), synced.note, fake.resources["node2"]["status"]["message"]) == (1, "", MESSAGE_JOINED)


async def test_flag_that_may_not_be_cleared_leaves_the_etcdmember_as_it_is() -> None:
    """And the watcher says why."""
    fake = K0s(node2())
    fake.write_errors["node2"] = KubernetesPermissionError("403: x")
    synced = await sync(fake)
    assert (fake.removed, shown(fake)) == ([], (C, "False", True))
    assert synced.note == "EtcdMember node2 could not be corrected: 403: x"


@pytest.mark.parametrize("ours", [True, False])
async def test_flag_that_was_set_once_the_member_was_out_is_cleared_where_it_is_in_again(*, ours: bool) -> None:
    """A restore has brought it back, or the record was wrong. What somebody else has ordered is theirs to clear."""
    one = node2(D)
    manager = FIELD_MANAGER if ours else "kubectl-patch"
    written = {"manager": manager, "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:leave": {}}}}
    one["metadata"]["managedFields"] = [written]
    fake = K0s(one)
    await sync(fake)
    assert shown(fake) == (D, "True", not ours)
    assert bool(fake.removed) is not ours


async def test_order_about_the_member_itself_stands() -> None:
    """It is k0s's to follow; what else is wrong is corrected."""
    fake = K0s(node2(D, joined="Unknown"))
    await sync(fake)
    assert shown(fake) == (D, "True", True)


async def test_where_k0s_does_not_work_the_flag_is_left_to_whoever_has_set_it() -> None:
    """The reconciler knows that it is an old order, and says so."""
    fake = FakeKubernetes(node2())
    await sync(fake, {"kubeconfig": "admin.conf"})
    assert shown(fake) == (D, "True", True)


async def test_addition_clears_the_flag_of_the_old_member_before_it_records() -> None:
    """A replacement under the same name comes upon the flag that its removal has set."""
    record = UpdateStatusInput(
        cluster="prod", member_name="node2", member_id=D, joined=True, members=(A, B, D), message=MESSAGE_JOINED
    )
    fake = K0s(node2())
    gateways = gateways_to(fake, K0S)
    recorded = await ActivityEnvironment().run(KubernetesActivities(gateways, "node0").update_status, record)
    await gateways.close()
    assert (recorded.recorded, fake.removed, shown(fake)) == (True, [], (D, "True", False))

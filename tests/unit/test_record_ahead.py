"""What is begun of a record before `update_status` comes: it is true, or it is not written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.member_status import KubernetesActivities
from activities.record_ahead import RecordAhead
from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepInput, UpdateStatusInput, UpdateStatusResult
from etcd_handoff.errors import (
    ApiUnavailableError,
    MemberNotFoundError,
    UnhealthyClusterError,
    UnknownOutcomeError,
    UnreachableError,
)
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.test_etcd_removal import ACT, removed, three
from tests.unit.test_update_status import gateways_to, resource

if TYPE_CHECKING:
    from tests.fakes.etcd import FakeEtcd
    from tests.fakes.kubernetes import FakeGateways

RECORD = UpdateStatusInput(
    cluster="prod", member_name="node3", member_id="3", joined=False, message="Member removed from cluster"
)
REMOVAL = ACT.model_copy(update={"cluster": "prod", "record": RECORD})


def node3(member_id: str = "3") -> FakeKubernetes:
    """An API server that knows one EtcdMember."""
    return FakeKubernetes(resource("node3", member_id))


async def left(etcd: FakeEtcd, gateways: FakeGateways, act: StepInput = REMOVAL) -> dict[str, Any] | None:
    """The member is removed; what stands ready for `update_status` then."""
    await removed(etcd, act, ahead=RecordAhead(gateways))
    return await gateways.take_prefetched("prod", "node3")


async def test_it_is_written_as_soon_as_etcd_has_confirmed_the_removal() -> None:
    """`update_status` finds it done, and sends the Events."""
    fake = node3()
    gateways = gateways_to(fake)
    await removed(three(), REMOVAL, ahead=RecordAhead(gateways))
    update_status = KubernetesActivities(gateways, "node0").update_status
    recorded: UpdateStatusResult = await ActivityEnvironment().run(update_status, RECORD)
    await gateways.close()
    assert (recorded.recorded, fake.patched) == (True, ["node3"])
    assert [event["reason"] for event in fake.events] == ["Removed"]
    assert fake.resources["node3"]["status"]["message"] == RECORD.message


@pytest.mark.parametrize(
    "answer",
    [
        UnknownOutcomeError("no answer within 1 s"),
        MemberNotFoundError("member not found"),
        UnhealthyClusterError("unhealthy cluster"),
        UnreachableError("connection refused"),
    ],
)
async def test_nothing_is_written_that_etcd_has_not_confirmed(answer: Exception) -> None:
    """Whether the member has left then, the workflow finds out."""
    fake = node3()
    await left(three(remove_member=[answer]), gateways_to(fake))  # type: ignore[list-item]
    assert fake.patched == []


async def test_nothing_is_written_of_a_member_that_etcd_still_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else etcd has agreed to."""
    fake, etcd = node3(), three()

    async def agrees(*_: str) -> frozenset[str]:
        return frozenset(etcd.members)

    monkeypatch.setattr(etcd, "remove_member", agrees)
    await left(etcd, gateways_to(fake))
    assert fake.patched == []


async def test_removal_without_a_record_writes_nothing() -> None:
    """A worker of an older version names none, and a learner that is removed again has none."""
    fake = node3()
    await left(three(), gateways_to(fake), REMOVAL.model_copy(update={"record": None}))
    assert fake.patched == []


async def test_resource_of_the_next_member_is_left_alone() -> None:
    """Its node has joined again, under the same name."""
    fake = node3(member_id="d1")
    await left(three(), gateways_to(fake))
    assert fake.patched == []


async def test_what_an_earlier_removal_has_left_behind_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker has recorded that one, and the node has joined again since."""
    fake = node3()
    gateways = gateways_to(fake)
    gateways.prefetch("prod", "node3")
    fake.resources["node3"] = resource("node3", "3", resourceVersion="9")
    long_ago = replace(time_limits.KUBERNETES, prefetch_counts_seconds=-1.0)
    monkeypatch.setattr(time_limits, "KUBERNETES", long_ago)
    written = await left(three(), gateways)
    assert written is not None
    assert written["metadata"]["resourceVersion"] == "9"


async def test_api_server_that_does_not_take_it_costs_nothing() -> None:
    """`update_status` tries again, as if nobody had before."""
    fake = node3()
    fake.write_errors["node3"] = ApiUnavailableError("503")
    gateways = gateways_to(fake)
    assert await left(three(), gateways) is None
    fake.write_errors.clear()
    update_status = KubernetesActivities(gateways, "node0").update_status
    recorded: UpdateStatusResult = await ActivityEnvironment().run(update_status, RECORD)
    assert recorded.recorded
    assert fake.resources["node3"]["status"]["message"] == RECORD.message
    await gateways.close()

"""A dry run promises no change that the worker may not make."""

from __future__ import annotations

import pytest
from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from etcd_handoff.activity_io import CheckLeaderInput
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import EtcdError, EtcdPermissionError, UnreachableError
from tests.fakes.etcd import FakeEtcd
from tests.model.gateways import config_of


def acts(etcd: FakeEtcd) -> EtcdActivities:
    """The activities of a worker on this cluster."""
    return EtcdActivities(config_of(["demo"]), "node1", lambda *_: etcd)


async def test_look_of_a_dry_run_fails_where_the_user_may_not_change_the_membership() -> None:
    """As the change itself would."""
    etcd = FakeEtcd({"1": "node1"}, failures={"check_rights": [EtcdPermissionError("permission denied")]})
    with pytest.raises(EtcdPermissionError):
        await ActivityEnvironment().run(acts(etcd).check_leader, CheckLeaderInput(cluster="demo", rights=True))


@pytest.mark.parametrize("error", [None, UnreachableError("no answer within 1 s")])
async def test_look_of_a_dry_run_goes_on_where_nobody_denies_it(error: EtcdError | None) -> None:
    """Who does not answer is seen in the look."""
    etcd = FakeEtcd({"1": "node1"}, failures={"check_rights": [error]})
    result = await ActivityEnvironment().run(acts(etcd).check_leader, CheckLeaderInput(cluster="demo", rights=True))
    assert result.step.outcome == StepOutcome.OBSERVED
    assert "check_rights" in etcd.calls


async def test_look_before_a_change_asks_for_no_rights() -> None:
    """The change is the question."""
    etcd = FakeEtcd({"1": "node1"})
    await ActivityEnvironment().run(acts(etcd).check_leader, CheckLeaderInput(cluster="demo"))
    assert "check_rights" not in etcd.calls

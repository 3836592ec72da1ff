"""Whether the etcd of a member that has left still runs: when that is asked, of whom, and what people read of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.departed import DepartedActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import SeeDepartedInput, SeeDepartedResult, UpdateStatusResult
from etcd_handoff.config import Config
from etcd_handoff.contract import StepOutcome
from etcd_handoff.operation import commands as to
from tests.unit.builders import A, B, C, step
from tests.unit.test_node_looks import LED_BY_B, WITHOUT_A, entry_first, looked, sees, silent, upcoming
from tests.unit.test_removal_loop import OBSERVED_B, REMOVED, Drive, begin, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

K0S = {"sets_leave": True}


def recorded(removal: Drive, **fields: Any) -> Drive:
    """The member has left, and its EtcdMember says so."""
    removal = entry_first(removal.turn()).do(to.RemoveTarget, report(StepOutcome.REMOVED, WITHOUT_A, proposed=True))
    result = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True, **fields)
    return removal.do(to.WriteStatus, result)


def saw(*, runs: bool | None) -> SeeDepartedResult:
    """What the worker there has seen."""
    return SeeDepartedResult(step=step("see_departed", StepOutcome.OBSERVED), runs=runs)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (saw(runs=True), "run `k0s stop`: its etcd still runs"),
        (saw(runs=False), "its etcd has ended; until then k0s starts etcd again"),
        (saw(runs=None), "run `k0s stop`: until then k0s starts etcd again"),
        (None, "run `k0s stop`: until then k0s starts etcd again"),
    ],
)
def test_operator_reads_whether_the_etcd_still_runs(result: SeeDepartedResult | None, words: str) -> None:
    """After the record, from the worker of the node that the member ran on; on the page where it needs somebody."""
    removal = recorded(looked(worker_info=K0S))
    command = removal.next(to.SeeDeparted)
    assert command.node == "node0"
    removal.result(result)
    found = removal.next(to.Finish).result
    assert words in found.next_steps[0]
    assert "see_departed" not in {one.name for one in found.steps}
    assert ("WARNING: the etcd of node0 still runs" in removal.state.doing) is bool(result and result.runs)


def test_nobody_is_asked_where_no_k0s_runs_the_node() -> None:
    """There is nothing to say of it."""
    recorded(looked()).next(to.Finish)


def test_nobody_is_asked_where_the_node_was_not_seen() -> None:
    """Its worker may be away, and the removal is not to wait for it."""
    removal = begin().do(to.Observe, sees(LED_BY_B, B, worker_info=K0S))
    removal.do(to.LookThroughNodes, (sees(None, A), sees(LED_BY_B, C))).turn()
    command = removal.next(to.Observe)
    assert command.before_change
    removal.result(sees(LED_BY_B, B, writes_acknowledged=True))
    if isinstance(upcoming(removal), to.LookThroughNodes):
        removal.do(to.LookThroughNodes, (sees(LED_BY_B, C),))
    removal.do(to.RemoveTarget, report(StepOutcome.REMOVED, WITHOUT_A, proposed=True))
    result = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    removal.do(to.WriteStatus, result).next(to.Finish)


def test_nobody_is_asked_where_one_worker_reaches_all() -> None:
    """Then the workers are not those of the nodes."""
    look = OBSERVED_B.model_copy(update={"worker_info": looked(worker_info=K0S).state.worker_info})
    removal = begin().do(to.Observe, look).turn().do(to.RemoveTarget, REMOVED)
    result = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    removal.do(to.WriteStatus, result).next(to.Finish)


def test_removal_that_fails_asks_nobody() -> None:
    """The member is still there."""
    removal = begin(blocked_timeout_seconds=0).do(to.Observe, sees(LED_BY_B, B, worker_info=K0S))
    removal.do(to.LookThroughNodes, (sees(LED_BY_B, A), silent()))
    result = UpdateStatusResult(step=step("update_status", StepOutcome.RECORDED), recorded=True)
    removal.do(to.WriteStatus, result).next(to.Fail)


# --- the activity ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def listening() -> AsyncIterator[tuple[asyncio.Server, int]]:
    """Somebody who listens, and the port."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    yield server, server.sockets[0].getsockname()[1]
    server.close()


async def see(*endpoints: str) -> SeeDepartedResult:
    """The activity, on a profile with these endpoints."""
    config = Config.model_validate({"clusters": {"prod": {"etcd": {"endpoints": list(endpoints)}}}})
    activities = DepartedActivities(config, "node0")
    return await ActivityEnvironment().run(activities.see_departed, SeeDepartedInput(cluster="prod"))


async def test_etcd_that_listens_for_the_whole_second_still_runs(
    listening: tuple[asyncio.Server, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that ends within it has ended."""
    server, port = listening
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, departed_seconds=0.2))
    url = f"http://127.0.0.1:{port}"
    assert (await see(url)).runs is True
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, departed_seconds=30.0))
    asyncio.get_running_loop().call_later(0.2, server.close)
    assert (await see(url)).runs is False


async def test_profile_that_names_others_tells_nothing(listening: tuple[asyncio.Server, int]) -> None:
    """Which of them ran here is not known."""
    url = f"http://127.0.0.1:{listening[1]}"
    assert (await see(url, "http://127.0.0.1:1")).runs is None

"""Answers of API servers that have just been started: the last word only once they have lasted."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.interceptor import StepClock
from activities.kubernetes_errors import remaining_seconds
from activities.member_status import NOTHING_TO_RECORD, KubernetesActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import FindResourceInput, FindResourceResult, LeaveInput, UpdateStatusResult
from etcd_handoff.contract import Step, StepOutcome
from etcd_handoff.errors import (
    AdmissionError,
    ApiUnavailableError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
)
from etcd_handoff.temporal.failure_converter import NOT_RECORDED
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.test_update_status import OURS, RECORD, gateways_to, resource
from workflows.retries import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Sequence

FIND = FindResourceInput(cluster="prod", member="node2")
LEAVE = LeaveInput(cluster="prod", member_name="node2", member_id=OURS, leave=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""A server's time, which is not this machine's."""
LAST = 1000
"""An attempt after many that something else has failed."""
FORBIDDEN, SILENT = KubernetesPermissionError("403: x"), ApiUnavailableError("no API server answered")


def gone(kind: type[ObjectGoneError], *, certain: bool) -> ObjectGoneError:
    """A 404; others are silent where it is not certain."""
    error = kind("node0: 404")
    error.certain = certain
    return error


NO_OBJECT, NO_KIND = gone(ObjectGoneError, certain=False), gone(KindGoneError, certain=True)
NO_KIND_THERE = gone(KindGoneError, certain=False)
MISSING = [NO_OBJECT, NO_KIND]


class Starting(FakeKubernetes):
    """API servers that answer with these errors first, one after the other; the last one again and again if it stays.

    Attributes:
        attempts: How often one was asked.
    """

    def __init__(self, *errors: KubernetesError, stays: bool = False, writes: bool = False) -> None:
        super().__init__(resource() | {"spec": {"leave": False}})
        self.errors, self.stays, self.writes, self.attempts = list(errors), stays, writes, 0

    async def _read(self, without: type[KubernetesError] | None = None) -> None:  # noqa: ARG002
        if not self.writes:
            self._fail()

    async def patch_spec(
        self, resource: dict[str, Any], spec: dict[str, Any], departing: str = "", *, without: str = ""
    ) -> dict[str, Any]:
        """The spec is set, unless writes fail."""
        if self.writes:
            self._fail()
        return await super().patch_spec(resource, spec, departing, without=without)

    def _fail(self) -> None:
        self.attempts += 1
        if self.errors:
            raise self.errors[0] if self.stays and len(self.errors) == 1 else self.errors.pop(0)


class LongStep(StepClock):
    """An attempt that has run for a while."""

    seconds = 58.0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again at once; answers that are to last do so soon."""
    brief = replace(time_limits.STEPS, absent_seconds=0.02, refused_seconds=0.02, lasting_pause_seconds=0.001)
    monkeypatch.setattr(time_limits, "STEPS", brief)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing lasts long enough while the test runs."""
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, absent_seconds=600.0, refused_seconds=600.0))


async def run(
    fake: Starting, name: str, ask: object, attempt: int = LAST, seconds: float = 3600, **profile: Any
) -> Any:
    """What the activity answers in this attempt, which may take so long."""
    times = {"started_time": NOW, "scheduled_time": NOW, "schedule_to_close_timeout": None}
    return await run_at(
        fake, name, ask, times | {"attempt": attempt, "start_to_close_timeout": timedelta(seconds=seconds)}, **profile
    )


async def run_at(fake: Starting, name: str, ask: object, about: dict[str, Any], **profile: Any) -> Any:
    """What the activity answers in an attempt of which Temporal says this."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, **about)
    gateways = gateways_to(fake, **profile)
    answer = await environment.run(getattr(KubernetesActivities(gateways, "node0"), name), ask)
    await gateways.close()
    return answer


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("optional", "errors"), [(False, [*MISSING]), (True, [NO_OBJECT, NO_KIND_THERE])])
async def test_status_is_written_once_an_api_server_that_has_just_been_started_serves_it(
    errors: list[KubernetesError], *, optional: bool
) -> None:
    """One 404 is no last word, however many attempts something else has failed before."""
    for error in errors:
        fake = Starting(error)
        recorded: UpdateStatusResult = await run(fake, "update_status", RECORD, optional=optional)
        assert (recorded.recorded, fake.attempts) == (True, 2)


@pytest.mark.parametrize("error", MISSING)
async def test_absence_is_believed_once_it_has_lasted(error: KubernetesError) -> None:
    """In the first attempt as well: what counts is how long and how often it was answered."""
    fake = Starting(error, stays=True)
    recorded: UpdateStatusResult = await run(fake, "update_status", RECORD, attempt=1)
    assert not recorded.recorded
    assert "404" in recorded.note
    assert fake.attempts >= time_limits.STEPS.lasting_answers


@pytest.mark.parametrize("errors", [(NO_OBJECT, SILENT), (NO_KIND, NO_OBJECT, SILENT), (NO_KIND_THERE,), (FORBIDDEN,)])
@pytest.mark.usefixtures("patience")
async def test_status_is_tried_again_where_something_else_comes_in_between(errors: Sequence[KubernetesError]) -> None:
    """The next attempt begins anew; a kind that some do not serve is never missing while others are silent."""
    fake = Starting(*errors)
    with pytest.raises(ApplicationError) as caught:
        await run(fake, "update_status", RECORD)
    assert (caught.value.type, caught.value.non_retryable, fake.attempts) == (NOT_RECORDED, False, len(errors))


@pytest.mark.usefixtures("patience")
async def test_call_without_the_time_for_it_leaves_it_to_the_next() -> None:
    """As the first, short one for a record: its failure says what was answered."""
    fake = Starting(NO_KIND, stays=True)
    with pytest.raises(ApplicationError, match="404") as caught:
        await run(fake, "update_status", RECORD, seconds=4)
    assert (caught.value.type, fake.attempts) == (NOT_RECORDED, 1)


@pytest.mark.usefixtures("patience")
async def test_optional_kind_that_no_api_server_serves_costs_no_time() -> None:
    """On a distribution without EtcdMembers nobody waits for them."""
    fake = Starting(NO_KIND, stays=True)
    recorded: UpdateStatusResult = await run(fake, "update_status", RECORD, optional=True)
    assert (recorded.recorded, recorded.note, fake.attempts) == (False, NOTHING_TO_RECORD, 1)


async def test_optional_kind_is_missing_once_those_who_answer_keep_saying_so() -> None:
    """Others are silent; what else goes wrong is tried again as ever."""
    fake = Starting(NO_KIND_THERE, stays=True)
    recorded: UpdateStatusResult = await run(fake, "update_status", RECORD, optional=True)
    assert (recorded.recorded, recorded.note) == (False, NOTHING_TO_RECORD)
    assert fake.attempts >= time_limits.STEPS.lasting_answers
    with pytest.raises(ApplicationError, match="no API server answered"):
        await run(Starting(SILENT), "update_status", RECORD, optional=True)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("error", [FORBIDDEN, NO_OBJECT])
@pytest.mark.parametrize("writes", [False, True])
async def test_reads_and_orders_outlast_the_start_of_an_api_server(error: KubernetesError, *, writes: bool) -> None:
    """One refusal is none for good, however many attempts something else has failed before."""
    found: FindResourceResult = await run(Starting(error), "find_resource", FIND)
    assert found.member_id == OURS
    assert (await run(Starting(error), "read_leave", LEAVE)).present
    order: Step = await run(Starting(error, writes=writes), "request_leave", LEAVE)
    assert order.outcome is StepOutcome.REQUESTED


@pytest.mark.parametrize("ahead", [58, -58])
@pytest.mark.parametrize(
    ("waited", "limits", "attempts"),
    [(0, (60, None), 2), (0, (60, 60), 2), (50, (60, 60), 2), (0, (5, None), 1), (55, (60, 60), 1)],
)
async def test_time_that_is_left_does_not_go_by_this_machines_time_of_day(
    monkeypatch: pytest.MonkeyPatch, ahead: int, waited: int, limits: tuple[int, int | None], attempts: int
) -> None:
    """It and the server's may differ: a refusal has to last for its 6 s where the attempt has them."""
    monkeypatch.setattr(time_limits, "STEPS", replace(time_limits.STEPS, refused_seconds=6.0))
    started, (start_to_close, schedule_to_close) = datetime.now(UTC) - timedelta(seconds=ahead), limits
    about = {
        "started_time": started,
        "scheduled_time": started - timedelta(seconds=waited),
        "start_to_close_timeout": timedelta(seconds=start_to_close),
        "schedule_to_close_timeout": timedelta(seconds=schedule_to_close) if schedule_to_close else None,
    }
    fake = Starting(FORBIDDEN)
    with nullcontext() if attempts > 1 else pytest.raises(ApplicationError, match="Kubernetes does not allow it"):
        assert (await run_at(fake, "find_resource", FIND, about)).member_id == OURS
    assert fake.attempts == attempts


@pytest.mark.parametrize(
    ("start_to_close", "schedule_to_close", "left"), [(60, None, 2.0), (70, 72, 7.0), (None, 72, 7.0)]
)
def test_time_that_is_left_is_what_the_attempt_has_not_taken_yet(
    start_to_close: float | None, schedule_to_close: float | None, left: float
) -> None:
    """It waited for 7 s before it began, by the server's clock, and has run for 58 s."""
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info,
        started_time=NOW,
        scheduled_time=NOW - timedelta(seconds=7),
        start_to_close_timeout=timedelta(seconds=start_to_close) if start_to_close else None,
        schedule_to_close_timeout=timedelta(seconds=schedule_to_close) if schedule_to_close else None,
    )
    assert environment.run(remaining_seconds, LongStep("node0")) == left


@pytest.mark.parametrize("name", ["find_resource", "read_leave", "request_leave"])
async def test_refusal_is_final_once_it_has_lasted(name: str) -> None:
    """The first attempt may have met a worker with credentials of its own, so another one follows."""
    ask = FIND if name == "find_resource" else LEAVE
    for attempt, final in ((1, False), (time_limits.STEPS.refused_attempts, True)):
        fake = Starting(FORBIDDEN, stays=True)
        with pytest.raises(ApplicationError, match=r"grant what deploy/rbac.yaml lists. Seen: 403: x") as caught:
            await run(fake, name, ask, attempt=attempt)
        assert (caught.value.type, caught.value.non_retryable) == ("PermissionDenied", final)
        assert fake.attempts >= time_limits.STEPS.lasting_answers
    assert time_limits.STEPS.refused_attempts < ATTEMPTS


@pytest.mark.parametrize("error", [AdmissionError("403: freeze"), SILENT])
async def test_flag_that_cannot_be_set_is_tried_for_a_while_and_told(error: KubernetesError) -> None:
    """The status is what counts: it is recorded."""
    record = RECORD.model_copy(update={"leave": True})
    fake = Starting(error, stays=True, writes=True)
    recorded: UpdateStatusResult = await run(fake, "update_status", record, attempt=1)
    assert recorded.recorded
    assert recorded.note.startswith("spec.leave was not set: ")
    assert recorded.note in recorded.step.note
    assert fake.attempts >= time_limits.STEPS.lasting_answers


@pytest.mark.usefixtures("patience")
async def test_flag_is_set_once_its_trouble_is_over() -> None:
    """Attempts that could not write the status do not count."""
    record = RECORD.model_copy(update={"leave": True})
    recorded: UpdateStatusResult = await run(Starting(SILENT, FORBIDDEN, writes=True), "update_status", record)
    assert (recorded.recorded, recorded.note) == (True, "")


def test_second_call_for_a_record_has_the_time_that_an_absence_has_to_last() -> None:
    """With time for other failures before it; the numbers that are in force, not those of these tests."""
    limits = type(time_limits.STEPS)()
    assert limits.absent_seconds < time_limits.OPERATION.record_call_seconds
    assert limits.refused_seconds * limits.refused_attempts >= time_limits.OPERATION.dry_run_seconds
    assert limits.refused_seconds >= limits.lasting_answers * limits.lasting_pause_seconds

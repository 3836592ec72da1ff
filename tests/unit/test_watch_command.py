"""`watch start|stop|status|resync`, without a server."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowExecutionStatus, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.annotations import LEAVE_ANNOTATION
from etcd_handoff.cli import run, watch
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.watcher_status import NO_STATUS, NOBODY_ANSWERS, READ_LOGS, health_of, status_of
from etcd_handoff.cluster_view import Doubt
from etcd_handoff.contract import FailureType
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE
from etcd_handoff.reconciler.drift import TOO_MANY_ABSENT, digest_of
from etcd_handoff.reconciler.state import ReconcilerStatus, ResyncRequest, watcher_id
from etcd_handoff.temporal import converter
from etcd_handoff.temporal.converter import VersionMismatchError
from etcd_handoff.wire import Request

if TYPE_CHECKING:
    from pathlib import Path

    from temporalio.client import Client

    from etcd_handoff.temporal.client import Watcher

FAILS = "Cannot query workflow due to Workflow Task in failed state"
NOT_READY = RPCStatusCode.FAILED_PRECONDITION
NO_POLLER = "no poller seen for task queue recently, worker may be down"
TOO_OLD = (
    "nothing is confirmed: the worker that answers is older than this command, and knows no digest."
    " `etcd-handoff status -c prod` lists the workers with their versions: upgrade those on all nodes, then run"
    " `etcd-handoff watch resync --confirm 0ld0ne -c prod` again"
)
DOUBT = Doubt(kind=TOO_MANY_ABSENT, text="2 of 3 are absent", remedy="look")


class FakeTemporal:
    """A Temporal in which one watcher runs, or none.

    Attributes:
        status: What the watcher answers; None where none runs.
        error: What comes instead of an answer; None where the watcher answers.
        refusal: Why it takes no update; None where it does.
        cancelled: The watcher was stopped.
        updates: What it was asked to do.
    """

    def __init__(self, status: ReconcilerStatus | None, error: Exception | None = None) -> None:
        self.error = error
        self.refusal: Exception | None = None
        self.status, self.cancelled, self.updates = status, False, list[Any]()
        self.id, self.result_run_id = watcher_id("prod"), "run"

    def get_workflow_handle(self, _: str) -> FakeTemporal:
        """The watcher."""
        return self

    async def start_workflow(self, name: str, *_: object, **__: object) -> FakeTemporal:
        """It starts unless one runs."""
        if self.status is not None:
            raise WorkflowAlreadyStartedError(self.id, name)
        return self

    async def describe(self) -> SimpleNamespace:
        """Whether it runs."""
        status = WorkflowExecutionStatus.RUNNING if self.status else WorkflowExecutionStatus.CANCELED
        return SimpleNamespace(status=status, run_id="run", raw_description=DescribeWorkflowExecutionResponse())

    async def query(self, _: str, **__: object) -> ReconcilerStatus | None:
        """What it sees."""
        if self.error is not None:
            raise self.error
        return self.status

    async def cancel(self) -> None:
        """It is stopped."""
        self.cancelled = True

    async def execute_update(self, _: str, request: Any, **__: object) -> str:
        """It does what it is asked."""
        self.updates.append(request)
        if self.refusal is not None:
            raise WorkflowUpdateFailedError(self.refusal)
        return "confirmed: TooManyAbsent"


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs `watch` against a fake: the exit status, and the fake afterwards."""

    def command(
        status: ReconcilerStatus | None,
        *arguments: str,
        kubernetes: bool = True,
        more: str = "",
        error: Exception | None = None,
        refusal: Exception | None = None,
    ) -> tuple[int, FakeTemporal]:
        fake = FakeTemporal(status, error)
        fake.refusal = refusal

        async def connected() -> FakeTemporal:
            return fake

        monkeypatch.setattr(watch, "connect_temporal", connected)
        config = tmp_path / "etcd-handoff.toml"
        text = '[clusters.prod.etcd]\nendpoints = ["http://etcd:2379"]\n'
        config.write_text(text + "[clusters.prod.kubernetes]\n" * kubernetes + more)
        return run(["watch", *arguments, "--config", str(config)]), fake

    return command


def status(**fields: Any) -> ReconcilerStatus:
    """What a watcher answers."""
    return ReconcilerStatus(cluster="prod", **fields)


def test_watcher_of_a_profile_without_kubernetes_can_be_stopped_and_looked_at(
    watching: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The profile may have lost it since; starting one makes no sense."""
    assert watching(status(), "status", kubernetes=False)[0] == EXIT_DONE
    exit_status, fake = watching(status(), "stop", kubernetes=False)
    assert (exit_status, fake.cancelled) == (EXIT_DONE, True)
    assert watching(None, "start", kubernetes=False)[0] == EXIT_USAGE
    assert "clusters.prod.kubernetes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "warned"),
    [("sets_leave = true", True), ('[clusters.prod]\nremover = "k0s"', True), ("", False)],
)
def test_watcher_on_k0s_says_how_to_ask_with_kubectl(
    watching: Any, capsys: pytest.CaptureFixture[str], more: str, *, warned: bool
) -> None:
    """k0s acts on `spec.leave` itself, so that the annotation is the way."""
    assert watching(None, "start", more=more)[0] == EXIT_DONE
    output = capsys.readouterr().out
    assert (f"{LEAVE_ANNOTATION}=true" in output, "before leadership has moved" in output) == (warned, warned)


@pytest.mark.parametrize(
    ("running", "arguments", "expected"),
    [
        (None, ("start", "--resync", "60"), (EXIT_DONE, "watching the EtcdMembers of cluster prod, every 60 s")),
        (None, ("start",), (EXIT_DONE, "every 300 s")),
        (60.0, ("start",), (EXIT_DONE, "is watched already, every 60 s")),
        (60.0, ("start", "--resync", "60"), (EXIT_DONE, "is watched already, every 60 s")),
        (60.0, ("start", "--resync", "30"), (EXIT_FAILED, "`etcd-handoff watch start -c prod --resync 30` again")),
        (60.0, ("status", "--resync", "30"), (EXIT_USAGE, "belongs to `watch start`")),
        (None, ("start", "--resync", "0"), (EXIT_USAGE, "--resync: ")),
    ],
)
def test_interval_of_a_watcher_is_never_ignored_silently(
    watching: Any,
    capsys: pytest.CaptureFixture[str],
    running: float | None,
    arguments: tuple[str, ...],
    expected: tuple[int, str],
) -> None:
    """One that runs already is joined, and says how often it compares; it does not change that."""
    known = status(resync_seconds=running) if running else None
    exit_status, words = expected
    assert watching(known, *arguments)[0] == exit_status
    captured = capsys.readouterr()
    assert words in captured.out + captured.err


@pytest.mark.parametrize(
    ("known", "exit_status"),
    [
        (status(), EXIT_DONE),
        (status(trouble="no API server answers"), EXIT_FAILED),
        (status(trouble="TooManyAbsent: 2 of 3 are absent", doubt=DOUBT), EXIT_REFUSED),
        (None, EXIT_FAILED),
    ],
)
def test_exit_status_tells_a_watcher_in_trouble(watching: Any, known: ReconcilerStatus, exit_status: int) -> None:
    """3 when a doubt holds corrections back, 1 when anything else is wrong or nothing watches."""
    assert watching(known, "status")[0] == exit_status
    assert watching(known, "status", "-o", "json")[0] == exit_status


def test_confirmation_names_the_doubt_that_was_seen(watching: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By the digest that was typed, whatever stands by now; without a doubt there is none to confirm."""
    exit_status, fake = watching(status(doubt=DOUBT), "resync", "--confirm", "0ld0ne", "-o", "json")
    assert exit_status == EXIT_DONE
    assert [(u.confirm, u.doubt, u.digest) for u in fake.updates] == [(True, TOO_MANY_ABSENT, "0ld0ne")]
    printed = json.loads(capsys.readouterr().out)
    assert (printed["confirmed"], printed["doubt"]) == (True, TOO_MANY_ABSENT)
    exit_status, fake = watching(status(), "resync", "--confirm", "0ld0ne")
    assert (exit_status, fake.updates) == (EXIT_FAILED, [])
    exit_status, fake = watching(status(), "resync")
    assert [(u.confirm, u.doubt, u.digest) for u in fake.updates] == [(False, "", "")]


@pytest.mark.parametrize(
    ("error", "exit_status", "words"),
    [
        (RPCError(f"{FAILS}.", NOT_READY, b""), EXIT_FAILED, f"{NO_STATUS}: {FAILS}; {READ_LOGS}"),
        (RPCError(NO_POLLER, NOT_READY, b""), EXIT_FAILED, NOBODY_ANSWERS),
        (RPCError("late", RPCStatusCode.DEADLINE_EXCEEDED, b""), EXIT_FAILED, NOBODY_ANSWERS),
        (RPCError("away", RPCStatusCode.UNAVAILABLE, b""), EXIT_UNREACHABLE, "does not answer: away"),
        (WorkflowQueryFailedError("no such query"), EXIT_FAILED, f"{NO_STATUS}: no such query"),
        (VersionMismatchError("of another version"), EXIT_FAILED, f"{NO_STATUS}: of another version"),
        (TimeoutError(), EXIT_FAILED, NOBODY_ANSWERS),
    ],
)
async def test_watcher_that_cannot_answer_is_in_trouble_and_takes_nothing_else_with_it(
    error: Exception, exit_status: int, words: str
) -> None:
    """`status` shows the trouble beside everything else."""
    health = await health_of(cast("Client", FakeTemporal(status(), error)), "prod")
    assert (health.runs, words in health.trouble) == (True, True), health.trouble
    with pytest.raises(CommandError) as stopped:
        await status_of(cast("Watcher", FakeTemporal(status(), error)))
    assert (stopped.value.status, str(stopped.value)) == (exit_status, health.trouble)


@pytest.mark.parametrize(
    ("arguments", "expected"), [(("status",), EXIT_FAILED), (("start",), EXIT_DONE), (("start", "--resync", "9"), 1)]
)
def test_watcher_that_cannot_answer_ends_a_command_with_the_reason(
    watching: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], expected: int
) -> None:
    """In one line, and `watch start` says that it runs; another interval cannot be promised."""
    assert watching(status(), *arguments, error=VersionMismatchError("of another version"))[0] == expected
    captured = capsys.readouterr()
    assert f"{NO_STATUS}: of another version" in captured.out + captured.err
    assert "unexpected" not in captured.err


def test_confirmation_of_whatever_stands_now_confirms_nothing(
    watching: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It shows what stands, and the command that confirms just that; nothing is sent before somebody has seen it."""
    exit_status, fake = watching(status(doubt=DOUBT), "resync", "--confirm", "-c", "prod")
    assert (exit_status, fake.updates) == (EXIT_REFUSED, [])
    shown = capsys.readouterr().err
    assert "nothing is confirmed yet" in shown
    assert f"{TOO_MANY_ABSENT}: 2 of 3 are absent" in shown
    assert f"`etcd-handoff watch resync --confirm {digest_of(DOUBT)} -c prod`" in shown


def test_digest_that_cannot_be_one_is_wrong_usage(watching: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Told by the option that it came by."""
    exit_status, fake = watching(status(doubt=DOUBT), "resync", "--confirm", "x" * 101)
    assert (exit_status, fake.updates) == (EXIT_USAGE, [])
    assert capsys.readouterr().err.startswith("--confirm: ")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            converter.invalid_input("digest: Extra inputs are not permitted"),
            TOO_OLD,
        ),
        (converter.invalid_input("confirm: nothing is held back"), "the watcher refuses: "),
        (ApplicationError("digest: no", type="Other"), "the watcher refuses: "),
    ],
)
def test_worker_that_is_too_old_to_confirm_is_told_as_such(
    watching: Any, capsys: pytest.CaptureFixture[str], refusal: Exception, words: str
) -> None:
    """Its own word would be about a field that nobody has typed."""
    exit_status, _ = watching(status(doubt=DOUBT), "resync", "--confirm", "0ld0ne", refusal=refusal)
    assert (exit_status, words in capsys.readouterr().err) == (EXIT_FAILED, True)


def test_old_worker_refuses_a_digest_by_the_name_of_the_field() -> None:
    """What `watch` tells it by; a resync without one is read by it, as all that it does not know is at its default."""

    class Old(Request):
        """What it was before digests."""

        confirm: bool = False
        doubt: str = ""
        reason: str = ""

    def read(request: ResyncRequest) -> Any:
        payloads = converter.data_converter.payload_converter.to_payloads([request])
        return converter.data_converter.payload_converter.from_payloads(payloads, [Old])[0]

    with pytest.raises(ApplicationError, match="digest:") as refused:
        read(ResyncRequest(confirm=True, digest="0ld0ne"))
    assert refused.value.type == FailureType.INVALID_INPUT
    assert read(ResyncRequest(confirm=True)).confirm


def test_verb_that_the_option_swallows_is_told_with_the_right_order(
    watching: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--confirm` may stand without a digest, so it takes what follows for one."""
    assert watching(status(doubt=DOUBT), "--confirm", "resync")[0] == EXIT_USAGE
    assert "etcd-handoff watch resync --confirm DIGEST" in capsys.readouterr().err
    exit_status, fake = watching(status(doubt=DOUBT), "--confirm", "0ld0ne", "resync")
    assert (exit_status, fake.updates[0].digest) == (EXIT_DONE, "0ld0ne")

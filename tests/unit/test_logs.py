"""What a worker's log lines say of an activity, and what they keep to themselves."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

import worker
from activities.interceptor import ActivityInterceptor
from etcd_handoff.activity_io import CheckLeaderInput, LeaveInput, StepInput
from etcd_handoff.errors import ConfigError, EtcdPermissionError, UnreachableError
from etcd_handoff.etcd.channel import read_password
from etcd_handoff.secret_words import HIDDEN
from etcd_handoff.temporal import logs
from etcd_handoff.temporal.log_context import LogContextInterceptor, Subject, subject_of
from etcd_handoff.worker_options import LOG_FORMAT_VARIABLE, LOG_FORMATS
from tests.unit.builders import A

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

PASSWORD = "correct horse battery"  # noqa: S105  # of nobody
API_KEY = "key-of-a-managed-temporal"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"  # noqa: S105  # of nobody
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"
WORKFLOW = "etcd-remove/prod/node2"
OF_THE_LOOK = {
    "cluster": "prod",
    "member": "node2",
    "operation": "RemoveMember",
    "step": "check_leader",
    "attempt": 3,
    "workflow_id": WORKFLOW,
    "run_id": "run-7",
}
gateway_log = logging.getLogger("etcd_handoff.kubernetes.clients")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging is as before afterwards."""
    root, base = logging.getLogger(), activity.logger.base_logger
    before, filters, level = list(root.handlers), list(base.filters), root.level
    monkeypatch.setenv("TEMPORAL_API_KEY", API_KEY)
    yield
    root.handlers[:], base.filters[:] = before, filters
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def configure(log_format: str) -> None:
    """As in a process of its own, where pytest does not listen."""
    logging.getLogger().handlers[:] = []
    logs.configure("INFO", log_format)


async def attempt(error: Exception) -> None:
    """One attempt of a look that says something on the way and fails like this, logged as the SDK does."""

    class Look:
        async def execute_activity(self, input: ExecuteActivityInput) -> None:  # noqa: A002, ARG002
            await asyncio.to_thread(gateway_log.warning, "context node1 was changed")
            raise error

    async def run() -> None:
        inside = ActivityInterceptor().intercept_activity(cast("ActivityInboundInterceptor", Look()))
        call = cast("ExecuteActivityInput", type("Asked", (), {"args": [CheckLeaderInput(cluster="prod")]}))
        try:
            await LogContextInterceptor().intercept_activity(inside).execute_activity(call)
        except ApplicationError:
            marked = {"__temporal_error_identifier": "ActivityFailure"}
            activity.logger.warning("Completing activity as failed", exc_info=True, extra=marked)

    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info,
        activity_type="check_leader",
        attempt=3,
        workflow_id=WORKFLOW,
        workflow_run_id="run-7",
        workflow_type="RemoveMember",
        start_to_close_timeout=None,
    )
    await environment.run(run)


async def logged(error: Exception, log_format: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What an attempt that fails like this writes."""
    configure(log_format)
    await attempt(error)
    return capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("quiet")
async def test_each_line_of_an_attempt_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    """Also a gateway's, from a thread."""
    one, other = map(json.loads, await logged(UnreachableError("node1: no answer within 1 s"), "json", capsys))
    assert {name: one[name] for name in OF_THE_LOOK} == {name: other[name] for name in OF_THE_LOOK} == OF_THE_LOOK
    assert (one["logger"], one["message"]) == ("etcd_handoff.kubernetes.clients", "context node1 was changed")
    assert other["message"] == "check_leader failed: node1: no answer within 1 s"


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UnreachableError("node1: no answer"), "node1: no answer"),
        (ConfigError("etcd.cert_file: no such file"), "etcd.cert_file: no such file"),
        (
            EtcdPermissionError("permission denied"),
            "etcd does not allow it: give the profile a user with the root role",
        ),
        (ApplicationError("leads still", type="ChangeRefused"), "leads still"),
        (RPCError("no such namespace", RPCStatusCode.NOT_FOUND, b""), "RPCError: no such namespace"),
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: [Errno 111] Connection refused"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_failed_attempt_is_one_line_with_its_cause(
    error: Exception, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refusal, a block or a server that does not answer has no stack trace, neither ours nor the SDK's."""
    _, line = await logged(error, "console", capsys)
    assert f" WARNING temporalio.activity: check_leader failed: {cause}" in line
    about = " ".join(f"{name}={value}" for name, value in OF_THE_LOOK.items())
    assert line.endswith(f" [{about}]")


@pytest.mark.usefixtures("quiet")
async def test_bug_has_its_trace_once(capsys: pytest.CaptureFixture[str]) -> None:
    """With the line of the code that is at fault."""
    shown = "\n".join(await logged(KeyError("voters"), "console", capsys))
    assert shown.count("Traceback (most recent call last)") == 1
    assert "raise error" in shown
    assert "Completing activity as failed" not in shown
    bug = json.loads((await logged(KeyError("voters"), "json", capsys))[1])
    assert "raise error" in bug["stack"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("log_format", LOG_FORMATS)
async def test_no_secret_is_logged(log_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a library puts into its errors, and in the trace too."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    read_password(tmp_path / "password")
    telling = f"{PASSWORD} {API_KEY} {TOKEN} Bearer opaque-token https://ann:hunter2@proxy:3128 {KEY}"
    for error in (KeyError(telling), UnreachableError(telling)):
        shown = "\n".join(await logged(error, log_format, capsys))
        for secret in (PASSWORD, API_KEY, TOKEN, "opaque-token", "hunter2", "MHcCAQEE"):
            assert secret not in shown
        assert HIDDEN in shown


@pytest.mark.usefixtures("quiet")
def test_failure_that_had_no_line_of_ours_keeps_the_sdks(capsys: pytest.CaptureFixture[str]) -> None:
    """Such as an input that cannot be read, before our interceptors run; in words, where words are all it is."""
    configure("console")
    error = ApplicationError("cluster: is missing; add it", type="InvalidInput")
    marked = {"__temporal_error_identifier": "ActivityFailure"}
    activity.logger.warning("Completing activity as failed", exc_info=error, extra=marked)
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert shown[0].endswith("Completing activity as failed: InvalidInput: cluster: is missing; add it")


@pytest.mark.parametrize(
    ("given", "workflow_id", "subject"),
    [
        (CheckLeaderInput(cluster="prod"), WORKFLOW, Subject("prod", "node2")),
        (LeaveInput(cluster="prod", member_name="node1", member_id=A), "own-id", Subject("prod", "node1")),
        (StepInput(cluster="prod", cluster_id=A, target_id=A), "nightly", Subject("prod", A)),
        ("prod", "nightly", Subject("prod", "")),
        (None, "etcd-watch/prod", Subject("prod", "")),
        (None, f"etcd-changes/{A}", Subject("", "")),
        (None, "", Subject("", "")),
    ],
)
def test_subject_is_found_in_the_input_or_the_workflow_id(given: Any, workflow_id: str, subject: Subject) -> None:
    """An ID of somebody's own does not hide the cluster."""
    assert subject_of(given, workflow_id) == subject


def test_wrong_format_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, config_file: Path) -> None:
    """Before anything else; the option comes before the variable."""
    monkeypatch.setenv(LOG_FORMAT_VARIABLE, "xml")
    assert logs.chosen_format("json") == "json"
    assert worker.run(worker.parser().parse_args(["--config", str(config_file)])) == 2
    with pytest.raises(ConfigError, match="'xml' is no format of the log; give one of console, json"):
        logs.chosen_format(None)


def test_processes_own_words_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, where the console has plain lines; why it ends on standard error."""
    logs.say("worker ready", "json")
    logs.say("worker ready", "console")
    logs.say("a: wrong\nb: wrong", "json", logging.ERROR)
    out, err = capsys.readouterr()
    one, other = out.splitlines()
    assert (json.loads(one)["message"], other) == ("worker ready", "worker ready")
    assert (json.loads(err)["message"], json.loads(err)["level"]) == ("a: wrong\nb: wrong", "ERROR")

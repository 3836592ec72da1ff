"""The command line without servers: what it takes, and how it ends."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from temporalio import exceptions
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import __version__, cli, errors, exit_status
from etcd_handoff.cli import configuration, doctor_temporal, operations, options, remove
from etcd_handoff.cli.errors import CommandError, status_and_advice, status_and_text, temporal_error
from etcd_handoff.cli.exit_texts import EXIT_TEXTS
from etcd_handoff.client.errors import operation_error
from etcd_handoff.contract import FailureType, JoiningRequest, RemovalRequest
from etcd_handoff.exit_status import EXIT_BY_FAILURE
from etcd_handoff.temporal.connection_failures import connection_failure, connection_note
from etcd_handoff.temporal.converter import VersionMismatchError

if TYPE_CHECKING:
    from pathlib import Path

ONE = '[clusters.prod.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n'
TWO = ONE + '[clusters.dev.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n'


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file but what a test writes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETCD_HANDOFF_CONFIG", raising=False)


# --- what it takes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "prod", "--config", "f", "-o", "json", "plan", "n1"],
        ["plan", "n1", "-c", "prod", "--config", "f", "-o", "json"],
        ["-c", "prod", "plan", "--config", "f", "n1", "--output", "json"],
    ],
)
def test_common_options_count_before_and_after_the_command(arguments: list[str]) -> None:
    """Neither place wins over the other by its defaults."""
    args = cli.parser().parse_args(arguments)
    assert (args.cluster, args.config, args.output, args.member) == ("prod", "f", "json", "n1")


def test_without_options_output_is_a_table() -> None:
    """The defaults."""
    args = cli.parser().parse_args(["status"])
    assert (args.cluster, args.config, args.output) == (None, None, "table")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["plan"],
        ["remove"],
        ["remove", "n1", "--blocked-timeout", "soon"],
        ["status", "-o", "yaml"],
        ["worker", "--log-level", "LOUD"],
        ["approve"],
        ["cancel"],
        ["recheck", "node2", "--because", "x"],
    ],
)
def test_bad_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse's own words reach the terminal."""
    assert cli.run(arguments) == 2
    assert "usage: etcd-handoff" in capsys.readouterr().err


def test_version_and_help_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Asking is no failure, and the exit statuses are told."""
    assert cli.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert cli.run(["--help"]) == 0
    assert "3 refused or blocked" in " ".join(capsys.readouterr().out.split())


def test_help_imports_none_of_the_heavy_libraries() -> None:
    """`--help` answers at once because it loads neither gRPC nor Temporal nor pydantic nor rich."""
    code = (
        "import sys; from etcd_handoff import cli; status = cli.run(['remove', '--help']);"
        "heavy = {'asyncio', 'grpc', 'kubernetes', 'pydantic', 'rich', 'temporalio'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy or status else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["demo", "worker", "plan", "remove", "status", "watch", "doctor"])
def test_help_of_each_command_says_what_it_does_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example is a command line that the parser accepts."""
    assert cli.run([command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    example = text.partition("Example: ")[2]
    assert example.startswith(f"etcd-handoff {command} ")
    assert callable(cli.parser().parse_args(shlex.split(example)[1:]).run)


def test_help_of_plan_says_what_plans_the_other_operations(capsys: pytest.CaptureFixture[str]) -> None:
    """`plan` knows removals alone; each command that it names takes --dry-run."""
    assert cli.run(["plan", "--help"]) == 0
    hint = "For an addition, a replacement or a membership, use `add`, `replace` or `apply` with --dry-run."
    assert hint in " ".join(capsys.readouterr().out.split())
    new = ["--peer-url", "http://n4:2380"]
    for command in (["add", "n4", *new], ["replace", "n1", "--with", "n4", *new], ["apply", "members.toml"]):
        assert cli.parser().parse_args([*command, "--dry-run"]).dry_run


def test_defaults_are_those_of_the_requests() -> None:
    """The parser repeats two numbers, since it must not import the models."""
    args = cli.parser().parse_args(["add", "n1", "--peer-url", "http://n1:2380"])
    defaults = JoiningRequest.model_fields
    assert args.blocked_timeout == defaults["blocked_timeout_seconds"].default
    assert args.progress_timeout == defaults["progress_timeout_seconds"].default


def test_help_names_each_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` and the manual page read one table, which has all of them."""
    assert set(EXIT_TEXTS) == {number for number in vars(exit_status).values() if isinstance(number, int)}
    assert cli.run(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{status} {text}" in shown for status, text in EXIT_TEXTS.items())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-c", "b!d", "remove", "n1"], "cluster: "),
        (["-c", "prod", "remove", "a/b"], "member: "),
        (["-c", "prod", "remove", "n1", "--blocked-timeout", "-1"], "--blocked-timeout: "),
        (["-c", "prod", "remove", "n1", "--blocked-timeout", "nan"], "--blocked-timeout: "),
        (["-c", "prod", "remove", "n1", "--reason", "x" * 1001], "--reason: "),
    ],
)
def test_bad_input_is_told_before_anything_is_asked(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each wrong field, without a connection."""
    monkeypatch.setattr(operations, "connect_temporal", None)
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err.startswith(text)


@pytest.mark.parametrize("command", [["plan", "n1"], ["remove", "n1"], ["status"]])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "etcd-handoff.toml"),
        (TWO, "give -c NAME: the configuration has dev, prod"),
        ("[clusters", "is no valid TOML"),
        (ONE + "typo = 1\n", "clusters.prod.etcd.typo"),
    ],
)
def test_unusable_configuration_ends_with_2(
    command: list[str], content: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file, the field or the choice, and there is no traceback."""
    if content is not None:
        (tmp_path / "etcd-handoff.toml").write_text(content)
    assert cli.run(command) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert not shown.out


def test_only_profile_is_the_default(tmp_path: Path) -> None:
    """Nobody has to name the only cluster there is."""
    (tmp_path / "etcd-handoff.toml").write_text(ONE)
    assert configuration.cluster_profile(cli.parser().parse_args(["status"]))[0] == "prod"


def test_cluster_that_only_the_workers_know_is_not_refused_here(tmp_path: Path) -> None:
    """Their configuration decides what `remove` may name; `plan` reads etcd itself and needs the profile."""
    (tmp_path / "etcd-handoff.toml").write_text(ONE)
    args = cli.parser().parse_args(["-c", "elsewhere", "remove", "n1"])
    assert configuration.cluster_name(args, configuration.read_config(args)) == "elsewhere"
    with pytest.raises(CommandError, match="no profile 'elsewhere'"):
        configuration.cluster_profile(args)


def test_named_configuration_that_is_missing_is_an_error() -> None:
    """A file that was named is never left out silently; one that was not may be missing."""
    assert configuration.read_config(cli.parser().parse_args(["remove", "n1"])) is None
    with pytest.raises(errors.ConfigError, match="no such file"):
        configuration.read_config(cli.parser().parse_args(["remove", "n1", "--config", "gone.toml"]))


# --- how it ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (CommandError(3, "no"), 3, "no"),
        (errors.ConfigError("f: wrong"), 2, "f: wrong"),
        (errors.UnknownClusterError("which"), 2, "which"),
        (errors.UnreachableError("nobody"), 4, "etcd cannot be read: nobody"),
        (errors.ApiUnavailableError("nobody"), 4, "Kubernetes cannot be read: nobody"),
        (errors.EtcdPermissionError("root"), 1, "etcd does not allow it: root"),
        (errors.KubernetesPermissionError("403"), 1, "Kubernetes does not allow it: 403"),
        (errors.CorruptClusterError("corrupt"), 1, "corrupt"),
        (FileNotFoundError(2, "No such file", "ca.pem"), 2, "ca.pem: No such file"),
        (KeyError("surprise"), 1, "unexpected KeyError"),
        (RPCError("it said so", RPCStatusCode.UNAVAILABLE, b""), 4, "Temporal at "),
        (VersionMismatchError("Progress was written by"), 1, "Progress was written by"),
    ],
)
def test_every_error_has_its_exit_status(error: Exception, status: int, words: str) -> None:
    """Also those that nobody thought of."""
    ended, text = status_and_text(error)
    assert ended == status
    assert text.startswith(words)


@pytest.mark.parametrize(
    ("given", "doctor"),
    [
        ([], "etcd-handoff doctor"),
        (["-c", "prod"], "etcd-handoff doctor -c prod"),
        (["--k0s"], "etcd-handoff doctor --k0s"),
    ],
)
def test_doctor_is_named_with_the_options_that_were_given(given: list[str], doctor: str) -> None:
    """What is printed can be typed as it stands."""
    args = options.parser().parse_args(["plan", "n1", *given])
    status, text = status_and_advice(errors.UnreachableError("nobody"), args)
    assert (status, f"; `{doctor}` asks each endpoint" in text) == (4, True), text
    assert status_and_advice(errors.ConfigError("f: wrong"), args) == (2, "f: wrong")


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (ValueError("x"), 1), (BrokenPipeError(), 1)]
)
def test_no_error_of_a_command_leaves_a_traceback(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever a command raises becomes an exit status."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(options, "status_command", fail)
    assert cli.run(["status"]) == status
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (RPCStatusCode.UNAVAILABLE, 4, "TEMPORAL_ADDRESS"),
        (RPCStatusCode.DEADLINE_EXCEEDED, 4, "TEMPORAL_ADDRESS"),
        (RPCStatusCode.NOT_FOUND, 2, "TEMPORAL_NAMESPACE"),
        (RPCStatusCode.PERMISSION_DENIED, 1, "refuses the credentials: PERMISSION_DENIED"),
        (RPCStatusCode.UNAUTHENTICATED, 1, "renew TEMPORAL_API_KEY"),
        (RPCStatusCode.FAILED_PRECONDITION, 1, "FAILED_PRECONDITION"),
    ],
)
def test_temporal_silent_is_4_wrong_namespace_2_and_its_refusal_1(code: RPCStatusCode, status: int, words: str) -> None:
    """A server that answers can be reached; the namespace is a setting."""
    error = temporal_error(RPCError("it said so", code, b""))
    assert error.status == status
    assert words in str(error)
    assert "it said so" in str(error)


@pytest.mark.parametrize(
    ("cause", "status", "kind"),
    [
        *(
            (exceptions.ApplicationError("why", type=kind), status, kind)
            for kind, status in [
                (FailureType.REMOVAL_REFUSED, 3),
                (FailureType.BLOCKED_TOO_LONG, 3),
                (FailureType.INVALID_INPUT, 2),
                (FailureType.UNKNOWN_CLUSTER, 2),
                (FailureType.UNKNOWN_MEMBER, 2),
                (FailureType.PERMISSION_DENIED, 1),
            ]
        ),
        (exceptions.ApplicationError("why"), 1, "Failed"),
        (exceptions.CancelledError(), 1, "Cancelled"),
        (exceptions.TerminatedError(""), 1, "Terminated"),
        (exceptions.TimeoutError("", type=None, last_heartbeat_details=[]), 1, "TimedOut"),
        (RuntimeError("odd"), 1, "Failed"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_failure_of_the_removal_decides_the_exit_status(
    cause: BaseException, status: int, kind: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text goes to standard error; with JSON the failure is an object on standard output too."""
    args = cli.parser().parse_args(["-o", form, "remove", "n1"])
    assert (
        operations.print_failure(args, operation_error(WorkflowFailureError(cause=cause), "w"), remove.ends()) == status
    )
    shown = capsys.readouterr()
    assert shown.err.startswith(f"{kind}: ")
    assert (json.loads(shown.out)["failure"] == kind) if form == "json" else not shown.out


def test_every_failure_type_was_thought_of() -> None:
    """A new type needs a decision; PermissionDenied is 1 on purpose."""
    assert set(FailureType) - set(EXIT_BY_FAILURE) == {FailureType.PERMISSION_DENIED}


def test_connection_error_is_cut_to_its_words() -> None:
    """The SDK's nested debug text ends as what a person needs."""
    text = (
        "Failed client connect: Server connection error: tonic::transport::Error(Transport, ConnectError("
        'ConnectError("tcp connect error", 127.0.0.1:1, Os { code: 111, message: "Connection refused" })))'
    )
    assert connection_note(text) == "Connection refused"
    assert connection_note("Failed client connect: odd") == "odd"
    assert connection_note("") == "no answer in time"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RuntimeError("Failed client connect: Server connection error: x"), 4, "cannot be reached"),
        (TimeoutError(), 4, "no answer in time"),
        (
            RuntimeError(
                "Failed client connect: `get_system_info` call error after connection: Status { code: Unauthenticated,"
                ' message: "token expired", metadata: {} }'
            ),
            1,
            "refuses the credentials: token expired; renew TEMPORAL_API_KEY",
        ),
        (
            RuntimeError(
                'Worker validation failed: could not be described: Status { code: PermissionDenied, message: "no" }'
            ),
            1,
            "refuses the credentials: no",
        ),
        (
            RuntimeError("Registration of multiple workers\nStack backtrace:"),
            1,
            "ended: Registration of multiple workers",
        ),
        (RPCError("shut", RPCStatusCode.PERMISSION_DENIED, b""), 1, "refuses the credentials"),
    ],
)
def test_trouble_with_temporal_is_called_what_it_is(error: Exception, status: int, words: str) -> None:
    """Refused credentials are not a server that cannot be reached, nor is an error that has nothing to do with it."""
    ended, text = connection_failure(error)
    assert (ended, words in text) == (status, True), text
    assert "cannot be reached" in words or "cannot be reached" not in text or status == 4
    assert "\n" not in text


def test_dry_run_has_a_workflow_id_of_its_own() -> None:
    """So that no removal joins it, and none joins a removal."""
    request = RemovalRequest(cluster="prod", member="n1")
    assert request.start_id == "etcd-remove/prod/n1"
    assert request.model_copy(update={"dry_run": True}).start_id == "etcd-plan/prod/n1"


def test_doctor_checks_temporal_although_the_configuration_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One broken part does not hide the others."""

    async def unreachable() -> None:
        raise CommandError(4, "Temporal cannot be reached")

    monkeypatch.setattr(doctor_temporal, "connect_temporal", unreachable)
    assert cli.run(["doctor", "-o", "json"]) == 2
    shown = json.loads(capsys.readouterr().out)
    assert (shown["format"], shown["cluster"]) == (1, "")
    assert [(found["check"], found["ok"]) for found in shown["checks"]] == [
        ("configuration", False),
        ("temporal", False),
    ]

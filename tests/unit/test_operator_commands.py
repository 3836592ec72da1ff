"""The operator's commands without servers: which operation is meant, and what is said of one."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import cli
from etcd_handoff.cli import interventions
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.find_operation import FoundOperation, found, is_about, the_one
from etcd_handoff.cli.operation_kinds import KINDS, is_dry_run_id, kind_of, names_of
from etcd_handoff.cli.past_operations import newest_first, the_last
from etcd_handoff.cli.replacements import replacements_by
from etcd_handoff.contract import (
    OPERATIONS,
    AdditionRequest,
    DesiredMember,
    MembershipRequest,
    OperationRequest,
    RemovalRequest,
    ReplacementRequest,
)
from etcd_handoff.temporal import identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from temporalio.client import Client, WorkflowExecution

EXAMPLES = {
    RemovalRequest: RemovalRequest(cluster="prod", member="node2"),
    AdditionRequest: AdditionRequest(cluster="prod", name="node2", peer_urls=("https://10.0.0.4:2380",)),
    ReplacementRequest: ReplacementRequest(
        cluster="prod", member="node2", name="node4", peer_urls=("https://10.0.0.4:2380",)
    ),
}


def operation(workflow_id: str = "etcd-remove/prod/node2", **fields: str) -> FoundOperation:
    """An operation that runs."""
    prefix = workflow_id.partition("/")[0]
    kind = next(kind for kind in KINDS if prefix in (kind.prefix, kind.dry_run_prefix))
    cluster, member = names_of(workflow_id)
    known = {"cluster": cluster, "member": member, "state": "Blocked", "status": "RUNNING", "ended": ""}
    times = {"run_id": "r2", "first_run_id": "r1", "started": "2026-01-01T00:00:00+00:00"}
    return FoundOperation(workflow_id=workflow_id, kind=kind, **{**known, **times, **fields})


class OneEvent:
    """A client for whom each history begins with the input of a replacement by this member; None where it is gone."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self.requested: list[str] = []

    def get_workflow_handle(self, workflow_id: str, *, run_id: str) -> OneEvent:
        """A handle, which is this too."""
        self.requested.append(f"{workflow_id} {run_id}")
        return self

    async def fetch_history_events(self, *, page_size: int) -> AsyncIterator[HistoryEvent]:
        """No more than what is asked for."""
        assert page_size == 1
        if self._name is None:
            raise RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
        event = HistoryEvent()
        payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps({"name": self._name}).encode())
        event.workflow_execution_started_event_attributes.input.payloads.append(payload)
        yield event


@pytest.mark.parametrize(("joins", "found"), [("node4", True), ("NODE4", True), ("node5", False), (None, False)])
async def test_replacement_is_found_by_the_member_that_joins(joins: str | None, found: bool) -> None:  # noqa: FBT001
    """By the input in its history: lists know the member that leaves. No other kind is read."""
    client, replacement = OneEvent(joins), operation("etcd-replace/prod/node2")
    runs = [operation(), replacement, operation("etcd-apply/prod")]
    about = await replacements_by(cast("Client", client), runs, "node4 ")
    assert about == ([replacement] if found else [])
    assert client.requested == ["etcd-replace/prod/node2 r2"]


# --- which operation is meant ---------------------------------------------------------------------------------


@pytest.mark.parametrize("request_type", EXAMPLES)
def test_table_has_the_ids_and_words_of_the_contract(request_type: type[OperationRequest]) -> None:
    """The table can be read without pydantic, so it repeats what the requests say."""
    kind = kind_of(request_type.workflow_type)
    assert kind is not None
    request = EXAMPLES[request_type]
    assert kind.noun == request.noun
    assert kind.id_of("prod", "node2") == request.start_id
    dry_run = request.model_copy(update={"dry_run": True})
    assert dry_run.start_id == f"{kind.dry_run_prefix}/prod/node2"
    assert (is_dry_run_id(dry_run.start_id), is_dry_run_id(request.start_id)) == (True, False)
    assert names_of(request.start_id) == names_of(dry_run.start_id) == ("prod", "node2")


def test_change_of_a_whole_membership_is_known_by_its_cluster() -> None:
    """There is one at a time for each."""
    members = (DesiredMember(name="node1", peer_urls=("https://10.0.0.1:2380",)),)
    request, kind = MembershipRequest(cluster="prod", members=members), kind_of(MembershipRequest.workflow_type)
    assert kind is not None
    assert (kind.noun, f"{kind.prefix}/prod", names_of(request.start_id)) == (
        request.noun,
        request.start_id,
        ("prod", ""),
    )
    assert is_dry_run_id(request.model_copy(update={"dry_run": True}).start_id)


def test_every_operation_of_the_contract_is_in_the_table() -> None:
    """A kind that is missing could be neither approved nor cancelled."""
    assert {request.workflow_type for request in OPERATIONS} <= {kind.workflow_type for kind in KINDS}


@pytest.mark.parametrize(
    ("found", "member"),
    [
        (operation(), "node2"),
        (operation(), " NODE2 "),
        (operation("etcd-remove/prod/8e9e05c52164694d", member="node2"), "node2"),
        (operation("etcd-remove/prod/8e9e05c52164694d", member="node2"), "8E9E05C52164694D"),
    ],
)
def test_operation_is_found_by_name_and_by_the_name_it_was_started_with(found: FoundOperation, member: str) -> None:
    """One that was started by ID is listed by name."""
    assert is_about(found, "prod", member)


def test_operation_on_another_member_or_cluster_is_not_meant() -> None:
    """The same name in another cluster is another member."""
    assert not is_about(operation(), "prod", "node1")
    assert not is_about(operation("etcd-remove/dev/node2"), "prod", "node2")


def test_the_only_one_that_runs_is_meant() -> None:
    """One that has ended doesn't count, nor does a dry run beside the real one."""
    ended, dry_run = operation("etcd-add/prod/node2", status="COMPLETED"), operation("etcd-plan/prod/node2")
    assert the_one([ended, dry_run, operation()], "node2", "prod") == operation()
    assert the_one([ended, dry_run], "node2", "prod") == dry_run


def test_none_is_answered_with_where_to_look() -> None:
    """Exit 1, and the command that lists those that have ended."""
    with pytest.raises(CommandError) as none:
        the_one([operation(status="FAILED")], "node2", "prod")
    assert none.value.status == 1
    assert str(none.value) == (
        "no operation on member node2 of cluster prod is running;"
        " `etcd-handoff history node2 -c prod` shows those that have ended"
    )


def test_several_are_answered_with_their_ids() -> None:
    """Exit 2: the command was ambiguous."""
    with pytest.raises(CommandError) as several:
        the_one([operation(), operation("etcd-add/prod/node2")], "node2", "prod")
    assert several.value.status == 2
    assert str(several.value).splitlines()[1:] == ["  etcd-add/prod/node2", "  etcd-remove/prod/node2"]


def test_operations_of_one_second_are_in_the_order_of_their_start() -> None:
    """People start a dry run and the removal right after it."""

    def run(workflow_id: str, run_id: str, millisecond: int) -> FoundOperation:
        start = datetime(2026, 1, 1, 12, 0, 0, millisecond * 1000, tzinfo=UTC)
        execution = SimpleNamespace(
            id=workflow_id,
            run_id=run_id,
            raw_info=SimpleNamespace(first_run_id=run_id),
            workflow_type="RemoveMember",
            typed_search_attributes=(),
            start_time=start,
            close_time=start,
            status=WorkflowExecutionStatus.COMPLETED,
        )
        listed = found(cast("WorkflowExecution", execution))
        assert listed is not None
        return listed

    removal = run("etcd-remove/prod/node2", "a", 900)
    planned = run("etcd-plan/prod/node2", "b", 100)
    assert newest_first([planned, removal]) == [removal, planned]


def test_last_operation_is_one_that_runs_and_a_change_before_a_dry_run() -> None:
    """What matters most to whoever asks about a member."""
    old, running, planned = (
        operation(status="COMPLETED", run_id="a", started="2026-01-02"),
        operation("etcd-add/prod/node2", run_id="b", started="2026-01-01"),
        operation("etcd-plan/prod/node2", status="COMPLETED", run_id="c", started="2026-01-03"),
    )
    assert newest_first([running, old, planned, old]) == [planned, old, running]
    assert the_last([planned, old, running], "node2", "prod") is running
    assert the_last([planned, old], "node2", "prod") is old
    with pytest.raises(CommandError) as none:
        the_last([], "node2", "prod")
    assert (none.value.status, "`etcd-handoff history -c prod`" in str(none.value)) == (1, True)


# --- what is said of it ---------------------------------------------------------------------------------------


def test_approver_is_the_user_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """`root` would tell nobody who it was."""
    monkeypatch.setenv("SUDO_USER", "ann")
    assert identity.shell_user() == "ann"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setenv("LOGNAME", "bob")
    assert identity.shell_user() == "bob"


@pytest.mark.parametrize(
    "command", ["approve", "cancel", "recheck", "pause", "resume", "describe", "history", "report"]
)
def test_help_has_an_example_that_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever needs the command at night reads its help first."""
    assert cli.run([command, "--help"]) == 0
    example = " ".join(capsys.readouterr().out.split()).partition("Example: ")[2]
    args = cli.parser().parse_args(shlex.split(example)[1:])
    assert (args.operation, args.cluster) == ("node2", "prod")


def test_comment_that_is_too_long_is_2_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's own bound, in its own words."""

    async def no_temporal() -> None:
        return None

    monkeypatch.setattr(interventions, "connect_temporal", no_temporal)
    assert cli.run(["-c", "prod", "approve", "node2", "--comment", "x" * 1001]) == 2
    assert capsys.readouterr().err.startswith("--comment: ")


@pytest.mark.parametrize("number", ["0", "-1", "many", ""])
def test_number_of_operations_that_is_none_is_named_with_what_to_give(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No name of a function stands in the text."""
    assert cli.run(["history", f"--limit={number}"]) == 2
    assert f"argument --limit: {number!r} is no number of operations; give 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["describe", "approve", "cancel", "recheck", "pause", "resume", "history", "report"]
)
def test_name_that_is_no_utf8_is_refused_before_anybody_is_asked(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Temporal cannot be told it."""
    assert cli.run(["-c", "prod", command, "node\udcff"]) == 2
    assert "MEMBER|WORKFLOW: is no UTF-8" in capsys.readouterr().err

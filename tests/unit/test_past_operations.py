"""Which operations are found by a member that lists do not name: by its ID, or as one of several."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.cli.audit.members import members_in
from etcd_handoff.cli.past_operations import operations_on, the_last
from tests.unit.history_events import REQUEST, event, payload, started
from tests.unit.test_audit_trail import HISTORIES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import Client

NAMES: Final = ("node0", "node1", "node3")
MEMBERSHIP: Final = {"cluster": "prod", "members": [{"name": name, "peer_urls": ["https://x:1"]} for name in NAMES]}


def recorded(name: str) -> list[HistoryEvent]:
    """The events of a recorded operation."""
    return list(WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text()).events)


def removal(*events: HistoryEvent, member: str = "node2") -> list[HistoryEvent]:
    """A removal with these events after its start."""
    return [started(input=payload({**REQUEST, "member": member})), *events]


def membership(*events: HistoryEvent) -> list[HistoryEvent]:
    """A change of the whole membership with these events after its start."""
    return [started(workflow_type={"name": "ApplyMembership"}, input=payload(MEMBERSHIP)), *events]


def ended(**result: Any) -> HistoryEvent:
    """The end of an operation, with this in its result."""
    return event("workflow_execution_completed", 9, result=payload(result))


def scheduled(**given: str) -> HistoryEvent:
    """A step with this in its input."""
    return event("activity_task_scheduled", 1, input=payload(given))


def looked(*members: dict[str, str]) -> HistoryEvent:
    """The end of a look that has seen these members."""
    return event("activity_task_completed", 2, result=payload({"view": {"members": list(members)}}))


PART: Final = {"kind": "remove", "member_id": "dad6880feed9762f", "member_name": "node2", "outcome": "removed"}


@pytest.mark.parametrize(
    ("events", "subjects"),
    [
        (removal(ended(outcome="removed", member_id="00a1", member_name="Node2")), {"node2", "a1"}),
        (removal(scheduled(target_id="a1", member_id="b2")), {"node2", "a1"}),
        (removal(looked({"id": "a1", "name": "node2"}, {"id": "b2", "name": "node1"})), {"node2", "a1"}),
        (
            membership(ended(outcome="applied", member_id="", member_name=", ".join(NAMES), parts=[PART])),
            {"node2", "dad6880feed9762f"},
        ),
        (membership(event("workflow_execution_canceled", 1)), set()),
    ],
)
def test_history_tells_which_members_an_operation_was_to_change(
    events: Sequence[HistoryEvent], subjects: set[str]
) -> None:
    """By result, parts, what was ordered, and what was seen, whoever was named at the start."""
    assert members_in([events]).subjects == subjects


def test_recorded_operations_name_all_whom_they_have_changed() -> None:
    """The one that joins and the one that leaves; of a membership the list stands apart."""
    assert members_in([recorded("replacement")]).subjects == {
        *("node0", "45c1cc8319139164"),
        *("node1", "45039022d9c8eedf"),
    }
    applied = members_in([recorded("applied")])
    assert applied.subjects == {*("node0", "d097a2b28f339fb4"), *("node2", "dad6880feed9762f")}
    assert applied.listed == {"node0", "node1", "node3"}


class FakeTemporal:
    """A Temporal with some operations that have ended, and their histories.

    Attributes:
        histories: The events by workflow ID, the operation that was started first first.
        read: Of which operations the history was read.
    """

    def __init__(self, **histories: list[HistoryEvent]) -> None:
        self.histories = {name.replace("_", "/"): events for name, events in histories.items()}
        self.read: list[str] = []

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        """All of them; none runs."""
        for number, (name, events) in enumerate(self.histories.items()):
            if '= "Running"' in query:
                return
            when = datetime(2026, 1, 1, 0, number, tzinfo=UTC)
            yield SimpleNamespace(
                id=name,
                run_id=name,
                raw_info=SimpleNamespace(first_run_id=name),
                workflow_type=events[0].workflow_execution_started_event_attributes.workflow_type.name,
                typed_search_attributes=(),
                start_time=when,
                close_time=when,
                status=WorkflowExecutionStatus.COMPLETED,
            )

    def get_workflow_handle(self, workflow_id: str, *, run_id: str = "") -> Any:
        """A handle; a name that nobody has given stands for no workflow."""

        async def describe() -> None:
            raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")

        async def fetch_history() -> Any:
            if self.histories[run_id] == [GONE]:
                raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")
            self.read.append(workflow_id)
            return SimpleNamespace(events=self.histories[run_id])

        return SimpleNamespace(describe=describe, fetch_history=fetch_history)


GONE: Final = started()
"""The only event that Temporal had of an operation whose retention is over."""
ENDED: Final = {
    "etcd-add_prod_node2": [started(workflow_type={"name": "AddMember"}, input=payload({"name": "node2"}))],
    "etcd-remove_prod_node2": removal(ended(outcome="removed", member_id="dad6880feed9762f", member_name="node2")),
    "etcd-remove_prod_node4": removal(ended(outcome="removed", member_id="a4", member_name="node4"), member="node4"),
    "etcd-remove_prod_node5": [GONE],
    "etcd-apply_prod": membership(ended(outcome="applied", parts=[PART])),
}


async def found(member: str, **histories: list[HistoryEvent]) -> tuple[list[str], list[str], FakeTemporal]:
    """The operations on a member and those that only list it, by workflow ID, and what was asked."""
    temporal = FakeTemporal(**(histories or ENDED))
    on = await operations_on(cast("Client", temporal), "prod", member)
    return [run.workflow_id for run in on.subject], [run.workflow_id for run in on.listed], temporal


@pytest.mark.parametrize("member", ["dad6880feed9762f", " 0xDAD6880FEED9762F "])
async def test_operation_that_was_started_by_name_is_found_by_the_id_of_its_member(member: str) -> None:
    """A removal by its result, a change of the whole membership by its part; one that is forgotten is left out."""
    subject, listed, _ = await found(member)
    assert (subject, listed) == (["etcd-apply/prod", "etcd-remove/prod/node2"], [])


async def test_change_of_the_whole_membership_is_found_by_each_member() -> None:
    """By one that has left, which the list does not name; by name no other history is read."""
    subject, listed, temporal = await found("node2")
    assert (subject, listed) == (["etcd-apply/prod", "etcd-remove/prod/node2", "etcd-add/prod/node2"], [])
    assert temporal.read == ["etcd-apply/prod"]
    assert (await found("node3"))[:2] == ([], ["etcd-apply/prod"])
    assert (await found("node9"))[:2] == ([], [])


async def test_change_that_only_lists_a_member_hides_no_operation_on_it() -> None:
    """`describe` shows the operation on the member, though the change of all was the later one."""
    temporal = FakeTemporal(**{**ENDED, "etcd-apply_prod": membership(ended(outcome="applied", parts=[]))})
    on = await operations_on(cast("Client", temporal), "prod", "node3")
    assert the_last([*on.subject, *on.listed], "node3", "prod").workflow_id == "etcd-apply/prod"
    temporal.histories = {"etcd-add/prod/node3": ENDED["etcd-add_prod_node2"], **temporal.histories}
    on = await operations_on(cast("Client", temporal), "prod", "node3")
    assert the_last([*on.subject, *on.listed], "node3", "prod").workflow_id == "etcd-add/prod/node3"

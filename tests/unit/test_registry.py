"""Which activities a worker registers: all that workflows call, on the queue where they are looked for."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from activities.registry import NODE_ACTIVITIES, all_activities
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.operation.commands import AskQueue
from workflows.activity_calls import CALLS


def registered() -> set[str]:
    """Names of the activities in the list that a worker gets."""
    listing = inspect.getsource(all_activities).rpartition("return [")[2]
    return set(re.findall(r"\.(\w+),", listing))


def test_worker_has_every_activity_that_operations_call() -> None:
    """One that is not registered fails in each attempt, and a removal would wait for it."""
    assert {call.method.__name__ for call in CALLS.values()} <= registered()


def test_activities_on_nodes_are_among_them() -> None:
    """Else the node's own worker would not have them either."""
    assert registered() >= NODE_ACTIVITIES


def test_what_changes_etcd_is_served_on_the_nodes_own_queue() -> None:
    """On isolated nodes no other worker reaches the member."""
    etcd = {call.method.__name__ for call in CALLS.values() if call.method.__qualname__.startswith("EtcdActivities.")}
    assert etcd <= NODE_ACTIVITIES


def test_every_call_of_an_activity_says_in_the_timeline_what_it_is_for() -> None:
    """Local ones too: a bare `take_turn` tells nobody anything."""
    calls = [
        (f"{file.name}:{call.lineno}", {keyword.arg for keyword in call.keywords})
        for file in sorted((ROOT / "workflows").glob("*.py"))
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and re.search(r"workflow\.(execute|start)_\w*activity", ast.unparse(call.func))
    ]
    assert len(calls) > 10, "the calls are found otherwise now"
    assert [place for place, given in calls if "summary" not in given] == []


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (AskQueue(waits=True, wakes=False), "enter the change queue of the cluster"),
        (AskQueue(waits=False, wakes=True), "give up its place in the change queue"),
        (AskQueue(waits=False, wakes=False, news=True), "report to the change queue that an approval is awaited"),
    ],
)
def test_timeline_tells_what_the_queue_is_asked(question: AskQueue, says: str) -> None:
    """The activity is the same one, and its name says only that it is about turns."""
    assert question.summary == says

"""Which activities a worker registers: all that workflows call, on the queue where they are looked for."""

from __future__ import annotations

import inspect
import re

from activities.registry import NODE_ACTIVITIES, all_activities
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

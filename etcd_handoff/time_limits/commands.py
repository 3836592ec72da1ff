"""How long commands wait for what they show, and how often they query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class CommandTiming:
    """The command line, and its calls to Temporal that the client uses too."""

    connect_seconds: float = 10.0
    """How long Temporal may take to answer a command's first call."""
    poll_seconds: float = 0.15
    """Pause between queries of an operation that is followed, so that people see each of its states."""
    step_seconds: float = 1.5
    """Shortest pause between queries for the running steps. Temporal reads its history for them, which costs more."""
    first_step_seconds: float = 0.5
    """When they are first queried: a first attempt that the servers refuse has failed by then."""
    plan_resources_seconds: float = 2.0
    """How long to wait for EtcdMembers, which only add to the plan."""
    plan_rights_seconds: float = 6.0
    """How long to wait for our rights. A password takes etcd a while, and without them a plan may promise too much."""
    place_query_seconds: float = 2.0
    """How long an operation may take to answer which ones are before it. Lists are shown without that."""
    first_reminder_seconds: float = 60.0
    """How long without news before a command repeats what it waits for."""
    watcher_query_seconds: float = 3.0
    """How long a watcher may take to answer where it stands. A dead worker is noticed by then."""
    watcher_update_seconds: float = 10.0
    """How long a watcher may take to answer an update."""
    update_again_seconds: float = 0.2
    """Pause before an update that Temporal has rejected is sent again: the worker was busy for a moment."""
    update_ready_attempts: int = 50
    """How many times it is checked, with half that pause, whether a workflow has handled all events before it gets an
    update. It may have no worker."""
    query_timeout: timedelta = timedelta(seconds=2)
    """How long one query may take. A dead worker is noticed by then, and the next query is a new chance."""
    script_connect_timeout: timedelta = timedelta(seconds=10)
    """How long a script waits for Temporal's first answer, unless it chooses another time."""
    script_poll_pause: timedelta = timedelta(milliseconds=250)
    """Pause between a script's queries for the progress, which no person watches live."""
    script_answer_timeout: timedelta = timedelta(seconds=10)
    """How long a script waits for an operation to accept an approval, or to end after a cancellation."""
    script_again_pause: timedelta = timedelta(seconds=1)
    """Pause before a script calls a Temporal again that did not answer."""


COMMANDS: Final = CommandTiming()

"""How long commands wait for what they show, and how often they ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class CommandTiming:
    """The command line, and the calls to Temporal that it shares with the client."""

    connect_seconds: float = 10.0
    """How long Temporal may take to answer a command's first call."""
    poll_seconds: float = 0.15
    """Pause between questions where an operation that is followed stands: people see each state of it."""
    step_seconds: float = 1.5
    """How often, at most, it is asked which steps run: Temporal answers that from its history, which costs more."""
    first_step_seconds: float = 0.5
    """When that is asked first: a first attempt that the servers refuse has failed by then."""
    plan_resources_seconds: float = 2.0
    """How long to wait for EtcdMembers, which only add to the plan."""
    plan_rights_seconds: float = 6.0
    """How long to wait for our rights: a password takes etcd a while, and without them a plan may promise too much."""
    place_query_seconds: float = 2.0
    """How long an operation may take to say who is before it: lists are shown without that."""
    first_reminder_seconds: float = 60.0
    """After so long without news a command says again what is waited for."""
    watcher_query_seconds: float = 3.0
    """How long a watcher may take to say where it stands; a worker that has died is missed by then."""
    watcher_update_seconds: float = 10.0
    """How long a watcher may take to answer an update."""
    update_again_seconds: float = 0.2
    """Pause before an update is sent again that Temporal has turned down: the worker was busy for a moment."""
    query_timeout: timedelta = timedelta(seconds=2)
    """How long one question may take. A worker that has died is missed by then; the next question is a new chance."""
    script_connect_timeout: timedelta = timedelta(seconds=10)
    """How long a script waits for Temporal's first answer, unless it says otherwise."""
    script_poll_pause: timedelta = timedelta(milliseconds=250)
    """Pause between a script's questions where an operation stands: nobody watches it live."""
    script_answer_timeout: timedelta = timedelta(seconds=10)
    """How long a script waits until an operation takes an approval or ends after it was cancelled."""
    script_again_pause: timedelta = timedelta(seconds=1)
    """Pause before a script asks Temporal again that did not answer."""


COMMANDS: Final = CommandTiming()

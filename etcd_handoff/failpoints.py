"""End or hold this process at named points, for a test or the demo, as etcd's gofail does for etcd.

This is off unless `$ETCD_HANDOFF_FAILPOINTS` is set: `remove_member.during=kill`, or several, separated by `;`. An
activity has three points or more. `<activity>.before` is the first. At `.during`, the effect was requested and the
answer not yet read. At `.after`, the effect has taken place and the answer has not left the process. Some have one
more, such as `remove_member.looked`.
`RemoveMember/check_leader.during` is the point only in the activities of that workflow, since a watcher looks at the
cluster too.

The actions are `kill` (SIGKILL to this process) and `hold` (wait until the file `<point>.release` appears). Each point
strikes once for all processes that share `$ETCD_HANDOFF_FAILPOINTS_DIR`. The first process to create the file
`<point>.hit` there is struck; the file holds its process ID.

There is no list of points. Those before and after come with every activity (`activities.interceptor`). A point in
between is a call of `reach` in the activity itself, and tests name it in `tests/chaos/cases.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from etcd_handoff import time_limits

FAILPOINTS_VARIABLE: Final = "ETCD_HANDOFF_FAILPOINTS"
FOLDER_VARIABLE: Final = "ETCD_HANDOFF_FAILPOINTS_DIR"
ATTEMPT: Final = ContextVar("attempt", default=1)
"""The number of the activity's attempt; the first one is 1."""
WORKFLOW: Final = ContextVar("workflow", default="")
"""Type of the workflow for which the activity runs; empty where that is not known."""


def armed() -> dict[str, str]:
    """Return the points and actions of this process's environment."""
    pairs = (item.partition("=") for item in os.environ.get(FAILPOINTS_VARIABLE, "").split(";") if item.strip())
    return {point.strip(): action.strip() for point, _, action in pairs}


async def reach(point: str) -> None:
    """Carry out the action that is armed at `point`; as a rule there is none."""
    if FAILPOINTS_VARIABLE not in os.environ:
        return
    actions, folder = armed(), os.environ.get(FOLDER_VARIABLE)
    action = actions.get(point) or actions.get(f"{WORKFLOW.get()}/{point}")
    if action is None or folder is None:
        return
    hit, released, first = Path(folder) / f"{point}.hit", Path(folder) / f"{point}.release", True
    try:
        with hit.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        first = False
        if ATTEMPT.get() == 1:
            return
    if first and action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while action == "hold" and (first or _runs(hit)) and not released.exists():  # noqa: ASYNC110  # other processes
        await asyncio.sleep(time_limits.STEPS.failpoint_poll_seconds)


def _runs(hit: Path) -> bool:
    """Whether the process that was struck first exists, and is neither stopped nor dead (proc_pid_stat(5))."""
    try:
        state = Path(f"/proc/{hit.read_text()}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it ends while it is looked at
        return False
    return state not in "TtZX"

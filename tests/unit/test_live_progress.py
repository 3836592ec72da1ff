"""What a command shows of an operation that it follows: on a terminal one line that changes, elsewhere plain lines."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import time
import types
from typing import TYPE_CHECKING, Any, Final

import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff import cli
from etcd_handoff.cli import operations, remove
from etcd_handoff.cli.follow import follow
from etcd_handoff.cli.live_line import LiveLine
from etcd_handoff.cli.render.describe import PendingStep
from etcd_handoff.cli.render.progress import ProgressLines
from etcd_handoff.client import OperationTimedOutError
from etcd_handoff.contract import HandoffState, Progress, RemovalRequest, Step, StepOutcome
from etcd_handoff.temporal.client import NO_WORKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

UP: Final = "\x1b[1A"
EMPTIED: Final = "\x1b[2K"
HIDDEN: Final = "\x1b[?25l"
SHOWN: Final = "\x1b[?25h"

LOOK = Step(
    name="check_leader",
    started="2026-01-01T00:00:00.000Z",
    milliseconds=12.3,
    attempts=1,
    node="node1",
    outcome=StepOutcome.OBSERVED,
    note="node1 leads at term 7; node3 is down",
)
BLOCKED = Progress(
    state=HandoffState.BLOCKED,
    cluster="prod",
    member="node2",
    doing="QuorumAtRisk: node3 is down",
    waiting_for="node3 is up",
    steps=(LOOK,),
)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_live_line_tells_state_elapsed_time_wait_leader_and_attempt() -> None:
    """All that somebody asks who looks at it."""
    clock = Clock()
    lines = ProgressLines("id", clock)
    lines.progress(BLOCKED)
    clock.now = 72
    assert lines.live(BLOCKED, "check_leader, attempt 3") == (
        "Blocked for 1 min 12 s; node1 leads at term 7; check_leader, attempt 3; QuorumAtRisk: node3 is down;"
        " what unblocks it: node3 is up"
    )


def test_time_is_that_of_the_state_and_not_of_this_command() -> None:
    """Whoever attaches after two hours learns that it has lasted so long; reminders come as often as ever."""
    clock, began = Clock(), 1_767_225_600.0
    lines = ProgressLines("id", clock, lambda: began + 7200 + clock.now)
    waits = BLOCKED.model_copy(update={"since": "2026-01-01T00:00:00+00:00"})
    lines.progress(waits)
    assert lines.live(waits).startswith("Blocked for 2 h 00 min; ")
    printed = []
    for clock.now in range(1, 600):
        printed += [(clock.now, line) for line in lines.progress(waits)]
    assert [seconds for seconds, _ in printed] == [60, 120, 240, 480]
    assert printed[0][1] == "  still Blocked after 2 h 01 min: QuorumAtRisk: node3 is down"
    clock.now = -9000
    assert lines.live(waits).startswith("Blocked for 0 ms; "), "this machine's clock is behind"


def test_look_does_not_last_as_long_as_the_state_that_it_interrupts() -> None:
    """Its own word is about that state."""
    lines = ProgressLines("id", Clock(), lambda: 1_767_229_200.0)
    looks = BLOCKED.model_copy(update={"state": HandoffState.CHECKING, "since": "2026-01-01T00:00:00+00:00"})
    lines.progress(looks)
    assert lines.live(looks).startswith("Checking for 0 ms; ")


DENIED: Final = PendingStep("check_leader", 2, "9@node1", "etcd does not allow it: grant root", "PermissionDenied")


def test_refusal_is_told_as_what_it_is_and_how_to_end_the_wait() -> None:
    """It is tried for half a minute, since another worker may have a better user; nobody need wait that long."""
    lines = ProgressLines("etcd-remove/prod/node2", Clock())
    printed = lines.retried(DENIED)
    assert printed[0] == "  PermissionDenied: etcd does not allow it: grant root"
    assert printed[1].endswith("to end it now: etcd-handoff cancel etcd-remove/prod/node2")
    assert lines.retried(DENIED) == [], "the third attempt is refused alike"
    slow = PendingStep("check_leader", 2, "9@node1", "it took too long")
    assert lines.retried(slow) == ["  check_leader is tried again: it took too long"]


async def test_refusal_and_a_missing_worker_are_told_within_seconds() -> None:
    """By every command that follows an operation, while it is still being tried."""
    described = DescribeWorkflowExecutionResponse()
    pending = described.pending_activities.add()
    pending.activity_type.name, pending.attempt = "check_leader", 2
    pending.last_failure.message = DENIED.failure
    pending.last_failure.application_failure_info.type = DENIED.kind
    printed, began = dict[str, float](), time.monotonic()

    class Running:
        """An operation that nobody answers for."""

        id = "etcd-remove/prod/node2"

        async def query(self, *_: object, **__: object) -> None:
            """No worker answers in time."""
            raise RPCError("late", RPCStatusCode.DEADLINE_EXCEEDED, b"")

        async def describe(self) -> types.SimpleNamespace:
            """What is pending."""
            return types.SimpleNamespace(raw_description=described)

        async def result(self) -> None:
            """It runs for longer than this test."""
            await asyncio.sleep(60)

    def show(lines: Iterable[str]) -> None:
        printed.update((line.strip(), time.monotonic() - began) for line in lines)

    removal: Any = Running()
    following = asyncio.ensure_future(follow(removal, ProgressLines(removal.id), show))
    await asyncio.sleep(1.2)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert printed[NO_WORKER] < 1.2
    assert printed[f"PermissionDenied: {DENIED.failure}"] < 1.2


def test_operation_on_several_members_is_named_by_its_workflow() -> None:
    """Their names together are no member."""
    change = BLOCKED.model_copy(update={"member": "node1, node2"})
    printed = ProgressLines("etcd-apply/prod", Clock()).progress(change)
    assert printed[-1] == "    to cancel: etcd-handoff cancel etcd-apply/prod"


def test_what_is_not_known_is_left_out() -> None:
    """Before the first look nobody leads."""
    checking = Progress(state=HandoffState.CHECKING, cluster="prod", member="node2", doing="looking")
    assert ProgressLines("id", Clock()).live(checking) == "Checking for 0 ms; looking"


def test_wait_is_told_again_after_ever_longer_times() -> None:
    """A log without a terminal shows that it still runs, and doesn't fill up."""
    clock = Clock()
    lines = ProgressLines("id", clock)
    lines.progress(BLOCKED)
    printed = []
    for clock.now in range(1, 3600):
        printed += [(clock.now, line) for line in lines.progress(BLOCKED)]
    assert [seconds for seconds, _ in printed] == [60, 120, 240, 480, 960, 1920]
    assert printed[0][1] == "  still Blocked after 1 min 00 s: QuorumAtRisk: node3 is down"


def test_step_that_is_tried_again_and_again_while_blocked_is_told_once() -> None:
    """An hour without the new member's etcd does not fill a log."""
    clock = Clock()
    lines = ProgressLines("id", clock)
    lines.progress(BLOCKED)
    tries = BLOCKED.model_copy(update={"doing": "starting the etcd of node4", "waiting_for": ""})
    for clock.now in (10, 20, 30):
        assert lines.progress(tries) == []
        assert lines.progress(BLOCKED) == []
    clock.now = 60
    assert lines.progress(BLOCKED) == ["  still Blocked after 1 min 00 s: QuorumAtRisk: node3 is down"]
    other = BLOCKED.model_copy(update={"waiting_for": "node4 is up"})
    assert "    what unblocks it: node4 is up" in lines.progress(other)


def test_state_that_changes_begins_anew() -> None:
    """The time is that of the state."""
    clock = Clock()
    lines = ProgressLines("id", clock)
    lines.progress(BLOCKED)
    clock.now = 100
    removing = BLOCKED.model_copy(update={"state": HandoffState.REMOVING, "waiting_for": ""})
    assert lines.progress(removing) == ["  Removing: QuorumAtRisk: node3 is down"]
    assert lines.live(removing).startswith("Removing for 0 ms")


def on_screen(written: str) -> list[str]:
    """The lines that a terminal shows once it has got this."""
    lines, row = [""], 0
    codes = re.findall(r"\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r|\n|[^\x1b\r\n]+", written)
    assert "".join(codes) == written, "a code that this terminal does not know"
    for code in codes:
        if code == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif code == UP:
            row -= 1
        elif code == EMPTIED:
            lines[row] = ""
        elif code not in {"\r", HIDDEN, SHOWN}:
            lines[row] += code
    return lines


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 20 columns."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    return Terminal()


def test_terminal_has_one_line_that_is_written_over(terminal: Terminal) -> None:
    """Lines that stay are printed above it, whole, and it is taken away at the end."""
    line = LiveLine(terminal)
    line.print(["Started"])
    line.show("Blocked for a\n  very long time")
    assert on_screen(terminal.getvalue()) == ["Started", "Blocked for a very l"]
    line.print(["  one step that is longer than the terminal is wide", "", "  [red]12:30:smile:"])
    stay = ["Started", "  one step that is longer than the terminal is wide", "", "  [red]12:30:smile:"]
    assert on_screen(terminal.getvalue()) == [*stay, "Blocked for a very l"]
    line.show("Removing")
    assert on_screen(terminal.getvalue()) == [*stay, "Removing"]
    line.close()
    line.print(["Done"])
    assert on_screen(terminal.getvalue()) == [*stay, "Done", ""]


def test_wide_letters_do_not_break_the_line(terminal: Terminal) -> None:
    """Each takes two columns; one more letter would begin a line that nobody takes away."""
    LiveLine(terminal).show("\u65e5\u672c" * 10)
    assert on_screen(terminal.getvalue()) == ["\u65e5\u672c" * 5]


def test_command_that_is_killed_leaves_the_cursor(terminal: Terminal) -> None:
    """Nobody shows it again after that."""
    line = LiveLine(terminal)
    line.show("Blocked")
    assert terminal.getvalue().rindex(SHOWN) > terminal.getvalue().rindex(HIDDEN)
    shown = len(terminal.getvalue())
    line.show("Removing")
    assert HIDDEN not in terminal.getvalue()[shown:]


def test_failure_is_told_after_the_line_is_taken_away(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error is the same terminal, and knows nothing of the line."""

    async def started(*_: object) -> tuple[object, bool]:
        return types.SimpleNamespace(id="etcd-remove/prod/n1"), False

    async def fail(*_: object, show: Callable[[str], None], **__: object) -> None:
        show("Blocked")
        raise OperationTimedOutError("no time left", "etcd-remove/prod/n1", "TimedOut")

    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(operations, "connect_temporal", started)
    monkeypatch.setattr(operations, "_start", started)
    monkeypatch.setattr("etcd_handoff.cli.follow.follow", fail)
    args = cli.parser().parse_args(["remove", "n1", "-c", "prod"])
    request = RemovalRequest(cluster="prod", member="n1")
    assert operations.run_operation(args, request, "queue", remove.ends()) == 1
    assert on_screen(terminal.getvalue())[1].startswith("TimedOut: ")


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO, "xterm"), (Terminal, "dumb")])
def test_anything_else_gets_no_escape_code(
    stream: type[io.StringIO], term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe, a file, a CI log that takes colours, a terminal that can't."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = stream()
    line = LiveLine(out)
    line.show("Blocked")
    line.print(["  one step", "  another"])
    line.close()
    assert out.getvalue() == "  one step\n  another\n"

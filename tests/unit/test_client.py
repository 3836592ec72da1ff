"""What a script's end waits for. Each test runs in a process of its own: pytest itself has other threads."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

FOR_A_WHILE: Final = """
import _thread, threading
from etcd_handoff.temporal.process_exit import let_native_threads_leave

inside, leave, left = threading.Event(), threading.Event(), threading.Event()

def outsider():
    inside.set()
    leave.wait()
    left.set()

_thread.start_new_thread(outsider, ())
assert inside.wait(60)
let_native_threads_leave(most_seconds=0.05)
assert not left.is_set()
timer = threading.Timer(0.05, leave.set)
timer.start()
let_native_threads_leave(most_seconds=60)
assert left.is_set()
"""
FOR_NO_OTHER: Final = """
import threading
from etcd_handoff.temporal.process_exit import let_native_threads_leave

leave = threading.Event()
threading.Thread(target=leave.wait).start()
let_native_threads_leave(most_seconds=float("inf"))
leave.set()
"""


def run(script: str) -> None:
    """The script ends well, and before the time-out that a hanging one would run into."""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)


def test_end_waits_for_threads_from_outside_but_not_for_ever() -> None:
    """One that `threading` knows nothing of is waited for, as long as that may take; one that it knows is not."""
    run(FOR_A_WHILE)


def test_end_waits_for_no_other_thread() -> None:
    """Python itself has waited for those that it must."""
    run(FOR_NO_OTHER)

"""What a script's end waits for."""

from __future__ import annotations

import _thread
import threading

from etcd_handoff.temporal.process_exit import let_native_threads_leave


def test_end_waits_for_threads_from_outside_but_not_for_ever() -> None:
    """One that `threading` knows nothing of is waited for, as long as that may take; one that it knows is not."""
    inside, leave, left = threading.Event(), threading.Event(), threading.Event()

    def outsider() -> None:
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
    timer.join()


def test_end_waits_for_no_other_thread() -> None:
    """Python itself has waited for those that it must."""
    leave = threading.Event()
    known = threading.Thread(target=leave.wait)
    known.start()
    try:
        # It would hang until the test's time-out.
        let_native_threads_leave(most_seconds=float("inf"))
    finally:
        leave.set()
        known.join()

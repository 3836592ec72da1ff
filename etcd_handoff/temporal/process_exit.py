"""How a process ends that used Temporal: the SDK's own threads must not abort it after its work is done.

Nothing of temporalio is imported here: the command line ends through this file whatever it did.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import NoReturn

from etcd_handoff import time_limits


def end_process(status: int) -> NoReturn:
    """End the process at once: the interpreter's own exit can abort after Temporal was used (sdk-python#300).

    Args:
        status: Its exit status.
    """
    remove_temporary_files()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    os._exit(status)


def remove_temporary_files() -> None:
    """Remove what the Kubernetes client wrote for itself, where one was used: keys must not stay behind.

    A program that ends by `os._exit` calls this before: nothing that the interpreter does at its exit is done then.
    """
    if (temporary_files := sys.modules.get("etcd_handoff.kubernetes.temporary_files")) is not None:
        temporary_files.remove_temporary_files()


def let_native_threads_leave(most_seconds: float = time_limits.WORKER.exit_seconds) -> None:
    """Return when no thread from outside Python runs Python code any more, or when time is up.

    The SDK's own threads hand answers to the event loop. A script that ends while one of them is about to return from
    there is killed by SIGABRT or SIGSEGV after its work is done (temporalio sdk-python#300), and its caller takes a
    removal that went well for one that failed.
    """
    end = time.monotonic() + most_seconds
    # All that run Python code, but those that Python's `threading` knows: these it has waited for, or need no waiting.
    while sys._current_frames().keys() - {thread.ident for thread in threading.enumerate()}:  # noqa: SLF001
        if time.monotonic() >= end:
            return
        time.sleep(0.001)

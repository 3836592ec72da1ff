"""End a process that used Temporal, so that the SDK's own threads do not abort it after its work.

temporalio is not imported here, since the command line always ends through this file.
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
    """Remove the Kubernetes client's temporary files if one was used, since they may contain keys.

    A program that ends by `os._exit` calls this before: the interpreter's exit handlers do not run then.
    """
    if (temporary_files := sys.modules.get("etcd_handoff.kubernetes.temporary_files")) is not None:
        temporary_files.remove_temporary_files()


def let_native_threads_leave(most_seconds: float = time_limits.WORKER.exit_seconds) -> None:
    """Return when no thread from outside Python runs Python code any more, or when the time is up.

    The SDK's own threads hand answers to the event loop. If one of them returns from there while a script ends, SIGABRT
    or SIGSEGV kills the script (temporalio sdk-python#300). Its caller then takes a successful removal for a failed
    one.
    """
    end = time.monotonic() + most_seconds
    # All threads that run Python code, without those of `threading`: Python has waited for these, or need not.
    while sys._current_frames().keys() - {thread.ident for thread in threading.enumerate()}:  # noqa: SLF001
        if time.monotonic() >= end:
            return
        time.sleep(0.001)

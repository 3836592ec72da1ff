"""Tie a program to the process that has started it, so that it does not outlive that process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIED: Final = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != parent:
    sys.exit(1)
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.stderr.write(f"{sys.argv[2]} cannot be run: {error.strerror}\\n")
    sys.exit(126)
"""
"""Asks the kernel to kill us when our parent dies, then becomes the program.

prctl's PR_SET_PDEATHSIG is kept across exec, but not by children of the program. A wrapper sets it, since `preexec_fn`
can dead-lock in a process with threads. The parent may have died before the call: then it is not our parent any more.
The kernel watches the thread that started us. So processes are started from the event loop's thread, never from a
pool's. On other systems than Linux, a killed parent leaves its processes behind."""


def command(program: Sequence[str]) -> list[str]:
    """Return the command line that becomes the program, tied to this process.

    Args:
        program: Its absolute path, and its arguments.
    """
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *program]

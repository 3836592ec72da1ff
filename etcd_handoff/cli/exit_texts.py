"""The meaning of each exit status in words, for `--help` and the manual page."""

from __future__ import annotations

from typing import Final

from etcd_handoff.exit_status import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)

EXIT_TEXTS: Final = {
    EXIT_DONE: "done",
    EXIT_FAILED: "failed, or a server refuses the credentials",
    EXIT_USAGE: "bad usage or input",
    EXIT_REFUSED: "refused or blocked by safety",
    EXIT_UNREACHABLE: "a server cannot be reached",
    EXIT_INTERRUPTED: "Ctrl-C (an operation that was started continues)",
}

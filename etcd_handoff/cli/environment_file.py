"""The file of `--env-file`: what a new member's etcd is to be started with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from etcd_handoff.cli.errors import CommandError
from etcd_handoff.exit_status import EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from etcd_handoff.contract import Progress


def environment_file(path: Path | None) -> EnvironmentFile | None:
    """What writes the file that an option names; None where it names none.

    Raises:
        CommandError: Its folder is not there, or it is no file.
    """
    if path is None:
        return None
    if not path.name or path.is_dir():
        raise CommandError(EXIT_USAGE, f"--env-file: {path} is a folder; name a file")
    if not path.parent.is_dir():
        raise CommandError(EXIT_USAGE, f"--env-file: {path.parent} is no folder")
    return EnvironmentFile(path)


class EnvironmentFile:
    """Writes what etcd is to be started with to a file, as systemd's EnvironmentFile takes it, whenever it changes.

    Args:
        path: The file; it is replaced as a whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, str] = {}

    def __call__(self, progress: Progress) -> Iterable[str]:
        """Write the file if there is something new, and return what to say about it."""
        settings = progress.join_configuration
        if not settings or settings == self._written:
            return []
        again = "again: the members have changed" if self._written else "what to start etcd with"
        self._written = dict(settings)
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            part.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            part.unlink(missing_ok=True)
            return [f"  --env-file: {self._path} cannot be written: {error.strerror}; the operation goes on"]
        return [f"  wrote {self._path} ({again})"]

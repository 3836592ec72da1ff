"""`--env-file` and `--env-dir`: write the settings of a new member's etcd to a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from etcd_handoff.cli.errors import CommandError
from etcd_handoff.exit_status import EXIT_USAGE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path

    from etcd_handoff.contract import Progress


def environment_file(args: argparse.Namespace) -> EnvironmentFile | None:
    """Return the writer of the file in `--env-file`; None without the option.

    Raises:
        CommandError: Its folder is not there, it is no file, or nothing would be written to it.
    """
    path: Path | None = args.env_file
    if path is None:
        return None
    _require_following(args, "--env-file")
    if not path.name or path.is_dir():
        raise CommandError(EXIT_USAGE, f"--env-file: {path} is a folder; name a file")
    if not path.parent.is_dir():
        raise CommandError(EXIT_USAGE, f"--env-file: {path.parent} is no folder")
    return EnvironmentFile(path, "--env-file")


def environment_folder(args: argparse.Namespace) -> EnvironmentFile | None:
    """Return the writer of one file for each new member in the folder `--env-dir`; None without it.

    Raises:
        CommandError: It is no folder, or nothing would be written to it.
    """
    path: Path | None = args.env_dir
    if path is None:
        return None
    _require_following(args, "--env-dir")
    if not path.is_dir():
        raise CommandError(EXIT_USAGE, f"--env-dir: {path} is no folder")
    return EnvironmentFile(path, "--env-dir")


def _require_following(args: argparse.Namespace, option: str) -> None:
    if args.detach:
        text = f"{option}: with --detach nobody is there to write it; leave one of them out"
        raise CommandError(EXIT_USAGE, text)
    if args.dry_run:
        raise CommandError(
            EXIT_USAGE, f"{option}: a dry run adds no member, so nothing is written; leave one of them out"
        )


class EnvironmentFile:
    """Writes the settings of a new member's etcd to a file, whenever they change.

    The format is that of systemd's EnvironmentFile.

    Args:
        path: The file, which is replaced as a whole; or a folder, where each new member has a file `<name>.env`.
        option: The option that names it, for messages.
    """

    def __init__(self, path: Path, option: str) -> None:
        self._path = path
        self._option = option
        self._written: dict[Path, dict[str, str]] = {}

    def __call__(self, progress: Progress) -> Iterable[str]:
        """Write the file if the settings are new, and return lines to print."""
        settings = progress.join_configuration
        if not settings:
            return []
        path = self._path / f"{settings['ETCD_NAME']}.env" if self._path.is_dir() else self._path
        if settings == self._written.get(path):
            return []
        again = "again: the members have changed" if path in self._written else "what to start etcd with"
        self._written[path] = dict(settings)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            return [f"  {self._option}: {path} cannot be written: {error.strerror}; the operation goes on"]
        return [f"  wrote {path} ({again})"]

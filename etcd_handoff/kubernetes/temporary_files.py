"""Temporary files of this process for keys and certificates, while a client reads them."""

from __future__ import annotations

import functools
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from kubernetes.aio.config import kube_config

from etcd_handoff import time_limits

FOLDER_PREFIX: Final = "etcd-handoff-kubernetes-"


@functools.cache
def private_folder() -> Path:
    """Return a folder of this process for the library's files: keys, while a client reads them."""
    _remove_leftovers()
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))


def written(text: str) -> str:
    """Write a file with this content that only this user can read, and return its name."""
    number, name = tempfile.mkstemp(dir=private_folder())
    with os.fdopen(number, "w") as file:
        file.write(text)
    return name


def remove_temporary_files() -> None:
    """Remove all files that clients were opened with. Call it before `os._exit`."""
    # The library remembers its files by their content, and would name a removed one again.
    kube_config._cleanup_temp_files()  # noqa: SLF001  # it only calls it at the interpreter's exit
    if private_folder.cache_info().currsize:
        shutil.rmtree(private_folder(), ignore_errors=True)
        private_folder.cache_clear()


@functools.cache
def _remove_leftovers() -> None:
    """Remove the files of processes that were killed, once in each process."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if pid.isdecimal() and not _runs(int(pid)) and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_abandoned(folder: Path) -> bool:
    """Whether a folder is out of use. Processes of other containers use theirs only for a moment."""
    try:
        folder_status = folder.lstat()
    except OSError:
        return False
    old = time.time() - folder_status.st_mtime >= time_limits.KUBERNETES.leftover_seconds
    return stat.S_ISDIR(folder_status.st_mode) and folder_status.st_uid == os.getuid() and old

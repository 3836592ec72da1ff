"""A disk that hangs: the syncs of an etcd can be held back while its process still answers.

A stopped process is silent. A process whose fsync hangs is not: it names its leader and keeps its connections, but
accepts no entry. On Linux a process can hand chosen system calls to another process, which decides when they continue
(seccomp_unotify(2), from Linux 5.9). So this needs neither root nor a special build of etcd.

Run as a file, `disk.py CONTROL PROGRAM ARGUMENTS...`, it leaves a guard behind and becomes the program. While the file
CONTROL exists, the program's fsync and fdatasync wait if CONTROL's content is in the path of the synced file. They
continue once CONTROL is gone.

It runs as a file, because a module would load the whole lab first.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Final

WRITE_AHEAD_LOG: Final = "/wal/"
"""Part of the path of the files that etcd must sync before it acknowledges an entry."""

_NUMBERS: Final = {"x86_64": (317, (74, 75)), "aarch64": (277, (82, 83))}
"""Numbers of seccomp(2), and of fsync(2) and fdatasync(2), by processor."""
_SET_FILTER: Final = 1
_NEW_LISTENER: Final = 8
_NO_NEW_PRIVILEGES: Final = 38
_DIE_WITH_PARENT: Final = 1
_ALLOW: Final = 0x7FFF0000
_NOTIFY: Final = 0x7FC00000
_GO_ON: Final = 1
_RECEIVE: Final = 0xC0502100
_SEND: Final = 0xC0182101
_NOTIFICATION_BYTES: Final = 80
"""Size of `struct seccomp_notif`: id, process, flags, then the call: number, architecture, place, six arguments."""
_LOOK_MS: Final = 5


def control(folder: Path) -> Path:
    """Return the path of CONTROL for a node whose files are in this folder."""
    return folder / "disk-hangs"


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _listen() -> int:
    """Make this process's syncs wait, and return the file descriptor whose owner lets them continue."""
    numbers = _NUMBERS.get(platform.machine())
    if sys.platform != "linux" or numbers is None:
        sys.exit(f"a disk that hangs needs Linux on {' or '.join(_NUMBERS)}; this is {platform.platform()}")
    seccomp, (first, second) = numbers
    steps = [(0x20, 0, 0, 0), (0x15, 2, 0, first), (0x15, 1, 0, second), (0x06, 0, 0, _ALLOW), (0x06, 0, 0, _NOTIFY)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(steps), ctypes.addressof(buffer))
    libc = _libc()
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = int(libc.syscall(seccomp, _SET_FILTER, _NEW_LISTENER, ctypes.byref(program)))
    if listener < 0:
        sys.exit(f"a disk that hangs needs seccomp's notifications: {os.strerror(ctypes.get_errno())}")
    return listener


def _guard(listener: int, control: Path) -> None:
    """Let syncs continue, at once or when the disk does, until the program has ended."""
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    held: list[int] = []
    while True:
        for _, events in poller.poll(_LOOK_MS if held else None):
            if events & select.POLLIN:
                _receive(listener, control, held)
            elif events:
                return
        if held and not control.exists():
            while held:
                _go_on(listener, held.pop())


def _receive(listener: int, control: Path, held: list[int]) -> None:
    buffer = bytearray(_NOTIFICATION_BYTES)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except OSError:  # the process that synced has ended or was interrupted
        return
    number, process = struct.unpack_from("QI", buffer)
    (descriptor,) = struct.unpack_from("Q", buffer, 32)
    if _hangs(control, f"/proc/{process}/fd/{descriptor}"):
        held.append(number)
    else:
        _go_on(listener, number)


def _hangs(control: Path, descriptor: str) -> bool:
    try:
        return control.read_text() in os.readlink(descriptor)  # noqa: PTH115  # called for every sync
    except OSError:
        return False


def _go_on(listener: int, number: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SEND, bytearray(struct.pack("QqiI", number, 0, 0, _GO_ON)))


def main(control: str, program: list[str]) -> None:
    """Start a guard, and become the program. The guard ends with the program."""
    ours, guards = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _libc().prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        _, listeners, _, _ = socket.recv_fds(guards, 1, 1)
        if listeners:
            _guard(listeners[0], Path(control))
        os._exit(0)
    guards.close()
    listener = _listen()
    socket.send_fds(ours, [b"."], [listener])
    os.close(listener)
    ours.close()
    os.execv(program[0], program)  # noqa: S606  # no shell


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

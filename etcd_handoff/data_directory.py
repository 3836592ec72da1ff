"""Read the data directory of an etcd member: its IDs, and the free space.

Each file of the write-ahead log begins with a checksum, then the IDs of the member and its cluster (etcd
`server/storage/wal/wal.go`, Create and cut). A record has a length of 8 bytes, little endian, whose upper byte gives
the padding (`decoder.go`). Then comes a `walpb.Record`, padded to 8 bytes.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from etcd_handoff.errors import HandoffError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METADATA: Final = 1
CHECKSUM: Final = 4
"""Types of records (etcd `server/storage/wal/wal.go`)."""
RECORD_TYPE, RECORD_DATA = 1, 3
NODE_ID, CLUSTER_ID = 1, 2
"""Fields of `walpb.Record` and `etcdserverpb.Metadata` (`raft_internal` comes later)."""
LENGTH_BITS: Final = (1 << 56) - 1
HEAD_BYTES: Final = 4096
"""Both records lie in the first of a file's pages."""
LOG_SUFFIX: Final = ".wal"
"""Where no file has it there is no log (etcd `server/storage/wal/util.go`, Exist)."""
LOG_FILE: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.wal")


class DataDirectoryError(HandoffError):
    """The data directory cannot be read, or does not hold data that etcd has written."""


class NoLogError(DataDirectoryError):
    """There is a folder `member` without a log, so its owner is unknown.

    etcd leaves that behind where it ends before it has joined: it creates its database first (etcd
    `server/etcdserver/bootstrap.go`). A member with a log elsewhere (`--wal-dir`) has it too.
    """


class Identity(NamedTuple):
    """The owner of the data.

    Attributes:
        cluster_id: Cluster ID in hex.
        member_id: Member ID in hex.
    """

    cluster_id: str
    member_id: str


def identity(data_dir: Path) -> Identity | None:
    """Return the owner of the data there; None where etcd would begin afresh.

    Raises:
        NoLogError: There is no log.
        DataDirectoryError: It cannot be read, or is nothing that etcd has written.
    """
    folder = data_dir / "member" / "wal"
    try:
        if not (data_dir / "member").exists():
            list(data_dir.iterdir())  # whoever may not look into it knows nothing
            return None
        logs = [entry for entry in folder.iterdir() if entry.name.endswith(LOG_SUFFIX)] if folder.exists() else []
        if not logs and (data_dir / "member").is_dir():
            msg = f"{data_dir} holds a folder `member` without a log of etcd"
            raise NoLogError(msg)
        files = sorted(entry for entry in folder.iterdir() if LOG_FILE.fullmatch(entry.name))
        if not files:
            msg = f"{data_dir} holds a log that has no name of etcd's"
            raise DataDirectoryError(msg)
        with files[0].open("rb") as log:
            return _identity(log.read(HEAD_BYTES))
    except (FileNotFoundError, NotADirectoryError) as error:
        if not data_dir.exists():
            return None
        msg = f"{data_dir} holds something else than data of etcd: {error.strerror}"
        raise DataDirectoryError(msg) from None
    except OSError as error:
        msg = f"{data_dir} cannot be read: {error.strerror}"
        raise DataDirectoryError(msg) from None
    except (ValueError, LookupError, struct.error):
        msg = f"{data_dir} has a log that begins with no record of etcd"
        raise DataDirectoryError(msg) from None


def is_open(data_dir: Path) -> bool | None:
    """Whether a process has the database open, wherever it runs: it holds a lock on it as long as it lives.

    None where the database cannot be looked at: then only `status` shows it (bbolt `bolt_unix.go`, flock). A missing
    database is not open: etcd creates it before its log.
    """
    try:
        with (data_dir / "member" / "snap" / "db").open("rb") as database:
            fcntl.flock(database, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return False


def in_words(found: Identity) -> str:
    """`member 8211f1d0f64f3269 of cluster cdf818194e3a8c32`."""
    return f"member {found.member_id} of cluster {found.cluster_id}"


def free_bytes(data_dir: Path) -> int:
    """Return how much this user may still write where the directory is, or will be.

    Raises:
        DataDirectoryError: That is not known.
    """
    there = next((folder for folder in (data_dir, *data_dir.parents) if folder.exists()), data_dir)
    try:
        return shutil.disk_usage(there).free
    except OSError as error:
        msg = f"{there} cannot be looked at: {error.strerror}"
        raise DataDirectoryError(msg) from None


def archive_paths(data_dir: Path, member_id: str) -> tuple[Path, Path]:
    """Return what is renamed to archive a member's data, and its new name; a member ID never comes back.

    A directory that is a mount point cannot be renamed, so its content is.
    """
    name = f"member-{member_id}"
    if os.path.ismount(data_dir):
        return data_dir / "member", data_dir / name
    return data_dir, data_dir.with_name(f"{data_dir.name}.{name}")


def _identity(head: bytes) -> Identity:
    offset = 0
    for _ in range(2):
        (field,) = struct.unpack_from("<Q", head, offset)
        length, padding = field & LENGTH_BITS, (field >> 56) & 0x7 if field >> 63 else 0
        record = dict(_fields(head[offset + 8 : offset + 8 + length]))
        kind, data = record.get(RECORD_TYPE), record.get(RECORD_DATA, b"")
        if kind == METADATA and isinstance(data, bytes):
            ids = dict(_fields(data))
            member_id, cluster_id = ids[NODE_ID], ids[CLUSTER_ID]
            if not isinstance(member_id, int) or not isinstance(cluster_id, int):
                break
            return Identity(f"{cluster_id:x}", f"{member_id:x}")
        if kind != CHECKSUM:
            break
        offset += 8 + length + padding
    raise ValueError


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message of numbers and bytes."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        if key & 7 == 0:
            value, place = _number(message, place)
            yield key >> 3, value
        elif key & 7 == 2:
            length, place = _number(message, place)
            if place + length > len(message):
                raise ValueError
            yield key >> 3, message[place : place + length]
            place += length
        else:
            raise ValueError


def _number(message: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number & ((1 << 64) - 1), place

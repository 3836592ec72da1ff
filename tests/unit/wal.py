"""Data directories as etcd begins them: the two records that its log starts with."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.data_directory import Identity


def written(data_dir: Path, whose: Identity) -> None:
    """A data directory of this member."""
    folder = data_dir / "member" / "wal"
    folder.mkdir(parents=True)
    metadata = b"\x08" + _varint(int(whose.member_id, 16)) + b"\x10" + _varint(int(whose.cluster_id, 16))
    checksum, ids = b"\x08\x04\x10\x00\x1a\x00", b"\x08\x01\x10\x07\x1a" + _varint(len(metadata)) + metadata
    content = _framed(checksum) + _framed(ids)
    (folder / f"{0:016x}-{0:016x}.wal").write_bytes(content.ljust(8192, b"\0"))


def _framed(record: bytes) -> bytes:
    padding = -len(record) % 8
    field = len(record) | ((0x80 | padding) << 56 if padding else 0)
    return struct.pack("<Q", field) + record + b"\0" * padding


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])

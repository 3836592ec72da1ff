"""Which source of the product a result is about."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_UNDER_TEST = (ROOT / "etcd_handoff" / "lab", ROOT / "etcd_handoff" / "cli")
"""The lab tests the product, and no case of the fault matrix goes through the command line."""


@cache
def product_hash() -> str:
    """Return a short hash of the product's source; what was found with another one may no longer be so."""
    files = [ROOT / "worker.py"]
    for package in ("workflows", "activities", "etcd_handoff"):
        files += (ROOT / package).rglob("*.py")
    tested = sorted(path for path in files if not any(path.is_relative_to(folder) for folder in NOT_UNDER_TEST))
    return hashlib.sha256(b"".join(path.read_bytes() for path in tested)).hexdigest()[:8]


def commit() -> str:
    """Return the commit that is checked out, with `-dirty` if files differ from it; empty outside a clone."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()

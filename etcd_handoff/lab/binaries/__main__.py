"""`python -m etcd_handoff.lab.binaries`: build missing programs, and print the path of each."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from etcd_handoff.lab.binaries.build import (
    ensure_binaries,
    ensure_checkers,
    ensure_kubeadm,
    ensure_toxiproxy,
    print_to_stderr,
)
from etcd_handoff.lab.binaries.catalog import MissingBinaryError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Print one path per line.

    Return exit status 0, or 1 with a message on what is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m etcd_handoff.lab.binaries", description=__doc__)
    parser.add_argument("--network", action="store_true", help="Toxiproxy too, for labs with a network")
    parser.add_argument("--checkers", action="store_true", help="promtool and compose-check too, which check deploy/")
    parser.add_argument("--kubeadm", action="store_true", help="kubeadm too, for tests on what it sets up")
    args = parser.parse_args(argv)
    try:
        binaries = ensure_binaries()
        if args.network:
            print(f"{'toxiproxy':15}{ensure_toxiproxy()}")
        if args.checkers:
            for path in ensure_checkers():
                print(f"{path.name:15}{path}")
        if args.kubeadm:
            print(f"{'kubeadm':15}{ensure_kubeadm()}")
    except MissingBinaryError as error:
        print_to_stderr(f"error: {error}")
        return 1
    for field in fields(binaries):
        print(f"{field.name:15}{getattr(binaries, field.name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

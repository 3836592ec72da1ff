"""The long checks, with a record of what they ran on: `python -m bench.nightly [sample|all|PART_OF_A_CASE]`.

Runs `make model`, `make model-joins`, `make stock`, and `make chaos` with the given share of the fault matrix (`sample`
by default). It writes `bench/results/nightly.json`: source, machine, versions, and how each of them ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

from bench import report
from bench.source import ROOT, commit, product_hash

RESULT: Final = report.RESULTS / "nightly.json"


def run_target(*arguments: str) -> dict[str, Any]:
    """Run `make` with these arguments, show its output, and return how it ended."""
    began, last = time.monotonic(), ""
    make = shutil.which("make") or "make"
    with subprocess.Popen([make, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    seconds = round(time.monotonic() - began)
    return {
        "command": f"make {' '.join(arguments)}",
        "ok": process.returncode == 0,
        "seconds": seconds,
        "summary": last,
    }


def main(share: str = "sample") -> int:
    """Run all targets, whatever becomes of the first; exit status 1 if one of them failed."""
    record: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "product": product_hash(),
        "machine": report.machine(),
        "versions": report.own_versions(),
        "etcd": os.environ.get("ETCD", ""),
        "runs": [
            run_target("model"),
            run_target("model-joins"),
            run_target("stock"),
            run_target("chaos", f"CHAOS={share}"),
        ],
    }
    RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{RESULT}: commit {record['commit']}, product {record['product']}")
    return 0 if all(run["ok"] for run in record["runs"]) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

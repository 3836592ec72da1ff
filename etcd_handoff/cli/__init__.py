"""The command line `etcd-handoff`: plan, remove, status, watch, doctor, demo, worker.

Exit status: 0 done, 1 failed, 2 bad usage or input, 3 refused or blocked by safety, 4 a server cannot be
reached, 130 after Ctrl-C.
"""

from etcd_handoff.cli.app import main, run
from etcd_handoff.cli.options import parser

__all__ = ["main", "parser", "run"]

"""The command line `etcd-handoff`.

`options` declares all commands. `exit_texts` says what each exit status means.
"""

from etcd_handoff.cli.app import main, run
from etcd_handoff.cli.options import parser

__all__ = ["main", "parser", "run"]

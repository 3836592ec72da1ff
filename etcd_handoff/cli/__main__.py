"""`python -m etcd_handoff.cli`: the command line where nothing was installed."""

from etcd_handoff.cli import main

main()

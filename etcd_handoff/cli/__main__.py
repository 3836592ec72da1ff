"""`python -m etcd_handoff.cli`: run the command line without installing it."""

from etcd_handoff.cli import main

main()

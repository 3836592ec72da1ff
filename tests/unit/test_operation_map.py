"""The map of the package `operation`, in its docstring."""

from __future__ import annotations

import re

from etcd_handoff import operation
from etcd_handoff.lab.nodes import ROOT


def test_every_module_stands_in_the_map_once() -> None:
    """Whoever looks for a concern finds its module there."""
    modules = [path.stem for path in (ROOT / "etcd_handoff" / "operation").glob("[!_]*.py")]
    assert sorted(re.findall(r"^ {4}(\w+) +\S", operation.__doc__ or "", re.MULTILINE)) == sorted(modules)

"""docs/tutorial.md word by word, from a fresh folder: a new member takes the place of the leader."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab import wait_until
from etcd_handoff.lab.nodes import ROOT
from tests.integration.pages import Block, blocks_of, follow, program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]


async def test_tutorial_removes_and_replaces_a_leader(tmp_path: Path) -> None:
    """Each block in one shell; what it shows of the output was printed."""
    page = ROOT / "docs" / "tutorial.md"
    (first,) = blocks_of(page, "console")
    parts, by_hand = first.commands.splitlines()
    assert parts == "make parts"  # sets up what this test has already
    folder, programs = tmp_path / "clone", tmp_path / "clone" / ".venv" / "bin"
    programs.mkdir(parents=True)
    program(programs, "etcd-handoff", f"{sys.executable} -m etcd_handoff.cli")
    (programs / "activate").write_text(f'export PATH="{programs}:$PATH" PYTHONPATH="{ROOT}"\n')
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with (tmp_path / "demo.log").open("wb") as log:
        command = shlex.split(by_hand)
        demo = await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:

        async def runs() -> bool:
            assert demo.returncode is None, (tmp_path / "demo.log").read_text()
            return "The cluster runs" in (tmp_path / "demo.log").read_text()

        await wait_until(runs, "the cluster runs", 120)
        blocks = list(blocks_of(page))
        assert len(blocks) == 9
        # One shell, as somebody has it: what one block exports and starts is there for the next.
        commands = "".join(block.commands for block in blocks) + "kill $!; wait $! || true\n"
        await follow(Block(commands, "".join(block.output for block in blocks)), environment, folder, 240)
        assert "is replaced by" in (folder / "replace.log").read_text()
    finally:
        demo.terminate()
        await demo.wait()
    assert demo.returncode == 0
    assert not (folder / "demo.env").exists()

"""docs/tutorial.md word by word, from a fresh folder: a new member takes the place of the leader."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Final

import pytest

from etcd_handoff.lab import wait_until
from etcd_handoff.lab.nodes import ROOT
from tests.integration.pages import Block, blocks_of, follow, program
from tests.integration.web_ui import WebUi, chromium, path_of_chromium, require_chromium, shows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
APPROVAL: Final = "etcd-handoff approve "
"""The block before which the page sends its reader to the browser."""
REACHED, LOOKED_AT = "page-reached", "page-looked-at"
PAUSE: Final = f"touch {REACHED}; until [ -e {LOOKED_AT} ]; do sleep 0.1; done\n"


async def _look_at_the_page(folder: Path, over: Callable[[], bool]) -> None:
    """Do in the browser what the tutorial says, once its shell has come there; nothing if that has ended before."""

    async def is_there() -> bool:
        return over() or (folder / REACHED).exists()

    await wait_until(is_there, "the shell has come to the approval", 240)
    if over():
        return
    settings = dict(re.findall(r"(\w+)=(\S+)", (folder / "demo.env").read_text(encoding="utf-8")))
    leader, new = settings["LEADER"], settings["NEW"]
    url, path, rest = settings["WEB_UI"].partition("/namespaces")
    async with chromium() as browser:
        page = await WebUi(browser, url).open(path + rest)
        await page.get_by_role("link", name="etcd-replace/prod/").first.click()
        await page.get_by_text("User Metadata").first.click()
        await shows(
            page,
            "AwaitingApproval, since 20",
            "Why: my first replacement",
            f"{APPROVAL}{leader} -c prod",
            "What follows",
            f"add {new}",
            "Members of cluster",
            f"{leader} (leaves): leader, healthy",
        )


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
        typed = (PAUSE * block.commands.startswith(APPROVAL) + block.commands for block in blocks)
        commands = "".join(typed) + "kill $!; wait $! || true\n"
        assert PAUSE in commands
        whole = Block(commands, "".join(block.output for block in blocks))
        shell = asyncio.ensure_future(follow(whole, environment, folder, 240))
        try:
            if path_of_chromium():
                await _look_at_the_page(folder, shell.done)
        finally:
            (folder / LOOKED_AT).touch()
            await shell
        assert "is replaced by" in (folder / "replace.log").read_text()
    finally:
        demo.terminate()
        await demo.wait()
    assert demo.returncode == 0
    assert not (folder / "demo.env").exists()
    require_chromium()  # the rest needed none; without it this says that nobody looked at the page

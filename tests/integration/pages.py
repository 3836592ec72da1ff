"""Pages of the documentation as somebody reads them: each command is run as written, and prints what the page shows."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER: Final = re.compile(r"<[^<>\n]+>")
"""What a page shows in the place of what is different each time."""
SECONDS: Final = 120.0


class Block(NamedTuple):
    """Commands of a page, and what it shows of their output; empty if it shows nothing."""

    commands: str
    output: str


def blocks_of(page: Path, language: str = "sh") -> Iterator[Block]:
    """The blocks of commands in this language, each with the block of output that follows it."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    for (its_language, code), (next_language, output) in zip(found, [*found[1:], ("", "")], strict=True):
        if its_language == language:
            yield Block(code, output if next_language == "text" else "")


def missing_lines(shown: str, printed: str) -> list[str]:
    """Lines that a page shows and that were not printed in this order; spaces in a row count once.

    A line of dots stands for any lines, and `<words>` for whatever is different each time.
    """
    lines, missing = [" ".join(line.split()) for line in printed.splitlines()], []
    for line in filter(None, (" ".join(line.split()) for line in shown.splitlines())):
        if line == "...":
            continue
        pattern = re.compile(".+".join(map(re.escape, PLACEHOLDER.split(line))))
        place = next((number for number, text in enumerate(lines) if pattern.fullmatch(text)), None)
        if place is None:
            missing.append(line)
        else:
            lines = lines[place + 1 :]
    return missing


async def follow(block: Block, environment: Mapping[str, str], folder: Path, seconds: float = SECONDS) -> str:
    """Run a block in a shell that stops at the first command that fails; return all that it prints."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", block.commands),
        env={**os.environ, **environment},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output = await process.stdout.read() if process.stdout else b""
        pytest.fail(f"not over within {seconds:g} s: {block.commands}\n{output.decode()}")
    printed = output.decode()
    assert process.returncode == 0, f"{block.commands}\n{printed}"
    assert missing_lines(block.output, printed) == [], f"{block.commands}\n{printed}"
    return printed


def program(folder: Path, name: str, command: str) -> None:
    """A program of this name, for pages that find it in PATH."""
    file = folder / name
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    file.chmod(0o755)

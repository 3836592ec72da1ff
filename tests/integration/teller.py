"""Runs commands on a cluster, and makes what they say alike from run to run: names, times, addresses, IDs.

The folder `verdicts` has what is expected, a file for each part.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.render.bad_ends import WHY
from etcd_handoff.cli.shapes.schemas import BY_COMMAND
from etcd_handoff.lab import ProcessError, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.integration.conftest import LiveCluster

VERDICTS: Final = Path(__file__).with_name("verdicts")
UPDATE: Final = "UPDATE_VERDICTS"
LATE_SECONDS: Final = 30.0


class Teller:
    """Runs commands and collects what they say, in words that are the same in each run.

    Args:
        b: Where they run.
        part: Name of the file with what is expected, without its ending.
        text: What was said before.
        node: The node on which they run; anywhere when it is empty.

    Attributes:
        text: All of it.
        nodes_told: What workers on other nodes say, and that there is none, is part of the situation.
    """

    def __init__(self, b: LiveCluster, part: str, text: str = "", node: str = "") -> None:
        self._b = b
        self._file = VERDICTS / f"{part}.txt"
        self._node = node
        self._names: dict[str, str] = {}
        self._variables: dict[str, str] = {}
        self.text = text
        self.nodes_told = False

    def situation(self, title: str, names: Mapping[str, str], **variables: str) -> None:
        """What follows is said in this situation, with these names of members and environment variables."""
        self._variables, self.nodes_told = variables, False
        self._names = {member: name.upper() for name, member in names.items()}
        self.text += f"\n== {title}\n"

    async def says(self, command: str, *arguments: str) -> None:
        """Note what a command says, and hold its JSON against its schema.

        A member that is late for a second is no part of the situation, and changes what is said: what only reads is
        waited for, text and JSON, until it is what is expected.
        """
        words = self._words(command, arguments)
        runs: list[tuple[int, str]] = []

        async def as_expected() -> bool:
            runs.append(await self._transcript(command, arguments, words))
            expected = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
            if os.environ.get(UPDATE) or not expected.startswith(self.text):
                return True
            return expected.startswith(self.text + runs[-1][1])

        with contextlib.suppress(ProcessError):  # the last text is compared with the others
            await wait_until(as_expected, f"{words} says what is expected", LATE_SECONDS)
        status, noted = runs[-1]
        self.text += noted

        async def in_json() -> bool:
            again, shown, _ = await self._run(command, *arguments, "-o", "json")
            if shown:  # else it ended before there was anything to tell
                _by_schema(command, arguments, shown)
            return again == status

        await wait_until(in_json, f"{words} ends with {status} in JSON too", LATE_SECONDS)

    async def does(self, command: str, *arguments: str) -> None:
        """Note what a command says that changes something, or takes its time: it is run once, and its text told."""
        _, noted = await self._transcript(command, arguments, self._words(command, arguments))
        self.text += noted

    async def does_in_json(self, command: str, *arguments: str) -> None:
        """The same, told in JSON: the document by its schema, of which the failure is noted."""
        words = self._words(command, (*arguments, "-o", "json"))
        status, shown, _ = await self._run(command, *arguments, "-o", "json")
        _by_schema(command, arguments, shown)
        self.text += f"$ etcd-handoff {words}\nfailure: {json.loads(shown)['failure']}\nexit {status}\n"

    def end(self) -> None:
        """All of it is what is expected; it is written down instead where that is wanted."""
        if os.environ.get(UPDATE):
            self._file.write_text(self.text, encoding="utf-8")
        assert self.text == self._file.read_text(encoding="utf-8")

    async def _run(self, *command: str) -> tuple[int, str, str]:
        return await self._b.lab.handoff(*command, node=self._node, **self._variables)

    def _words(self, command: str, arguments: Sequence[str]) -> str:
        return " ".join(self._same(word) for word in (command, *arguments))

    async def _transcript(self, command: str, arguments: Sequence[str], words: str) -> tuple[int, str]:
        """Exit status and text of a command that is run."""
        status, shown, errors = await self._run(command, *arguments)
        text = _verdict(command, shown) + errors
        return status, f"$ etcd-handoff {words}\n{self._same(text)}exit {status}\n"

    def _same(self, text: str) -> str:
        """The text without what differs from run to run."""
        for member, name in self._names.items():
            text = re.sub(rf"\b{member}\b", name, text)
        for pattern, word in (
            (r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{13,16}\b", "ID"),
            (r"https?://127\.0\.0\.1:\d+", "URL"),
            (r"\bendpoint \d\b", "endpoint N"),
            (r"\bkubernetes (LEADER|FOLLOWER|OTHER)\b", "kubernetes NODE"),  # in the order of the nodes
            (r"\bterm \d+", "term N"),
            (r", and stands \d+ log entr(y|ies) behind", ""),
            (r"members are .*", "members are ..."),
            (r"no linearizable read (yet|within \d+ s)", "no linearizable read"),
            (r"(?<!\w)/\S+/", "FOLDER/"),
            (r"\bnode\d\b", "NODE"),
            (r"\bterm above \d+", "term above N"),
            (r"(?<=ETCD_INITIAL_CLUSTER=)\S+", "MEMBERS"),  # in the order of their IDs, as the next
            (r"(?<=not reached from here: ).*", "..."),
            (r"(?<=advertised URL leads to )(LEADER|FOLLOWER|OTHER)\b", "NODE"),  # who has looked
            (r"differ at revision \d+: [^;\n]*", "differ at revision N: each with its hash"),
            (r"[\d.]+ m?s ago", "N s ago"),
            (r"(Blocked for|Paused for|took +) [\d.]+ m?s\b", r"\1 N s"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
            (r"[\w.-]+@[\w.-]+", "USER@HOST"),
            *(() if self.nodes_told else ((r"; (the|no) worker on [^;)]*", ""),)),  # only while its node is asked
        ):
            text = re.sub(pattern, word, text)
        return text


def _verdict(command: str, shown: str) -> str:
    """Of what a command prints, what it concludes: not the table of members, and no step with its time."""
    lines = shown.splitlines()
    match command:
        case "plan":
            kept = lines[lines.index("") + 1 :] if "" in lines else lines
        case "status":
            pattern = re.compile(
                r"! |  \S|.*: none\b|(cluster|EtcdMembers|Operations)\b.*(cannot|not allow)|\S+: [A-Z]\w+: "
            )
            # Which operations are among the last ones depends on how often a dry run was tried again.
            kept = [line for line in lines if pattern.match(line) and not line.startswith(f"  {WHY}: ")]
        case "doctor":
            bad = re.compile(r"(FAILED|hint|  +remedy: )")
            kept = [line for line in lines if bad.match(line)]
        case "describe":
            kept = lines[: lines.index("")] if "" in lines else lines
        case "watch":
            kept = [line for line in lines if not re.match(r"ETCDMEMBER|\S+ +[0-9a-f]{13,16} ", line)]
        case "history":
            kept = [line for line in lines if not re.match(r"    \d\d:|  \d{4}-.*UTC$", line)]
        case _:
            kept = [
                line
                for line in lines
                if not re.match(r"Started |  Removing: |  \w+ +\d+ ms on |  \w+ is tried again: ", line)
            ]
    return "".join(f"{line}\n" for line in kept)


def _by_schema(command: str, arguments: Sequence[str], shown: str) -> None:
    """Hold what a command prints in JSON against its schema."""
    BY_COMMAND[f"watch {arguments[0]}" if command == "watch" else command].model_validate_json(shown)

"""Whatever is typed after `etcd-handoff`, it ends soon, with a status of the contract and with words."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcd_handoff import cli, time_limits
from tests.fuzz.mutations import REPEATABLE, TEXTS, drawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fuzz.conftest import Target

STATUSES: Final = frozenset({0, 1, 2, 3, 4})
"""The contract's, without the one for Ctrl-C."""
CONFIG: Final = """
[clusters.one.etcd]
endpoints = ["http://127.0.0.1:1"]
call_timeout_seconds = 0.1
[clusters.two.etcd]
endpoints = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
call_timeout_seconds = 0.1
[clusters.two.kubernetes]
kubeconfig = "missing"
"""
words = st.sampled_from([text for text in TEXTS if "\0" not in text and text != "\ud800"]) | st.sampled_from(
    ["\udcff", "--", "-", "-x", "--no-such-option", "=", "@file", "one", "two", "node0", "start", "json"]
)
numbers = st.sampled_from(["0", "-1", "1e309", "nan", "inf", "0x10", "1_000", "٣", "", " 1", "2592001", "1" * 5_000])
common_options = st.one_of(
    st.tuples(st.sampled_from(["-c", "--cluster", "--config", "-o", "--output"]), words),
    st.sampled_from([("-o", "json"), ("-o", "table"), ("--help",)]),
)
own_options = {
    "remove": st.one_of(
        st.tuples(st.just("--blocked-timeout"), numbers),
        st.tuples(st.just("--reason"), words),
        st.sampled_from([("--snapshot",), ("--hash-check",), ("--require-approval",), ("--detach",)]),
    ),
    "watch": st.tuples(st.just("--resync"), numbers),
}
stray = st.one_of(words.map(lambda word: (word,)), words.map(lambda word: (f"--clus={word}",)), *own_options.values())
"""Words where none belong, and options of other commands."""


GOOD: Final = (
    ["plan", "node0", "-c", "one"],
    ["remove", "node0", "-c", "one", "--dry-run"],
    ["remove", "node0", "-c", "one", "--blocked-timeout", "0", "--reason", "disk"],
    ["replace", "node0", "--with", "node9", "--peer-url", "http://node9:2380", "-c", "one", "--dry-run"],
    ["apply", "members.json", "-c", "one", "--dry-run"],
    ["status", "-c", "two"],
    ["-o", "json", "doctor", "-c", "one"],
    ["watch", "start", "-c", "two", "--resync", "60"],
    ["watch", "stop", "-c", "two"],
    ["watch", "status", "-c", "two", "--config", "etcd-handoff.toml"],
)
ENDLESS: Final = (["worker", "--log-level", "LOUD"], ["demo", "--member"], ["demo", "x"])
"""Commands that would go on for ever, with what they do not take."""


REAL: Final = (
    ["plan", "node0", "-c", "demo"],
    ["remove", "node0", "-c", "demo", "--dry-run"],
    ["remove", "not-a-member", "-c", "demo", "--reason", "disk"],
    ["status", "-c", "demo"],
    ["-o", "json", "doctor", "-c", "demo"],
    ["watch", "status", "-c", "demo"],
)
"""What a cluster that runs can be asked without harm."""


ended: list[int] = []


@st.composite
def lines(draw: st.DrawFn, good: tuple[list[str], ...]) -> list[str]:
    """A good command with one more option, and perhaps something put in, left out, or put in its place."""
    line = list(draw(st.sampled_from(good)))
    own = [options for name, options in own_options.items() if name in line]
    line += draw(st.one_of(st.just(()), common_options, *own, *own))
    at = draw(st.integers(0, len(line) - 1))
    how = draw(st.sampled_from(["well", "well", "in", "out", "instead"]))
    if how != "well":
        line[at : at + (how != "in")] = [] if how == "out" else draw(common_options | stray)
    return line


@pytest.fixture(scope="module", autouse=True)
def _counts() -> Iterator[None]:
    """How much was tried, for the record."""
    yield
    print(f"\ncommand lines: {len(ended)} inputs: exit {dict(sorted(Counter(ended).items()))}")  # noqa: T201


def judge(arguments: list[str], status: int, output: str, errors: str) -> None:
    """It ended with a status of the contract and, unless all went well, with words that are no surprise to itself."""
    assert status in STATUSES, (arguments, status, errors)
    assert "Traceback" not in output + errors, (arguments, errors)
    assert "unexpected " not in output + errors, (arguments, errors)
    if status and not set(arguments) & {"doctor", "status"}:  # these two tell what is wrong on standard output
        assert re.search(r"^(?!usage).*: \S|^nothing watches ", errors, re.MULTILINE), (arguments, errors)
    elif status:
        assert (output + errors).strip(), arguments


@settings(REPEATABLE, max_examples=250, suppress_health_check=list(HealthCheck))
@given(arguments=lines(GOOD))
def test_any_arguments_end_with_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """With a configuration whose servers are all away: bad usage is told, and so is what cannot be reached."""
    (tmp_path / "etcd-handoff.toml").write_text(CONFIG, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        (tmp_path / "members.json").write_text('{"members": [{"name": "a", "peer_urls": ["http://a:1"]}]}')
        patch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
        patch.delenv("ETCD_HANDOFF_CONFIG", raising=False)
        patch.setattr(time_limits, "COMMANDS", replace(time_limits.COMMANDS, connect_seconds=0.02))
        output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace") for _ in range(2))
        patch.setattr(sys, "stdout", output)
        patch.setattr(sys, "stderr", errors)
        status = cli.run(arguments)
    shown = []
    for stream in (output, errors):
        stream.seek(0)
        shown.append(stream.read())
    judge(arguments, status, *shown)
    ended.append(status)


@settings(REPEATABLE, max_examples=20, suppress_health_check=list(HealthCheck))
@given(arguments=st.sampled_from(ENDLESS), word=words)
def test_commands_that_serve_are_not_started_by_mistake(
    arguments: list[str], word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """`demo` and `worker` with what they do not take end at once."""
    assert cli.run([*arguments, word]) in {0, 2}
    assert "usage: " in "".join(capfd.readouterr())
    ended.append(2)


def harmless(arguments: list[str]) -> list[str]:
    """No member that exists is removed for real."""
    at = arguments.index("remove") + 1 if "remove" in arguments else 0
    return [*arguments[:at], "--dry-run", *arguments[at:]] if at else arguments


@pytest.mark.integration
@pytest.mark.asyncio(loop_scope="module")
async def test_any_arguments_end_with_words_on_a_real_cluster(target: Target) -> None:
    """The command as its own process, with real servers behind it: it ends, and the cluster stays as it is."""
    before, slots = await target.members(), asyncio.Semaphore(3)

    async def one(arguments: list[str]) -> None:
        async with slots:
            status, output, errors = await target.lab.handoff(*arguments)
        judge(arguments, status, output, errors)
        ended.append(status)

    cases = [harmless(line) for line in drawn(lines(REAL), 40)]
    cases.append(["doctor", "--config", "\udcff"])  # a name that is no UTF-8
    async with asyncio.timeout(120):
        ends = await asyncio.gather(*map(one, cases), return_exceptions=True)
    wrong = [str(end)[:600] for end in ends if end is not None]
    assert not wrong, "\n".join(wrong)
    assert await target.members() == before
    print(f"\ncommand lines on a real cluster: {len(cases)} inputs: exit {Counter(ended[-len(cases) :])}")  # noqa: T201

"""One question to several servers: who is asked when, and whose answer counts."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from etcd_handoff.hedge import Answer, first_answer


class Servers:
    """Servers `a`, `b`, `c` in this order; each answers its text, raises, or is silent when there is neither."""

    def __init__(self, **answers: str | Exception) -> None:
        self.queried: list[str] = []
        self.cancelled: list[str] = []
        self._answers = answers

    async def first(self, hedge_seconds: float, *, without: str = "", wrong: str = "") -> Answer[str, str] | None:
        """The first answer that is not `wrong`, of all servers but `without`."""

        def counts(_: str, task: asyncio.Future[str]) -> bool:
            return task.exception() is None and task.result() != wrong

        calls = {server: partial(self._answer, server) for server in "abc"}
        return await first_answer(calls, hedge_seconds, counts, lambda server: server != without)

    async def _answer(self, server: str) -> str:
        self.queried.append(server)
        answer = self._answers.get(server)
        if answer is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.append(server)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


async def test_one_that_answers_is_the_only_one_that_is_asked() -> None:
    """The others cost nothing then."""
    servers = Servers(a="yes", b="yes")
    answer = await servers.first(60)
    assert answer is not None
    assert (answer.server, answer.task.result(), answer.silent, servers.queried) == ("a", "yes", (), ["a"])


async def test_next_is_asked_after_silence_and_the_silent_one_is_cancelled() -> None:
    """Its call is over when the answer is there, and it is named as silent."""
    servers = Servers(b="yes")
    answer = await servers.first(0.001)
    assert answer is not None
    assert (answer.server, answer.silent, servers.cancelled) == ("b", ("a",), ["a"])


async def test_next_is_asked_at_once_after_an_answer_that_does_not_count() -> None:
    """A failure, or an answer that is not enough, costs no pause."""
    servers = Servers(a=OSError("down"), b="no", c="yes")
    async with asyncio.timeout(5):
        answer = await servers.first(60, wrong="no")
    assert answer is not None
    assert (answer.server, servers.queried) == ("c", ["a", "b", "c"])


async def test_none_counts() -> None:
    """There is no answer once all have been heard."""
    assert await Servers(a="no", b=OSError("down"), c="no").first(60, wrong="no") is None


async def test_server_that_does_not_matter_is_neither_asked_nor_waited_for() -> None:
    """Nobody waits for one whose word would change nothing."""
    servers = Servers(a="no", b="no")
    async with asyncio.timeout(5):
        assert await servers.first(0.001, without="c", wrong="no") is None
    assert servers.queried == ["a", "b"]


async def test_caller_that_gives_up_ends_all_calls() -> None:
    """No call goes on that nobody waits for any more."""
    servers = Servers()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await servers.first(0.001)
    assert servers.cancelled == ["a", "b", "c"]

"""Which API server's answer counts, whoever answers first: the rounds, with servers that answer on command."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff import time_limits
from etcd_handoff.config import KubernetesProfile
from etcd_handoff.errors import (
    ApiUnavailableError,
    ConfigError,
    ConflictError,
    HandoffError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
)
from etcd_handoff.kubernetes.failover import ApiServers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from etcd_handoff.kubernetes.failover import Call

Answer = str | HandoffError | None
"""What a server says; None is silence."""


def http(kind: type[KubernetesError]) -> KubernetesError:
    """An answer of this kind."""
    error = kind(kind.__name__)
    error.status = 400
    return error


GONE, NO_KIND, REFUSED = http(ObjectGoneError), http(KindGoneError), http(KubernetesPermissionError)
BROKEN, SILENT = http(ApiUnavailableError), None


class Servers(ApiServers):
    """API servers that answer as they are told.

    Attributes:
        queried: Whom it asked, in order.
    """

    def __init__(self, folder: Path, answers: dict[str, Answer], uids: dict[str, str] | None = None) -> None:
        profile = {"kubeconfig": folder / "kubeconfig", "contexts": list(answers)}
        super().__init__(KubernetesProfile.model_validate(profile), "Node1")
        self.answers, self.uids, self.queried = answers, uids or {}, list[str]()

    async def _ask(self, context: str, call: Call[Any]) -> Any:
        """One answer; a silent server is one that ends in the time-out."""
        if call is not nothing:
            uid = self.uids.get(context)
            if uid is None:
                raise REFUSED
            return uid
        self.queried.append(context)
        answer = self.answers[context]
        if answer is SILENT:
            await asyncio.sleep(time_limits.KUBERNETES.hedge_seconds * 3)
            raise ApiUnavailableError("no answer within 2 s")
        if isinstance(answer, HandoffError):
            raise answer
        return answer

    async def get(self, departing: str = "") -> str:
        """What they say together; an empty answer says that there is nothing."""
        return await self.first_answer(departing, nothing, absent=lambda answer: not answer)


async def nothing(_api: object, _limit: float) -> str:
    """The call."""
    return ""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, hedge_seconds=0.005))


@pytest.mark.parametrize("first", [GONE, NO_KIND, REFUSED, BROKEN, SILENT, "", ConfigError("no such context")])
async def test_one_servers_word_is_not_the_last(tmp_path: Path, first: Answer) -> None:
    """Whoever has the answer wins, in every order, and the other one is asked later from then on."""
    for names in (("a", "b"), ("b", "a")):
        servers = Servers(tmp_path, {names[0]: first, names[1]: "found"})
        assert await servers.get() == "found"
        if first != "":
            assert servers.contexts() == (names[1], names[0])


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ((REFUSED, REFUSED), KubernetesPermissionError),
        ((REFUSED, SILENT), KubernetesPermissionError),
        ((REFUSED, BROKEN), ApiUnavailableError),
        ((NO_KIND, NO_KIND), KindGoneError),
        ((GONE, REFUSED), ObjectGoneError),
        ((GONE, SILENT), ObjectGoneError),
        ((BROKEN, SILENT), ApiUnavailableError),
    ],
)
async def test_without_an_answer_the_error_says_what_all_said(
    tmp_path: Path, answers: Sequence[Answer], kind: type[HandoffError]
) -> None:
    """As `together` has it; everybody has been asked."""
    servers = Servers(tmp_path, dict(zip("ab", answers, strict=True)))
    with pytest.raises(KubernetesError) as caught:
        await servers.get()
    assert type(caught.value) is kind
    assert sorted(servers.queried) == ["a", "b"]


async def test_conflict_ends_the_round(tmp_path: Path) -> None:
    """It is about what was sent, and all would say the same."""
    servers = Servers(tmp_path, {"a": http(ConflictError), "b": "found"})
    with pytest.raises(ConflictError):
        await servers.get()
    assert servers.queried == ["a"]


@pytest.mark.parametrize("absence", [GONE, ""])
async def test_departing_server_is_not_waited_for_once_another_knows_of_nothing(
    tmp_path: Path, absence: Answer
) -> None:
    """Its etcd may be gone, so that its silence would cost a whole time-out; alone it is asked all the same."""
    servers = Servers(tmp_path, {"node0": SILENT, "node1": absence})
    if absence == "":
        assert await servers.get(departing="NODE0") == ""
    else:
        with pytest.raises(ObjectGoneError) as caught:
            await servers.get(departing="NODE0")
        assert caught.value.certain
    assert servers.queried == ["node1"]
    alone = Servers(tmp_path, {"node0": GONE})
    with pytest.raises(ObjectGoneError):
        await alone.get(departing="node0")


async def test_answer_costs_one_request_while_all_are_well(tmp_path: Path) -> None:
    """The local one is asked, in whatever case it is written, and nobody else."""
    servers = Servers(tmp_path, {"node0": "found", "node1": "found", "node2": "found"})
    assert await servers.get() == "found"
    assert servers.queried == ["node1"]
    assert servers.contexts(departing="NODE1 ") == ("node0", "node2", "node1")


@pytest.mark.parametrize(
    ("uids", "foreign"),
    [
        ({"a": "1", "b": "1", "c": "1"}, set()),
        ({"a": "1", "b": "2", "c": "1"}, {"b"}),
        ({"a": "2", "b": "1", "c": "1"}, {"a"}),
        ({"a": "1", "b": "2"}, {"b"}),
        ({"b": "2", "c": "1"}, {"c"}),
        ({"a": "1", "b": "2", "c": "3"}, {"b", "c"}),
        ({"c": "1"}, set()),
        ({}, set()),
    ],
)
async def test_context_of_another_cluster_is_left_out(tmp_path: Path, uids: dict[str, str], foreign: set[str]) -> None:
    """Most decide, else the first of the profile; one that may not be asked, or is silent, belongs."""
    servers = Servers(tmp_path, {"a": REFUSED, "b": REFUSED, "c": REFUSED}, uids)
    assert set(servers.contexts()) == {"a", "b", "c"}
    notes = await servers.check_contexts()
    assert set(notes) == foreign
    assert set(servers.contexts()) == {"a", "b", "c"} - foreign
    with pytest.raises(KubernetesError) as caught:
        await servers.get()
    assert set(servers.queried) == {"a", "b", "c"} - foreign
    assert all(f"context {name} belongs to another Kubernetes cluster" in str(caught.value) for name in foreign)


async def test_context_that_leads_elsewhere_later_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That all belonged together once is no word on what a changed kubeconfig means now."""
    servers = Servers(tmp_path, {"a": "found", "b": "found", "c": "found"}, {"a": "1", "b": "1", "c": "1"})
    assert await servers.check_contexts() == {}
    servers.uids["c"] = "2"
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, identify_seconds=0.0))
    assert await servers.get() == "found"
    assert servers._identities.comparing is not None
    await servers._identities.comparing
    assert set(servers.contexts()) == {"a", "b"}
    await servers.close()


async def test_context_that_was_put_right_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again beside other calls, which do not wait for that."""
    servers = Servers(tmp_path, {"a": "found", "b": "found"}, {"a": "1", "b": "2"})
    await servers.check_contexts()
    servers.uids["b"] = "1"
    assert await servers.get() == "found"
    assert servers.contexts() == ("a",)
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, identify_seconds=0.0))
    assert await servers.get() == "found"
    assert servers._identities.comparing is not None
    await servers._identities.comparing
    assert set(servers.contexts()) == {"a", "b"}
    await servers.close()

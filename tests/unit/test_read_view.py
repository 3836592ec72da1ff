"""Commands that show a cluster ask etcd once more, with more time, before they call it silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.cli.connections import PATIENT_FACTOR, read_view
from etcd_handoff.config import ClusterProfile
from etcd_handoff.errors import EtcdPermissionError, UnreachableError
from etcd_handoff.etcd import gateway
from tests.unit.builders import cluster, down, member

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.config import EtcdProfile
    from etcd_handoff.errors import EtcdError

PROFILE = ClusterProfile.model_validate({"etcd": {"endpoints": ["http://n1:2379"], "call_timeout_seconds": 0.5}})


class Gateway:
    """Answers in a number of seconds, or refuses at once; notes the deadlines that it was given."""

    answers_in_seconds: float = 0.0
    one_answers_in_seconds: float = 0.0
    refusal: EtcdError | None = None
    deadlines: list[float]
    opened: int

    def __init__(self, profile: EtcdProfile, _cluster_id: str) -> None:
        self._deadline = profile.call_timeout_seconds
        self.deadlines.append(self._deadline)
        type(self).opened += 1

    async def observe(self) -> ClusterView:
        """Answer, or say why not."""
        if self.refusal:
            raise self.refusal
        if self._deadline < self.answers_in_seconds:
            raise UnreachableError(f"no answer within {self._deadline:g} s")
        if self._deadline < self.one_answers_in_seconds:
            return cluster(member(1), member(2), down(3))
        return cluster()

    async def close(self) -> None:
        """Note it."""
        type(self).opened -= 1


@pytest.fixture(autouse=True)
def _gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gateway, "deadlines", [], raising=False)
    monkeypatch.setattr(Gateway, "opened", 0, raising=False)
    monkeypatch.setattr(gateway, "EtcdGateway", Gateway)


@pytest.mark.parametrize(("seconds", "looks"), [(0.0, 1), (2.0, 2)])
async def test_slow_members_are_asked_once_more(monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int) -> None:
    """With several times the time; nothing is open afterwards."""
    monkeypatch.setattr(Gateway, "answers_in_seconds", seconds)
    assert await read_view(PROFILE) == cluster()
    assert Gateway.deadlines == [0.5, 0.5 * PATIENT_FACTOR][:looks]
    assert not Gateway.opened


@pytest.mark.parametrize(("all_voters", "looks"), [(False, 1), (True, 2)])
async def test_slow_voter_is_asked_once_more_where_a_decision_hangs_on_it(
    monkeypatch: pytest.MonkeyPatch, *, all_voters: bool, looks: int
) -> None:
    """A plan would call it sick; a table shows what one look has seen."""
    monkeypatch.setattr(Gateway, "one_answers_in_seconds", 2.0)
    view = await read_view(PROFILE, all_voters=all_voters)
    assert (len(view.healthy_voters), len(Gateway.deadlines)) == (1 + looks, looks)
    assert not Gateway.opened


async def test_silent_members_are_an_error_after_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text has the longer time."""
    monkeypatch.setattr(Gateway, "answers_in_seconds", 60.0)
    with pytest.raises(UnreachableError, match=r"no answer within 2\.5 s"):
        await read_view(PROFILE)
    assert len(Gateway.deadlines) == 2
    assert not Gateway.opened


async def test_who_refuses_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """More time changes no permission."""
    monkeypatch.setattr(Gateway, "refusal", EtcdPermissionError("permission denied"))
    with pytest.raises(EtcdPermissionError):
        await read_view(PROFILE)
    assert len(Gateway.deadlines) == 1

"""Errors of etcd are counted once each, whether they fail an attempt or the attempt deals with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etcd_handoff.errors import (
    EtcdPermissionError,
    MemberNotFoundError,
    SpaceExceededError,
    UnhealthyClusterError,
    UnreachableError,
)
from tests.unit.test_etcd_addition import Joining, added, promoted
from tests.unit.test_etcd_removal import UNKNOWN, removed, three

if TYPE_CHECKING:
    from etcd_handoff.errors import EtcdError

ERRORS = [
    UNKNOWN,
    UnreachableError("connection refused"),
    UnhealthyClusterError("unhealthy cluster"),
    MemberNotFoundError("member not found"),
]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Classes of the errors that were counted."""
    classes = list[str]()

    def count(_: str, error: EtcdError) -> None:
        classes.append(type(error).__name__)

    monkeypatch.setattr("etcd_handoff.temporal.server_errors.count_etcd_error", count)
    return classes


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("change", ["remove_member", "add_learner", "promote_member"])
async def test_error_of_a_change_that_goes_on_is_counted(change: str, error: EtcdError, counted: list[str]) -> None:
    """The step answers with an outcome, so nothing else counts it."""
    failures: dict[str, Any] = {change: [error]}
    if change == "remove_member":
        await removed(three(**failures))
    elif change == "add_learner":
        await added(Joining(**failures))
    else:
        await promoted(Joining(learner=True, **failures))
    assert counted == [type(error).__name__]


async def test_error_of_the_lock_is_counted(counted: list[str]) -> None:
    """A full database takes no lock, and the removal goes on without one."""
    await removed(three(acquire_lock=[SpaceExceededError("database space exceeded")]))
    assert counted == ["SpaceExceededError"]


async def test_missing_right_is_counted_where_it_fails_the_attempt(counted: list[str]) -> None:
    """That is done where all attempts pass."""
    with pytest.raises(EtcdPermissionError):
        await removed(three(remove_member=[EtcdPermissionError("permission denied")]))
    assert counted == []

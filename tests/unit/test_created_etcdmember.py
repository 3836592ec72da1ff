"""Which members get an EtcdMember from the operation that has let them join."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_handoff.errors import ConflictError
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.test_update_status import OURS, RECORD, update

JOINED = RECORD.model_copy(update={"joined": True, "members": (OURS,), "present_names": ("node0", "node2")})


async def test_member_that_has_joined_gets_an_etcdmember() -> None:
    """A new node has none, and no watcher may run; it says at once what is true."""
    fake = FakeKubernetes()
    assert (await update(fake, JOINED)).recorded
    status = fake.resources["node2"]["status"]
    assert status["memberID"] == OURS
    assert [c["status"] for c in status["conditions"] if c["type"] == "Joined"] == ["True"]


@pytest.mark.parametrize(
    ("changes", "kubernetes", "note"),
    [
        ({"joined": False}, {}, "there is no EtcdMember for node2"),
        ({"joined": None}, {}, "there is no EtcdMember for node2"),
        ({"failed": True}, {}, "there is no EtcdMember for node2"),
        ({}, {"manage_resources": False}, "there is no EtcdMember for node2"),
        ({"member_name": "no/name"}, {}, "there is no EtcdMember for no/name, as no object can have that name"),
        (
            {"present_names": ("node2", "Node2")},
            {},
            "there is no EtcdMember for node2, as another member has that name",
        ),
    ],
)
async def test_others_get_none(changes: dict[str, Any], kubernetes: dict[str, Any], note: str) -> None:
    """One that is not there, one whose name is taken, and all where somebody else creates EtcdMembers."""
    fake = FakeKubernetes()
    answer = await update(fake, JOINED.model_copy(update=changes), **kubernetes)
    assert (answer.recorded, answer.note, fake.resources) == (False, note, {})


async def test_etcdmember_that_somebody_else_has_just_created_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher was faster."""
    fake = FakeKubernetes()

    async def taken(new: dict[str, Any]) -> dict[str, Any]:
        fake.resources[new["metadata"]["name"]] = new
        raise ConflictError("there is one")

    monkeypatch.setattr(fake, "create", taken)
    assert (await update(fake, JOINED)).recorded

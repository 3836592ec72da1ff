"""What real API servers answer, in our words, and whom we ask when one is gone, silent, or about to leave."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.member_status import KubernetesActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import UpdateStatusInput
from etcd_handoff.config import Config
from etcd_handoff.errors import (
    ApiUnavailableError,
    ConflictError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
)
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.lab import Role
from etcd_handoff.lab.nodes import HOST
from tests.integration.relayed_servers import PATIENCE_SECONDS, RelayedServers

SHORT = 2.0
"""Seconds that a silent API server is given: beyond what one that answers takes on a busy machine."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- answers ------------------------------------------------------------------------------------------------


async def test_missing_resource_is_gone(relayed: RelayedServers) -> None:
    """404, with the API server's own words."""
    async with relayed.gateway() as gateway:
        with pytest.raises(ObjectGoneError, match=r'^404: etcdmembers\.etcd\.k0sproject\.io "node9" not found$'):
            await gateway.get("node9")
        assert {r["metadata"]["name"] for r in await gateway.list()} == {"node0", "node1"}


async def test_stale_patch_is_a_conflict_and_changes_nothing(relayed: RelayedServers) -> None:
    """409: a patch carries the resourceVersion that it was made from, on every API server."""
    async with relayed.gateway() as gateway:
        read = await gateway.get("node0")
        newer = await gateway.patch_status(read, {"message": "the first"})
        for node in ("node0", "node1"):
            with pytest.raises(ConflictError, match=r"^409: "):
                await gateway.patch_status(read, {"message": "too late"}, departing=node)
        assert await gateway.get("node0") == newer
        assert newer["status"]["peerAddress"] == read["status"]["peerAddress"]


async def test_token_without_rights_is_no_permission(relayed: RelayedServers) -> None:
    """403 for a known one, 401 for an unknown one; both say so, and neither server is asked in vain twice."""
    await relayed.lab.kubectl("create", "serviceaccount", "nobody", context="node0")
    token = (await relayed.lab.kubectl("create", "token", "nobody", context="node0")).strip()
    async with relayed.gateway() as gateway:
        read = await gateway.get("node0")
    for wrong, message in ((token, r"^403: .*cannot"), ("nonsense", r"^401: Unauthorized")):
        async with relayed.gateway(token=wrong) as gateway:
            with pytest.raises(KubernetesPermissionError, match=message):
                await gateway.get("node0")
            with pytest.raises(KubernetesPermissionError, match=message):
                await gateway.patch_status(read, {"message": "mine"})


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"memberID": 5}, r"^422: .*memberID"),
        ({"memberID": "no hex"}, r"^422: .*memberID"),
        ({"conditions": [{"type": "Joined", "status": "Maybe"}]}, r"^422: .*Maybe"),
        ({"conditions": "none"}, r"^422: .*conditions"),
    ],
)
async def test_content_that_does_not_fit_is_rejected(
    relayed: RelayedServers, status: dict[str, Any], message: str
) -> None:
    """422, with the field; nothing is stored."""
    async with relayed.gateway() as gateway:
        read = await gateway.get("node0")
        with pytest.raises(RejectedError, match=message):
            await gateway.patch_status(read, status)
        assert await gateway.get("node0") == read


async def test_patch_that_is_none_is_rejected(relayed: RelayedServers) -> None:
    """400: what the API server cannot read at all."""
    async with relayed.gateway() as gateway:
        read = await gateway.get("node0")
        read["metadata"]["resourceVersion"] = {"not": "a text"}
        with pytest.raises(RejectedError, match=r"^4(00|22): "):
            await gateway.patch_status(read, {"message": "x"})


# --- whom to ask --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_after_another")
async def test_local_server_comes_first_and_the_departing_one_last(relayed: RelayedServers) -> None:
    """While all are well one connection is enough, and it never goes to the node that leaves."""
    for departing, first in (("", "node1"), ("node0", "node1"), ("node1", "node0")):
        async with relayed.gateway(node="node1") as gateway:
            await gateway.get("node0", departing=departing)
            assert relayed.connections == [first]


@pytest.mark.parametrize(("keep_seconds", "connections"), [(60.0, 1), (0.0, 3)])
async def test_connection_serves_what_comes_soon(
    relayed: RelayedServers, monkeypatch: pytest.MonkeyPatch, keep_seconds: float, connections: int
) -> None:
    """The requests of one step share a connection; after a pause one to a dying API server is not met again."""
    monkeypatch.setattr(
        time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, idle_connection_seconds=keep_seconds)
    )
    async with relayed.gateway("node0") as gateway:
        for _ in range(3):
            await gateway.get("node0")
        assert relayed.connections == ["node0"] * connections


def gateways_of(relayed: RelayedServers) -> KubernetesGateways:
    """Those of a worker on node0."""
    profile = {
        "etcd": {"endpoints": ["http://127.0.0.1:1"]},
        "kubernetes": {
            "kubeconfig": relayed.folder / "kubeconfig",
            "contexts": ["node0", "node1"],
            "try_timeout_seconds": PATIENCE_SECONDS,
        },
    }
    return KubernetesGateways(Config.model_validate({"clusters": {"relayed": profile}}), "node0")


@pytest.mark.usefixtures("one_after_another")
async def test_resource_is_read_ahead(relayed: RelayedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, past the departing node, over a connection that then stands; what cannot be had is nothing."""
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, idle_connection_seconds=60.0))
    async with relayed.gateway():
        gateways = gateways_of(relayed)
        try:
            gateways.prefetch("relayed", "node0")
            gateways.prefetch("relayed", "node0")
            read = await gateways.take_prefetched("relayed", "node0")
            assert read is not None
            assert read["metadata"]["name"] == "node0"
            assert await gateways.take_prefetched("relayed", "node0") is None
            await gateways.require("relayed").get("node0", departing="node0")
            assert relayed.connections == ["node1"]
            gateways.prefetch("relayed", "node0")
            assert await gateways.take_prefetched("relayed", "node1") is None
            for nobody in ("nosuch", ""):
                gateways.prefetch("relayed", nobody)
                assert await gateways.take_prefetched("relayed", nobody) is None
        finally:
            await gateways.close()


@pytest.mark.parametrize("before", ["True", "False"])
async def test_what_was_read_ahead_is_not_believed(relayed: RelayedServers, before: str) -> None:
    """Whatever somebody wrote since then, the record says the truth, and fields that are not ours stay."""
    async with relayed.gateway() as gateway:
        resource = await gateway.get("node0")
        record = UpdateStatusInput(
            cluster="relayed",
            member_name="node0",
            member_id=resource["status"]["memberID"],
            peer_urls=(f"http://{resource['status']['peerAddress']}",),
            joined=False,
            message="Member removed from cluster",
        )
        gateways = gateways_of(relayed)
        update = KubernetesActivities(gateways, "node0").update_status
        try:
            if before == "False":  # there is nothing to write, by what is read ahead
                assert (await ActivityEnvironment().run(update, record)).recorded
            gateways.prefetch("relayed", "node0")
            await gateways._prefetched["relayed"].resource  # noqa: SLF001  # somebody else comes after this
            current = await gateway.get("node0")
            joined = [{**condition, "status": "True"} for condition in current["status"]["conditions"]]
            await gateway.patch_status(current, {"conditions": joined, "message": "of somebody else"})
            assert (await ActivityEnvironment().run(update, record)).recorded
            after = (await gateway.get("node0"))["status"]
            assert (after["conditions"][0]["status"], after["message"]) == ("False", record.message)
            assert after["peerAddress"] == resource["status"]["peerAddress"]
        finally:
            await gateway.patch_status(await gateway.get("node0"), resource["status"])
            await gateways.close()


async def test_removal_that_may_still_take_place_is_written_as_unknown(relayed: RelayedServers) -> None:
    """The schema allows it. Later, what somebody has written since stays, unless etcd says that the member has left."""
    listed: frozenset[str] | None = None

    async def members(*_: str) -> tuple[frozenset[str] | None, str]:
        return listed, "no quorum"

    async with relayed.gateway() as gateway:
        before = (await gateway.get("node0"))["status"]
        record = UpdateStatusInput(
            cluster="relayed",
            member_name="node0",
            member_id=before["memberID"],
            joined=None,
            failed=True,
            message="Removal was proposed, not confirmed: no quorum",
            made="2026-01-01T00:00:00+00:00",
        )
        gateways = gateways_of(relayed)
        update = KubernetesActivities(gateways, "node0", members).update_status
        late = record.model_copy(update={"late": True, "message": "older"})

        async def condition() -> tuple[str, str, str]:
            status = (await gateway.get("node0"))["status"]
            (joined,) = status["conditions"]
            return joined["status"], joined["lastTransitionTime"], status["message"]

        try:
            assert (await ActivityEnvironment().run(update, record)).recorded
            assert await condition() == ("Unknown", before["conditions"][0]["lastTransitionTime"], record.message)
            for known in (None, frozenset({before["memberID"]})):
                listed = known
                untouched = await ActivityEnvironment().run(update, late)
                assert (untouched.recorded, (await condition())[0]) == (False, "Unknown")
                assert "written after the removal ended" in untouched.note
            listed = frozenset({"1"})
            assert (await ActivityEnvironment().run(update, late)).recorded
            assert (await condition())[::2] == ("False", "Member removed from cluster")
        finally:
            await gateway.patch_status(await gateway.get("node0"), before)
            await gateways.close()


@pytest.mark.usefixtures("one_after_another")
async def test_server_that_refuses_is_passed_over_and_then_asked_last(relayed: RelayedServers) -> None:
    """The next one answers at once, and is asked first from then on; so it is with a context that is not there."""
    async with relayed.gateway("shut", "nosuch", "node1") as gateway:
        assert (await gateway.get("node0"))["metadata"]["name"] == "node0"
        assert gateway.contexts() == ("node1", "shut", "nosuch")


@pytest.mark.usefixtures("one_after_another")
async def test_silent_server_is_passed_over(relayed: RelayedServers) -> None:
    """One that is stopped takes connections and says nothing: it costs its time-out once, and for a patch too."""
    relayed.lab.stop(Role.APISERVER, "node0")
    try:
        async with relayed.gateway(node="node0", try_timeout_seconds=SHORT) as gateway:
            read = await gateway.get("node0")
            assert relayed.connections == ["node0", "node1"]
            await gateway.patch_status(read, {"message": "written through the other one"})
            assert relayed.connections == ["node0", "node1"]
    finally:
        relayed.lab.resume(Role.APISERVER, "node0")


async def test_next_server_is_asked_while_one_is_silent(relayed: RelayedServers) -> None:
    """Nobody waits for the time-out of a silent one when another can answer."""
    relayed.lab.stop(Role.APISERVER, "node0")
    try:
        async with relayed.gateway(node="node0", try_timeout_seconds=60) as gateway, asyncio.timeout(30):
            await gateway.get("node0")
    finally:
        relayed.lab.resume(Role.APISERVER, "node0")


async def test_nobody_answers(relayed: RelayedServers) -> None:
    """Each is named with what was wrong, none with its address; a patch may have been stored all the same."""
    relayed.lab.stop(Role.APISERVER, "node0")
    try:
        async with relayed.gateway("node0", "shut", "nosuch", try_timeout_seconds=SHORT) as gateway:
            with pytest.raises(ApiUnavailableError) as caught:
                await gateway.list()
    finally:
        relayed.lab.resume(Role.APISERVER, "node0")
    message = str(caught.value)
    assert f"node0: no answer within {SHORT:g} s" in message
    assert "shut: connection refused" in message
    assert "nosuch: " in message
    assert HOST not in message
    assert caught.value.may_have_changed

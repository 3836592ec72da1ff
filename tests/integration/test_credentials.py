"""Who may ask whom: users without rights, and certificates and tokens that are renewed under a living worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.lab import Role, disasters, wait_until
from tests.integration.conftest import PROMPT_TIMERS, ends

if TYPE_CHECKING:
    from tests.integration.conftest import MakeLiveCluster


@pytest.mark.timeout(300)
async def test_renewed_credentials_are_read_by_a_living_worker(live_cluster: MakeLiveCluster) -> None:
    """A client certificate, then the servers' authority, then a token: a member leaves and is recorded each time."""
    async with live_cluster(nodes=4, workers=("node0",), tls=True, rbac=True) as b:
        await b.lab.leader()
        gone: set[str] = set()

        async def remove_next() -> None:
            target = next(n.name for n in reversed(b.lab.nodes) if n.name not in gone)
            result = await b.remove(target)
            assert (result.outcome, result.status_recorded) == ("removed", True), result.status_note
            gone.add(target)
            for role in (Role.APISERVER, Role.ETCD):
                await b.lab.kill(role, target)

        await disasters.renew_certificates(b.lab, "clients")
        await remove_next()
        await disasters.renew_certificates(b.lab, "servers")
        await remove_next()
        account, node = b.lab.credentials.account, b.lab.node("node0")
        old = account.token_file.read_text()
        await account.renew(b.lab.kubectl, node)

        async def refused() -> bool:
            return not any([await account.accepted(n, old) for n in b.lab.nodes if n.name not in gone])

        await wait_until(refused, "the old token is refused", 60)
        await remove_next()
        assert [m.name for m in await b.lab.members("node0")] == ["node0"]
        assert await b.lab.joined("node0", "node0") == "True"


async def test_record_survives_api_servers_that_have_just_started(live_cluster: MakeLiveCluster) -> None:
    """They answer an account's token with 401 and 403 for a moment; that is not the last word."""
    async with live_cluster(failpoints="update_status.before=hold", rbac=True) as b:
        target = b.lab.others(await b.lab.leader())[0].name
        removal = await b.start(target)
        await b.reached("update_status.before")
        disasters.restart_api_servers(b.lab)
        b.release("update_status.before")
        result = await removal.result()
        assert (result.outcome, result.status_recorded) == ("removed", True), result.status_note


@pytest.mark.parametrize("user", ["reader", "stranger"])
async def test_user_without_rights_is_told_at_once(live_cluster: MakeLiveCluster, user: str) -> None:
    """One that may only read, and a certificate that names no user: `doctor` says so, and `remove` fails at once."""
    async with live_cluster(workers=("node0",), tls=True, etcd_user=user, temporal_flags=PROMPT_TIMERS) as b:
        leader = await b.lab.leader()
        target = b.lab.others(leader)[0].name
        status, text = await ends(b.lab, "doctor")
        assert status != 0, text
        for member in (target, leader):
            for options in ((), ("--dry-run",)):
                status, text = await ends(b.lab, "remove", member, *options)
                assert (status, "PermissionDenied" in text) == (1, True), text
        assert len(await b.lab.members()) == 3


async def test_user_by_certificate_may_remove(live_cluster: MakeLiveCluster) -> None:
    """Etcd takes the common name for the user, whom it gave the root role."""
    async with live_cluster(workers=("node0",), tls=True, etcd_user="certificate") as b:
        leader = await b.lab.leader()
        result = await b.remove(leader)
        assert (result.outcome, result.status_recorded) == ("removed", True), result.status_note

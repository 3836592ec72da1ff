"""What somebody else does to the cluster while it is changed, past all locks: with etcdctl, say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.errors import EtcdError
from etcd_handoff.lab import Role, wait_until
from tests.integration.etcd_gateways import gateway_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from etcd_handoff.etcd.gateway import EtcdGateway
    from etcd_handoff.lab import Lab

PATIENCE: Final = 60.0
"""Etcd refuses what it will allow once a learner is in sync, or once peers have been connected for 5 s."""


async def move_leader(lab: Lab, to: str) -> None:
    """The node leads."""
    target_id = await lab.member_id(to)

    async def moved(gateway: EtcdGateway) -> None:
        leadership = (await gateway.observe()).leadership
        if leadership is not None and leadership.id != target_id:
            await gateway.move_leader(leadership.id, target_id)

    await _done(lab, moved)
    assert await lab.leader() == to


async def add(lab: Lab, peer_url: str) -> str:
    """A learner of this peer URL is in the list, which nobody starts; its ID."""
    added: list[str] = []

    async def done(gateway: EtcdGateway) -> None:
        added.append(await gateway.add_learner([peer_url], await _leader(gateway)))

    await _done(lab, done)
    return added[0]


async def promote(lab: Lab, member_id: str) -> None:
    """The learner has a vote."""

    async def done(gateway: EtcdGateway) -> None:
        await gateway.promote_member(member_id, await _leader(gateway))

    await _done(lab, done)


async def remove(lab: Lab, member_id: str) -> None:
    """The member has left the list."""

    async def done(gateway: EtcdGateway) -> None:
        await gateway.remove_member(member_id, await _leader(gateway))

    await _done(lab, done)


async def _leader(gateway: EtcdGateway) -> str:
    leadership = (await gateway.observe()).leadership
    if leadership is None:
        raise EtcdError("nobody leads")
    return leadership.id


async def _done(lab: Lab, deed: Callable[[EtcdGateway], Awaitable[None]]) -> None:
    errors = [""]
    urls = [lab.node(name).etcd_url for name in lab.nodes_with(Role.ETCD) if lab.alive(Role.ETCD, name)]
    async with gateway_to(*urls) as gateway:

        async def done() -> bool:
            try:
                await deed(gateway)
            except EtcdError as error:
                errors.append(str(error))
                return False
            return True

        await wait_until(done, "etcd does what somebody asks by hand", PATIENCE, lambda: errors[-1])

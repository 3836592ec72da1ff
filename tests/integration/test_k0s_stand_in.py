"""The stand-in for k0s does what k0s's real reconcilers were measured to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.k0s import SHUTDOWN_LABEL, K0sStandIn
from etcd_handoff.lab.naive import remove_once

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 40.0


async def ask_to_leave(lab: Lab, member: str, via: str) -> None:
    """What k0s's users do."""
    patch = ["--type", "merge", "-p", '{"spec":{"leave":true}}']
    await lab.kubectl("patch", "etcdmember", member, *patch, context=via)


async def test_old_release_restarts_the_etcd_of_a_removed_member_for_ever(tmp_path: Path) -> None:
    """The lease holder removes a follower and writes that; the node's own k0s knows nothing of it."""
    async with Lab(LabOptions(temporal=False, directory=tmp_path)) as lab:
        leader = await lab.leader()
        target, holder = (node.name for node in lab.others(leader))
        await lab.wait_for_health_interval()
        async with K0sStandIn(lab, "v1.31", holder) as k0s:
            await ask_to_leave(lab, target, leader)

            async def restarted() -> bool:
                return k0s.respawned[target] >= 2 and await lab.joined(target, leader) == "False"

            await wait_until(restarted, "etcd was started twice after its removal", SECONDS)
        assert target not in {m.name for m in await lab.members(leader)}
        assert lab.alive(Role.APISERVER, target)


async def test_new_release_hands_its_lease_over_and_stops_the_node(tmp_path: Path) -> None:
    """The holder is labelled by its successor, leaves by itself, and stays stopped; the resync writes what is true."""
    async with Lab(LabOptions(temporal=False, directory=tmp_path)) as lab:
        target = await lab.leader()
        survivor = lab.others(target)[0].name
        await lab.wait_for_health_interval()
        async with K0sStandIn(lab, "v1.36", target) as k0s:
            await ask_to_leave(lab, target, survivor)

            async def recorded() -> bool:
                return await lab.joined(target, survivor) == "False"

            await wait_until(recorded, "the resync has written it", SECONDS)
            assert (k0s.holder != target, k0s.removed, k0s.stopped) == (True, [target], {target})
            assert k0s.respawned[target] == 0
        assert not lab.alive(Role.ETCD, target)
        assert not lab.alive(Role.APISERVER, target)
        resource = (await lab.etcdmembers(survivor))[target]
        assert resource["metadata"]["labels"][SHUTDOWN_LABEL] == target


async def test_new_release_leaves_a_node_running_whose_order_comes_after_its_removal(tmp_path: Path) -> None:
    """It labels only listed members, so the order must stand before the member is out."""
    async with Lab(LabOptions(temporal=False, directory=tmp_path)) as lab:
        leader = await lab.leader()
        target, holder = (node.name for node in lab.others(leader))
        await lab.wait_for_health_interval()
        async with K0sStandIn(lab, "v1.36", holder) as k0s:
            await remove_once(target, await lab.member_id(target), lab.node(leader))
            await ask_to_leave(lab, target, leader)

            async def restarted() -> bool:
                return k0s.respawned[target] >= 1 and await lab.joined(target, leader) == "False"

            await wait_until(restarted, "k0s has seen the order and starts etcd again", SECONDS)
            assert not k0s.stopped
        assert SHUTDOWN_LABEL not in (await lab.etcdmembers(leader))[target]["metadata"].get("labels", {})

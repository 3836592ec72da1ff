"""The stand-in for k0s does what k0s's real reconcilers were measured to do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from etcd_handoff.lab import Lab, LabOptions, Role, wait_until
from etcd_handoff.lab.k0s import SHUTDOWN_LABEL, START_LABEL, K0sStandIn
from etcd_handoff.lab.naive import remove_once

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 40.0
HAND_OVER_SECONDS = 0.5


def labels(resource: dict[str, Any]) -> dict[str, str]:
    """The labels of an EtcdMember."""
    found: dict[str, str] = resource["metadata"].get("labels", {})
    return found


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


async def test_new_release_labels_a_node_before_its_member_leaves(tmp_path: Path) -> None:
    """With the start that the node's k0s has told before; nobody is labelled who was not asked to leave."""
    async with Lab(LabOptions(temporal=False, directory=tmp_path)) as lab:
        leader = await lab.leader()
        target, holder = (node.name for node in lab.others(leader))
        await lab.wait_for_health_interval()
        async with K0sStandIn(lab, "v1.36", holder):
            starts = {name: labels(resource)[START_LABEL] for name, resource in (await lab.etcdmembers(leader)).items()}
            assert len(set(starts.values())) == len(lab.nodes)
            seen: list[tuple[bool, bool]] = []

            async def out() -> bool:
                mark = labels((await lab.etcdmembers(leader))[target]).get(SHUTDOWN_LABEL)
                assert mark in (None, starts[target])
                seen.append((mark is not None, target in {m.name for m in await lab.members(leader)}))
                return not seen[-1][-1]

            await ask_to_leave(lab, target, leader)
            await wait_until(out, "the member has left", SECONDS)
            assert (True, True) in seen
            assert (False, False) not in seen
        for name in (leader, holder):
            assert SHUTDOWN_LABEL not in labels((await lab.etcdmembers(leader))[name])


async def test_new_release_hands_its_lease_over_and_stops_the_node(tmp_path: Path) -> None:
    """The holder is labelled by its successor, leaves by itself, and stays stopped; the resync writes what is true."""
    async with Lab(LabOptions(temporal=False, directory=tmp_path)) as lab:
        target = await lab.leader()
        survivor = lab.others(target)[0].name
        await lab.wait_for_health_interval()
        async with K0sStandIn(lab, "v1.36", target, HAND_OVER_SECONDS) as k0s:
            began = time.monotonic()
            await ask_to_leave(lab, target, survivor)

            async def begun() -> bool:
                return bool(k0s.removed)

            await wait_until(begun, "k0s removes the member", SECONDS)
            assert time.monotonic() - began > HAND_OVER_SECONDS

            async def recorded() -> bool:
                return await lab.joined(target, survivor) == "False"

            await wait_until(recorded, "the resync has written it", SECONDS)
            assert (k0s.holder != target, k0s.removed, k0s.stopped) == (True, [target], {target})
            assert k0s.respawned[target] == 0
        assert not lab.alive(Role.ETCD, target)
        assert not lab.alive(Role.APISERVER, target)
        resource = (await lab.etcdmembers(survivor))[target]
        assert labels(resource)[SHUTDOWN_LABEL] == labels(resource)[START_LABEL]


async def test_new_release_leaves_a_node_running_whose_order_comes_after_its_removal(tmp_path: Path) -> None:
    """It labels only listed members, so the order must stand before the member has left."""
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
        assert SHUTDOWN_LABEL not in labels((await lab.etcdmembers(leader))[target])

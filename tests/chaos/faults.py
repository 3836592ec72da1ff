"""What strikes, and how it is healed again where a removal may need that to end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import Role, disasters, http, observer, users
from etcd_handoff.lab.resources import write_joined
from etcd_handoff.lab.waiting import ProcessError, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from etcd_handoff.lab import Lab
    from etcd_handoff.lab.credentials import CertificateGroup


HALT_SECONDS: Final = 0.09
"""As long as a bad disk takes for an fdatasync, and short of the time after which followers elect."""
LINK_MS: Final = 200
OUT_SECONDS: Final = 30.0
LAG_ENTRIES: Final = 6_000
"""More than what a voter may lag behind (`CAUGHT_UP_ENTRIES` of the planner)."""
WITH_USERS: Final = {"tls": True, "etcd_user": users.OPERATOR}
"""Options of a lab whose etcd asks everybody who they are, where the product has a user of its own."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is who when the fault strikes.

    Attributes:
        lab: The running lab.
        target: Node of the member that leaves.
        other: A voter that stays, and that no client of ours writes through.
        writer: The node that the writer writes through.
        worker: The node whose worker is held in the step.
        going_on: What keeps striking until it is healed.
    """

    lab: Lab
    target: str
    other: str
    writer: str
    worker: str
    going_on: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        inject: Make it happen.
        heal: Undo it, as an operator would, when the removal waits for that.
        options: What the lab must be able to do for it.
    """

    inject: Callable[[Scene], Awaitable[None]]
    heal: Callable[[Scene], Awaitable[None]]
    options: dict[str, Any] = field(default_factory=dict)


async def _nothing(_: Scene) -> None:
    """It needs no healing."""


def _kill(role: Role, who: str) -> Fault:
    async def inject(scene: Scene) -> None:
        await scene.lab.kill(role, getattr(scene, who) if who else "")

    async def heal(scene: Scene) -> None:
        with contextlib.suppress(ProcessError):  # an etcd that is out does not come back
            await scene.lab.start(role, getattr(scene, who) if who else "")

    return Fault(inject, heal if role in (Role.TEMPORAL, Role.ETCD) and who != "target" else _nothing)


async def _start_worker_that_is_missed(scene: Scene) -> None:
    """Where each worker reaches its own member alone nobody takes over what another one cannot do."""
    if scene.lab.options.isolated:
        await scene.lab.start_worker(scene.worker)


async def _kill_worker(scene: Scene) -> None:
    await scene.lab.kill(Role.WORKER, scene.worker)


def _kill_worker_of(who: str) -> Fault:
    """The worker of a node dies, whichever step it has, and is missed where nobody else can do what it does."""

    async def inject(scene: Scene) -> None:
        await scene.lab.kill(Role.WORKER, getattr(scene, who))

    async def heal(scene: Scene) -> None:
        await scene.lab.start_worker(getattr(scene, who))

    return Fault(inject, heal)


def _stop(role: Role, who: str) -> Fault:
    async def inject(scene: Scene) -> None:
        scene.lab.stop(role, getattr(scene, who) if who else "")

    async def heal(scene: Scene) -> None:
        scene.lab.resume(role, getattr(scene, who) if who else "")

    return Fault(inject, heal)


async def _kill_all_workers(scene: Scene) -> None:
    workers = [node.name for node in scene.lab.nodes if _runs(scene.lab, Role.WORKER, node.name)]
    await asyncio.gather(*(scene.lab.kill(Role.WORKER, name) for name in workers))
    await scene.lab.start(Role.WORKER, scene.writer)


async def _stop_all_apiservers_but_one(scene: Scene) -> None:
    for node in scene.lab.nodes:
        if node.name != scene.writer and _runs(scene.lab, Role.APISERVER, node.name):
            scene.lab.stop(Role.APISERVER, node.name)


async def _resume_apiservers(scene: Scene) -> None:
    for node in scene.lab.nodes:
        if node.name not in (scene.writer, scene.target) and _runs(scene.lab, Role.APISERVER, node.name):
            scene.lab.resume(Role.APISERVER, node.name)


async def _kill_node(scene: Scene) -> None:
    roles = [role for role in (Role.WORKER, Role.APISERVER, Role.ETCD) if _runs(scene.lab, role, scene.target)]
    await asyncio.gather(*(scene.lab.kill(role, scene.target) for role in roles))


async def _move_leader_elsewhere(scene: Scene) -> None:
    """Somebody else moves leadership: to the target where that is still a voter, else to the other."""
    leader = await scene.lab.leader()
    voters = {m.name: m.id for m in await scene.lab.members() if not m.is_learner}
    successor = scene.target if scene.target in voters and scene.target != leader else scene.other
    if successor != leader and successor in voters:
        url = f"{scene.lab.node(leader).etcd_url}/v3/maintenance/transfer-leadership"
        with contextlib.suppress(OSError):
            await http.post(url, {"targetID": str(int(voters[successor], 16))})


async def _remove_target_by_hand(scene: Scene) -> None:
    """Somebody else removes the same member, and asks again where an election has swallowed the proposal."""
    url = f"{scene.lab.node(scene.writer).etcd_url}/v3/cluster/member/remove"

    async def is_out() -> bool:
        members = {m.name: m.id for m in await scene.lab.members()}
        if scene.target in members:
            with contextlib.suppress(TimeoutError):
                await observer.change_members(url, {"ID": str(int(members[scene.target], 16))})
            return False
        return True

    await wait_until(is_out, f"{scene.target} is out", OUT_SECONDS)


def _slow_disk(who: str) -> Fault:
    """An etcd that stands still nine tenths of the time.

    Nothing that every Linux has lets a test slow a disk. A slow disk makes etcd's raft loop wait in fdatasync; here
    the whole process waits, which is harder: its clients and peers see the same delays.
    """

    async def inject(scene: Scene) -> None:
        node = await scene.lab.leader() if who == "leader" else getattr(scene, who)
        scene.going_on.append(asyncio.create_task(_halting(scene.lab, node)))

    async def heal(scene: Scene) -> None:
        for task in scene.going_on:
            task.cancel()
        await asyncio.gather(*scene.going_on, return_exceptions=True)

    return Fault(inject, heal)


async def _halting(lab: Lab, node: str) -> None:
    while lab.alive(Role.ETCD, node):
        lab.stop(Role.ETCD, node)
        try:
            await asyncio.sleep(HALT_SECONDS)
        finally:
            lab.resume(Role.ETCD, node)
        await asyncio.sleep(HALT_SECONDS / 9)


def _link(inject: Callable[[Scene], Awaitable[None]]) -> Fault:
    async def heal(scene: Scene) -> None:
        await scene.lab.network.heal()

    return Fault(inject, heal, {"network": True})


def _hang_disk(who: str) -> Fault:
    async def inject(scene: Scene) -> None:
        node = await scene.lab.leader() if who == "leader" else getattr(scene, who)
        disasters.hang_disk(scene.lab, node)

    async def heal(scene: Scene) -> None:
        for node in scene.lab.nodes:
            disasters.heal_disk(scene.lab, node.name)

    return Fault(inject, heal, {"hanging_disks": True})


async def _lag(scene: Scene) -> None:
    await disasters.fall_behind(scene.lab, scene.other, scene.writer, LAG_ENTRIES)


async def _come_back(scene: Scene) -> None:
    await disasters.come_back(scene.lab, scene.other)


async def _rejoin(scene: Scene) -> None:
    """The node joins again, and its EtcdMember says so as k0s writes it when a controller starts."""
    lab = scene.lab

    async def is_out() -> bool:
        return scene.target not in {m.name for m in await lab.members(scene.writer)}

    await wait_until(is_out, f"{scene.target} is out", OUT_SECONDS)
    member_id = await disasters.rejoin(lab, scene.target)
    await write_joined(lab.kubectl, scene.writer, scene.target, member_id)


async def _restart_api_servers(scene: Scene) -> None:
    disasters.restart_api_servers(scene.lab)


async def _renew_token(scene: Scene) -> None:
    await scene.lab.credentials.account.renew(scene.lab.kubectl, scene.lab.node(scene.writer))


def _renew_certificates(whose: CertificateGroup) -> Fault:
    async def inject(scene: Scene) -> None:
        await disasters.renew_certificates(scene.lab, whose)

    return Fault(inject, _nothing, {"tls": True})


async def _change_password(scene: Scene) -> None:
    file = Path(scene.lab.credentials.profile["password_file"])
    await users.change_password(scene.lab.node(scene.writer).etcd_url, file)


async def _take_rights(scene: Scene) -> None:
    await users.take_rights(scene.lab.node(scene.writer).etcd_url)


async def _give_rights(scene: Scene) -> None:
    await users.give_rights(scene.lab.node(scene.writer).etcd_url)


def _alarm(kind: str, who: str = "") -> Fault:
    async def inject(scene: Scene) -> None:
        member_id = await scene.lab.member_id(getattr(scene, who)) if who else disasters.WHOLE_CLUSTER
        await disasters.raise_alarm(scene.lab, scene.writer, kind, member_id)

    async def heal(scene: Scene) -> None:
        await disasters.disarm(scene.lab, scene.writer)

    return Fault(inject, heal)


def _runs(lab: Lab, role: Role, node: str) -> bool:
    with contextlib.suppress(KeyError, ProcessError):
        return lab.alive(role, node)
    return False


FAULTS: Final[dict[str, Fault]] = {
    "kill-worker": Fault(_kill_worker, _start_worker_that_is_missed),
    "stop-worker": _stop(Role.WORKER, "worker"),
    "kill-target-worker": _kill_worker_of("target"),
    "kill-other-worker": _kill_worker_of("other"),
    "kill-all-workers": Fault(_kill_all_workers, _nothing),
    "kill-target-etcd": _kill(Role.ETCD, "target"),
    "stop-target-etcd": _stop(Role.ETCD, "target"),
    "kill-other-etcd": _kill(Role.ETCD, "other"),
    "stop-other-etcd": _stop(Role.ETCD, "other"),
    "kill-target-apiserver": _kill(Role.APISERVER, "target"),
    "stop-target-apiserver": _stop(Role.APISERVER, "target"),
    "stop-all-apiservers-but-one": Fault(_stop_all_apiservers_but_one, _resume_apiservers),
    "kill-target-node": Fault(_kill_node, _nothing),
    "kill-temporal": _kill(Role.TEMPORAL, ""),
    "stop-temporal": _stop(Role.TEMPORAL, ""),
    "move-leader-elsewhere": Fault(_move_leader_elsewhere, _nothing),
    "remove-target-by-hand": Fault(_remove_target_by_hand, _nothing),
    "slow-disk-leader": _slow_disk("leader"),
    "slow-disk-other": _slow_disk("other"),
    "cut-target": _link(lambda scene: scene.lab.network.isolate(scene.target)),
    "cut-other": _link(lambda scene: scene.lab.network.isolate(scene.other)),
    "mute-target": _link(lambda scene: scene.lab.network.drop_outgoing(scene.target)),
    "slow-links": _link(lambda scene: scene.lab.network.add_latency(LINK_MS)),
    "hang-disk-other": _hang_disk("other"),
    "hang-disk-leader": _hang_disk("leader"),
    "hang-disk-target": _hang_disk("target"),
    "lag-other": Fault(_lag, _nothing),
    "foreign-on-other": Fault(lambda scene: disasters.become_foreign(scene.lab, scene.other), _come_back),
    "force-new-cluster-other": Fault(lambda scene: disasters.force_new_cluster(scene.lab, scene.other), _come_back),
    "rejoin-target": Fault(_rejoin, _nothing),
    "api-restart": Fault(_restart_api_servers, _nothing, {"rbac": True}),
    "token-renewed": Fault(_renew_token, _nothing, {"rbac": True}),
    "client-certificate-renewed": _renew_certificates("clients"),
    "server-certificates-renewed": _renew_certificates("servers"),
    "password-renewed": Fault(_change_password, _nothing, WITH_USERS),
    "rights-taken": Fault(_take_rights, _give_rights, WITH_USERS),
    "corrupt-alarm": _alarm("CORRUPT"),
    "nospace-alarm": _alarm("NOSPACE", "writer"),
}

"""How each fault is injected, and how it is healed again where a removal may need that to end."""

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
class FaultContext:
    """Who is who when the fault is injected.

    Attributes:
        lab: The running lab.
        target: Node of the member that leaves.
        other: A voter that stays, and that no client of ours writes through.
        writer: The node that the writer writes through.
        worker: The node whose worker is held in the step.
        going_on: What keeps the fault up until it is healed.
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

    inject: Callable[[FaultContext], Awaitable[None]]
    heal: Callable[[FaultContext], Awaitable[None]]
    options: dict[str, Any] = field(default_factory=dict)


async def _nothing(_: FaultContext) -> None:
    """It needs no healing."""


def _kill(role: Role, who: str) -> Fault:
    async def inject(context: FaultContext) -> None:
        await context.lab.kill(role, getattr(context, who) if who else "")

    async def heal(context: FaultContext) -> None:
        with contextlib.suppress(ProcessError):  # the etcd of a removed member does not come back
            await context.lab.start(role, getattr(context, who) if who else "")

    return Fault(inject, heal if role in (Role.TEMPORAL, Role.ETCD) and who != "target" else _nothing)


async def _start_worker_that_is_missed(context: FaultContext) -> None:
    """Where each worker reaches its own member alone nobody takes over what another one cannot do."""
    if context.lab.options.isolated:
        await context.lab.start_worker(context.worker)


async def _kill_worker(context: FaultContext) -> None:
    await context.lab.kill(Role.WORKER, context.worker)


def _kill_worker_of(who: str) -> Fault:
    """The worker of a node dies, whichever step it has, and is missed where nobody else can do what it does."""

    async def inject(context: FaultContext) -> None:
        await context.lab.kill(Role.WORKER, getattr(context, who))

    async def heal(context: FaultContext) -> None:
        await context.lab.start_worker(getattr(context, who))

    return Fault(inject, heal)


def _stop(role: Role, who: str) -> Fault:
    async def inject(context: FaultContext) -> None:
        context.lab.stop(role, getattr(context, who) if who else "")

    async def heal(context: FaultContext) -> None:
        context.lab.resume(role, getattr(context, who) if who else "")

    return Fault(inject, heal)


async def _kill_all_workers(context: FaultContext) -> None:
    workers = [node.name for node in context.lab.nodes if _runs(context.lab, Role.WORKER, node.name)]
    await asyncio.gather(*(context.lab.kill(Role.WORKER, name) for name in workers))
    await context.lab.start(Role.WORKER, context.writer)


async def _stop_all_apiservers_but_one(context: FaultContext) -> None:
    for node in context.lab.nodes:
        if node.name != context.writer and _runs(context.lab, Role.APISERVER, node.name):
            context.lab.stop(Role.APISERVER, node.name)


async def _resume_apiservers(context: FaultContext) -> None:
    for node in context.lab.nodes:
        if node.name not in (context.writer, context.target) and _runs(context.lab, Role.APISERVER, node.name):
            context.lab.resume(Role.APISERVER, node.name)


async def _kill_node(context: FaultContext) -> None:
    roles = [role for role in (Role.WORKER, Role.APISERVER, Role.ETCD) if _runs(context.lab, role, context.target)]
    await asyncio.gather(*(context.lab.kill(role, context.target) for role in roles))


async def _move_leader_elsewhere(context: FaultContext) -> None:
    """Somebody else moves leadership: to the target where that is still a voter, else to the other."""
    leader = await context.lab.leader()
    voters = {m.name: m.id for m in await context.lab.members() if not m.is_learner}
    successor = context.target if context.target in voters and context.target != leader else context.other
    if successor != leader and successor in voters:
        url = f"{context.lab.node(leader).etcd_url}/v3/maintenance/transfer-leadership"
        with contextlib.suppress(OSError):
            await http.post(url, {"targetID": str(int(voters[successor], 16))})


async def _remove_target_by_hand(context: FaultContext) -> None:
    """Somebody else removes the same member, and asks again where an election has swallowed the proposal."""
    url = f"{context.lab.node(context.writer).etcd_url}/v3/cluster/member/remove"

    async def is_out() -> bool:
        members = {m.name: m.id for m in await context.lab.members()}
        if context.target in members:
            with contextlib.suppress(TimeoutError):
                await observer.change_members(url, {"ID": str(int(members[context.target], 16))})
            return False
        return True

    await wait_until(is_out, f"{context.target} has left", OUT_SECONDS)


def _slow_disk(who: str) -> Fault:
    """An etcd that stands still nine tenths of the time.

    Nothing that every Linux has lets a test slow a disk. A slow disk makes etcd's raft loop wait in fdatasync; here
    the whole process waits, which is harder: its clients and peers see the same delays.
    """

    async def inject(context: FaultContext) -> None:
        node = await context.lab.leader() if who == "leader" else getattr(context, who)
        context.going_on.append(asyncio.create_task(_halting(context.lab, node)))

    async def heal(context: FaultContext) -> None:
        for task in context.going_on:
            task.cancel()
        await asyncio.gather(*context.going_on, return_exceptions=True)

    return Fault(inject, heal)


async def _halting(lab: Lab, node: str) -> None:
    while lab.alive(Role.ETCD, node):
        lab.stop(Role.ETCD, node)
        try:
            await asyncio.sleep(HALT_SECONDS)
        finally:
            lab.resume(Role.ETCD, node)
        await asyncio.sleep(HALT_SECONDS / 9)


def _link(inject: Callable[[FaultContext], Awaitable[None]]) -> Fault:
    async def heal(context: FaultContext) -> None:
        await context.lab.network.heal()

    return Fault(inject, heal, {"network": True})


def _hang_disk(who: str) -> Fault:
    async def inject(context: FaultContext) -> None:
        node = await context.lab.leader() if who == "leader" else getattr(context, who)
        disasters.hang_disk(context.lab, node)

    async def heal(context: FaultContext) -> None:
        for node in context.lab.nodes:
            disasters.heal_disk(context.lab, node.name)

    return Fault(inject, heal, {"hanging_disks": True})


async def _lag(context: FaultContext) -> None:
    await disasters.fall_behind(context.lab, context.other, context.writer, LAG_ENTRIES)


async def _come_back(context: FaultContext) -> None:
    await disasters.come_back(context.lab, context.other)


async def _rejoin(context: FaultContext) -> None:
    """The node joins again, and its EtcdMember says so as k0s writes it when a controller starts."""
    lab = context.lab

    async def is_out() -> bool:
        return context.target not in {m.name for m in await lab.members(context.writer)}

    await wait_until(is_out, f"{context.target} has left", OUT_SECONDS)
    member_id = await disasters.rejoin(lab, context.target)
    await write_joined(lab.kubectl, context.writer, context.target, member_id)


async def _restart_api_servers(context: FaultContext) -> None:
    disasters.restart_api_servers(context.lab)


async def _renew_token(context: FaultContext) -> None:
    await context.lab.credentials.account.renew(context.lab.kubectl, context.lab.node(context.writer))


def _renew_certificates(whose: CertificateGroup) -> Fault:
    async def inject(context: FaultContext) -> None:
        await disasters.renew_certificates(context.lab, whose)

    return Fault(inject, _nothing, {"tls": True})


async def _change_password(context: FaultContext) -> None:
    file = Path(context.lab.credentials.profile["password_file"])
    await users.change_password(context.lab.node(context.writer).etcd_url, file)


async def _take_rights(context: FaultContext) -> None:
    await users.take_rights(context.lab.node(context.writer).etcd_url)


async def _give_rights(context: FaultContext) -> None:
    await users.give_rights(context.lab.node(context.writer).etcd_url)


def _alarm(kind: str, who: str = "") -> Fault:
    async def inject(context: FaultContext) -> None:
        member_id = await context.lab.member_id(getattr(context, who)) if who else disasters.WHOLE_CLUSTER
        await disasters.raise_alarm(context.lab, context.writer, kind, member_id)

    async def heal(context: FaultContext) -> None:
        await disasters.disarm(context.lab, context.writer)

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
    "cut-target": _link(lambda context: context.lab.network.isolate(context.target)),
    "cut-other": _link(lambda context: context.lab.network.isolate(context.other)),
    "mute-target": _link(lambda context: context.lab.network.drop_outgoing(context.target)),
    "slow-links": _link(lambda context: context.lab.network.add_latency(LINK_MS)),
    "hang-disk-other": _hang_disk("other"),
    "hang-disk-leader": _hang_disk("leader"),
    "hang-disk-target": _hang_disk("target"),
    "lag-other": Fault(_lag, _nothing),
    "foreign-on-other": Fault(lambda context: disasters.become_foreign(context.lab, context.other), _come_back),
    "force-new-cluster-other": Fault(
        lambda context: disasters.force_new_cluster(context.lab, context.other), _come_back
    ),
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

"""Activities on the etcd process of this worker's own node, through the command that its configuration names.

A problem is an answer and no failure, since the people who read the operation need it. When the operation asks again,
it sees whether the problem has passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from temporalio import activity

from activities.interceptor import StepClock
from etcd_handoff import data_directory, failpoints
from etcd_handoff.activity_io import (
    NodeFacts,
    PreflightMemberInput,
    ProcessInput,
    ProcessResult,
    StartMemberInput,
    StopMemberInput,
)
from etcd_handoff.contract import StepOutcome
from etcd_handoff.data_directory import DataDirectoryError, Identity, in_words
from etcd_handoff.member_command import ForeignMemberError, Member, MemberProcessError
from etcd_handoff.member_process import MemberProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from etcd_handoff.config import Config
    from etcd_handoff.config.member import MemberProfile
    from etcd_handoff.errors import HandoffError
    from etcd_handoff.member_process import Done

NO_COMMAND: Final = "this node's configuration names no command for its etcd process"
EVERYWHERE: Final = ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0"))  # noqa: S104  # it is bound, not listened on


class MemberProcessActivities:
    """The activities on the etcd process of this node.

    Args:
        config: Where the clusters are, and the commands.
        node: The node that this worker runs on.
    """

    def __init__(self, config: Config, node: str) -> None:
        self._config, self._node = config, node
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @activity.defn
    async def preflight_member(self, ask: PreflightMemberInput) -> ProcessResult:
        """Return the facts of this node, on which a member is to be added. Nothing is changed."""
        clock, profile = StepClock(self._node), self._profile(ask.cluster)
        if profile is None:
            return _without(clock)
        process = MemberProcess(profile, self._node, Member(ask.cluster, ask.name, ask.peer_urls))
        try:
            async with self._one_at_a_time[ask.cluster]:
                facts = await _facts(process, profile, ask.peer_urls)
        except (MemberProcessError, DataDirectoryError) as error:
            return _failed(clock, error)
        return ProcessResult(step=clock.step(StepOutcome.OBSERVED, _in_words(facts)), command=True, facts=facts)

    @activity.defn
    async def start_member(self, ask: StartMemberInput) -> ProcessResult:
        """Start the etcd process of this node, on no data or on the member's own.

        Afterwards it runs, or the result says why not.
        """

        async def start(process: MemberProcess) -> Done:
            begun = ask.begun or activity.info().attempt > 1
            done = await process.start(ask.join, begun=begun, again=ask.again)
            await failpoints.reach("start_member.during")
            return done

        return await self._do(ask, ask.peer_urls, StepOutcome.STARTED, start)

    @activity.defn
    async def stop_member(self, ask: StopMemberInput) -> ProcessResult:
        """Stop the etcd process of this node. It must be that of a removed member, since etcd is not asked.

        Afterwards it does not run, or the result says why it still does.
        """

        async def stop(process: MemberProcess) -> Done:
            return await process.stop(needs_data=ask.needs_data)

        return await self._do(ask, (), StepOutcome.STOPPED, stop)

    @activity.defn
    async def archive_member(self, ask: ProcessInput) -> ProcessResult:
        """Rename the member's data directory, and delete nothing.

        Afterwards the directory has another name, or the result says why not.
        """
        return await self._do(ask, (), StepOutcome.ARCHIVED, MemberProcess.archive)

    async def _do(
        self,
        ask: ProcessInput,
        peer_urls: tuple[str, ...],
        outcome: StepOutcome,
        act: Callable[[MemberProcess], Awaitable[Done]],
    ) -> ProcessResult:
        clock, profile = StepClock(self._node), self._profile(ask.cluster)
        if profile is None:
            return _without(clock)
        member = Member(ask.cluster, ask.name, peer_urls, Identity(ask.cluster_id, ask.member_id))
        try:
            async with self._one_at_a_time[ask.cluster]:
                done = await act(MemberProcess(profile, self._node, member))
        except (MemberProcessError, DataDirectoryError) as error:
            return _failed(clock, error)
        return ProcessResult(step=clock.step(outcome, done.text), command=True, changed=done.changed)

    def _profile(self, cluster: str) -> MemberProfile | None:
        """Return the commands that start and stop the process, or None if there are none.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        return self._config.cluster(cluster).member


def _without(clock: StepClock) -> ProcessResult:
    return ProcessResult(step=clock.step(StepOutcome.NO_COMMAND, NO_COMMAND), command=False)


def _failed(clock: StepClock, error: HandoffError) -> ProcessResult:
    text, untouched = str(error), isinstance(error, ForeignMemberError)
    changed = isinstance(error, MemberProcessError) and error.started
    step = clock.step(StepOutcome.FAILED, text)
    return ProcessResult(step=step, command=True, changed=changed, error=text, untouched=untouched)


async def _facts(process: MemberProcess, profile: MemberProfile, peer_urls: Iterable[str]) -> NodeFacts:
    answer = await process.status()
    found = await process.whose(answer)
    ports = sorted({profile.client_port, *(port for url in peer_urls if (port := urlsplit(url).port))})
    return NodeFacts(
        running=answer.running,
        data_dir=answer.data_dir,
        data_of=in_words(found) if found else "",
        member_id=found.member_id if found else "",
        cluster_id=found.cluster_id if found else "",
        version=answer.version,
        busy_ports=() if answer.running else tuple(port for port in ports if is_busy(port)),
        free_bytes=await asyncio.to_thread(data_directory.free_bytes, Path(answer.data_dir)),
    )


def is_busy(port: int) -> bool:
    """Return whether another process of this node has a port, on any address.

    A connection that has just ended does not keep the port: the probe sets SO_REUSEADDR, as etcd does.
    """
    for family, address in EVERYWHERE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return True
    return False


def _in_words(facts: NodeFacts) -> str:
    about = [
        "etcd runs already" if facts.running else "etcd does not run",
        f"etcd {facts.version}" if facts.version else "its version is not known",
        f"{facts.data_dir} holds {f'data of {facts.data_of}' if facts.data_of else 'no data'}",
        f"{facts.free_bytes >> 20} MiB free",
        *(f"port {port} is in use" for port in facts.busy_ports),
    ]
    return "; ".join(about)

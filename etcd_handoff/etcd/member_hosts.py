"""The hosts on which the members run, by their peer URLs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from etcd_handoff.etcd.any_answer import any_answer
from etcd_handoff.etcd.connections import Connections
from etcd_handoff.etcd.replies import MemberList, read_list

if TYPE_CHECKING:
    from etcd_handoff.config import EtcdProfile


async def member_hosts(profile: EtcdProfile) -> dict[str, str]:
    """Return the host of the peer URL of each member that has started, by its name.

    Any member's list is sufficient, also without a quorum: it only shows where else to ask.

    Raises:
        EtcdError: No endpoint gave a list.
    """
    connections = Connections(profile)
    calls = [
        partial(
            connections.call,
            url,
            lambda c, t: c.cluster.member_list(linearizable=False, timeout=t),
            profile.call_timeout_seconds,
            change=False,
        )
        for url in profile.endpoints
    ]
    try:
        return hosts_of(read_list(await any_answer(calls)))
    finally:
        await connections.close()


def hosts_of(members: MemberList) -> dict[str, str]:
    """Return the host of the first peer URL of each member that has a name."""
    hosts = {m.name: urlsplit(m.peer_urls[0]).hostname for m in members.members if m.name and m.peer_urls}
    return {name: host for name, host in hosts.items() if host}

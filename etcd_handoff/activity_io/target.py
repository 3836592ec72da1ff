"""The member of an operation."""

from __future__ import annotations

from typing import Literal

from etcd_handoff.wire import MemberId, WireModel


class Target(WireModel):
    """The member of an operation, pinned at the first look: names are never resolved again.

    Attributes:
        cluster_id: Cluster that it was found in.
        member_id: Its ID; empty for a member that joins, until etcd has given it one.
        member_name: Its name then.
        peer_urls: Its peer URLs then.
        present: Whether it was a member then. A joining member counts from its promotion on.
        leader_before: The leader then.
        term_before: The raft term then.
    """

    cluster_id: MemberId
    member_id: MemberId | Literal[""]
    member_name: str
    peer_urls: tuple[str, ...] = ()
    present: bool = True
    leader_before: MemberId | None = None
    term_before: int = 0

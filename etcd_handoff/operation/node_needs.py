"""Check whether a node is fit for a new member. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from etcd_handoff.planning.joining import has_promotion_bug

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.activity_io import NodeFacts
    from etcd_handoff.cluster_view import ClusterView

LOG_BYTES: Final = 128 << 20
"""Beside its database a member preallocates two files of its log (etcd `server/storage/wal/wal.go`,
SegmentSizeBytes)."""
VERSION: Final = re.compile(r"(\d+)\.(\d+)\..*")


def obstacles(facts: NodeFacts, node: str, view: ClusterView | None) -> Iterator[str]:
    """Yield what keeps a member from running on a node, one sentence each.

    The node of a member of the cluster is not to be cleared for another one. etcd counts on that member's vote and log
    until it is removed.
    """
    resident = view.member(facts.member_id) if view and facts.cluster_id == view.cluster_id else None
    if resident is not None:
        yield (
            f"{resident.label} ({resident.id}) is a member of this cluster and has its data there: leave it as it is,"
            " and give the new member another node, or remove that one first"
        )
        return
    if facts.running:
        yield f"etcd runs there already, or something will start it: stop it on {node}"
    if facts.data_of:
        yield f"{facts.data_dir} holds data of {facts.data_of}: move it away, a new member needs an empty one"
    for port in facts.busy_ports:
        yield f"port {port} is in use: end what has it, or correct the peer URL or client_port"
    members = view.members if view else ()
    yield from _wrong_version(facts.version, [m.version for m in members if m.version])
    needed = max((m.db_size_bytes for m in members), default=0) + LOG_BYTES
    if facts.free_bytes < needed:
        have, need = facts.free_bytes >> 20, -(-needed >> 20)
        yield f"{facts.data_dir} has {have} MiB free, and the database and its log need {need} MiB: make room"


def _wrong_version(version: str, others: list[str]) -> Iterator[str]:
    """Yield why a binary cannot join.

    The version of a cluster is that of its oldest member. A binary below it ends at once (etcd
    `server/etcdserver/api/membership/cluster.go`, mustDetectDowngrade). Upgrades go one minor version at a time.
    """
    own, cluster = _minor(version), min(filter(None, map(_minor, others)), default=None)
    if own is None or cluster is None:
        return
    if has_promotion_bug(version):
        yield f"its etcd is {version}, which may forget that a learner was promoted: install the newest of its release"
    (major, minor), (its_major, its_minor) = own, cluster
    if major != its_major or not its_minor <= minor <= its_minor + 1:
        yield (
            f"its etcd is {version}, and the cluster's version is {its_major}.{its_minor}: install one of that minor"
            " version, or of the next"
        )


def _minor(version: str) -> tuple[int, int] | None:
    found = VERSION.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else None

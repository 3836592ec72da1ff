"""Whether all voters hold the same data: etcd's HashKV at one revision, compared as etcd itself compares."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from etcd_handoff import timing
from etcd_handoff.errors import CompactedError, EtcdError
from etcd_handoff.model import StepOutcome

if TYPE_CHECKING:
    from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash
    from etcd_handoff.view import ClusterView, MemberView

TRIES: Final = 5
"""A compaction between two hashes makes them incomparable; Kubernetes compacts every five minutes."""


async def compare_hashes(gateway: EtcdPort, view: ClusterView) -> tuple[StepOutcome, str]:
    """Whether the voters' keyspaces are the same at one revision, and what was seen.

    A voter that does not answer makes the answer unknown: its copy may be the one that differs.
    """
    silent = [f"{m.label} does not answer ({m.note})" for m in view.voters if not m.reachable]
    if silent:
        return StepOutcome.UNAVAILABLE, ", ".join(silent)
    note = ""
    for number in range(TRIES):
        if number:
            await asyncio.sleep(timing.STEPS.hash_again_seconds)
        hashes, note = await _hashes(gateway, view.voters)
        if hashes is None:
            continue
        if len({found.compact_revision for found in hashes.values()}) > 1:
            compacted = ", ".join(f"{name} {found.compact_revision}" for name, found in hashes.items())
            note = f"members have compacted up to different revisions: {compacted}"
            continue
        same = len({found.hash for found in hashes.values()}) == 1
        return StepOutcome.CONSISTENT if same else StepOutcome.INCONSISTENT, note
    return StepOutcome.UNAVAILABLE, note


async def _hashes(gateway: EtcdPort, voters: tuple[MemberView, ...]) -> tuple[dict[str, KeyspaceHash] | None, str]:
    """Each voter's hash at one revision and a text of them all; None with the reason where one could not be had.

    The first one's newest revision is the one that counts: by the time that it is hashed the others have reached it,
    and nobody has to hash the whole keyspace twice.
    """
    first, *others = voters
    try:
        newest = await gateway.hash_at(first.id, 0)
    except EtcdError as error:
        return None, f"{first.label} gave no hash: {error}"
    answers = await asyncio.gather(*(_comparable(gateway, m.id, newest) for m in others), return_exceptions=True)
    hashes, missing = {first.label: newest}, list[str]()
    for member, answer in zip(others, answers, strict=True):
        if isinstance(answer, CompactedError):
            missing.append(f"no common revision: {member.label} answers: {answer}")
        elif isinstance(answer, EtcdError):
            missing.append(f"{member.label} gave no hash: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            hashes[member.label] = answer
    if missing:
        return None, "; ".join(missing)
    shown = ", ".join(f"{name} {found.hash:08x}" for name, found in hashes.items())
    return hashes, f"revision {newest.revision}: {shown}"


async def _comparable(gateway: EtcdPort, member_id: str, newest: KeyspaceHash) -> KeyspaceHash:
    """The member's hash at the revision of `newest`, from the same compaction on where the member has one.

    At a revision that was compacted itself, etcd answers with what it hashed while it compacted, from the compaction
    before on (etcd `server/storage/mvcc/hash.go`, HashByRev); the newest revision alone is always hashed anew. As long
    as nobody writes after a compaction of the newest revision, only newest hashes compare.
    """
    found = await gateway.hash_at(member_id, newest.revision)
    if found.compact_revision >= newest.compact_revision:
        return found
    anew = await gateway.hash_at(member_id, 0)
    return anew if anew.revision == newest.revision else found

"""Activities that a change may require first: the voters hold the same data, and a snapshot is stored."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import snapshots
from activities.etcd_looks import SeenBefore, doubt
from activities.interceptor import STEP_FAILS, StepClock
from activities.leave_to_other_worker import leave_reading_to_another_if_blind
from etcd_handoff import time_limits
from etcd_handoff.activity_io import CheckHashInput, MemberHash, StepInput, StepResult
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import CompactedError, EtcdError
from etcd_handoff.merged_view import node_of
from etcd_handoff.operation.hash_check import compared, silent, voters_to_compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.etcd_looks import Looks
    from etcd_handoff.cluster_view import MemberView
    from etcd_handoff.config import Config
    from etcd_handoff.etcd.port import EtcdPort, KeyspaceHash


class HashAndSnapshotActivities:
    """The activities that only read, and store what they have read.

    Args:
        config: Where the clusters are, and where their snapshots are stored.
        node: The node that this worker runs on.
        looks_at: Gives the looks at the cluster of a profile.
    """

    def __init__(self, config: Config, node: str, looks_at: Callable[[str], Looks]) -> None:
        self._config = config
        self._node = node
        self._looks_at = looks_at

    @activity.defn
    async def check_hash(self, act: CheckHashInput) -> StepResult:
        """Compare the voters' keyspaces at one revision (etcd's HashKV), or hash one member's keyspace.

        Afterwards the voters have the same keyspace, or a note says which differ. A leaving voter is not compared if
        the staying ones are most of the voters. With `member_id` the result has that member's hash, for the workflow to
        compare.

        Raises:
            ApplicationError: This worker sees no member, so another one is to compare.
        """
        clock, looks = StepClock(self._node), self._looks_at(act.cluster)
        view, note = await looks.look(act.doubtful if act.member_id else ())
        if view is None and not act.member_id:
            await leave_reading_to_another_if_blind(looks, note)
        if view is None or (note := doubt(view, act)):
            return StepResult(step=clock.step(StepOutcome.UNAVAILABLE, note), view=view)
        if act.member_id:
            keyspace, note = await _hash_of(looks.gateway, act.member_id, view.label(act.member_id), act.newest)
            outcome = StepOutcome.OBSERVED if keyspace else StepOutcome.UNAVAILABLE
            return StepResult(step=clock.step(outcome, note), view=view, keyspace=keyspace)
        voters = voters_to_compare(view.voters, act.omitted)
        outcome, note = await compare_hashes(looks.gateway, voters)
        return StepResult(step=clock.step(outcome, note), view=view)

    @activity.defn
    async def take_snapshot(self, act: StepInput) -> StepResult:
        """Store a snapshot in the profile's snapshot_directory on this node.

        Afterwards the file is there and agrees with the SHA-256 at its end, or the outcome says why there is none.

        Raises:
            ApplicationError: This node leaves or this worker sees no member, so another worker is to store the
                snapshot.
        """
        clock, looks = StepClock(self._node), self._looks_at(act.cluster)
        profile = self._config.cluster(act.cluster).etcd
        folder = profile.snapshot_directory
        if folder is None:
            text = f"no snapshot_directory in the profile {act.cluster!r}; set it or start without snapshot"
            return StepResult(step=clock.step(StepOutcome.FAILED, text))
        view, note = await looks.look(act.doubtful, seen=SeenBefore(act).view)
        if view is None and act.seen is None:
            await leave_reading_to_another_if_blind(looks, note)
        leaving = {act.target_id, *act.leaving_later}
        source = snapshots.source_of(view, leaving) if view else None
        if view is None or source is None or (note := doubt(view, act)):
            return StepResult(step=clock.step(StepOutcome.UNAVAILABLE, note or "no healthy voter"), view=view)
        info, nodes = activity.info(), self._config.cluster(act.cluster).nodes
        leaves = any(node_of(m.name, nodes).lower() == self._node.lower() for m in view.members if m.id in leaving)
        if leaves and info.attempt < time_limits.STEPS.snapshot_elsewhere_attempts:
            text = f"{self._node} is the node that leaves: another worker is to store the snapshot"
            raise ApplicationError(text, type=STEP_FAILS, next_retry_delay=time_limits.STEPS.elsewhere_pause)
        path = snapshots.snapshot_path(folder, act.cluster, info.workflow_run_id or "")
        try:
            async with contextlib.aclosing(looks.gateway.snapshot(source.id)) as chunks:
                size = await snapshots.store(chunks, path, info.attempt, source.db_size_bytes)
            await asyncio.to_thread(snapshots.prune, path, act.cluster, profile.snapshots_kept)
        except (EtcdError, OSError) as error:
            return StepResult(step=clock.step(StepOutcome.UNAVAILABLE, f"from {source.label}: {error}"), view=view)
        text = f"{path} on {self._node}, {size} bytes from {source.label}"
        if leaves:
            text += "; this is the node that leaves: copy it before the node is wiped"
        return StepResult(step=clock.step(StepOutcome.SAVED, text), view=view)


async def compare_hashes(gateway: EtcdPort, voters: tuple[MemberView, ...]) -> tuple[StepOutcome, str]:
    """Compare the voters' keyspaces at one revision, and return the outcome with a note.

    A voter that does not answer makes the result unknown: its copy may be the one that differs.
    """
    if missing := silent(voters):
        return StepOutcome.UNAVAILABLE, missing
    outcome, note = StepOutcome.UNAVAILABLE, ""
    for number in range(time_limits.OPERATION.hash_check_attempts):
        if number:
            await asyncio.sleep(time_limits.STEPS.hash_again_seconds)
        hashes, note = await _hashes(gateway, voters)
        if hashes is not None:
            outcome, note = compared(hashes)
        if outcome is not StepOutcome.UNAVAILABLE:
            break
    return outcome, note


async def _hashes(gateway: EtcdPort, voters: tuple[MemberView, ...]) -> tuple[list[tuple[str, MemberHash]] | None, str]:
    """Return each voter's hash at one revision, or None with the reason if one is missing.

    The first voter's newest revision counts. By the time it is hashed, the others have reached it. So no member has to
    hash the whole keyspace twice.
    """
    first, *others = voters
    newest, note = await _hash_of(gateway, first.id, first.label)
    if newest is None:
        return None, note
    answers = await asyncio.gather(*(_hash_of(gateway, m.id, m.label, newest) for m in others))
    found = [(m.label, keyspace) for m, (keyspace, _) in zip(others, answers, strict=True) if keyspace]
    if missing := "; ".join(note for keyspace, note in answers if keyspace is None):
        return None, missing
    return [(first.label, newest), *found], ""


async def _hash_of(
    gateway: EtcdPort, member_id: str, label: str, newest: MemberHash | None = None
) -> tuple[MemberHash | None, str]:
    """Return a member's hash at its newest revision or at that of `newest`, or None with the reason."""
    try:
        if newest is None:
            found = await gateway.hash_at(member_id, 0)
        else:
            found = await _comparable(gateway, member_id, newest)
    except CompactedError as error:
        return None, f"no common revision: {label} answers: {error}"
    except EtcdError as error:
        return None, f"{label} gave no hash: {error}"
    return MemberHash(**found._asdict()), f"{label} {found.hash:08x} at revision {found.revision}"


async def _comparable(gateway: EtcdPort, member_id: str, newest: MemberHash) -> KeyspaceHash:
    """Return the member's hash at the revision of `newest`, from the same compaction on if the member has one.

    At a revision that was itself compacted, etcd answers with the hash that it computed while compacting. That one
    begins at the compaction before (etcd `server/storage/mvcc/hash.go`, HashByRev). Only the newest revision is always
    hashed anew. While there is no write after a compaction of the newest revision, only newest hashes compare.
    """
    keyspace = await gateway.hash_at(member_id, newest.revision)
    if keyspace.compact_revision >= newest.compact_revision:
        return keyspace
    anew = await gateway.hash_at(member_id, 0)
    return anew if anew.revision == newest.revision else keyspace

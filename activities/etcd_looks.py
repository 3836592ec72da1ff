"""Looks at a cluster as activities make them: bounded in time, remembered for a moment, judged by the planner."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from temporalio import activity

from activities.interceptor import no_answer
from etcd_handoff import time_limits
from etcd_handoff.doubts import Binding, contradiction
from etcd_handoff.errors import EtcdError, EtcdPermissionError
from etcd_handoff.merged_view import completed
from etcd_handoff.planning import MemberAbsent, Remove, plan
from etcd_handoff.temporal.server_errors import count_etcd_error

if TYPE_CHECKING:
    from etcd_handoff.activity_io import ChangeInput, StepInput
    from etcd_handoff.cluster_view import ClusterView, MemberSelfReport
    from etcd_handoff.config import EtcdProfile
    from etcd_handoff.etcd.port import EtcdPort

FIRST_ATTEMPT: Final = 1


class Looks:
    """Looks at one cluster.

    Args:
        gateway: The gateway to its etcd.
        profile: Its profile, from which the longest time of a look follows.
        cluster: The profile's name, for metrics.

    Attributes:
        cluster: The profile's name.
        own_member_alone: Whether the profile names only the member on this node.
        transfer_over: Set while no transfer runs on this worker, and from the moment that the transferee leads.
        election_over: Set while this worker awaits no election.
        last: The view that was seen last; None before the first one.
    """

    def __init__(self, gateway: EtcdPort, profile: EtcdProfile, cluster: str = "") -> None:
        self.gateway = gateway
        self.cluster = cluster
        self.own_member_alone = profile.names_own_member_alone
        self.longest_seconds = 2 * profile.call_timeout_seconds + profile.change_timeout_seconds + 2
        self.usual_seconds = 2 * profile.call_timeout_seconds + 1
        self.write_seconds = profile.change_timeout_seconds + 1
        self.transfer_over, self.election_over = asyncio.Event(), asyncio.Event()
        self.transfer_over.set()
        self.election_over.set()
        self.last: ClusterView | None = None
        self._seen_seconds = 0.0

    async def observe(self, doubtful: tuple[str, ...] = (), leaving: str = "") -> ClusterView:
        """Return a fresh view.

        Args:
            doubtful: Members that did not answer the last look.
            leaving: A member that is not asked.

        Raises:
            EtcdError: There is no view.
            ApplicationError: The look took longer than all calls in it may take.
        """
        ends = asyncio.timeout(self.longest_seconds)
        try:
            async with ends:
                view = await self.gateway.observe(doubtful, leaving)
        except TimeoutError:
            if not ends.expired():
                raise
            raise no_answer(self.longest_seconds) from None
        self.last, self._seen_seconds = view, time.monotonic()
        return view

    async def look(
        self, doubtful: tuple[str, ...] = (), leaving: str = "", seen: ClusterView | None = None
    ) -> tuple[ClusterView | None, str]:
        """Return a fresh view and "", or None and why there is no view.

        Args:
            doubtful: Members that did not answer the last look.
            leaving: A member that is not asked.
            seen: What was seen a moment ago of members that this worker does not reach.

        Raises:
            EtcdPermissionError: The user may not read.
        """
        try:
            view = await self.observe(doubtful, leaving)
            return (completed(view, seen) if seen else view), ""
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            count_etcd_error(self.cluster, error)
            return None, str(error)

    async def listed(self, cluster_id: str) -> tuple[frozenset[str] | None, str]:
        """Return the IDs of all members and "", or None and the reason.

        There is no list if no member gives one, or if other lists contradict it. The list of a member that has left and
        still runs does not count.

        Args:
            cluster_id: The cluster that is meant; empty when that is not known.

        Raises:
            EtcdPermissionError: The user may not list members.
        """
        view, note = await self.look()
        if view is None:
            return None, note
        departed = [doubt.member_id for doubt in view.doubts if doubt.by_status_alone]
        if against := contradiction(view, Binding(cluster_id=cluster_id), departed):
            return None, against.text
        return frozenset(m.id for m in view.members), ""

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """Return what members at the profile's endpoints say of themselves, with or without a member list."""
        try:
            async with asyncio.timeout(self.usual_seconds):
                return await self.gateway.self_reports()
        except TimeoutError:
            return ()

    async def commit_probe(self) -> tuple[bool, str]:
        """Return whether an entry that changes nothing was committed, and a note if it was not.

        Raises:
            EtcdPermissionError: The user may not write the probe key.
        """
        try:
            await self.gateway.commit_probe()
        except EtcdPermissionError:
            raise
        except EtcdError as error:
            count_etcd_error(self.cluster, error)
            return False, f"; no write is committed: {error}"
        return True, ""

    async def check_rights(self) -> None:
        """Check that the worker may change the membership, as far as etcd answers.

        Raises:
            EtcdPermissionError: It may not.
        """
        try:
            await self.gateway.check_rights()
        except EtcdPermissionError:
            raise
        except EtcdError as error:  # a member that does not answer shows in the look
            count_etcd_error(self.cluster, error)

    def recent_via(self, act: StepInput) -> tuple[ClusterView | None, str]:
        """Return the view of a moment ago and the member through which it would remove the target.

        Returns:
            The view and the member's ID, or None and "" if the view is too old or does not allow the removal.
        """
        view = self.last
        if view is None or time.monotonic() - self._seen_seconds > time_limits.STEPS.recent_look_seconds:
            return None, ""
        step = plan(view, intent(act))
        return (view, step.via_id) if isinstance(step, Remove) else (None, "")


class SeenBefore:
    """What other workers saw of the members that this worker does not reach, while a step may rely on it.

    Another attempt of a step may come much later, and so may a step that waited for a worker. Then only what this
    worker sees itself counts. The times are the server's, since the clocks of nodes differ.

    Args:
        act: The step's input.
    """

    def __init__(self, act: ChangeInput) -> None:
        self._seen = act.seen
        info = activity.info()
        waited = (info.started_time - info.scheduled_time).total_seconds()
        late = info.attempt > FIRST_ATTEMPT
        self._ends = time.monotonic() + (0.0 if late else time_limits.STEPS.seen_seconds - waited)

    @property
    def view(self) -> ClusterView | None:
        """The merged view; None when there is none, or when it is too old."""
        return self._seen if time.monotonic() < self._ends else None


def doubt(view: ClusterView, act: StepInput) -> str:
    """Return why nothing may be concluded from this view, or "" if nothing contradicts it."""
    goal = intent(act)
    against = contradiction(view, goal.binding, departed=goal.departing)
    return f"{against.kind}: {against.text}" if against else ""


def intent(act: StepInput) -> MemberAbsent:
    """Return the planner's goal of an activity: the target must be absent."""
    avoid, later = frozenset(act.avoid), frozenset(act.leaving_later)
    return MemberAbsent(
        act.cluster_id,
        act.target_id,
        avoid,
        act.seen_term,
        act.seen_index,
        later,
        min_voters=act.min_voters,
        successors=frozenset(act.successors),
    )

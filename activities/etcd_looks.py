"""Looks at a cluster as activities make them: bounded, remembered for a moment, and judged by the planner."""

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
    from etcd_handoff.cluster_view import ClusterView, HeardMember
    from etcd_handoff.config import EtcdProfile
    from etcd_handoff.etcd.port import EtcdPort

FIRST_ATTEMPT: Final = 1


class Looks:
    """Looks at one cluster.

    Args:
        gateway: Its etcd.
        profile: Its profile, from which the longest time of a look follows.
        cluster: The profile's name, for metrics.

    Attributes:
        cluster: The profile's name.
        own_member_alone: Whether the profile leads to the member on this node alone.
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
        """A fresh view.

        Raises:
            EtcdError: There is none.
            ApplicationError: It took longer than everything that may be waited for in a look.
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
        """A fresh view, or why there is none.

        Args:
            doubtful: Members that did not answer the last look.
            leaving: A member that is not asked.
            seen: What was seen a moment ago of members that this worker does not reach.
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
        """IDs of all members; None with the reason where nobody gives a list, or other lists contradict it.

        A member that has left and still runs claims no list of its own.

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

    async def heard(self) -> tuple[HeardMember, ...]:
        """What members say of themselves at the profile's endpoints, whether or not anybody gives a member list."""
        try:
            async with asyncio.timeout(self.usual_seconds):
                return await self.gateway.heard()
        except TimeoutError:
            return ()

    async def commit_probe(self) -> tuple[bool, str]:
        """Whether an entry that changes nothing was committed, and what to say when it was not.

        Raises:
            EtcdPermissionError: The user may not do that.
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
        """The worker may change the membership, as far as anybody tells.

        Raises:
            EtcdPermissionError: It may not.
        """
        try:
            await self.gateway.check_rights()
        except EtcdPermissionError:
            raise
        except EtcdError as error:  # whoever does not answer is seen in the look
            count_etcd_error(self.cluster, error)

    def recent_via(self, act: StepInput) -> tuple[ClusterView | None, str]:
        """The view of a moment ago and whom it would remove the target through; nothing when it is not so clear."""
        view = self.last
        if view is None or time.monotonic() - self._seen_seconds > time_limits.STEPS.recent_look_seconds:
            return None, ""
        step = plan(view, intent(act))
        return (view, step.via_id) if isinstance(step, Remove) else (None, "")


class SeenBefore:
    """What other workers saw of the members that this one does not reach, as long as a step may go by it.

    Another attempt of a step may come much later, and so may a step that no worker took at first: then only what this
    worker sees itself counts. The times are the server's, since clocks of nodes differ.

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
    """Why nothing may be concluded from this view; empty when nothing contradicts it."""
    against = contradiction(view, intent(act).binding, departed=(act.target_id,))
    return f"{against.kind}: {against.text}" if against else ""


def intent(act: StepInput) -> MemberAbsent:
    """What an activity is to bring about, for the planner."""
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

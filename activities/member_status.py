"""Activities on the EtcdMember of one member, written through an API server that outlives the member."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.attempts import require_timely
from activities.interceptor import StepClock
from activities.kubernetes_errors import error_text, final_note, refusal, without_kubernetes
from activities.lasting_answers import absence_seconds, denial_seconds, lasting
from activities.leave_flag_after_removal import await_mark, try_to_set_leave
from activities.member_events import send_events
from activities.member_resource import generation_of, member_resource, write_status
from activities.outdated_records import as_known_by_now, may_be_outdated, nowhere_else, why_outdated
from etcd_handoff import failpoints, time_limits
from etcd_handoff.activity_io import (
    FindResourceInput,
    FindResourceResult,
    LeaveInput,
    ReadLeaveResult,
    UpdateStatusInput,
    UpdateStatusResult,
)
from etcd_handoff.contract import Step, StepOutcome
from etcd_handoff.errors import (
    ConfigError,
    ConflictError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
)
from etcd_handoff.etcdmember import asks_to_leave, joined_condition, member_id_of, status_of
from etcd_handoff.etcdmember_matching import claim_of, resource_asked_for
from etcd_handoff.etcdmember_messages import NO_KUBERNETES, NO_SUCH_RESOURCE, no_resource
from etcd_handoff.managed_fields import SPEC_LEAVE, last_write
from etcd_handoff.planning import canonical_id
from etcd_handoff.temporal.failure_converter import NOT_RECORDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.attempts import WhyVoid
    from activities.outdated_records import Elsewhere, Listed
    from etcd_handoff.kubernetes.pool import KubernetesGateways
    from etcd_handoff.kubernetes.port import KubernetesPort

NOTHING_TO_RECORD: Final = "EtcdMembers are not installed in this cluster, so there is nothing to record"
"""Ends the step at once if EtcdMembers are optional: a watcher later corrects one that a starting API server hid."""


class KubernetesActivities:
    """The activities on the EtcdMember of one member, through the gateways to each profile's API servers.

    Args:
        listed: Gives the IDs of all members of a cluster, or None and why; None if etcd is not asked.
        why_void: Gives why the running attempt must change nothing any more; None if Temporal is not asked.
        elsewhere: Leaves a missing EtcdMember to another worker if this one's node belongs to another cluster.
    """

    def __init__(
        self,
        gateways: KubernetesGateways,
        node: str,
        listed: Listed | None = None,
        why_void: WhyVoid | None = None,
        elsewhere: Elsewhere = nowhere_else,
    ) -> None:
        self._gateways = gateways
        self._node = node
        self._listed = listed
        self._why_void = why_void
        self._elsewhere = elsewhere

    @activity.defn
    async def find_resource(self, query: FindResourceInput) -> FindResourceResult:
        """Find the EtcdMember with this name or member ID, for a member that etcd does not list. It only reads.

        Raises:
            ApplicationError: The user may not list EtcdMembers.
        """
        clock, gateway = StepClock(self._node), self._gateways.get(query.cluster)
        if gateway is None:
            error = ConfigError(NO_KUBERNETES)
            note = without_kubernetes(error, has_kubernetes=query.kubernetes)
            return FindResourceResult(step=clock.step(StepOutcome.OBSERVED, note))
        try:
            listed = partial(_listed_if_installed, gateway, query.member)
            resources = await lasting(listed, self._denial(query.cluster), clock)
        except ObjectGoneError as error:
            return FindResourceResult(step=clock.step(StepOutcome.OBSERVED, error_text(error)))
        except KubernetesPermissionError as error:
            raise refusal(error, clock) from error
        await self._elsewhere(query.cluster, query.cluster_id)
        if resources is None:
            return FindResourceResult(step=clock.step(StepOutcome.OBSERVED, "EtcdMembers are not installed"))
        claim = resource_asked_for(query.member, canonical_id(query.member), map(claim_of, resources))
        resource = next((r for r in resources if claim and r["metadata"]["name"] == claim.name), None)
        if resource is None:
            return FindResourceResult(step=clock.step(StepOutcome.OBSERVED, NO_SUCH_RESOURCE))
        return FindResourceResult(
            step=clock.step(StepOutcome.OBSERVED),
            name=resource["metadata"]["name"],
            member_id=member_id_of(resource),
            peer_address=str(status_of(resource).get("peerAddress") or ""),
            leave=asks_to_leave(resource),
            joined=joined_condition(resource),
            generation=generation_of(resource),
            uid=str(resource["metadata"].get("uid") or ""),
        )

    @activity.defn
    async def request_leave(self, ask: LeaveInput) -> Step:
        """Set or clear `spec.leave`, by which k0s removes the member. Afterwards it is so, or the outcome says why not.

        Raises:
            ApplicationError: The user may not write it, or the order is too old.
            ConflictError: The EtcdMember kept changing.
        """
        clock, gateway = StepClock(self._node), self._gateways.require(ask.cluster)
        find = partial(member_resource, gateway, ask.member_name, ask.member_id)
        try:
            for _ in range(time_limits.STEPS.conflict_attempts):
                resource = await lasting(find, self._denial(ask.cluster), clock)
                if resource is None or member_id_of(resource) != ask.member_id:
                    await self._elsewhere(ask.cluster, ask.cluster_id)
                    return clock.step(StepOutcome.FAILED, no_resource(ask.member_name, ask.member_id))
                name = resource["metadata"]["name"]
                if asks_to_leave(resource) is ask.leave:
                    asks = "asks" if ask.leave else "does not ask"
                    mark = await await_mark(gateway, ask, resource)
                    return clock.step(StepOutcome.REQUESTED, f"EtcdMember {name} {asks} to leave already{mark}")
                order = partial(self._order, gateway, ask, resource)
                with contextlib.suppress(ConflictError):
                    resource = await lasting(order, self._denial(ask.cluster), clock)
                    what = "set on" if ask.leave else "taken back from"
                    mark = await await_mark(gateway, ask, resource)
                    return clock.step(StepOutcome.REQUESTED, f"spec.leave is {what} EtcdMember {name}{mark}")
        except (RejectedError, ObjectGoneError) as error:
            return clock.step(StepOutcome.FAILED, error_text(error))
        except KubernetesPermissionError as error:
            raise refusal(error, clock) from error
        msg = f"the EtcdMember changed {time_limits.STEPS.conflict_attempts} times while its spec was written"
        raise ConflictError(msg)

    @activity.defn
    async def read_leave(self, ask: LeaveInput) -> ReadLeaveResult:
        """Return whether the member's EtcdMember still asks to leave, and who wrote the flag last. It only reads.

        Raises:
            ApplicationError: The user may not read EtcdMembers.
        """
        clock, gateway = StepClock(self._node), self._gateways.require(ask.cluster)
        try:
            find = partial(member_resource, gateway, ask.member_name, ask.member_id)
            resource = await lasting(find, self._denial(ask.cluster), clock)
        except ObjectGoneError as error:
            return ReadLeaveResult(step=clock.step(StepOutcome.OBSERVED, error_text(error)))
        except KubernetesPermissionError as error:
            raise refusal(error, clock) from error
        if resource is None or member_id_of(resource) != ask.member_id:
            await self._elsewhere(ask.cluster, ask.cluster_id)
            note = no_resource(ask.member_name, ask.member_id)
            return ReadLeaveResult(step=clock.step(StepOutcome.OBSERVED, note))
        written = last_write(resource, SPEC_LEAVE)
        leave, metadata = asks_to_leave(resource), resource["metadata"]
        by = f", last written by {written.manager}" if written.manager else ""
        return ReadLeaveResult(
            step=clock.step(StepOutcome.OBSERVED, f"spec.leave is {str(leave).lower()}{by}"),
            present=True,
            name=metadata["name"],
            leave=leave,
            generation=generation_of(resource),
            manager=written.manager,
            since=written.time,
            uid=str(metadata.get("uid") or ""),
        )

    @activity.defn
    async def update_status(self, record: UpdateStatusInput) -> UpdateStatusResult:
        """Write `record` to the member's EtcdMember. Afterwards it agrees, or the result says why it never will.

        Raises:
            ApplicationError: It could not be written now, but perhaps later or on another worker.
        """
        clock, times = StepClock(self._node), time_limits.STEPS

        def nothing(note: str) -> UpdateStatusResult:
            return UpdateStatusResult(step=clock.step(StepOutcome.NOT_RECORDED, note), recorded=False, note=note)

        try:
            gateway = self._gateways.get(record.cluster)
            if gateway is None:
                error = ConfigError("the cluster profile has no Kubernetes, so there is no EtcdMember to write")
                return nothing(without_kubernetes(error, has_kubernetes=record.kubernetes))
            known = await self._gateways.take_prefetched(record.cluster, record.member_name)
            record = await as_known_by_now(self._listed, record) if self._listed else record
            k0s = self._gateways.is_k0s(record.cluster)
            outdated = partial(why_outdated, self._listed, record) if self._listed and may_be_outdated(record) else None
            creates = bool(record.joined) and not record.failed and self._gateways.manages(record.cluster)
            write = partial(write_status, gateway, record, known, k0s=k0s, creates=creates, outdated=outdated)
            optional = self._gateways.optional(record.cluster)
            writing = asyncio.ensure_future(lasting(write, partial(absence_seconds, optional=optional), clock))
            await failpoints.reach("update_status.during")
            note, resource = await writing
        except ConfigError as error:
            attempts, pause = times.elsewhere_attempts, times.elsewhere_pause
            return nothing(final_note(error, attempts, pause, final=not record.kubernetes))
        except ObjectGoneError as error:
            missing = isinstance(error, KindGoneError) and self._gateways.optional(record.cluster)
            await self._elsewhere(record.cluster, "" if missing else record.cluster_id)
            return nothing(NOTHING_TO_RECORD if missing else error_text(error))
        except RejectedError as error:
            return nothing(error_text(error))
        except KubernetesError as error:
            raise ApplicationError(error_text(error), type=NOT_RECORDED) from error
        if resource is None:
            await self._elsewhere(record.cluster, record.cluster_id)
            return nothing(note)
        note = await try_to_set_leave(gateway, record, resource, clock)
        step = clock.step(StepOutcome.RECORDED, "; ".join(text for text in (record.message, note) if text))
        self._gateways.send_later(send_events(gateway, resource, record))
        return UpdateStatusResult(step=step, recorded=True, note=note)

    async def _order(self, gateway: KubernetesPort, ask: LeaveInput, resource: dict[str, Any]) -> dict[str, Any]:
        if ask.leave:
            await require_timely(self._why_void)
        return await gateway.patch_spec(resource, {"leave": ask.leave}, departing=ask.member_name)

    def _denial(self, cluster: str) -> Callable[[KubernetesError], float]:
        """Return how long an answer has to last that leaves nothing to read."""
        return partial(denial_seconds, optional=self._gateways.optional(cluster))


async def _listed_if_installed(gateway: KubernetesPort, departing: str) -> list[dict[str, Any]] | None:
    """Return all EtcdMembers, or None if all API servers answer that the kind does not exist."""
    try:
        return await gateway.list(departing)
    except ObjectGoneError as error:
        if error.certain:
            return None
        raise

"""Effects on EtcdMember resources: the truth about a member, written where it survives the member."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.planning import canonical_id
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.member_resource import (
    CONFLICT_TRIES,
    Resource,
    generation_of,
    member_resource,
    send_events,
    write_status,
)
from activities.steps import StepClock
from etcd_handoff import failpoints
from etcd_handoff.errors import (
    AdmissionError,
    ConfigError,
    ConflictError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
)
from etcd_handoff.etcdmember import (
    asks_to_leave,
    joined_condition,
    member_id_of,
    resource_name,
    status_of,
)
from etcd_handoff.kubernetes_gateway import KubernetesGateway
from etcd_handoff.managed_fields import SPEC_LEAVE, last_write
from etcd_handoff.model import (
    FailureType,
    FoundResource,
    LeaveRequest,
    LeaveState,
    Record,
    Recorded,
    ResourceQuery,
    Step,
    StepOutcome,
)
from etcd_handoff.operation.matching import claim_of, resource_asked_for

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from etcd_handoff.belief import ResourceClaim
    from etcd_handoff.config import Config

NOT_RECORDED: Final = "NotRecorded"
"""Type of the failure of an attempt to write a status that may succeed later, or on another worker."""
WORDS: Final[dict[type[KubernetesError], str]] = {
    KubernetesPermissionError: "Kubernetes does not allow it: ",
    AdmissionError: "an admission webhook or policy denies it: ",
    RejectedError: "the API server does not accept it: ",
    KindGoneError: "EtcdMembers are not installed: ",
}
"""How to begin what is told of an error."""
NO_KUBERNETES_ATTEMPTS, NO_KUBERNETES_PAUSE = 3, timedelta(milliseconds=50)
"""How often it is tried to meet a worker whose cluster profile has Kubernetes."""
CONFIG_ATTEMPTS, CONFIG_PAUSE = 15, timedelta(milliseconds=200)
"""The same where this worker's configuration cannot be used: files differ between nodes while they are rolled out."""
ABSENT_ATTEMPTS: Final = 12
"""After so many attempts, some ten seconds with the workflow's retry policy, it is believed that there is nothing to
write although not all API servers say so: one that has just been started serves resource kinds a moment later."""
REFUSED_ATTEMPTS, REFUSED_PAUSE = 12, timedelta(seconds=1)
"""A kube-apiserver that has just been started refuses everybody until its informers are filled
(kubernetes/kubernetes#65785): a read is refused for good when that lasts; the workflow allows some attempts more."""
REFUSED_RESERVE: Final = 3 * REFUSED_PAUSE
"""With less time than this no other attempt would surely end."""
EVENT_SECONDS: Final = 3.0
"""Time for all Events of one removal: they are news, and nobody waits for them."""
LET_GO_SECONDS: Final = 0.002
"""Pause before an EtcdMember is read ahead: a TLS handshake would hold up the answer of the step that wants it read."""


class Gateways:
    """The gateways to the API servers of each cluster profile, opened on first use and kept.

    Args:
        config: Where the clusters are.
        node: The node that this worker runs on.
    """

    def __init__(self, config: Config, node: str) -> None:
        self._config = config
        self._node = node
        self._opened: dict[str, KubernetesGateway] = {}
        self._prepared: dict[str, tuple[str, asyncio.Future[Resource | None]]] = {}
        self._checking: asyncio.Task[None] | None = None
        self._told: set[asyncio.Task[None]] = set()

    def get(self, cluster: str) -> KubernetesGateway | None:
        """The gateway of a profile; None when the profile has no Kubernetes.

        Raises:
            UnknownClusterError: There is no such profile.
        """
        profile = self._config.cluster(cluster).kubernetes
        if profile is not None and cluster not in self._opened:
            self._opened[cluster] = KubernetesGateway(profile, self._node)
        return self._opened.get(cluster)

    def require(self, cluster: str) -> KubernetesGateway:
        """As `get`, for what makes no sense without Kubernetes.

        Raises:
            ConfigError: The profile has no Kubernetes, or there is no such profile.
        """
        gateway = self.get(cluster)
        if gateway is None:
            msg = f"clusters.{cluster}.kubernetes: is missing in this worker's configuration; add it"
            raise ConfigError(msg)
        return gateway

    def manages(self, cluster: str) -> bool:
        """Whether members without an EtcdMember get one."""
        return self._config.cluster(cluster).manages_resources

    def cluster_id(self, cluster: str) -> str:
        """ID of the etcd cluster that the profile names; empty when it names none."""
        return self._config.cluster(cluster).cluster_id or ""

    async def warm(self) -> None:
        """The clients of all profiles are open where they can be, so that the first step does not wait for it.

        Whether their contexts belong together is found out beside everything else.
        """
        gateways = [gateway for cluster in self._config.clusters if (gateway := self.get(cluster)) is not None]
        for gateway in gateways:
            await gateway.warm()
        self._checking = asyncio.create_task(_check(gateways))

    def prepare(self, cluster: str, member_name: str) -> None:
        """The EtcdMember of a member that leaves is being read, through an API server that will take its status."""
        known = self._prepared.get(cluster, ("", None))[0] == member_name
        if member_name and not known and (gateway := self.get(cluster)) is not None:
            self._prepared[cluster] = (member_name, asyncio.ensure_future(_as_it_is(gateway, member_name)))

    async def prepared(self, cluster: str, member_name: str) -> Resource | None:
        """What `prepare` has read, once; None when it was not asked to, or could not."""
        name, reading = self._prepared.pop(cluster, ("", None))
        return await reading if reading is not None and name == member_name else None

    async def claims(self, cluster: str) -> tuple[ResourceClaim, ...] | None:
        """What EtcdMembers say of who is a member; None when they cannot be read or there is no Kubernetes."""
        try:
            gateway = self.get(cluster)
            resources = await gateway.list() if gateway is not None else None
        except (KubernetesError, ConfigError):
            return None
        if resources is None:
            return None
        return tuple(sorted(map(claim_of, resources), key=lambda claim: claim.name))

    def tell(self, telling: Coroutine[Any, Any, None]) -> None:
        """Send Events beside everything else, for `EVENT_SECONDS` at most."""

        async def in_time() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVENT_SECONDS):
                    await telling

        task = asyncio.create_task(in_time())
        self._told.add(task)
        task.add_done_callback(self._told.discard)

    async def close(self) -> None:
        """Close the connections to all API servers, once the last Events are sent."""
        if self._checking is not None:
            self._checking.cancel()
        await asyncio.gather(*self._told, return_exceptions=True)
        for gateway in self._opened.values():
            await gateway.close()


class KubernetesActivities:
    """The activities on the EtcdMember of a member that leaves.

    Args:
        gateways: Gateways to the API servers of each cluster profile.
        node: The node that this worker runs on.
    """

    def __init__(self, gateways: Gateways, node: str) -> None:
        self._gateways = gateways
        self._node = node

    @activity.defn
    async def find_resource(self, query: ResourceQuery) -> FoundResource:
        """The EtcdMember that has this name or carries this member ID, for a member that etcd does not list."""
        clock, gateway = StepClock(self._node), self._gateways.get(query.cluster)
        if gateway is None:
            error = ConfigError("no Kubernetes in the profile")
            note = _in_the_end(error, NO_KUBERNETES_ATTEMPTS, NO_KUBERNETES_PAUSE)
            return FoundResource(step=clock.step(StepOutcome.OBSERVED, note))
        try:
            resources = await gateway.list(query.member)
        except ObjectGoneError:
            return FoundResource(step=clock.step(StepOutcome.OBSERVED, "EtcdMembers are not installed"))
        except KubernetesPermissionError as error:
            raise _refused(error) from error
        claim = resource_asked_for(query.member, canonical_id(query.member), map(claim_of, resources))
        found = next((r for r in resources if claim and r["metadata"]["name"] == claim.name), None)
        if found is None:
            return FoundResource(step=clock.step(StepOutcome.OBSERVED, "no such EtcdMember"))
        return FoundResource(
            step=clock.step(StepOutcome.OBSERVED),
            name=found["metadata"]["name"],
            member_id=member_id_of(found),
            peer_address=str(status_of(found).get("peerAddress") or ""),
            leave=asks_to_leave(found),
            joined=joined_condition(found),
            generation=generation_of(found),
            uid=str(found["metadata"].get("uid") or ""),
        )

    @activity.defn
    async def request_leave(self, ask: LeaveRequest) -> Step:
        """`spec.leave` of the member's EtcdMember is true, so that k0s takes the member out; or false again."""
        clock, gateway = StepClock(self._node), self._gateways.require(ask.cluster)
        try:
            for _ in range(CONFLICT_TRIES):
                resource = await member_resource(gateway, ask.member_name, ask.member_id)
                if resource is None or member_id_of(resource) != ask.member_id:
                    note = f"there is no EtcdMember for {ask.member_name or ask.member_id}"
                    return clock.step(StepOutcome.FAILED, note)
                name = resource["metadata"]["name"]
                if asks_to_leave(resource) is ask.leave:
                    asks = "asks" if ask.leave else "does not ask"
                    return clock.step(StepOutcome.REQUESTED, f"EtcdMember {name} {asks} to leave already")
                with contextlib.suppress(ConflictError):
                    await gateway.patch_spec(resource, {"leave": ask.leave}, departing=ask.member_name)
                    what = "set on" if ask.leave else "taken back from"
                    return clock.step(StepOutcome.REQUESTED, f"spec.leave is {what} EtcdMember {name}")
        except RejectedError as error:
            return clock.step(StepOutcome.FAILED, _words(error))
        except ObjectGoneError as error:
            return clock.step(StepOutcome.FAILED, _in_the_end(error, ABSENT_ATTEMPTS))
        except KubernetesPermissionError as error:
            raise _refused(error) from error
        msg = f"the EtcdMember changed {CONFLICT_TRIES} times while its spec was written"
        raise ConflictError(msg)

    @activity.defn
    async def read_leave(self, ask: LeaveRequest) -> LeaveState:
        """Whether the member's EtcdMember still asks to leave, and who said so last."""
        clock, gateway = StepClock(self._node), self._gateways.require(ask.cluster)
        try:
            resource = await member_resource(gateway, ask.member_name, ask.member_id)
        except ObjectGoneError as error:
            return LeaveState(step=clock.step(StepOutcome.OBSERVED, _in_the_end(error, ABSENT_ATTEMPTS)))
        except KubernetesPermissionError as error:
            raise _refused(error) from error
        if resource is None or member_id_of(resource) != ask.member_id:
            note = f"there is no EtcdMember for {ask.member_name or ask.member_id}"
            return LeaveState(step=clock.step(StepOutcome.OBSERVED, note))
        written = last_write(resource, SPEC_LEAVE)
        leave, metadata = asks_to_leave(resource), resource["metadata"]
        by = f", last written by {written.manager}" if written.manager else ""
        return LeaveState(
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
    async def update_status(self, record: Record) -> Recorded:
        """The member's EtcdMember says what `record` says, written through an API server that outlives the member.

        What may be otherwise later, or on another worker, fails the attempt, so that Temporal tries again for as long
        as the workflow has patience; the failure says why.
        """
        clock = StepClock(self._node)

        def nothing(note: str) -> Recorded:
            return Recorded(step=clock.step(StepOutcome.NOT_RECORDED, note), recorded=False, note=note)

        try:
            gateway = self._gateways.get(record.cluster)
            if gateway is None:
                error = ConfigError("the cluster profile has no Kubernetes, so there is no EtcdMember to write")
                attempts = CONFIG_ATTEMPTS if record.kubernetes else NO_KUBERNETES_ATTEMPTS
                return nothing(_in_the_end(error, attempts, NO_KUBERNETES_PAUSE, final=not record.kubernetes))
            known = await self._gateways.prepared(record.cluster, record.member_name)
            writing = asyncio.ensure_future(write_status(gateway, record, known))
            await failpoints.reach("update_status.during")
            note, resource = await writing
        except ConfigError as error:
            return nothing(_in_the_end(error, CONFIG_ATTEMPTS, CONFIG_PAUSE, final=not record.kubernetes))
        except ObjectGoneError as error:
            return nothing(_in_the_end(error, ABSENT_ATTEMPTS))
        except RejectedError as error:
            return nothing(_words(error))
        except KubernetesError as error:
            raise ApplicationError(_words(error), type=NOT_RECORDED) from error
        if resource is None:
            return nothing(note)
        step = clock.step(StepOutcome.RECORDED, record.message)
        self._gateways.tell(send_events(gateway, resource, record))
        return Recorded(step=step, recorded=True)


def _words(error: Exception) -> str:
    """What to say of an error, with its remedy."""
    words = next((words for kind, words in WORDS.items() if isinstance(error, kind)), "")
    remedy = error.remedy if isinstance(error, KubernetesError) else ""
    return f"{words}{error}" + f"; {remedy}" * bool(remedy)


def _in_the_end(error: Exception, attempts: int, pause: timedelta | None = None, *, final: bool = True) -> str:
    """What to say of an error once it has been met in this attempt, the last of so many.

    Attempts that something else has failed count too, so it is an answer only where it may be one the first time.

    Args:
        error: What was met.
        attempts: How many there are.
        pause: Between them; the one of the workflow's retry policy where it is None, and after them.
        final: There is a last attempt at all.

    Raises:
        ApplicationError: There are attempts left.
    """
    attempt = activity.info().attempt
    if isinstance(error, KindGoneError):
        final = final and error.certain
    elif isinstance(error, ObjectGoneError) and error.certain:
        return _words(error)
    if attempt < attempts or not final:
        delay = pause if attempt < attempts else None
        raise ApplicationError(_words(error), type=NOT_RECORDED, next_retry_delay=delay) from error
    return _words(error)


def _refused(error: KubernetesPermissionError) -> Exception:
    """The failure for a refusal: to be tried again at first, then for good."""
    info = activity.info()
    limit = info.schedule_to_close_timeout or timedelta.max  # a dry run has one: it tells what is known before its end
    no_time = datetime.now(UTC) - info.scheduled_time >= limit - REFUSED_RESERVE
    last = info.attempt >= REFUSED_ATTEMPTS or no_time
    delay = None if last else REFUSED_PAUSE
    return ApplicationError(
        _words(error), type=FailureType.PERMISSION_DENIED, non_retryable=last, next_retry_delay=delay
    )


async def _check(gateways: list[KubernetesGateway]) -> None:
    """Learn of one cluster after the other to which Kubernetes cluster its contexts belong."""
    for gateway in gateways:
        await gateway.check_contexts()


async def _as_it_is(gateway: KubernetesGateway, member_name: str) -> Resource | None:
    """The EtcdMember of this name, None when it cannot be had."""
    await asyncio.sleep(LET_GO_SECONDS)
    with contextlib.suppress(KubernetesError, ConfigError):
        return await gateway.get(resource_name(member_name), departing=member_name)
    return None

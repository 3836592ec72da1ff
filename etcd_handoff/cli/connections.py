"""Connections to Temporal, etcd and Kubernetes, opened for one command."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff import time_limits
from etcd_handoff.cli.errors import CommandError

if TYPE_CHECKING:
    from temporalio.client import Client

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.config import ClusterProfile, EtcdProfile
    from etcd_handoff.kubernetes.gateway import KubernetesGateway

PATIENT_FACTOR: Final = 5
"""Factor for time-outs of etcd calls outside a removal, where longer waits do no harm."""


async def connect_temporal() -> Client:
    """Connect to Temporal and return the client.

    Raises:
        CommandError: Temporal cannot be reached; the text names its address.
    """
    import asyncio

    from temporalio.runtime import Runtime, TelemetryConfig

    from etcd_handoff.operation.people import COMMAND_LINE
    from etcd_handoff.temporal.client import connect
    from etcd_handoff.temporal.connection_failures import connection_failure
    from etcd_handoff.temporal.identity import user_identity

    # The SDK's own log lines about retries repeat, at length, what our texts say.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)
    try:
        async with asyncio.timeout(time_limits.COMMANDS.connect_seconds):
            return await connect(identity=user_identity(COMMAND_LINE))
    except (RuntimeError, TimeoutError, ValueError, OSError) as error:
        raise CommandError(*connection_failure(error)) from None


def import_clients(profile: ClusterProfile, *, temporal: bool) -> None:
    """Import all client libraries that a command needs, before it sends the first request.

    An import blocks the event loop for up to a second while the deadlines of sent calls run. Members that answer would
    look silent.
    """
    import etcd_handoff.etcd.gateway

    if profile.kubernetes is not None:
        import etcd_handoff.kubernetes.gateway
    if temporal:
        import etcd_handoff.temporal.client  # noqa: F401


async def read_view(profile: ClusterProfile, *, all_voters: bool = False) -> ClusterView:
    """Read the cluster from etcd, and check it against the profile's cluster ID.

    If no member returns a member list within `call_timeout_seconds`, etcd is asked again with more time. Otherwise
    members that are only slow would look down.

    Args:
        profile: The cluster.
        all_voters: Also ask again if a voter looks sick, for callers that base a decision on it.

    Raises:
        EtcdError: It cannot be read.
    """
    from etcd_handoff.errors import UnreachableError

    try:
        view = await _observe(profile.etcd, profile.cluster_id)
    except UnreachableError:
        return await _observe(patient(profile.etcd), profile.cluster_id)
    if all_voters and len(view.healthy_voters) < len(view.voters):
        return await _observe(patient(profile.etcd), profile.cluster_id)
    return view


def patient(etcd: EtcdProfile) -> EtcdProfile:
    """Return the profile with longer time-outs for each call."""
    return etcd.model_copy(update={"call_timeout_seconds": etcd.call_timeout_seconds * PATIENT_FACTOR})


async def _observe(etcd: EtcdProfile, cluster_id: str | None) -> ClusterView:
    from etcd_handoff.etcd.gateway import EtcdGateway

    gateway = EtcdGateway(etcd, cluster_id or "")
    try:
        return await gateway.observe()
    finally:
        await gateway.close()


async def denial_reason(profile: ClusterProfile) -> str:
    """Return why etcd would refuse us a membership change, from the first answer; empty if it would not.

    Raises:
        EtcdError: No endpoint answers.
    """
    from etcd_handoff.errors import EtcdError, UnreachableError
    from etcd_handoff.etcd.inspection import EtcdInspection

    inspection, error = EtcdInspection(patient(profile.etcd)), EtcdError()
    try:
        for endpoint in profile.etcd.endpoints:
            try:
                return await inspection.why_no_change(endpoint)
            except EtcdError as failure:
                error = failure
    finally:
        await inspection.close()
    raise UnreachableError(str(error))


def open_kubernetes(profile: ClusterProfile) -> KubernetesGateway | None:
    """Return a gateway to the API servers; None if the profile has no Kubernetes."""
    from functools import partial

    from etcd_handoff.config.presets import member_name
    from etcd_handoff.errors import ConfigError
    from etcd_handoff.etcd.member_hosts import member_hosts
    from etcd_handoff.kubernetes.gateway import KubernetesGateway

    if profile.kubernetes is None:
        return None
    member = ""
    if profile.preset:
        with contextlib.suppress(ConfigError):
            member = member_name(profile.preset, profile.data_dir)
    return KubernetesGateway(profile.kubernetes, member, partial(member_hosts, profile.etcd))


async def read_resources(profile: ClusterProfile) -> list[dict[str, Any]]:
    """Read all EtcdMembers.

    The list is empty if the profile has no Kubernetes, or if EtcdMembers are optional and not installed.

    Raises:
        KubernetesError: They cannot be read.
    """
    from etcd_handoff.errors import KindGoneError

    gateway = open_kubernetes(profile)
    if gateway is None or profile.kubernetes is None:
        return []
    try:
        return await gateway.list()
    except KindGoneError:
        if profile.kubernetes.optional:
            return []
        raise
    finally:
        await gateway.close()

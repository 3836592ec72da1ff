"""What the commands share: configuration, connections, output, and what an error means for the exit status."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from etcd_handoff import exit_status

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Iterable

    from temporalio.client import Client

    from etcd_handoff.config import ClusterProfile, Config, KubernetesProfile
    from etcd_handoff.model import RemovalRequest
    from etcd_handoff.view import ClusterView

T = TypeVar("T")
EXIT_DONE, EXIT_FAILED, EXIT_USAGE = exit_status.EXIT_DONE, exit_status.EXIT_FAILED, exit_status.EXIT_USAGE
EXIT_UNREACHABLE: Final = exit_status.EXIT_UNREACHABLE
CONNECT_SECONDS: Final = 10.0


class Stop(Exception):  # noqa: N818  # it ends the command, be that an error or not
    """Ends the command with a text for the terminal and an exit status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def explain(error: Exception) -> tuple[int, str]:
    """Exit status and text for what a command ended with."""
    from etcd_handoff import errors
    from etcd_handoff.cli.remedies import remedy_for

    if isinstance(error, getattr(sys.modules.get("temporalio.service"), "RPCError", ())):
        error = rpc_stop(error)
    remedy = getattr(error, "remedy", "")  # errors of Kubernetes have their own
    if isinstance(error, errors.EtcdPermissionError):
        remedy = remedy_for(str(error))
    kinds: tuple[tuple[type[Exception], int, str], ...] = (
        (Stop, getattr(error, "status", EXIT_FAILED), ""),
        (errors.ConfigError, EXIT_USAGE, ""),
        (errors.EtcdPermissionError, EXIT_FAILED, "etcd does not allow it: "),
        (errors.UnreachableError, EXIT_UNREACHABLE, "etcd cannot be read: "),
        (errors.ApiUnavailableError, EXIT_UNREACHABLE, "Kubernetes cannot be read: "),
        (errors.KubernetesPermissionError, EXIT_FAILED, "Kubernetes does not allow it: "),
        (errors.HandoffError, EXIT_FAILED, ""),
    )
    for kind, status, words in kinds:
        if isinstance(error, kind):
            return status, f"{words}{error}{f'; {remedy}' if remedy else ''}"
    if isinstance(error, OSError) and error.filename:
        return EXIT_USAGE, f"{error.filename}: {error.strerror}; correct the path or its permissions"
    return EXIT_FAILED, f"unexpected {type(error).__name__}: {error}; please report it, with what you did"


def tell(lines: Iterable[str]) -> None:
    """Lines on standard output, at once, also into a pipe."""
    for line in lines:
        print(line, flush=True)


def tell_json(thing: object) -> None:
    """One JSON document on standard output."""
    tell([json.dumps(thing, indent=2, ensure_ascii=False)])


def tell_error(text: str) -> None:
    """A text on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def read_config(given: argparse.Namespace) -> Config | None:
    """The configuration; None when none was named and there is none in this folder.

    Raises:
        ConfigError: The file was named and is missing, or it is wrong.
    """
    from etcd_handoff.config import CONFIG_VARIABLE, config_path, load_config

    path = config_path(given.config)
    named = given.config or os.environ.get(CONFIG_VARIABLE)
    return load_config(path) if named or path.exists() else None


def cluster_name(given: argparse.Namespace, config: Config | None) -> str:
    """The cluster that was named, or the only one that there is."""
    if given.cluster:
        return str(given.cluster)
    if config is None:
        text = "there is no ./etcd-handoff.toml to take it from; name one with --config or $ETCD_HANDOFF_CONFIG"
        raise Stop(EXIT_USAGE, f"cluster: give -c NAME: {text}")
    if len(config.clusters) > 1:
        known = ", ".join(sorted(config.clusters))
        raise Stop(EXIT_USAGE, f"cluster: give -c NAME: the configuration has {known}")
    return next(iter(config.clusters))


def profile_of(given: argparse.Namespace) -> tuple[str, ClusterProfile]:
    """Name and profile of the cluster, for commands that read it themselves."""
    from etcd_handoff.config import config_path, load_config

    config = read_config(given) or load_config(config_path(given.config))
    name = cluster_name(given, config)
    if name not in config.clusters:
        known = ", ".join(sorted(config.clusters))
        raise Stop(EXIT_USAGE, f"cluster: no profile {name!r} in the configuration; known: {known}")
    return name, config.clusters[name]


def make_request(given: argparse.Namespace, cluster: str, **options: object) -> RemovalRequest:
    """The checked input of a removal."""
    from pydantic import ValidationError

    from etcd_handoff.model import RemovalRequest
    from etcd_handoff.wire import describe

    try:
        return RemovalRequest.model_validate({"cluster": cluster, "member": given.member, **options})
    except ValidationError as error:
        raise Stop(EXIT_USAGE, "\n".join(describe(error))) from None


async def connected() -> Client:
    """A client of Temporal, or a Stop that names its address."""
    import asyncio

    from temporalio.runtime import Runtime, TelemetryConfig

    from etcd_handoff.temporal.client import connect
    from etcd_handoff.temporal.connection_failures import connection_failure

    # The SDK's own log lines about retries say again, at length, what our texts say.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await connect()
    except (RuntimeError, TimeoutError, ValueError, OSError) as error:
        raise Stop(*connection_failure(error)) from None


def rpc_stop(error: Any) -> Stop:
    """What Temporal's refusal or silence, an `RPCError`, means for the command."""
    from etcd_handoff.temporal.connection_failures import rpc_failure

    return Stop(*rpc_failure(error))


def load_clients(profile: ClusterProfile, *, temporal: bool) -> None:
    """Import the clients of all servers that a command asks, before it asks any.

    An import takes up to a second and stands still the event loop, while the deadlines of calls that have been sent run
    on: members that answer would be shown as silent.
    """
    import etcd_handoff.etcd.gateway

    if profile.kubernetes is not None:
        import etcd_handoff.kubernetes.gateway
    if temporal:
        import etcd_handoff.temporal.client  # noqa: F401


async def read_view(profile: ClusterProfile) -> ClusterView:
    """What etcd says now, held against the profile's cluster ID, or the gateway's error."""
    from etcd_handoff.etcd.gateway import EtcdGateway

    gateway = EtcdGateway(profile.etcd, profile.cluster_id or "")
    try:
        return await gateway.observe()
    finally:
        await gateway.close()


async def why_no_change(profile: ClusterProfile) -> str:
    """Why we may not change etcd's membership, told by the first endpoint that tells; empty when we may.

    Raises:
        EtcdError: No endpoint tells.
    """
    from etcd_handoff.errors import EtcdError, UnreachableError
    from etcd_handoff.etcd.inspection import EtcdInspection

    inspection, error = EtcdInspection(profile.etcd), EtcdError()
    try:
        for endpoint in profile.etcd.endpoints:
            try:
                return await inspection.why_no_change(endpoint)
            except EtcdError as failure:
                error = failure
    finally:
        await inspection.close()
    raise UnreachableError(str(error))


async def read_resources(profile: KubernetesProfile) -> list[dict[str, Any]]:
    """All EtcdMembers, or the gateway's error."""
    from etcd_handoff.kubernetes.gateway import KubernetesGateway

    gateway = KubernetesGateway(profile)
    try:
        return await gateway.list()
    finally:
        await gateway.close()


async def attempt(reading: Awaitable[T]) -> T | Exception:
    """What was read, or what went wrong: to be said in its place while everything else is shown."""
    try:
        return await reading
    except Exception as error:  # noqa: BLE001  # each becomes a text through `explain`
        return error

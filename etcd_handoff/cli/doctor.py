"""`doctor`: check everything that an operation needs."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.configuration import cluster_profile, named_options, read_config
from etcd_handoff.cli.connections import import_clients, open_kubernetes, patient, read_view
from etcd_handoff.cli.errors import result_or_error, status_and_text
from etcd_handoff.cli.terminal import print_json, print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, worst_exit

if TYPE_CHECKING:
    import argparse
    import asyncio

    from etcd_handoff.cli.doctor_checks import CheckResult
    from etcd_handoff.cli.doctor_endpoints import ClusterFacts, Endpoint
    from etcd_handoff.cli.doctor_temporal import TemporalReport
    from etcd_handoff.cli.doctor_topology import Topology
    from etcd_handoff.cluster_view import ClusterView, Doubt
    from etcd_handoff.config import ClusterProfile
    from etcd_handoff.config.servers import KubernetesProfile

    Resources = list[dict[str, Any]] | Exception

CONNECTIONS_PER_ENDPOINT: Final = 3
"""Behind a load balancer, several connections reach different members."""


def doctor_command(args: argparse.Namespace) -> int:
    """Print the result of each check. Return 0, or the first of 2, 4 and 1 that a failed check has."""
    import asyncio

    from etcd_handoff.cli.render.doctor import check_lines, check_object

    cluster, results = asyncio.run(_run_checks(args))
    if args.output == "json":
        from etcd_handoff.cli.shapes.cluster import DoctorOutput

        print_json(DoctorOutput, {"cluster": cluster, "checks": [check_object(result) for result in results]})
    else:
        print_lines(check_lines(results))
    return worst_exit(result.status for result in results)


async def _run_checks(args: argparse.Namespace) -> tuple[str, list[CheckResult]]:
    """Run all checks in order, only Temporal's with a broken configuration; also return the cluster's name."""
    import asyncio

    from etcd_handoff.cli.doctor_checks import CheckResult
    from etcd_handoff.cli.doctor_temporal import check_temporal
    from etcd_handoff.cli.doctor_webhook import check_webhook
    from etcd_handoff.contract import TASK_QUEUE
    from etcd_handoff.merged_view import node_of

    try:
        name, profile = cluster_profile(args)
        config = read_config(args)
    except Exception as error:  # noqa: BLE001  # each becomes a result
        status, text = status_and_text(error)
        first = [CheckResult("configuration", text, "correct the file, or name the right one with --config", status)]
        return args.cluster or "", [*first, *(await check_temporal(TASK_QUEUE)).results]
    queue, named = config.task_queue if config else TASK_QUEUE, named_options(args, name)
    first = [CheckResult("configuration", f"cluster {name}, task queue {queue}"), _check_files(name, profile)]
    webhook = asyncio.ensure_future(check_webhook(config.notifications if config else None))
    if first[-1].status != EXIT_DONE:
        return name, [*first, *(await check_temporal(queue)).results, *await webhook]
    import_clients(profile, temporal=True)
    reading = asyncio.ensure_future(result_or_error(read_view(profile)))

    async def temporal() -> TemporalReport:
        view = await reading
        if isinstance(view, Exception):
            return await check_temporal(queue)
        nodes = {node_of(m.name, profile.nodes) for m in view.members if m.name}
        return await check_temporal(queue, view.cluster_id, nodes)

    (of_cluster, topology), of_temporal = await asyncio.gather(_check_cluster(profile, reading, named), temporal())
    topology_and_temporal = [*_check_topology(profile, topology, of_temporal), *of_temporal.results]
    return name, [*first, *of_cluster, *topology_and_temporal, *await webhook]


def _check_topology(profile: ClusterProfile, topology: Topology | None, report: TemporalReport) -> list[CheckResult]:
    from etcd_handoff.cli.doctor_topology import check_topology

    if topology is None:
        return []
    command = f"etcd-handoff worker{f' --{profile.preset}' if profile.preset else ''}"
    return [check_topology(topology, profile.nodes, report.workers, command)]


def _check_files(name: str, profile: ClusterProfile) -> CheckResult:
    from etcd_handoff.cli.doctor_checks import CheckResult
    from etcd_handoff.cli.render.table import count
    from etcd_handoff.config.file_checks import file_faults

    if faults := file_faults(name, profile):
        return CheckResult("files", "\n".join(faults), "correct the files that are named", EXIT_USAGE)
    files = [value for key, value in profile.etcd if key.endswith("_file") and value]
    if profile.kubernetes and profile.kubernetes.kubeconfig:
        files.append(profile.kubernetes.kubeconfig)
    text = f"{count(len(files), 'file')} named, each holds what it should" if files else "none named"
    return CheckResult("files", text)


async def _check_cluster(
    profile: ClusterProfile, reading: asyncio.Future[ClusterView | Exception], named: str
) -> tuple[list[CheckResult], Topology | None]:
    """Check etcd and Kubernetes; also return the topology, which the checks of Temporal complete."""
    import asyncio
    from datetime import UTC, datetime

    from etcd_handoff.cli import doctor_checks, doctor_endpoints, doctor_topology
    from etcd_handoff.cli.doctor_rights import etcd_rights, kubernetes_rights
    from etcd_handoff.temporal.credential_ends import all_expiries

    endpoints, rights, view = await asyncio.gather(
        asyncio.gather(*(_read_endpoint(profile, n) for n in range(1, len(profile.etcd.endpoints) + 1))),
        etcd_rights(profile),
        reading,
    )
    # One after the other: opening a client blocks the event loop, and calls that wait for an answer time out then.
    contexts = await _read_contexts(profile)
    one_cluster = await _check_contexts(profile)
    may_write = await kubernetes_rights(profile)
    facts, doubt = _cluster_facts(profile, view, contexts)
    topology = doctor_topology.topology_of(endpoints, facts.view)
    of_cluster = (
        [_failed("etcd", view, "follow the remedies of the endpoint checks; a majority of the members must answer")]
        if isinstance(view, Exception)
        else doctor_checks.check_cluster(view, doubt, named, doctor_topology.leader_and_quorum(topology))
    )
    results = [
        *doctor_endpoints.check_endpoints(endpoints, facts),
        *doctor_endpoints.check_advertised(endpoints, facts.view),
        *of_cluster,
        *rights,
        doctor_checks.check_expiries(all_expiries(profile), datetime.now(UTC)),
        *(_check_context(context, read, facts, profile.kubernetes, named) for context, read in contexts.items()),
        *one_cluster,
        *may_write,
    ]
    return results, topology


def _cluster_facts(
    profile: ClusterProfile, view: ClusterView | Exception, contexts: dict[str, Resources]
) -> tuple[ClusterFacts, Doubt | None]:
    """Return the facts to check endpoints and contexts against, and what contradicts etcd's answers."""
    from etcd_handoff.cli.doctor_endpoints import ClusterFacts
    from etcd_handoff.cli.etcdmembers import claims_of, doubt_of, first_read, peer_addresses

    resources = first_read(contexts.values(), optional=profile.kubernetes is None or profile.kubernetes.optional)
    claims, addresses = claims_of(resources or ()), peer_addresses(resources or ())
    if isinstance(view, Exception):
        return ClusterFacts(None, claims, addresses), None
    doubt = doubt_of(view, profile.cluster_id or "", None if resources is None else claims)
    return ClusterFacts(None if doubt else view, claims, addresses), doubt


async def _read_endpoint(profile: ClusterProfile, number: int) -> Endpoint:
    """Find out which members answer at one endpoint, over several connections."""
    import asyncio

    from etcd_handoff.cli.doctor_endpoints import Endpoint
    from etcd_handoff.etcd.inspection import EtcdInspection

    url = profile.etcd.endpoints[number - 1]
    inspections = [EtcdInspection(patient(profile.etcd)) for _ in range(CONNECTIONS_PER_ENDPOINT)]
    try:
        read = await asyncio.gather(*(result_or_error(inspection.who_answers(url)) for inspection in inspections))
    finally:
        await asyncio.gather(*(inspection.close() for inspection in inspections))
    answers = [answer for answer in read if not isinstance(answer, Exception)]
    if not answers:
        status, text = status_and_text(next(answer for answer in read if isinstance(answer, Exception)))
        return Endpoint(number, url, error=text.removeprefix("etcd cannot be read: "), status=status)
    first = next((answer for answer in answers if answer.advertised is not None), answers[0])
    members = frozenset(answer.member_id for answer in answers)
    error = "" if first.advertised is not None else f"gives no member list: {first.note}"
    status = EXIT_FAILED if error else EXIT_DONE
    return Endpoint(number, url, first.cluster_id, members, first.advertised, error, status)


async def _read_contexts(profile: ClusterProfile) -> dict[str, Resources]:
    """Read the EtcdMembers from each API server separately."""
    import asyncio

    gateway = open_kubernetes(profile)
    if gateway is None:
        return {}
    try:
        await gateway.find_servers()
        names = gateway.all_contexts()
        read = await asyncio.gather(*(result_or_error(gateway.list_through(name)) for name in names))
    finally:
        await gateway.close()
    return dict(zip(names, read, strict=True))


def _check_context(
    context: str, read: Resources, facts: ClusterFacts, profile: KubernetesProfile | None, named: str
) -> CheckResult:
    """Check that one API server answers, has the resource kind, and agrees with etcd."""
    from etcd_handoff.cli.doctor_checks import KIND_REMEDY, NOT_INSTALLED, CheckResult, check_resources
    from etcd_handoff.cli.doctor_endpoints import departed_context, unusable_context
    from etcd_handoff.cli.etcdmembers import compare_resources
    from etcd_handoff.errors import KindGoneError

    kubeconfig = profile.kubeconfig if profile else None
    check = f"kubernetes {context or ('current context' if kubeconfig else 'in-cluster')}"
    if not isinstance(read, Exception):
        return check_resources(check, compare_resources(facts.view, read), named)
    status, text = status_and_text(read)
    if departed := departed_context(check, context, text, facts):
        return departed
    if isinstance(read, KindGoneError) and profile and profile.optional:
        return CheckResult(check, NOT_INSTALLED)
    if isinstance(read, KindGoneError):
        return CheckResult(check, "EtcdMembers are not installed", KIND_REMEDY, EXIT_FAILED)
    return unusable_context(check, text, status)


async def _check_contexts(profile: ClusterProfile) -> list[CheckResult]:
    """Check that all contexts belong to one Kubernetes cluster."""
    from etcd_handoff.cli.doctor_checks import check_contexts

    gateway = open_kubernetes(profile)
    if gateway is None:
        return []
    try:
        await gateway.find_servers()
        if len(gateway.all_contexts()) < 2:
            return []
        foreign = await result_or_error(gateway.check_contexts())
    finally:
        await gateway.close()
    return [] if isinstance(foreign, Exception) else [check_contexts(foreign)]


def _failed(check: str, error: Exception, remedy: str = "") -> CheckResult:
    """Return the result of a check that an error prevented."""
    from etcd_handoff.cli.doctor_checks import CheckResult

    status, text = status_and_text(error)
    return CheckResult(check, text, remedy, status)

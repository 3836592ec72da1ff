"""`doctor`: is everything there that a removal needs?"""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.common import (
    attempt,
    explain,
    load_clients,
    profile_of,
    read_config,
    read_resources,
    read_view,
    tell,
    tell_json,
    why_no_change,
)
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    import argparse
    import asyncio
    from collections.abc import Sequence

    from etcd_handoff.cli.endpoints import Endpoint, Surroundings
    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.config import ClusterProfile
    from etcd_handoff.view import ClusterView, Doubt

PROBES: Final = 3
"""Connections to each endpoint: a load balancer shows itself by other members behind it."""


def doctor_command(given: argparse.Namespace) -> int:
    """`doctor`: one finding for each check; the worst one decides the exit status."""
    import asyncio

    from etcd_handoff.cli import findings as out

    findings = asyncio.run(_examine(given))
    if given.output == "json":
        tell_json([out.finding_object(found) for found in findings])
    else:
        tell(out.finding_lines(findings))
    return out.findings_exit(findings)


async def _examine(given: argparse.Namespace) -> list[Finding]:
    """All checks, in order; a broken configuration leaves those of Temporal."""
    import asyncio

    from etcd_handoff.cli.doctor_temporal import examine_temporal
    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.model import TASK_QUEUE

    try:
        name, profile = profile_of(given)
        config = read_config(given)
    except Exception as error:  # noqa: BLE001  # each becomes a finding
        status, text = explain(error)
        first = [Finding("configuration", text, "correct the file, or name the right one with --config", status)]
        return [*first, *await examine_temporal(TASK_QUEUE, "")]
    queue = config.task_queue if config else TASK_QUEUE
    files = _check_files(name, profile)
    first = [Finding("configuration", f"cluster {name}, task queue {queue}"), files]
    if files.status != EXIT_DONE:
        return [*first, *await examine_temporal(queue, "")]
    load_clients(profile, temporal=True)
    reading = asyncio.ensure_future(attempt(read_view(profile)))

    async def temporal() -> list[Finding]:
        view = await reading
        return await examine_temporal(queue, "" if isinstance(view, Exception) else view.cluster_id)

    parts = await asyncio.gather(_examine_cluster(profile, reading), temporal())
    return [*first, *parts[0], *parts[1]]


def _check_files(name: str, profile: ClusterProfile) -> Finding:
    from etcd_handoff.cli.findings import Finding
    from etcd_handoff.cli.output import count
    from etcd_handoff.config_files import file_faults

    if faults := file_faults(name, profile):
        return Finding("files", "\n".join(faults), "correct the files that are named", EXIT_USAGE)
    named = [value for key, value in profile.etcd if key.endswith("_file") and value]
    if profile.kubernetes and profile.kubernetes.kubeconfig:
        named.append(profile.kubernetes.kubeconfig)
    text = f"{count(len(named), 'file')} named, all hold what they should" if named else "none named"
    return Finding("files", text)


async def _examine_cluster(profile: ClusterProfile, reading: asyncio.Future[ClusterView | Exception]) -> list[Finding]:
    import asyncio
    from datetime import UTC, datetime

    from etcd_handoff.cli.certificates import etcd_certificates, kubeconfig_certificates
    from etcd_handoff.cli.endpoints import judge_advertised, judge_endpoints
    from etcd_handoff.cli.findings import judge_certificates, judge_cluster

    endpoints, rights, view = await asyncio.gather(
        asyncio.gather(*(_read_endpoint(profile, n) for n in range(1, len(profile.etcd.endpoints) + 1))),
        _examine_rights(profile),
        reading,
    )
    # One after the other: opening a client blocks the event loop, and with it whoever waits for an answer by then.
    contexts = await _read_contexts(profile)
    strangers = await _examine_contexts(profile)
    ends = [
        *etcd_certificates(profile.etcd),
        *(kubeconfig_certificates(profile.kubernetes) if profile.kubernetes else ()),
    ]
    certificates = judge_certificates(ends, datetime.now(UTC))
    around, doubt = _surroundings(profile, view, contexts)
    judged = (
        [_trouble("etcd", view, "bring a majority of the members back")]
        if isinstance(view, Exception)
        else judge_cluster(view, doubt)
    )
    return [
        *judge_endpoints(endpoints, around),
        *judge_advertised(endpoints, around.view),
        *judged,
        *rights,
        certificates,
        *(_context(context, read, around) for context, read in contexts.items()),
        *strangers,
    ]


def _surroundings(
    profile: ClusterProfile, view: ClusterView | Exception, contexts: dict[str, list[dict[str, Any]] | Exception]
) -> tuple[Surroundings, Doubt | None]:
    """What single endpoints and contexts are judged by, and what contradicts what etcd says."""
    from etcd_handoff.cli.endpoints import Surroundings, addresses_of
    from etcd_handoff.cli.records import claims_of, doubt_of

    resources = next((read for read in contexts.values() if not isinstance(read, Exception)), [])
    claims, addresses = claims_of(resources), addresses_of(resources)
    if isinstance(view, Exception):
        return Surroundings(None, claims, addresses), None
    doubt = doubt_of(view, profile.cluster_id or "", claims)
    return Surroundings(None if doubt else view, claims, addresses), doubt


async def _read_endpoint(profile: ClusterProfile, number: int) -> Endpoint:
    """Who answers at one endpoint, asked alone and more than once."""
    import asyncio

    from etcd_handoff.cli.endpoints import Endpoint
    from etcd_handoff.etcd.inspection import EtcdInspection

    url = profile.etcd.endpoints[number - 1]
    inspections = [EtcdInspection(profile.etcd) for _ in range(PROBES)]
    try:
        answers = await asyncio.gather(*(attempt(inspection.who_answers(url)) for inspection in inspections))
    finally:
        await asyncio.gather(*(inspection.close() for inspection in inspections))
    found = [answer for answer in answers if not isinstance(answer, Exception)]
    if not found:
        status, text = explain(next(answer for answer in answers if isinstance(answer, Exception)))
        return Endpoint(number, url, error=text.removeprefix("etcd cannot be read: "), status=status)
    first = next((answer for answer in found if answer.advertised is not None), found[0])
    members = frozenset(answer.member_id for answer in found)
    error = "" if first.advertised is not None else f"gives no member list: {first.note}"
    return Endpoint(
        number, url, first.cluster_id, members, first.advertised, error, EXIT_FAILED if error else EXIT_DONE
    )


async def _examine_rights(profile: ClusterProfile) -> list[Finding]:
    """Whether we may change the membership; nothing where etcd does not tell now, which other checks say."""
    from etcd_handoff.cli.findings import judge_rights
    from etcd_handoff.cli.remedies import remedy_for

    denied = await attempt(why_no_change(profile))
    return [] if isinstance(denied, Exception) else [judge_rights(denied, remedy_for(denied))]


async def _read_contexts(profile: ClusterProfile) -> dict[str, list[dict[str, Any]] | Exception]:
    """The EtcdMembers that each API server shows, or why it shows none."""
    import asyncio

    kubernetes = profile.kubernetes
    if kubernetes is None:
        return {}
    names: Sequence[str] = kubernetes.contexts or ("",)
    alone = [kubernetes.model_copy(update={"contexts": (name,) if name else ()}) for name in names]
    read = await asyncio.gather(*(attempt(read_resources(one)) for one in alone))
    return dict(zip(names, read, strict=True))


def _context(context: str, read: list[dict[str, Any]] | Exception, around: Surroundings) -> Finding:
    """Whether one API server answers, has the resource kind, and agrees with etcd."""
    from etcd_handoff.cli.endpoints import judge_departed_context, unknown_context
    from etcd_handoff.cli.findings import Finding, judge_records
    from etcd_handoff.cli.records import compare
    from etcd_handoff.errors import KindGoneError

    check = f"kubernetes {context or 'in-cluster'}"
    if not isinstance(read, Exception):
        return judge_records(check, compare(around.view, read))
    status, text = explain(read)
    if departed := judge_departed_context(check, context, text, around):
        return departed
    if isinstance(read, KindGoneError):
        remedy = "install the CustomResourceDefinition etcdmembers.etcd.k0sproject.io: k0s does, deploy/crd.yaml has it"
        return Finding(check, "EtcdMembers are not installed", remedy, EXIT_FAILED)
    return unknown_context(check, text, status)


async def _examine_contexts(profile: ClusterProfile) -> list[Finding]:
    """Whether all contexts are of one Kubernetes cluster."""
    from etcd_handoff.cli.findings import judge_contexts
    from etcd_handoff.kubernetes.gateway import KubernetesGateway

    if profile.kubernetes is None or len(profile.kubernetes.contexts) < 2:
        return []
    gateway = KubernetesGateway(profile.kubernetes)
    try:
        strangers = await attempt(gateway.check_contexts())
    finally:
        await gateway.close()
    return [] if isinstance(strangers, Exception) else [judge_contexts(strangers)]


def _trouble(check: str, error: Exception, remedy: str = "") -> Finding:
    """What could not be checked, as a failed finding."""
    from etcd_handoff.cli.findings import Finding

    status, text = explain(error)
    return Finding(check, text, remedy, status)

"""The checks of `doctor` on etcd, Kubernetes and Temporal. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.render.members import NO_LEADER, alarm_lines, health
from etcd_handoff.cli.render.operations import worker_warnings
from etcd_handoff.cli.render.table import count
from etcd_handoff.cli.render.troubles import NO_LEADER_REMEDY, alarm_kinds, alarm_remedy, member_remedy
from etcd_handoff.cluster_view import NOSPACE, quorum
from etcd_handoff.exit_status import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from etcd_handoff.search_attributes import SEARCH_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from datetime import datetime

    from etcd_handoff.certificate_expiry import Expiry
    from etcd_handoff.cli.etcdmembers import ComparedResource
    from etcd_handoff.cli.live_workers import LiveWorker
    from etcd_handoff.cluster_view import ClusterView, Doubt

KIND_REMEDY: Final = (
    "k0s installs them. Without k0s run `kubectl apply --server-side -f deploy/crd.yaml`, or remove kubernetes from the"
    " profile (kubernetes = false with a preset): removals then work without EtcdMembers"
)
NOT_INSTALLED: Final = (
    "answers; EtcdMembers are not installed, so removals record nothing in Kubernetes (`kubectl apply --server-side -f"
    " deploy/crd.yaml` installs them)"
)
NO_LOCK: Final = (
    "nobody can take the lock in etcd meanwhile, so a change from another Temporal namespace or server does not wait"
)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: Name of the check.
        detail: What was found.
        remedy: How to fix it; with status 0, a hint that is not urgent.
        status: 0 if all is well, otherwise the exit status for this failure.
    """

    check: str
    detail: str
    remedy: str = ""
    status: int = EXIT_DONE


def check_cluster(
    view: ClusterView, doubt: Doubt | None, options: str, leader_and_quorum: Sequence[CheckResult] = ()
) -> list[CheckResult]:
    """Check identity, leader, quorum, alarms and versions of a cluster that returned a linearizable list.

    Args:
        view: What was seen.
        doubt: What contradicts the view.
        options: The options that name cluster and configuration, for commands in messages.
        leader_and_quorum: Results for these two, if the members in reach are too few to decide.
    """
    return [
        _check_identity(view, doubt),
        *(leader_and_quorum or (_check_leader(view), _check_quorum(view, options))),
        _check_alarms(view),
        _check_versions(view),
    ]


def _check_identity(view: ClusterView, doubt: Doubt | None) -> CheckResult:
    if doubt is not None:
        return CheckResult("one cluster", f"{doubt.kind}: {doubt.text}", doubt.remedy, EXIT_USAGE)
    return CheckResult("one cluster", f"all members that answer belong to {view.cluster_id}")


def _check_leader(view: ClusterView) -> CheckResult:
    lead = view.leadership
    if lead is None:
        return CheckResult("leader", NO_LEADER, NO_LEADER_REMEDY, EXIT_FAILED)
    return CheckResult("leader", f"{view.label(lead.id)} at term {lead.term}")


def _check_quorum(view: ClusterView, options: str) -> CheckResult:
    voters, healthy = len(view.voters), len(view.healthy_voters)
    unhealthy = [m for m in view.voters if m not in view.healthy_voters]
    texts = [f"{m.label}: {health(view, m)}" for m in unhealthy]
    detail = "; ".join([f"{healthy} of {count(voters, 'voter')} healthy, {quorum(voters)} needed", *texts])
    if not unhealthy:
        return CheckResult("quorum", detail)
    return CheckResult("quorum", detail, member_remedy(unhealthy, options), EXIT_FAILED)


def _check_alarms(view: ClusterView) -> CheckResult:
    if alarms := alarm_lines(view):
        lock = [NO_LOCK] if NOSPACE in alarm_kinds(view) else []
        return CheckResult("alarms", "; ".join([", ".join(alarms), *lock]), alarm_remedy(view), EXIT_FAILED)
    return CheckResult("alarms", "none")


def _check_versions(view: ClusterView) -> CheckResult:
    versions = sorted({m.version for m in view.members if m.version})
    if len(versions) > 1:
        detail = ", ".join(f"{m.label}: {m.version or 'unknown'}" for m in view.members)
        remedy = "finish the upgrade before you remove a member, unless you remove it for the upgrade"
        return CheckResult("version", detail, remedy, EXIT_FAILED)
    return CheckResult("version", f"etcd {', '.join(versions) or 'unknown'}")


def check_rights(denied: str, remedy: str) -> CheckResult:
    """Check that we may change the membership; `denied` is etcd's refusal, or empty."""
    if denied:
        return CheckResult("rights in etcd", f"may not change the membership: {denied}", remedy, EXIT_FAILED)
    return CheckResult("rights in etcd", "may change the membership")


def check_expiries(expiries: Iterable[Expiry], now: datetime) -> CheckResult:
    """Check that no certificate and no token has expired or expires soon.

    Args:
        expiries: Expiry of each file.
        now: The time, UTC.
    """
    expiries = sorted(expiries, key=lambda expiry: expiry.when)
    if not expiries:
        return CheckResult("certificates", "none named")
    texts = {expiry: f"{expiry.what} until {expiry.when:%Y-%m-%d %H:%M} UTC" for expiry in expiries}
    expired = [text for expiry, text in texts.items() if expiry.when <= now]
    soon = [text for expiry, text in texts.items() if expiry.when > now and expiry.is_soon(now)]
    remedy = "renew them; workers read the files again when they change, but Temporal's only at their start"
    if expired:
        return CheckResult("certificates", f"ended: {'; '.join([*expired, *soon])}", remedy, EXIT_FAILED)
    if soon:
        return CheckResult("certificates", f"end soon: {'; '.join(soon)}", remedy)
    return CheckResult("certificates", f"{count(len(expiries), 'end date')}; the first is {texts[expiries[0]]}")


def check_resources(check: str, compared: Sequence[ComparedResource], named: str) -> CheckResult:
    """Check that EtcdMembers agree with etcd; `named` are the options that name cluster and configuration."""
    wrong = [f"{r.name}: {r.wrong}" for r in compared if r.wrong]
    if wrong:
        remedy = (
            f"`etcd-handoff watch start {named}` corrects EtcdMembers and creates missing ones; if the watcher runs"
            f" already, `etcd-handoff watch resync {named}` does so now"
        )
        return CheckResult(check, "; ".join(wrong), remedy, EXIT_FAILED)
    return CheckResult(check, f"{count(len(compared), 'EtcdMember')}, all agree with etcd")


def check_contexts(foreign: dict[str, str]) -> CheckResult:
    """Check that all contexts belong to one Kubernetes cluster.

    Args:
        foreign: Contexts of other clusters, each with the evidence.
    """
    if foreign:
        detail = "; ".join(f"{context}: {why}" for context, why in foreign.items())
        return CheckResult("one kubernetes", detail, "remove contexts of other clusters from the profile", EXIT_USAGE)
    return CheckResult("one kubernetes", "all contexts that answer belong to one cluster")


def check_workers(task_queue: str, workers: Sequence[LiveWorker]) -> CheckResult:
    """Check that workers poll our task queue; a hint names differences between them."""
    if not workers:
        remedy = "start `etcd-handoff worker` on each node, with this task_queue and this Temporal"
        return CheckResult("workers", f"no worker asks for work on task queue {task_queue}", remedy, EXIT_FAILED)
    hint = "; ".join(worker_warnings(workers))
    return CheckResult("workers", f"{count(len(workers), 'worker')} on task queue {task_queue}", hint)


def check_queue(name: str, task_queue: str, own_task_queue: str, identities: Sequence[str]) -> CheckResult:
    """Check that workers serve the open queue of changes of this etcd cluster.

    Args:
        name: The queue's workflow ID.
        task_queue: Its task queue, which is that of the worker that started it.
        own_task_queue: The task queue in the configuration.
        identities: Identities of the workers that poll the task queue.
    """
    if not identities:
        detail = (
            f"{name} waits on task queue {task_queue}, where no worker asks for work: every removal waits behind it"
        )
        remedy = f"start its workers again, or end it: `temporal workflow terminate -w {name}`"
        return CheckResult("queue of changes", detail, remedy, EXIT_FAILED)
    other = "" if task_queue == own_task_queue else f"; workers of another fleet serve it on task queue {task_queue}"
    hint = "give all workers of one etcd cluster one task_queue" if other else ""
    return CheckResult("queue of changes", f"{name} is served by {count(len(identities), 'worker')}{other}", hint)


def check_attributes(known: Container[str], wrong_type: Sequence[str] = ()) -> CheckResult:
    """Check that the search attributes are registered; those in `wrong_type` have another type."""
    if wrong_type:
        names = " --name ".join(wrong_type)
        remedy = f"run `temporal operator search-attribute remove --name {names}`, then restart the workers"
        return CheckResult("search attributes", f"not of type Keyword: {', '.join(wrong_type)}", remedy, EXIT_FAILED)
    missing = [name for name in SEARCH_ATTRIBUTES if name not in known]
    if missing:
        # Of several names in one call Temporal's command registers the first alone, and reports success.
        create = "temporal operator search-attribute create --type Keyword --name"
        commands = " && ".join(f"{create} {name}" for name in missing)
        remedy = (
            "start a worker: it registers them if its Temporal credentials allow it; otherwise run"
            f" `{commands}`, then restart the workers"
        )
        return CheckResult("search attributes", f"not registered: {', '.join(missing)}", remedy, EXIT_FAILED)
    return CheckResult("search attributes", f"{', '.join(SEARCH_ATTRIBUTES)} are registered")

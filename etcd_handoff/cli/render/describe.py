"""The output of `describe`: one operation, with commands to type next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.render.history import facts, of_whom, operation_name
from etcd_handoff.cli.render.members import cluster_line, cluster_object, member_lines
from etcd_handoff.cli.render.progress import remedy_lines, state_since
from etcd_handoff.cli.render.report import result_facts
from etcd_handoff.cli.render.start_again import start_again
from etcd_handoff.cli.render.table import elapsed
from etcd_handoff.operation.unblocking_commands import command

if TYPE_CHECKING:
    from etcd_handoff.cli.audit.current_status import CurrentStatus
    from etcd_handoff.cli.audit.trail import Trail
    from etcd_handoff.contract import Progress


GOES_ON: Final = "To go on: "


@dataclass(frozen=True, slots=True)
class PendingStep:
    """An activity that runs or is being retried.

    Attributes:
        name: Activity type.
        attempt: The running attempt, or the next one.
        worker: Temporal identity of the last worker; empty if no worker took it.
        failure: Why the previous attempt failed; empty if none failed.
        kind: Type of that failure, such as `PermissionDenied`; empty if it has none.
    """

    name: str
    attempt: int
    worker: str
    failure: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class OperationReport:
    """The data that `describe` prints.

    Attributes:
        trail: The audit trail.
        status: The status in its history.
        state: The state that it reports, otherwise the state in its history.
        progress: The progress that it reports; None if it has ended or does not answer.
        trouble: Why it does not answer, with what to do; empty if it answers or has ended.
        pending: Activities that run or are being retried.
        place: Its place in the queue; empty if it is in no queue.
    """

    trail: Trail
    status: CurrentStatus
    state: str
    progress: Progress | None
    trouble: str = ""
    pending: tuple[PendingStep, ...] = ()
    place: str = ""

    @property
    def runs(self) -> bool:
        """Whether it still runs."""
        return not self.trail.outcome

    @property
    def since(self) -> str:
        """When its state began; empty if that is unknown.

        The operation's own answer comes first, because its history has states only in search attributes, which a
        namespace may lack.
        """
        if self.progress is not None and (since := state_since(self.progress)):
            return f"{datetime.fromisoformat(since).astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
        return self.status.since if self.status.state == self.state else ""


def report_lines(report: OperationReport, now: datetime) -> list[str]:
    """Return the report for people: the state, commands to type next, then the rest."""
    rows = [*_now(report), *facts(report.trail), *([] if report.runs else result_facts(report.trail))]
    width = max(len(name) for name, _ in rows)
    lines = [_verdict(report, now), *(f"  {name:<{width}}  {text}" for name, text in rows)]
    lines += [f"  {line}" for line in _next(report)]
    view = report.status.view
    if view is not None:
        by = f" by the worker on {report.status.view_by}" if report.status.view_by else ""
        seen = f"seen {_ago(report.status.view_at, now)}{by}"
        lines += ["", f"{cluster_line(report.trail.cluster, view)}, {seen}", *member_lines(view)]
    return lines


def report_object(report: OperationReport) -> dict[str, Any]:
    """Return the report for JSON."""
    status, progress = report.status, report.progress
    return {
        "state": report.state,
        "state_since": report.since,
        "doing": progress.doing if progress else "",
        "trouble": report.trouble,
        "waiting_for": progress.waiting_for if progress else "",
        "point_of_no_return": progress.point_of_no_return if progress else None,
        "join_configuration": dict(progress.join_configuration) if progress else {},
        "queue": report.place,
        "pending": [asdict(step) for step in report.pending],
        "next": _next(report),
        "seen_at": status.view_at,
        "seen": cluster_object(report.trail.cluster, status.view) if status.view else None,
        "operation": report.trail.as_object(),
    }


def _verdict(report: OperationReport, now: datetime) -> str:
    trail = report.trail
    name = f"{operation_name(trail)}{of_whom(trail)}, cluster {trail.cluster}"
    if not report.runs:
        return f"{name}: {trail.outcome}, {_ago(trail.ended_at, now)}"
    return f"{name}: {report.state or 'runs'}{f' for {_span(report.since, now)}' if report.since else ''}"


def _now(report: OperationReport) -> list[tuple[str, str]]:
    """Return the present facts, each with its name."""
    progress = report.progress
    if not report.runs:
        return []
    if progress is None:
        rows = [("doing", f"{report.trouble or 'not known'}; below is what Temporal has recorded")]
    else:
        last = "not possible now: the change was proposed to etcd" if progress.point_of_no_return else ""
        rows = [("doing", progress.doing), ("what unblocks it", progress.waiting_for), ("cancel", last)]
        rows += [("start etcd with", f"{key}={value}") for key, value in progress.join_configuration.items()]
    rows += [("queue", report.place), *(("step", _pending(step)) for step in report.pending)]
    return [(name, text) for name, text in rows if text]


def _pending(step: PendingStep) -> str:
    if not step.failure:
        return step.name
    return f"{step.name}, attempt {step.attempt}; before that: {step.failure}"


def _next(report: OperationReport) -> list[str]:
    """Return the commands to type next."""
    trail = report.trail
    if report.progress is not None:
        return remedy_lines(report.progress, trail.workflow_id)
    if report.runs:
        return []
    steps = f"to see each step: {command('history', trail.cluster, trail.member, trail.workflow_id)}"
    # One of several parts that stopped half-way names itself what goes on with the rest.
    if not trail.ended_badly or trail.result is not None or GOES_ON in trail.outcome_text:
        return [steps]
    given = {**(trail.options or {}), "reason": trail.reason}
    again = start_again(trail.operation, trail.cluster, trail.member, given, dry_run=trail.dry_run)
    return [again, steps] if again else [steps]


def _ago(time: str, now: datetime) -> str:
    return f"{_span(time, now)} ago"


def _span(time: str, now: datetime) -> str:
    return elapsed(max(0.0, (now - datetime.fromisoformat(time)).total_seconds()))

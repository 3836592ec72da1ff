"""The checks of `doctor` on the webhook: its files and its server."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etcd_handoff.exit_status import EXIT_DONE, EXIT_UNREACHABLE, EXIT_USAGE

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.cli.doctor_checks import CheckResult
    from etcd_handoff.config.notifications import NotificationsProfile

UNWELCOME: Final = (401, 403, 404, 410)
"""Statuses that a receiver for POST seldom returns to our probe; it returns 405."""


async def check_webhook(webhook: NotificationsProfile | None) -> list[CheckResult]:
    """Check that events can be signed and that the receiver answers; no result without a webhook."""
    import asyncio

    from etcd_handoff.cli.doctor_checks import CheckResult
    from etcd_handoff.config.file_checks import webhook_faults

    if webhook is None:
        return []
    if faults := webhook_faults(webhook):
        return [CheckResult("webhook", "\n".join(faults), "correct the files that are named", EXIT_USAGE)]
    return [_check_secret(webhook.secret_file), await asyncio.to_thread(_check_server, webhook)]


def _check_secret(path: Path) -> CheckResult:
    """Check who may read and change the signing secret; another check has seen that it exists."""
    import stat

    from etcd_handoff.cli.doctor_checks import CheckResult

    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        verb = "change" if mode & stat.S_IWOTH else "read"
        text = f"everybody on this machine may {verb} {path}, and sign events with it"
        return CheckResult("webhook secret", text, f"`chmod 0600 {path}`, and give the receiver a new secret too")
    return CheckResult("webhook secret", f"{path} can be read, by mode {mode:04o}")


def _check_server(webhook: NotificationsProfile) -> CheckResult:
    """Check that the receiver answers, without sending an event.

    The message leaves out the URL's path, which may contain a token.
    """
    from urllib.parse import urlsplit

    from etcd_handoff.cli.doctor_checks import CheckResult
    from etcd_handoff.webhook import DeliveryError, reach

    host = urlsplit(webhook.url).hostname
    try:
        status = reach(webhook)
    except DeliveryError as error:
        remedy = "correct notifications.url or notifications.ca_file, or start the receiver; operations go on without"
        return CheckResult("webhook", f"{error} ({host})", remedy, EXIT_UNREACHABLE)
    finding = f"{host} answers {status}; events that are sent: {', '.join(webhook.events)}"
    unwelcome = "correct the path and the token in notifications.url; ignore this if the receiver takes POST alone"
    return CheckResult("webhook", finding, unwelcome if status in UNWELCOME else "", EXIT_DONE)

"""What `doctor` says of the webhook, with a real HTTP server on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from etcd_handoff import cli
from etcd_handoff.cli import doctor_temporal
from etcd_handoff.cli.doctor_webhook import check_webhook
from etcd_handoff.cli.errors import CommandError
from etcd_handoff.config.notifications import NotificationsProfile
from etcd_handoff.exit_status import EXIT_DONE, EXIT_UNREACHABLE, EXIT_USAGE
from etcd_handoff.lab.ports import Ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.receiver import Receiver


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file with a secret that its owner alone may read."""
    file = tmp_path / "secret"
    file.write_text("a secret of sixteen bytes or more\n")
    file.chmod(0o600)
    return file


async def test_webhook_that_takes_post_alone_is_there_and_is_sent_nothing(
    receiver: Receiver, secret_file: Path
) -> None:
    """Its answer to HEAD is an answer. Of the URL the host alone is told."""
    secret, server = await check_webhook(NotificationsProfile(url=receiver.url, secret_file=secret_file))
    assert (secret.status, secret.remedy, "0600" in secret.detail) == (EXIT_DONE, "", True)
    assert (server.status, server.remedy) == (EXIT_DONE, "")
    assert server.detail == "127.0.0.1 answers 405; events that are sent: blocked, approval-requested, ended"
    assert receiver.seen == []


async def test_without_a_webhook_nothing_is_said() -> None:
    """Most have none."""
    assert await check_webhook(None) == []


@pytest.mark.parametrize("answer", [401, 404, 410])
async def test_answer_that_may_mean_a_wrong_path_is_a_hint(receiver: Receiver, secret_file: Path, answer: int) -> None:
    """A receiver may give it to all but POST."""
    receiver.answers.append(answer)
    _, server = await check_webhook(NotificationsProfile(url=receiver.url, secret_file=secret_file))
    assert (server.status, f"answers {answer}" in server.detail) == (EXIT_DONE, True)
    assert "correct the path and the token" in server.remedy


async def test_server_that_is_away_is_told_without_the_path(secret_file: Path) -> None:
    """A token may be part of it; the host is told, which somebody may have mistyped."""
    leases = Ports("127.0.0.1")
    (port,) = leases.take(1)
    webhook = NotificationsProfile(url=f"http://127.0.0.1:{port}/T0KEN", secret_file=secret_file)
    _, server = await check_webhook(webhook)
    assert server.status == EXIT_UNREACHABLE
    assert server.detail == "the webhook cannot be reached: Connection refused (127.0.0.1)"
    assert "notifications.url" in server.remedy
    leases.close()


@pytest.mark.parametrize(("mode", "verb"), [(0o644, "read"), (0o602, "change")])
async def test_secret_that_is_open_to_everybody_is_a_hint(
    receiver: Receiver, secret_file: Path, mode: int, verb: str
) -> None:
    """Who has it can sign events."""
    secret_file.chmod(mode)  # noqa: ASYNC240  # a test may block
    secret, _ = await check_webhook(NotificationsProfile(url=receiver.url, secret_file=secret_file))
    assert secret.status == EXIT_DONE
    assert f"may {verb} {secret_file}" in secret.detail
    assert f"chmod 0600 {secret_file}" in secret.remedy


async def test_files_that_cannot_be_used_are_named(receiver: Receiver, tmp_path: Path) -> None:
    """As the worker names them, which does not start with them; nobody is asked then."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate")
    webhook = NotificationsProfile(url=receiver.url, secret_file=tmp_path / "gone", ca_file=ca_file)
    (found,) = await check_webhook(webhook)
    assert found.status == EXIT_USAGE
    secret, authority = found.detail.splitlines()
    assert secret.startswith("notifications.secret_file: cannot be read")
    assert authority.startswith("notifications.ca_file: ")


def test_doctor_looks_after_the_webhook_beside_what_else_is_wrong(
    receiver: Receiver, secret_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the last thing that it says."""

    async def unreachable() -> None:
        raise CommandError(4, "Temporal cannot be reached")

    monkeypatch.setattr(doctor_temporal, "connect_temporal", unreachable)
    config = secret_file.with_name("etcd-handoff.toml")
    etcd = '[clusters.prod.etcd]\nendpoints = ["https://a:2379"]\nca_file = "gone"\n'
    config.write_text(f'{etcd}[notifications]\nurl = "{receiver.url}"\nsecret_file = "{secret_file}"\n')
    assert cli.run(["doctor", "--config", str(config), "-o", "json"]) == EXIT_USAGE
    shown = {found["check"]: found["ok"] for found in json.loads(capsys.readouterr().out)["checks"]}
    assert shown == {
        "configuration": True,
        "files": False,
        "temporal": False,
        "webhook secret": True,
        "webhook": True,
    }

"""How a notice is delivered, to a real HTTP server on this machine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.notices import NoticeActivities
from etcd_handoff.config.file_checks import check_files
from etcd_handoff.config.notifications import NotificationsProfile
from etcd_handoff.errors import ConfigError
from etcd_handoff.lab.ports import Ports
from etcd_handoff.secret_words import without_secrets
from etcd_handoff.webhook import DeliveryError, deliver, read_secret, signature
from etcd_handoff.webhook_notice import Notice, NoticeEvent
from tests.unit.config_texts import GOOD, complaints, load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.receiver import Receiver

SECRET = "a secret of sixteen bytes or more"  # noqa: S105  # of nobody
NOTICE = Notice(event_id="run-blocked-1", event=NoticeEvent.BLOCKED, time="2026-01-01T00:00:00.000Z", cluster="prod")


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file with a secret."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    return file


def test_event_is_signed_over_id_timestamp_and_body(receiver: Receiver, secret_file: Path) -> None:
    """As docs/reference.md has a receiver check it."""
    assert deliver(NotificationsProfile(url=receiver.url, secret_file=secret_file), NOTICE) == 204
    ((headers, body),) = receiver.seen
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["webhook-id"] == json.loads(body)["id"] == "run-blocked-1"
    assert (SECRET in str(headers), SECRET.encode() in body) == (False, False)


def test_signature_is_that_of_the_specification() -> None:
    """The example of Standard Webhooks (its `spec/standard-webhooks.md` and libraries)."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_failed_attempt_is_repeated_with_the_same_body_and_id(receiver: Receiver, secret_file: Path) -> None:
    """Each answer but 2xx is a failure that Temporal retries; a redirect is not followed."""
    receiver.answers += [503, 302, 200]
    send = NoticeActivities(NotificationsProfile(url=receiver.url, secret_file=secret_file)).send_notice
    for words in ("the webhook answers 503", "the webhook answers 302"):
        with pytest.raises(ApplicationError, match=f"^NotDelivered: {words}$") as caught:
            await ActivityEnvironment().run(send, NOTICE)
        assert not caught.value.non_retryable
    assert await ActivityEnvironment().run(send, NOTICE) == 200
    assert len({body for _, body in receiver.seen}) == 1
    assert [headers["webhook-id"] for headers, _ in receiver.seen] == ["run-blocked-1"] * 3


def test_server_that_is_silent_or_away_is_told_without_its_address(secret_file: Path) -> None:
    """And its URL counts as a secret from then on."""
    leases = Ports("127.0.0.1")
    (port,) = leases.take(1)
    profile = NotificationsProfile(url=f"http://127.0.0.1:{port}/T0KEN", secret_file=secret_file, timeout_seconds=0.2)
    with pytest.raises(DeliveryError, match=r"^the webhook cannot be reached: Connection refused$"):
        deliver(profile, NOTICE)
    leases.close()
    assert without_secrets(f"POST {profile.url} failed") == "POST [secret] failed"


@pytest.mark.parametrize(
    ("text", "words"), [(None, "cannot be read: No such file or directory"), ("no PEM\n", "holds no certificate")]
)
def test_authority_that_cannot_be_used_any_more_is_named(secret_file: Path, text: str | None, words: str) -> None:
    """The file was there when the worker started; the webhook has nothing to do with it."""
    file = secret_file.with_name("ca.pem")
    if text is not None:
        file.write_text(text)
    with pytest.raises(DeliveryError) as caught:
        deliver(NotificationsProfile(url="https://127.0.0.1:1/", secret_file=secret_file, ca_file=file), NOTICE)
    remedy = "name a PEM file with the receiver's certificate authority"
    assert str(caught.value) == f"notifications.ca_file: {words}; {remedy}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file"),
        ("short\n", "less than 16 bytes in its first line; make it longer"),
        ("whsec_???\n", "what follows whsec_ is no base64"),
        ("whsec_ÄÖÜäöüÄÖÜäöü\n", "what follows whsec_ is no base64"),
    ],
)
def test_secret_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    """Without a word of it."""
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(DeliveryError, match=r"^notifications\.secret_file") as caught:
        read_secret(file)
    assert words in str(caught.value)


def test_secret_in_base64_is_decoded(tmp_path: Path) -> None:
    """As the specification writes secrets."""
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    assert read_secret(tmp_path / "secret") == base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_worker_does_not_start_with_files_that_cannot_be_used(config_file: Path) -> None:
    """Each has its line."""
    table = '[notifications]\nurl = "https://x/"\nsecret_file = "gone"\nca_file = "gone-too"\n'
    config = load(config_file, f'[clusters.prod.etcd]\nendpoints = ["http://a:2379"]\n{table}')
    with pytest.raises(ConfigError) as caught:
        check_files(config)
    secret, authority = str(caught.value).splitlines()
    assert secret.startswith("notifications.secret_file: cannot be read: No such file or directory; name a file")
    assert authority.startswith("notifications.ca_file: ")


async def test_worker_without_a_webhook_leaves_it_to_another_one() -> None:
    """Its configuration is older than that of the worker which took the operation up."""
    with pytest.raises(ApplicationError, match="has no table notifications") as caught:
        await ActivityEnvironment().run(NoticeActivities(None).send_notice, NOTICE)
    assert not caught.value.non_retryable


@pytest.mark.parametrize(
    ("lines", "field", "remedy"),
    [
        ('url = "ftp://x/"', "notifications.url", "is no URL; write it as https://host/path"),
        ('url = "https://ann:pw@x/"', "notifications.url", "holds no credentials; the receiver checks the signature"),
        ('url = "https://x:99999/"', "notifications.url", "is no URL"),
        ('url = "https://x/"\nevents = ["gone"]', "notifications.events.0", "blocked, approval-requested, ended"),
        ('url = "https://x/"\nevents = []', "notifications.events", "is empty; give at least one"),
        ('url = "https://x/"\nsecret = "s"', "notifications.secret", "known here: ca_file, events, secret_file,"),
        ('url = "https://x/"\ntimeout_seconds = 0', "notifications.timeout_seconds", "greater than 0"),
    ],
)
def test_wrong_setting_is_named(config_file: Path, lines: str, field: str, remedy: str) -> None:
    """With its remedy."""
    (line,) = complaints(config_file, f'{GOOD}[notifications]\nsecret_file = "s"\n{lines}\n')
    assert line.startswith(f"{field}: ")
    assert remedy in line


def test_secret_file_is_relative_to_the_configuration(config_file: Path) -> None:
    """As every other path."""
    notifications = load(config_file, f'{GOOD}[notifications]\nurl = "https://x/"\nsecret_file = "s"\n').notifications
    assert notifications is not None
    assert notifications.secret_file == config_file.parent / "s"
    assert notifications.events == ("blocked", "approval-requested", "ended")

"""What deploy/compose/make-secrets.sh makes for the services of compose.yaml, by OpenSSL's judgement; and ready.py."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from etcd_handoff.lab.ports import Ports
from etcd_handoff.temporal.probes import answering
from etcd_handoff.temporal.readiness import Verdict

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
READY = (sys.executable, str(COMPOSE / "ready.py"))


def run(*command: str | Path, text: str = "") -> tuple[int, str]:
    """Exit status and all that it says."""
    ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the script has run."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: the secrets of compose.yaml; install openssl")
    folder = tmp_path_factory.mktemp("secrets")
    status, output = run("sh", COMPOSE / "make-secrets.sh", folder)
    assert status == 0, output
    return folder


CERTIFICATES = [
    *[(f"nodes/node{number}", "etcd-ca", f"node{number}") for number in range(3)],
    *[(f"nodes/apiserver{number}", "kubernetes-ca", f"apiserver{number}") for number in range(3)],
    ("workers/etcd", "etcd-ca", ""),
    ("workers/kubernetes", "kubernetes-ca", ""),
    ("operator/kubernetes", "kubernetes-ca", ""),
]


@pytest.mark.parametrize(("name", "authority", "host"), CERTIFICATES)
def test_certificate_is_of_its_authority_and_belongs_to_its_key(
    secrets: Path, name: str, authority: str, host: str
) -> None:
    """For the host that others dial, and for loopback, where health checks ask; to servers and as a client."""
    folder = (secrets / name).parent
    for purpose in ("sslserver", "sslclient"):
        for options in (["-verify_hostname", host], ["-verify_ip", "127.0.0.1"]) if host else ([],):
            check = ["openssl", "verify", "-x509_strict", "-purpose", purpose, *options, "-CAfile"]
            status, output = run(*check, folder / f"{authority}.crt", f"{secrets / name}.crt")
            assert status == 0, output
    _, public = run("openssl", "x509", "-in", f"{secrets / name}.crt", "-noout", "-pubkey")
    assert run("openssl", "pkey", "-in", f"{secrets / name}.key", "-pubout") == (0, public)


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("workers/kubernetes", "CN=system:serviceaccount:etcd-handoff:etcd-handoff"),
        ("operator/kubernetes", "O=system:masters,CN=operator"),
    ],
)
def test_kubernetes_knows_who_shows_it(secrets: Path, name: str, subject: str) -> None:
    """The workers have the rights of deploy/rbac.yaml and no more."""
    show = ["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253,sep_comma_plus,-dn_rev", "-in"]
    assert run(*show, f"{secrets / name}.crt") == (0, f"subject={subject}\n")


def test_keys_are_for_their_owner_and_an_authority_stays_where_nobody_looks(secrets: Path) -> None:
    """Only a certificate of an authority leaves its folder."""
    for key in secrets.rglob("*.key"):
        assert key.stat().st_mode & 0o077 == 0
    outside = [path for path in secrets.glob("*/*-ca*") if path.parent.name != "authorities"]
    assert {path.name for path in outside} == {"etcd-ca.crt", "kubernetes-ca.crt"}


def test_passwords_are_long_and_differ(secrets: Path) -> None:
    """And have nothing in them that a shell or a URL would read otherwise."""
    passwords = [(secrets / name / "password").read_text().strip() for name in ("database", "grafana")]
    assert passwords[0] != passwords[1]
    assert all(len(password) == 48 and password.isalnum() for password in passwords)


def test_second_run_changes_nothing(secrets: Path) -> None:
    """`docker compose up` starts it again each time."""
    before = {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()}
    assert run("sh", COMPOSE / "make-secrets.sh", secrets)[0] == 0
    assert {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("good", [True, False])
async def test_health_check_of_an_image_ends_as_the_server_answers(*, good: bool) -> None:
    """And says what it said."""
    with contextlib.closing(Ports("127.0.0.1")) as ports:
        address = f"127.0.0.1:{ports.take(1)[0]}"
        async with answering(address, {"/readyz": lambda: Verdict(good, "because")}):
            status, output = await asyncio.to_thread(run, *READY, f"http://{address}/readyz")
        assert (status, output.strip().endswith("because")) == (0 if good else 1, True)
        status, output = run(*READY, f"http://{address}/readyz")
    assert (status, output.startswith(f"http://{address}/readyz: ")) == (1, True)
    assert "Traceback" not in output

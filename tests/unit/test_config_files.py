"""The files that the configuration names: certificates, keys and passwords, judged before they are used."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from etcd_handoff.certificate_ends import first_to_renew, kubeconfig_credentials
from etcd_handoff.certificate_expiry import Expiry
from etcd_handoff.config import ClusterProfile, Config, EtcdProfile, KubernetesProfile
from etcd_handoff.config.file_checks import check_files, file_faults
from etcd_handoff.errors import ConfigError
from etcd_handoff.pem import expiries
from etcd_handoff.temporal.credential_ends import all_expiries, first_ends, temporal_expiries
from tests.unit.config_texts import ENDPOINTS, GOOD, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates and keys as people have them, made by openssl."""
    folder, program = tmp_path_factory.mktemp("pems"), shutil.which("openssl")
    assert program, "openssl is needed"

    def openssl(*arguments: str) -> None:
        subprocess.run([program, *arguments], check=True, capture_output=True, cwd=folder)

    new = ("req", "-x509", "-nodes", "-days", "400", "-subj")
    openssl(*new, "/O=etcd/CN=root", "-newkey", "rsa:2048", "-keyout", "key.pem", "-out", "cert.pem")
    openssl(
        *new, "/CN=other", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-keyout", "ec.key", "-out", "ec.pem"
    )
    openssl("rsa", "-in", "key.pem", "-aes128", "-passout", "pass:x", "-traditional", "-out", "traditional.key")
    openssl("pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:x", "-out", "encrypted.key")
    both = (folder / "cert.pem").read_text() + (folder / "ec.pem").read_text()
    (folder / "both.pem").write_text(f"# Käse, and two authorities\n{both}", encoding="utf-8")
    (folder / "empty.pem").touch()
    (folder / "text.pem").write_text("hello\n")
    body = (folder / "cert.pem").read_text().splitlines()
    (folder / "broken.pem").write_text("\n".join([body[0], body[1], body[-1]]))
    (folder / "broken.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    (folder / "password").write_text("s3cr3t\n")
    return folder


def faults(pems: Path, **files: str) -> list[str]:
    """What is said against a profile with these files, without their folder."""
    fields = {key: pems / value for key, value in files.items()}
    user = {"username": "root"} if "password_file" in files else {}
    etcd = EtcdProfile.model_validate({"endpoints": ["https://10.0.0.1:2379"], **fields, **user})
    return [line.replace(f"{pems}/", "") for line in file_faults("prod", ClusterProfile(etcd=etcd))]


def test_files_that_hold_what_they_should_are_taken(pems: Path) -> None:
    """RSA and P-521, several authorities in one config_file, and text around them."""
    good = {"ca_file": "both.pem", "cert_file": "cert.pem", "key_file": "key.pem", "password_file": "password"}
    assert faults(pems, **good) == []
    assert faults(pems, ca_file="cert.pem", cert_file="ec.pem", key_file="ec.key") == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"ca_file": "key.pem"},
            "etcd.ca_file: key.pem holds no certificate, but: private key; name the certificate of",
        ),
        ({"ca_file": "empty.pem"}, "etcd.ca_file: empty.pem holds no certificate: it is empty"),
        ({"ca_file": "text.pem"}, "etcd.ca_file: text.pem holds no certificate: it is no PEM file"),
        ({"ca_file": "broken.pem"}, "etcd.ca_file: broken.pem has a broken certificate"),
        ({"ca_file": "gone.pem"}, "etcd.ca_file: gone.pem cannot be read: No such file or directory; correct the path"),
        (
            {"cert_file": "key.pem", "key_file": "cert.pem"},
            "etcd.cert_file: key.pem holds no certificate, but: private key; are cert_file and key_file swapped?",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "cert.pem"},
            "etcd.key_file: cert.pem holds no private key, but: certificate",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "ec.key"},
            "etcd.key_file: ec.key is not the key of the certificate in cert.pem; name the private key",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "encrypted.key"},
            "encrypted.key has an encrypted key; store it without",
        ),
        ({"cert_file": "cert.pem", "key_file": "traditional.key"}, "traditional.key has an encrypted key"),
        ({"cert_file": "cert.pem", "key_file": "broken.key"}, "etcd.key_file: broken.key has a broken key"),
        ({"password_file": "empty.pem"}, "etcd.password_file: empty.pem has no password in its first line; write the"),
    ],
)
def test_file_that_holds_something_else_is_named(pems: Path, files: dict[str, str], words: str) -> None:
    """Field, config_file, what it holds instead and what to do, where else a handshake would fail without a cause."""
    (line,) = faults(pems, **files)
    assert line.startswith("clusters.prod.etcd.")
    assert words in line
    assert "; " in line
    assert "s3cr3t" not in line


def test_all_files_are_judged_at_once(pems: Path, config_file: Path) -> None:
    """Those of every profile, each with its line; a kubeconfig has to be readable."""
    tls = f'ca_file = "{pems}/key.pem"\n'
    text = GOOD + tls + '[clusters.prod.kubernetes]\nkubeconfig = "gone"\n[clusters.dev.etcd]\n' + ENDPOINTS + tls
    config = load(config_file, text)
    with pytest.raises(ConfigError) as caught:
        check_files(config)
    fields = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert fields == ["clusters.prod.etcd.ca_file", "clusters.prod.kubernetes.kubeconfig", "clusters.dev.etcd.ca_file"]
    check_files(load(config_file, GOOD))


def test_certificates_are_read_for_their_ends(pems: Path) -> None:
    """They are told before they come."""
    first, second = expiries((pems / "both.pem").read_text(encoding="utf-8"))
    assert 399 <= (first - datetime.now(UTC)).days <= 400
    assert second > datetime.now(UTC)
    with pytest.raises(ConfigError, match="broken"):
        expiries((pems / "broken.pem").read_text())
    assert expiries("") == []


def test_certificates_of_a_kubeconfig_are_found(pems: Path, tmp_path: Path) -> None:
    """Of the contexts that the profile names alone: in the file itself, and in files that it names."""
    inline = base64.b64encode((pems / "cert.pem").read_bytes()).decode()
    content = {
        "current-context": "a",
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in ("a", "b")],
        "users": [
            {"name": "a", "user": {"client-certificate-data": inline}},
            {"name": "b", "user": {"client-certificate": str(pems / "ec.pem")}},
        ],
        "clusters": [{"name": "a", "cluster": {"certificate-authority-data": inline}}, {"name": "b", "cluster": {}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(content))

    def found(*contexts: str) -> list[str]:
        profile = KubernetesProfile(kubeconfig=kubeconfig, contexts=contexts)
        return [found.what.partition(" in ")[0] for found in kubeconfig_credentials(profile)]

    assert found() == ["client-certificate of user a", "certificate-authority of cluster a"]
    assert found("b") == ["client-certificate of user b"]
    for odd in ("[", "7", '{"contexts": 1}', '{"contexts": [1, {"name": "a", "context": 3}]}', '{"users": null}'):
        kubeconfig.write_text(odd)
        assert found("a") == []


def token(**claims: object) -> str:
    """A JWT, which nobody has signed."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.x"


def test_tokens_of_a_kubeconfig_are_read_for_their_end(tmp_path: Path) -> None:
    """The file counts where both are there; what is no JWT tells nothing."""
    (tmp_path / "token").write_text(token(exp=2_000_000_000, iat=1_900_000_000) + "\n")
    kubeconfig, profile = tmp_path / "kubeconfig", KubernetesProfile(kubeconfig=tmp_path / "kubeconfig")

    def found(user: dict[str, object]) -> list[tuple[str, float]]:
        contexts = [{"name": "a", "context": {"cluster": "a", "user": "a"}}]
        content = {"current-context": "a", "contexts": contexts, "users": [{"name": "a", "user": user}]}
        kubeconfig.write_text(json.dumps(content))
        return [(e.what.partition(" in ")[0], e.when.timestamp()) for e in kubeconfig_credentials(profile)]

    assert found({"token": token(exp=7)}) == [("token of user a", 7)]
    assert found({"token": "opaque", "tokenFile": "token"}) == [("tokenFile of user a", 2_000_000_000)]
    nothing: list[dict[str, object]] = [{"token": "opaque"}, {"tokenFile": "absent"}, {"exec": {"command": "aws"}}]
    nothing += [{"token": text} for text in (7, "a.b.c", "eyJ9.WzFd.x")]
    nothing += [{"token": token(exp=odd)} for odd in ("7", True, 1e300, None)]
    assert [found(user) for user in nothing] == [[]] * len(nothing)


def test_short_life_becomes_a_hint_late() -> None:
    """A token for an hour is renewed by something: a month ahead of its end it would always be a hint."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    hour, year = timedelta(hours=1), timedelta(days=365)
    for lasts, left, soon in [
        (hour, 7 * hour / 60, False),
        (hour, 5 * hour / 60, True),
        (year, timedelta(days=31), False),
        (year, timedelta(days=29), True),
        (None, timedelta(days=29), True),
        (hour, -hour, True),
    ]:
        assert Expiry("token", now + left, lasts).is_soon(now) is soon, (lasts, left)
    first = Expiry("a certificate", now + year)
    assert first_to_renew([Expiry("token", now + hour, hour), first]) == first.when
    assert first_to_renew([Expiry("token", now + hour, hour)]) is None


def test_credentials_for_temporal_are_read_from_the_environment(pems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client certificate and an API key end as others do; a broken environment is told by another check."""
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", "/nonexistent.toml")
    assert temporal_expiries() == []
    monkeypatch.setenv("TEMPORAL_API_KEY", token(exp=7))
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(pems / "cert.pem"))
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(pems / "key.pem"))
    assert [found.what for found in temporal_expiries()] == ["Temporal's API key", "Temporal's client certificate"]
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nonexistent.pem")
    assert temporal_expiries() == []


def test_first_end_is_told_for_each_server(pems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics show it by cluster profile; what the kubelet or a timer renews is left out."""
    monkeypatch.setenv("TEMPORAL_API_KEY", token(exp=7))
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    user = {"name": "a", "user": {"token": token(exp=9, iat=1)}}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({"current-context": "a", "contexts": [context], "users": [user]}))
    etcd = EtcdProfile.model_validate({"endpoints": ("https://h:2379",), "ca_file": pems / "cert.pem"})
    profile = ClusterProfile(etcd=etcd, kubernetes=KubernetesProfile(kubeconfig=kubeconfig))
    ends = first_ends(Config(clusters={"prod": profile}))
    assert set(ends) == {("prod", "temporal"), ("prod", "etcd")}
    assert ends["prod", "temporal"] == 7
    assert [e.what.partition(" ")[0] for e in all_expiries(profile)] == ["etcd.ca_file", "token", "Temporal's"]

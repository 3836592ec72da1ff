"""TLS to a real etcd: what is missing or wrong is said, and renewed files are used."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest

from etcd_handoff.errors import (
    NotEnoughStartedError,
    UnreachableError,
)
from etcd_handoff.lab.processes import run
from tests.integration.etcd_gateways import gateway_to, refused, serving, single

if TYPE_CHECKING:
    from pathlib import Path


async def openssl(folder: Path, *arguments: str) -> None:
    """Run the openssl binary in `folder`; without it this test cannot be run, which is a failure."""
    program = shutil.which("openssl")
    if program is None:
        pytest.fail("certificates are made with the openssl program, and there is none in PATH: install it")
    status, _, errors = await run([program, *arguments], {}, folder)
    assert status == 0, errors


NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


async def authority(folder: Path, name: str) -> None:
    """`name`.pem and `name`.key: a certificate authority."""
    await openssl(
        folder, "req", "-x509", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"
    )


async def certificate(folder: Path, ca: str, name: str, usage: str) -> None:
    """`name`.pem and `name`.key, for the host name `name` alone, signed by `ca`."""
    subject = ("-subj", f"/CN={name}")
    await openssl(folder, "req", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", *subject)
    (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage={usage}\n")
    signed = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-extfile", f"{name}.ext")
    await openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")


async def test_mutual_tls(tmp_path: Path) -> None:
    """With its certificate, authority and name it works; whatever is missing or wrong is said without an address."""
    for name in ("ca", "stranger"):
        await authority(tmp_path, name)
    await certificate(tmp_path, "ca", "etcd.example", "serverAuth,clientAuth")
    await certificate(tmp_path, "ca", "client.example", "clientAuth")
    await certificate(tmp_path, "stranger", "forged.example", "clientAuth")
    flags = (
        f"--cert-file={tmp_path}/etcd.example.pem",
        f"--key-file={tmp_path}/etcd.example.key",
        f"--trusted-ca-file={tmp_path}/ca.pem",
        "--client-cert-auth",
    )

    def identity(name: str) -> dict[str, Path]:
        return {"cert_file": tmp_path / f"{name}.pem", "key_file": tmp_path / f"{name}.key"}

    trust = {"ca_file": tmp_path / "ca.pem", "tls_server_name": "etcd.example"}
    async with single(tmp_path, "https", flags) as (url, etcd):
        async with gateway_to(url, **trust, **identity("client.example")) as gateway:
            view = await serving(gateway, etcd)
            (member,) = view.members
            assert (member.name, member.reachable) == ("node0", True)
            await refused(
                gateway.remove_member(member.id, member.id), NotEnoughStartedError, words="not enough started"
            )
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"ca_file": tmp_path / "ca.pem", **identity("client.example")}, "the certificate is for another name"),
            (
                {**trust, "tls_server_name": "other.example", **identity("client.example")},
                "the certificate is for another name",
            ),
            (
                {**trust, "ca_file": tmp_path / "stranger.pem", **identity("client.example")},
                "CERTIFICATE_VERIFY_FAILED",
            ),
            (trust, ""),
            ({**trust, **identity("forged.example")}, ""),
        ]
        for options, words in wrong:
            async with gateway_to(url, **options) as gateway:
                await refused(gateway.observe(), UnreachableError, words=words)
                with pytest.raises(UnreachableError) as caught:
                    await gateway.observe()
                assert ".example" not in str(caught.value)
        async with gateway_to(url.replace("https", "http")) as gateway:
            await refused(gateway.observe(), UnreachableError)


async def test_renewed_certificates_are_used(tmp_path: Path) -> None:
    """By the gateway that has met with the old ones: certificate managers rename the new files into place."""
    for name in ("ca", "stranger"):
        await authority(tmp_path, name)
    await certificate(tmp_path, "ca", "etcd.example", "serverAuth,clientAuth")
    await certificate(tmp_path, "ca", "client.example", "clientAuth")
    await certificate(tmp_path, "stranger", "expired.example", "clientAuth")
    flags = (
        f"--cert-file={tmp_path}/etcd.example.pem",
        f"--key-file={tmp_path}/etcd.example.key",
        f"--trusted-ca-file={tmp_path}/ca.pem",
        "--client-cert-auth",
    )
    files = {"ca_file": "stranger.pem", "cert_file": "expired.example.pem", "key_file": "expired.example.key"}
    (mine := tmp_path / "mine").mkdir()
    for key, name in files.items():
        shutil.copy(tmp_path / name, mine / key)
    options = {key: mine / key for key in files}
    good = {"ca_file": "ca.pem", "cert_file": "client.example.pem", "key_file": "client.example.key"}
    async with single(tmp_path, "https", flags) as (url, etcd):
        trust = {"tls_server_name": "etcd.example"}
        async with gateway_to(url, **{key: tmp_path / name for key, name in good.items()}, **trust) as gateway:
            await serving(gateway, etcd)
        async with gateway_to(url, **options, **trust) as gateway:
            await refused(gateway.observe(), UnreachableError, words="CERTIFICATE_VERIFY_FAILED")
            shutil.copy(tmp_path / "ca.pem", tmp_path / "new")
            (tmp_path / "new").rename(mine / "ca_file")
            await refused(gateway.observe(), UnreachableError)
            for key in ("cert_file", "key_file"):
                shutil.copy(tmp_path / good[key], tmp_path / "new")
                (tmp_path / "new").rename(mine / key)
            (member,) = (await serving(gateway, etcd)).members
            assert member.reachable

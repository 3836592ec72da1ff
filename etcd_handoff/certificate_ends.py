"""Find when the certificates and tokens of a profile expire, including those in its kubeconfig."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from etcd_handoff.certificate_expiry import Expiry, certificate_expiries, token_expiries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from etcd_handoff.config import ClusterProfile, EtcdProfile, KubernetesProfile


def etcd_certificates(profile: EtcdProfile) -> Iterator[Expiry]:
    """Yield the end of each certificate of the profile; broken files are left to other checks."""
    for field, path in (("cert_file", profile.cert_file), ("ca_file", profile.ca_file)):
        if path is not None:
            yield from certificate_expiries(f"etcd.{field} {path}", _read(path))


def kubeconfig_credentials(profile: KubernetesProfile) -> Iterator[Expiry]:
    """Yield the end of each certificate and token of the kubeconfig contexts that the profile names.

    What a credential plugin or an auth provider gives is not known here.
    """
    import yaml

    if profile.kubeconfig is None:
        return
    try:
        content = yaml.safe_load(_read(profile.kubeconfig))
    except yaml.YAMLError:
        return
    if not isinstance(content, dict):
        return
    names = profile.contexts or (str(content.get("current-context") or ""),)
    contexts = [_named(content, "contexts", name).get("context") or {} for name in names]
    parts = (("users", "user", "client-certificate"), ("clusters", "cluster", "certificate-authority"))
    for kind, key, certificate in parts:
        for name in dict.fromkeys(str(context.get(key)) for context in contexts if isinstance(context, dict)):
            entry = _named(content, kind, name).get(key)
            if isinstance(entry, dict):
                text = _text(entry, certificate, profile.kubeconfig.parent)
                place = f"of {key} {name} in {profile.kubeconfig}"
                yield from certificate_expiries(f"{certificate} {place}", text)
                yield from _tokens(place, entry, profile.kubeconfig.parent)


def expiries_of(profile: ClusterProfile) -> Iterator[Expiry]:
    """Yield the end of each certificate and token for etcd and for Kubernetes that can be read."""
    yield from etcd_certificates(profile.etcd)
    if profile.kubernetes is not None:
        yield from kubeconfig_credentials(profile.kubernetes)


def first_end(profile: ClusterProfile) -> datetime | None:
    """Return when the first credential ends that people renew; None where the profile names none that can be read."""
    return first_to_renew(expiries_of(profile))


def first_to_renew(expiries: Iterable[Expiry]) -> datetime | None:
    """Return the first of these ends that people renew; None where there is none."""
    return min((expiry.when for expiry in expiries if not expiry.renewed_by_machines), default=None)


def _tokens(place: str, user: dict[str, Any], folder: Path) -> Iterator[Expiry]:
    """Yield the end of the token that counts: as in client-go, the one in a file if both are present."""
    if user.get("tokenFile"):
        yield from token_expiries(f"tokenFile {place}", _read(folder / str(user["tokenFile"])))
    elif user.get("token"):
        yield from token_expiries(f"token {place}", str(user["token"]))


def _named(content: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return the entry of that name in a list of a kubeconfig, empty if there is none."""
    entries = content.get(kind)
    if not isinstance(entries, list):
        return {}
    return next((e for e in entries if isinstance(e, dict) and e.get("name") == name), {})


def _text(entry: dict[str, Any], key: str, folder: Path) -> str:
    """Return a certificate that a kubeconfig contains, or one in a file that it names."""
    if data := entry.get(f"{key}-data"):
        try:
            return base64.b64decode(str(data)).decode("ascii", errors="replace")
        except binascii.Error:
            return ""
    return _read(folder / str(entry[key])) if entry.get(key) else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

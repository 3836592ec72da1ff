"""When the certificates of a profile expire, those in its kubeconfig included."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from etcd_handoff.config import ClusterProfile, EtcdProfile, KubernetesProfile

EXPIRY_HINT_DAYS: Final = 30
"""So many days before it ends, a certificate becomes a hint."""


def etcd_certificates(profile: EtcdProfile) -> Iterator[tuple[str, datetime]]:
    """Yield a description and the expiry of each certificate of the profile; broken files are left to other checks."""
    for field, path in (("cert_file", profile.cert_file), ("ca_file", profile.ca_file)):
        if path is not None:
            yield from _ends(f"etcd.{field} {path}", _read(path))


def kubeconfig_certificates(profile: KubernetesProfile) -> Iterator[tuple[str, datetime]]:
    """Yield the same for the users and clusters of the contexts that the profile names."""
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
                yield from _ends(f"{certificate} of {key} {name} in {profile.kubeconfig}", text)


def certificates_of(profile: ClusterProfile) -> Iterator[tuple[str, datetime]]:
    """Each certificate for etcd and for Kubernetes that can be read: what it is, and when it ends."""
    yield from etcd_certificates(profile.etcd)
    if profile.kubernetes is not None:
        yield from kubeconfig_certificates(profile.kubernetes)


def first_end(profile: ClusterProfile) -> datetime | None:
    """When the first of all these ends; None where the profile names none that can be read."""
    return min((when for _, when in certificates_of(profile)), default=None)


def _named(content: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return the entry of that name in a list of a kubeconfig, empty if there is none."""
    entries = content.get(kind)
    if not isinstance(entries, list):
        return {}
    return next((e for e in entries if isinstance(e, dict) and e.get("name") == name), {})


def _text(entry: dict[str, Any], key: str, folder: Path) -> str:
    """Return a certificate that a kubeconfig contains, or that is in a file that it names."""
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


def _ends(what: str, text: str) -> Iterator[tuple[str, datetime]]:
    from etcd_handoff.errors import ConfigError
    from etcd_handoff.pem import certificates

    try:
        chain = certificates(text)
    except ConfigError:
        return
    for number, certificate in enumerate(chain, 1):
        of_several = f" ({number} of {len(chain)})" if len(chain) > 1 else ""
        yield f"{what}{of_several}", certificate.expires

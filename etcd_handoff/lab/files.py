"""The files of a lab: those that API servers share, kubeconfig files, and the product's configuration."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

from etcd_handoff.lab.nodes import TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from etcd_handoff.lab.options import LabOptions


def write_shared_files(folder: Path) -> None:
    """Write what all API servers share: the service accounts' key and the administrator's token.

    The key is a fresh P-256 scalar in the DER of RFC 5915. Readers derive the public half.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scalar = bytes([secrets.randbelow(255)]) + secrets.token_bytes(31)
    der = bytes.fromhex("30310201010420") + scalar + bytes.fromhex("a00a06082a8648ce3d030107")
    pem = base64.encodebytes(der).decode()
    key = f"-----BEGIN EC PRIVATE KEY-----\n{pem}-----END EC PRIVATE KEY-----\n"
    (folder / "service-account.key").write_text(key)
    (folder / "tokens.csv").write_text(f'{TOKEN},lab,lab,"system:masters"\n')


def write_kubeconfig(path: Path, servers: Mapping[str, str], user: dict[str, str], ca_file: Path | None = None) -> None:
    """Write a kubeconfig with one context per API server.

    With a `ca_file`, the API servers are verified.

    Args:
        path: The file.
        servers: URLs of API servers, by name of the context.
        user: The user's credentials.
        ca_file: Authorities to verify the API servers against.
    """
    names = list(servers)
    trust = {"certificate-authority": str(ca_file)} if ca_file else {"insecure-skip-tls-verify": True}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": names[0],
        "clusters": [{"name": name, "cluster": {"server": url, **trust}} for name, url in servers.items()],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "lab"}} for name in names],
    }
    path.write_text(json.dumps(content, indent=2))


def write_config(
    path: Path,
    options: LabOptions,
    etcd: Mapping[str, str | Sequence[str]],
    kubernetes: Mapping[str, str | Sequence[str]] | None,
    nodes: Mapping[str, str],
) -> None:
    """Write the product's configuration file for this cluster.

    Args:
        path: The file.
        options: The lab's options.
        etcd: The table `etcd`.
        kubernetes: The table `kubernetes`; None without one.
        nodes: The table `nodes`: nodes by member, if their names differ.
    """
    cluster = options.cluster
    tables = {
        "": {"remover": options.remover, **dict(options.policies)},
        ".nodes": nodes,
        ".etcd": etcd,
        ".kubernetes": kubernetes or {},
    }
    lines: list[str] = []
    for name, table in tables.items():
        if table:
            lines += [f"[clusters.{cluster}{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
            lines.append("")
    path.write_text("\n".join(lines))

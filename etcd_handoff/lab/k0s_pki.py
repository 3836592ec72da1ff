"""Certificates in k0s's layout on a controller: one authority for etcd, one for Kubernetes, a folder per node.

Paths, names and hosts are those of k0s (`pkg/config/cfgvars.go`, `pkg/component/controller/etcd.go` and
`cmd/controller/certificates.go` of v1.36). etcd's server certificate names only this machine's loopback address, unless
other nodes are to reach it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import yaml

from etcd_handoff.lab import http
from etcd_handoff.lab.binaries.catalog import MissingBinaryError

try:
    import trustme
except ModuleNotFoundError as error:
    _MISSING = "a lab of isolated nodes needs the Python package trustme. Remedy: install requirements/dev.txt."
    raise MissingBinaryError(_MISSING) from error

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node

LOOPBACK: Final = ("127.0.0.1", "localhost")
CLIENT_HOST: Final = "localhost"
"""Host name in certificates of clients. Go refuses a certificate without alternative names."""
KEY_MODE: Final = 0o640
"""Mode of keys and of similar files of k0s (`CertSecureMode` in `pkg/constant/constant.go`)."""
OWNER_MODE: Final = 0o600


class K0sPki:
    """The certificates of a lab of isolated nodes.

    Args:
        folder: The lab's folder. A node's certificates are in `<folder>/<node>/pki`, like in k0s's `/var/lib/k0s/pki`.

    Attributes:
        kubernetes_ca: The authority to verify API servers against.
        etcd_ca: The authority to verify members against.
        access: The lab's own credentials for members.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._etcd, self._kubernetes = trustme.CA(), trustme.CA()
        own = folder / "certificates"
        own.mkdir(parents=True, exist_ok=True)
        self.kubernetes_ca, self.etcd_ca = own / "kubernetes-ca.crt", own / "etcd-ca.crt"
        self._kubernetes.cert_pem.write_to_path(str(self.kubernetes_ca))
        self._etcd.cert_pem.write_to_path(str(self.etcd_ca))
        nobody = own / "nobody.pem"
        self._etcd.issue_cert(CLIENT_HOST).private_key_and_cert_chain_pem.write_to_path(str(nobody))
        self.access = http.Access(self.etcd_ca, nobody, nobody)

    def issue(self, node: Node) -> None:
        """Create the node's folder, with all files that etcd, the API server and their clients need."""
        pki = self.folder(node.name)
        (pki / "etcd").mkdir(parents=True, exist_ok=True)
        for name, authority in (("ca", self._kubernetes), ("etcd/ca", self._etcd)):
            _write(pki / f"{name}.crt", authority.cert_pem)
            _write(pki / f"{name}.key", authority.private_key_pem)
        hosts = (*LOOPBACK, node.address) if node.shared else LOOPBACK
        self._issue(pki, "etcd/server", self._etcd, "etcd-server", "etcd-server", *hosts)
        self._issue(pki, "etcd/peer", self._etcd, node.address, "etcd-peer", node.address)
        client = "apiserver-etcd-client"
        self._issue(pki, client, self._etcd, client, client, *LOOPBACK)
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", *LOOPBACK, node.address)
        self._issue(pki, "server", self._kubernetes, "kubernetes", "kubernetes", *names)
        self._issue(pki, "admin", self._kubernetes, "kubernetes-admin", "system:masters", CLIENT_HOST)
        _write_admin_kubeconfig(pki, f"https://localhost:{node.api_port}")

    def folder(self, node: str) -> Path:
        """Return the folder of a node's certificates."""
        return self._folder / node / "pki"

    def profile(self, node: str) -> dict[str, str]:
        """Return the profile settings for etcd's TLS on the node."""
        pki = self.folder(node)
        client = pki / "apiserver-etcd-client"
        files = {"ca_file": pki / "etcd" / "ca.crt"}
        files |= {"cert_file": client.with_suffix(".crt"), "key_file": client.with_suffix(".key")}
        return {key: str(path) for key, path in files.items()}

    def etcd_flags(self, node: Node) -> list[str]:
        """Return etcd's flags for certificates."""
        pki = self.folder(node.name) / "etcd"
        ca, server, peer = pki / "ca.crt", pki / "server", pki / "peer"
        return [
            f"--cert-file={server}.crt",
            f"--key-file={server}.key",
            "--client-cert-auth",
            f"--trusted-ca-file={ca}",
            f"--peer-cert-file={peer}.crt",
            f"--peer-key-file={peer}.key",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={ca}",
        ]

    def apiserver_flags(self, node: Node) -> list[str]:
        """Return an API server's flags for certificates."""
        pki = self.folder(node.name)
        etcd = self.profile(node.name)
        return [
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--etcd-cafile={etcd['ca_file']}",
            f"--etcd-certfile={etcd['cert_file']}",
            f"--etcd-keyfile={etcd['key_file']}",
        ]

    def _issue(self, pki: Path, name: str, authority: trustme.CA, user: str, group: str, *hosts: str) -> None:
        issued = authority.issue_cert(*hosts, common_name=user, organization_name=group)
        (pki / f"{name}.crt").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        _write(pki / f"{name}.key", issued.private_key_pem)


def _write(path: Path, pem: trustme.Blob) -> None:
    path.write_bytes(pem.bytes())
    if path.suffix == ".key":
        path.chmod(KEY_MODE)


def _write_admin_kubeconfig(pki: Path, server: str) -> None:
    """Write `pki/admin.conf`: one context, for the node's own API server, with all credentials embedded."""

    def encoded(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    user = {"client-certificate-data": encoded("admin.crt"), "client-key-data": encoded("admin.key")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "local", "cluster": {"server": server, "certificate-authority-data": encoded("ca.crt")}},
        ],
        "contexts": [{"name": "Default", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "Default",
        "users": [{"name": "user", "user": user}],
    }
    path = pki / "admin.conf"
    path.touch(OWNER_MODE)
    path.write_text(yaml.safe_dump(content))

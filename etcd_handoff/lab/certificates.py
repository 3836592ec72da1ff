"""Certificates of a lab with TLS on every link.

One authority is for servers and one for clients, so that each side can be renewed without the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab.binaries.catalog import MissingBinaryError

try:
    import trustme
except ModuleNotFoundError as error:
    _MISSING = "a lab with TLS needs the Python package trustme. Remedy: install requirements/dev.txt."
    raise MissingBinaryError(_MISSING) from error

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

HOSTS: Final = ("127.0.0.1", "localhost")
CLIENT_HOST: Final = "localhost"
"""A host name that no client uses. Go refuses a certificate without alternative names."""
ROOT_USER: Final = "root"
"""Common name in the certificates of API servers, and of the lab itself for gRPC."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files; `both` has both of them."""

    cert: Path
    key: Path

    @property
    def both(self) -> Path:
        """One file with the certificate and the key."""
        return self.cert.with_suffix(".pem")


class Certificates:
    """All certificates of a lab. Renewal replaces each file as a whole, by renaming.

    Args:
        folder: Folder of the files.

    Attributes:
        servers_ca: The authority that clients, and members among each other, verify servers against.
        clients_ca: Authorities that servers verify clients against. The servers' authority is among them, as etcd's
            JSON gateway and its peers show the server's own certificate (etcd `server/embed/serve.go`).
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._servers, self._clients = trustme.CA(), trustme.CA()
        self._known: dict[str, str | None] = {}
        self.servers_ca, self.clients_ca = folder / "servers-ca.crt", folder / "clients-ca.crt"
        self.server = self._pair("server")
        self._write_authorities()
        self._issue_server()
        self.root, self.nobody = self.client("root", ROOT_USER), self.client("nobody", None)

    def client(self, name: str, user: str | None, not_after: datetime | None = None) -> Pair:
        """Issue or renew a client certificate, with `user` as common name if it is given."""
        self._known[name] = user
        pair = self._pair(name)
        self._write(pair, self._clients.issue_cert(CLIENT_HOST, common_name=user, not_after=not_after))
        return pair

    def renew_clients(self) -> None:
        """Replace the clients' authority and all client certificates, so that servers refuse the old ones.

        Servers read their authorities only when they start.
        """
        self._clients = trustme.CA()
        self._write_authorities()
        for name, user in self._known.items():
            self.client(name, user)

    def renew_servers(self) -> None:
        """Replace the servers' authority and certificate; clients must read the new authority."""
        self._servers = trustme.CA()
        self._write_authorities()
        self._issue_server()

    def etcd_flags(self) -> list[str]:
        """Return etcd's flags for certificates."""
        cert, key = self.server.cert, self.server.key
        return [
            f"--cert-file={cert}",
            f"--key-file={key}",
            "--client-cert-auth",
            f"--trusted-ca-file={self.clients_ca}",
            f"--peer-cert-file={cert}",
            f"--peer-key-file={key}",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={self.servers_ca}",
        ]

    def apiserver_flags(self) -> list[str]:
        """Return an API server's flags for certificates."""
        return [
            f"--tls-cert-file={self.server.cert}",
            f"--tls-private-key-file={self.server.key}",
            f"--etcd-cafile={self.servers_ca}",
            f"--etcd-certfile={self.root.cert}",
            f"--etcd-keyfile={self.root.key}",
        ]

    def _issue_server(self) -> None:
        self._write(self.server, self._servers.issue_cert(*HOSTS))

    def _write_authorities(self) -> None:
        servers, clients = self._servers.cert_pem.bytes(), self._clients.cert_pem.bytes()
        _replace(self.servers_ca, servers)
        _replace(self.clients_ca, servers + clients)

    def _pair(self, name: str) -> Pair:
        return Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")

    def _write(self, pair: Pair, issued: trustme.LeafCert) -> None:
        cert = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        key = issued.private_key_pem.bytes()
        _replace(pair.both, cert + key)
        _replace(pair.key, key)
        _replace(pair.cert, cert)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)

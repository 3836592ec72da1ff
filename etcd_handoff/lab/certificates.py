"""Certificates of a lab with TLS on every link: two authorities, one for servers and one for clients, both renewable.

With two of them, what clients show can be renewed without what they check, and the other way round.
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
"""Nobody asks for it, but Go refuses a certificate whose list of alternative names is empty."""
ROOT_USER: Final = "root"
"""Common name of what API servers show, and the lab itself where it speaks gRPC."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files; `both` has one after the other."""

    cert: Path
    key: Path

    @property
    def both(self) -> Path:
        """One file with the certificate and the key."""
        return self.cert.with_suffix(".pem")


class Certificates:
    """All certificates of one lab; files are replaced as a whole, by renaming, when they are renewed.

    Args:
        folder: Where they lie.

    Attributes:
        servers_ca: What clients, and members among themselves, check servers against.
        clients_ca: What servers check clients against. It holds the servers' authority too, as etcd's JSON gateway
            and its peers show the server's own certificate (etcd `server/embed/serve.go`).
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
        """A client certificate, new or renewed, in files of this name; its common name is `user`, if any."""
        self._known[name] = user
        pair = self._pair(name)
        self._write(pair, self._clients.issue_cert(CLIENT_HOST, common_name=user, not_after=not_after))
        return pair

    def renew_clients(self) -> None:
        """A new authority for clients, and new certificates in the same files: the old ones are refused.

        Servers read their authorities when they start.
        """
        self._clients = trustme.CA()
        self._write_authorities()
        for name, user in self._known.items():
            self.client(name, user)

    def renew_servers(self) -> None:
        """A new authority for servers, and a new certificate in the same files: clients must read the authority."""
        self._servers = trustme.CA()
        self._write_authorities()
        self._issue_server()

    def etcd_flags(self) -> list[str]:
        """The flags of etcd about certificates."""
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
        """The flags of an API server about certificates."""
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

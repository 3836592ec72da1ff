"""Credentials in a lab: certificates, etcd's users, and the product's account in Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from etcd_handoff.lab import http, serving, users
from etcd_handoff.lab.users import BY_CERTIFICATE, PASSWORDS, ServiceAccount

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.lab.certificates import Certificates
    from etcd_handoff.lab.k0s_pki import K0sPki
    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.options import LabOptions
    from etcd_handoff.lab.resources import Kubectl

CertificateGroup = Literal["clients", "servers"]
PRODUCT: Literal["product"] = "product"
"""Name of the product's client certificate."""


class Credentials:
    """All credentials that a lab's options ask for.

    Args:
        options: The lab's options.
        folder: Folder of the files.

    Attributes:
        certificates: All certificates of a lab with TLS; None in other labs.
        pki: All certificates of a lab of isolated nodes; None in other labs.
        account: The product's account in Kubernetes; it exists only with the option `rbac`.
        profile: The product's profile settings for etcd's TLS and user.
    """

    def __init__(self, options: LabOptions, folder: Path) -> None:
        self._options, self._folder = options, folder
        self.certificates: Certificates | None = None
        self.pki: K0sPki | None = None
        self.account = ServiceAccount(folder / "token")
        self.profile: dict[str, str] = {}
        self._serving: list[str] = []

    def make(self) -> None:
        """Create the files, and set `certificates`, `pki` and `profile`.

        Raises:
            MissingBinaryError: TLS is asked for, and trustme is not installed.
        """
        if self._options.isolated:
            from etcd_handoff.lab.k0s_pki import K0sPki  # noqa: PLC0415  # a plain lab needs no trustme

            self.pki = K0sPki(self._folder)
            self.profile = self.pki.profile("node0")
        if not self._options.tls:
            self._serving = serving.flags(self._folder / "shared")
            return
        from etcd_handoff.lab.certificates import Certificates  # noqa: PLC0415  # a plain lab needs no trustme

        user = self._options.etcd_user
        self.certificates = certificates = Certificates(self._folder / "certificates")
        product = certificates.client(PRODUCT, user if user in BY_CERTIFICATE else PRODUCT)
        self.profile = {
            "ca_file": str(certificates.servers_ca),
            "cert_file": str(product.cert),
            "key_file": str(product.key),
        }
        if user in PASSWORDS:
            password_file = self._folder / "password"
            password_file.write_text(f"{PASSWORDS[user]}\n")
            self.profile |= {"username": user, "password_file": str(password_file)}

    def profile_on(self, node: str) -> dict[str, str]:
        """Return the product's profile settings for etcd's TLS and user on a node."""
        return self.pki.profile(node) if self.pki is not None else self.profile

    @property
    def ca_file(self) -> Path | None:
        """Authority to verify API servers against; None if they are not verified."""
        if self.pki is not None:
            return self.pki.kubernetes_ca
        return self.certificates.servers_ca if self.certificates else None

    def etcd_flags(self, node: Node) -> list[str]:
        """Return etcd's flags for certificates on the node."""
        if self.pki is not None:
            return self.pki.etcd_flags(node)
        return self.certificates.etcd_flags() if self.certificates else []

    def apiserver_flags(self, node: Node) -> list[str]:
        """Return the API server's flags for certificates and authorization on the node."""
        roles = self._options.rbac or self._options.roles
        mode = f"--authorization-mode={'RBAC' if roles else 'AlwaysAllow'}"
        if self.pki is not None:
            return [mode, *self.pki.apiserver_flags(node)]
        if self.certificates is not None:
            return [mode, *self.certificates.apiserver_flags()]
        return [mode, *self._serving]

    def grant(self, node: Node) -> None:
        """Let the lab's own requests to the node's etcd come from a user with all rights.

        The node has its files by then.
        """
        if self.pki is not None and node.is_isolated:
            self.pki.issue(node)
            http.grant(node.etcd_url, self.pki.access)
        if self.certificates is not None:
            user = ("root", PASSWORDS["root"]) if self._options.etcd_user else None
            certificates = self.certificates
            access = http.Access(certificates.servers_ca, certificates.nobody.both, certificates.root.both, user)
            http.grant(node.etcd_url, access)

    async def prepare(self, kubectl: Kubectl, node: Node) -> None:
        """Create accounts and users, once etcd and the node's API server serve."""
        if self._options.rbac:
            await self.account.install(kubectl, node)
        if self._options.etcd_user:
            await users.switch_authentication_on(node.etcd_url)

    def renew(self, group: CertificateGroup) -> None:
        """Replace certificates by those of a new authority, in the same files; servers still know the old one.

        Raises:
            ValueError: The lab was started without TLS.
        """
        if self.certificates is None:
            msg = "the lab has no certificates; start it with tls=True"
            raise ValueError(msg)
        if group == "clients":
            self.certificates.renew_clients()
        else:
            self.certificates.renew_servers()

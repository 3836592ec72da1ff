"""Who may ask whom in a lab: certificates, etcd's users, and the product's account in Kubernetes."""

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
    """All of them, as far as a lab's options ask for them.

    Args:
        options: What is asked for.
        folder: Where they lie.

    Attributes:
        certificates: All certificates of a lab with TLS; None in others.
        pki: All certificates of a lab of isolated nodes; None in others.
        account: The product's account in Kubernetes; it exists with the option `rbac` alone.
        profile: What the product's profile says of etcd's TLS and of its user there.
    """

    def __init__(self, options: LabOptions, folder: Path) -> None:
        self._options, self._folder = options, folder
        self.certificates: Certificates | None = None
        self.pki: K0sPki | None = None
        self.account = ServiceAccount(folder / "token")
        self.profile: dict[str, str] = {}
        self._serving: list[str] = []

    def make(self) -> None:
        """Files are there, and `certificates`, `pki` and `profile` have their values.

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
        """What the product's profile on a node says of etcd's TLS and of its user there."""
        return self.pki.profile(node) if self.pki is not None else self.profile

    @property
    def ca_file(self) -> Path | None:
        """What API servers are checked against; None where they are not."""
        if self.pki is not None:
            return self.pki.kubernetes_ca
        return self.certificates.servers_ca if self.certificates else None

    def etcd_flags(self, node: Node) -> list[str]:
        """Flags of the node's etcd about certificates."""
        if self.pki is not None:
            return self.pki.etcd_flags(node)
        return self.certificates.etcd_flags() if self.certificates else []

    def apiserver_flags(self, node: Node) -> list[str]:
        """Flags of the node's API server about certificates and rights."""
        roles = self._options.rbac or self._options.roles
        mode = f"--authorization-mode={'RBAC' if roles else 'AlwaysAllow'}"
        if self.pki is not None:
            return [mode, *self.pki.apiserver_flags(node)]
        if self.certificates is not None:
            return [mode, *self.certificates.apiserver_flags()]
        return [mode, *self._serving]

    def grant(self, node: Node) -> None:
        """Requests of the lab itself to the node's etcd come from a user that may do all; the node has its files."""
        if self.pki is not None and node.is_isolated:
            self.pki.issue(node)
            http.grant(node.etcd_url, self.pki.access)
        if self.certificates is not None:
            user = ("root", PASSWORDS["root"]) if self._options.etcd_user else None
            certificates = self.certificates
            access = http.Access(certificates.servers_ca, certificates.nobody.both, certificates.root.both, user)
            http.grant(node.etcd_url, access)

    async def prepare(self, kubectl: Kubectl, node: Node) -> None:
        """Accounts and users are there; for when etcd and the node's API server serve."""
        if self._options.rbac:
            await self.account.install(kubectl, node)
        if self._options.etcd_user:
            await users.switch_authentication_on(node.etcd_url)

    def renew(self, group: CertificateGroup) -> None:
        """New certificates from a new authority lie in the same files; servers still know the old authority.

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

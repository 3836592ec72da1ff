"""Users of a lab: those of etcd's authentication, and a worker's ServiceAccount in Kubernetes."""

from __future__ import annotations

import itertools
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.lab import http
from etcd_handoff.lab.nodes import ROOT, bearer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etcd_handoff.lab.nodes import Node
    from etcd_handoff.lab.resources import Kubectl

OPERATOR: Final = "operator"
"""The product's own user, as in docs/security.md. Its password and its rights can change."""
PASSWORDS: Final = {"root": "lab-root", "reader": "lab-reader", OPERATOR: "lab-operator"}
"""Users with a password: two have all rights, and one may only read all keys."""
BY_CERTIFICATE: Final = ("certificate", "stranger")
"""Users with only a certificate. etcd knows the first, which has all rights."""
USERS: Final = (*PASSWORDS, *BY_CERTIFICATE)

ACCOUNT: Final = "etcd-handoff"
"""Name of the ServiceAccount and of its namespace in deploy/."""
_RBAC: Final = (ROOT / "deploy" / "namespace.yaml", ROOT / "deploy" / "rbac.yaml")
_ALL: Final = "AA=="
"""The key of one zero byte, which is both ends of the range of all keys."""
_NUMBERS: Final[Iterator[int]] = itertools.count()


async def switch_authentication_on(url: str) -> None:
    """Create users and roles, and switch etcd's authentication on.

    Raises:
        OSError: etcd refuses.
    """
    ask = partial(_ask, url)
    for role in ("root", "reader"):
        await ask("role/add", name=role)
    await ask("role/grant", name="reader", perm={"permType": "READ", "key": _ALL, "range_end": _ALL})
    for user, password in PASSWORDS.items():
        await ask("user/add", name=user, password=password)
        await ask("user/grant", user=user, role="root" if user == OPERATOR else user)
    await ask("user/add", name="certificate", options={"no_password": True})
    await ask("user/grant", user="certificate", role="root")
    await ask("enable")


async def change_password(url: str, password_file: Path) -> None:
    """Change the operator's password, in etcd and in its file; etcd then refuses its old tokens."""
    new = f"renewed-{next(_NUMBERS)}"
    await _ask(url, "user/changepw", name=OPERATOR, password=new)
    renewed = password_file.with_suffix(".new")
    renewed.write_text(f"{new}\n")
    renewed.replace(password_file)


async def take_rights(url: str) -> None:
    """Reduce the operator's rights to the reader's."""
    await _ask(url, "user/grant", user=OPERATOR, role="reader")
    await _ask(url, "user/revoke", name=OPERATOR, role="root")


async def give_rights(url: str) -> None:
    """Undo `take_rights`."""
    await _ask(url, "user/grant", user=OPERATOR, role="root")


async def _ask(url: str, what: str, **body: Any) -> None:
    await http.post(f"{url}/v3/auth/{what}", body, timeout_seconds=8.0)


class ServiceAccount:
    """The worker's account in Kubernetes, with exactly the rights of deploy/rbac.yaml.

    Args:
        token_file: File of its token, which kubeconfig files name.
    """

    def __init__(self, token_file: Path) -> None:
        self.token_file = token_file
        self._secret = ""

    @property
    def user(self) -> dict[str, str]:
        """The account as a user in a kubeconfig file."""
        return {"tokenFile": str(self.token_file)}

    async def install(self, kubectl: Kubectl, node: Node) -> None:
        """Create the account, with its rights and a token."""
        for manifest in _RBAC:
            await kubectl("apply", "--server-side", "-f", str(manifest), context=node.name)
        await self.renew(kubectl, node)

    async def renew(self, kubectl: Kubectl, node: Node) -> None:
        """Write a new token to the file, and make every API server refuse the old one.

        A bound token ends with its Secret. API servers that have seen the token may accept it for another 10 s, from
        their cache of tokens.
        """
        old, self._secret = self._secret, f"token-{next(_NUMBERS)}"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._secret}}
        await kubectl("-n", ACCOUNT, "create", "-f", "-", context=node.name, stdin=json.dumps(secret))
        bound = ("--bound-object-kind", "Secret", "--bound-object-name", self._secret)
        token = await kubectl("-n", ACCOUNT, "create", "token", ACCOUNT, *bound, context=node.name)
        new = self.token_file.with_suffix(".new")
        new.write_text(token.strip())
        new.replace(self.token_file)
        if old:
            await kubectl("-n", ACCOUNT, "delete", "secret", old, context=node.name)

    async def accepted(self, node: Node, token: str | None = None) -> bool:
        """Return whether the node's API server accepts this token, by default the present one."""
        review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1"}
        spec = {"token": self.token_file.read_text() if token is None else token}
        url = f"{node.api_url}/apis/authentication.k8s.io/v1/tokenreviews"
        headers = {**bearer(), "Content-Type": "application/json"}
        _, text = await http.request(url, {**review, "spec": spec}, headers=headers)
        return bool(json.loads(text).get("status", {}).get("authenticated"))

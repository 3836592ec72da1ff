"""The manifests of deploy/, a node on which they have been applied, and what their ServiceAccount may do there."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from etcd_handoff.config import load_config
from etcd_handoff.lab import wait_until
from etcd_handoff.lab.http import request

if TYPE_CHECKING:
    from etcd_handoff.config import Config
    from etcd_handoff.lab import Lab

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
NAME: Final = "etcd-handoff"
NODE: Final = "node0"


@dataclass
class Site:
    """A node on which the manifests have been applied.

    Attributes:
        lab: Where it runs.
        token: A token of the worker's ServiceAccount, as a Pod gets it.
        checked: What kubectl said of all manifests in the dry run, before there was anything.
    """

    lab: Lab
    token: str
    checked: str

    async def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and text of the API server's answer to the account; nothing is stored."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        url = f"{self.lab.node(NODE).api_url}{path}" + "?dryRun=All" * (method != "GET")
        sent = {"Content-Type": kind, **(headers or {"Authorization": f"Bearer {self.token}"})}
        return await request(url, body, method=method, headers=sent, timeout_seconds=10)

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """As the administrator."""
        return await self.lab.kubectl(*arguments, context=NODE, stdin=stdin)

    async def rights(self, namespace: str) -> set[tuple[str, str, str]]:
        """Group, resource and verb of everything that the API server lets the account do, but not everybody."""
        everybody = await token_of(self.lab, "default", "nobody")
        return await self._rules(namespace, self.token) - await self._rules(namespace, everybody)

    async def comes_to(self, rights: set[tuple[str, str, str]]) -> None:
        """Return once these are its rights: the API server watches roles, and hears of a change a little later."""
        found = [set[tuple[str, str, str]]()]

        async def has_them() -> bool:
            found.append(await self.rights(NAME))
            return found[-1] == rights

        await wait_until(has_them, "the account has its rights", 60, lambda: f"these differ: {found[-1] ^ rights}")

    async def _rules(self, namespace: str, token: str) -> set[tuple[str, str, str]]:
        review = {"kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1"}
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        question = {**review, "spec": {"namespace": namespace}}
        url = f"{self.lab.node(NODE).api_url}{path}"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        status, text = await request(url, question, headers=headers, timeout_seconds=10)
        assert status == 201, text
        granted = json.loads(text)["status"]
        assert not granted["incomplete"]
        rules = {
            (group, resource, verb)
            for rule in granted["resourceRules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        return rules | {
            ("", url, verb) for r in granted["nonResourceRules"] for url in r["nonResourceURLs"] for verb in r["verbs"]
        }


async def token_of(lab: Lab, namespace: str, account: str) -> str:
    """A token that the API server made for a ServiceAccount."""
    return (await lab.kubectl("create", "token", account, "--namespace", namespace, context=NODE)).strip()


def objects(*files: str) -> list[dict[str, Any]]:
    """The objects in files of deploy/, or in all that the kustomization names."""
    if not files:
        files = tuple(yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"])
    return [item for file in files for item in yaml.safe_load_all((DEPLOY / file).read_text())]


def the(kind: str) -> dict[str, Any]:
    """The one object of that kind."""
    (found,) = [item for item in objects() if item["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    """A Pod as the Deployment makes them."""
    template = copy.deepcopy(the("Deployment")["spec"]["template"])
    metadata = {"name": "worker", "namespace": NAME, **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def configuration(folder: Path) -> Config:
    """The ConfigMap's file, as the worker reads it."""
    path = folder / "etcd-handoff.toml"
    path.write_text(the("ConfigMap")["data"][path.name])
    return load_config(path)

"""A kubeconfig that cannot be used: said as what it is, and never in the way of what happened already."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.kubernetes import Gateways, KubernetesActivities
from etcd_handoff.config import Config
from etcd_handoff.errors import ConfigError
from etcd_handoff.model import Record, Recorded

if TYPE_CHECKING:
    from pathlib import Path

USER = {"name": "u", "user": {"token": "t"}}
CONTEXT = {"name": "node0", "context": {"cluster": "c", "user": "u"}}


def content(**cluster: str) -> str:
    """A kubeconfig with the context node0, whose cluster has these settings."""
    parts: dict[str, Any] = {"clusters": [{"name": "c", "cluster": cluster}], "users": [USER], "contexts": [CONTEXT]}
    return json.dumps(parts)


UNUSABLE = {
    "missing": None,
    "empty": "",
    "no YAML": "a: [",
    "a list": "[]",
    "a text": "kubeconfig",
    "another shape": '{"contexts": 5, "clusters": {}}',
    "without the context": content(server="https://h:1").replace("node0", "other"),
    "without the authority's file": content(server="https://h:1", **{"certificate-authority": "/nosuch/ca.pem"}),
    "with an authority that is none": content(server="https://h:1", **{"certificate-authority-data": "bm9uZQ=="}),
}


def gateways(folder: Path, text: str | None) -> Gateways:
    """Gateways of the cluster `prod`, whose kubeconfig says `text`."""
    if text is not None:
        (folder / "kubeconfig").write_text(text)
    kubernetes = {"kubeconfig": folder / "kubeconfig", "contexts": ["node0"]}
    etcd = {"endpoints": ["http://etcd:2379"]}
    return Gateways(Config.model_validate({"clusters": {"prod": {"etcd": etcd, "kubernetes": kubernetes}}}), "node1")


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_unusable_kubeconfig_is_a_configuration_error(tmp_path: Path, kind: str) -> None:
    """It names the field and the context; warming up passes over it."""
    opened = gateways(tmp_path, UNUSABLE[kind])
    await opened.warm()
    with pytest.raises(ConfigError, match=r"^clusters\.\*\.kubernetes: .*node0: .*; correct kubeconfig and contexts$"):
        await opened.require("prod").list()


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("cluster", ["prod", "unknown"])
async def test_removal_that_happened_is_not_failed_by_it(tmp_path: Path, kind: str, cluster: str) -> None:
    """The member is out whatever the configuration says, so the status step ends with a note."""
    update = KubernetesActivities(gateways(tmp_path, UNUSABLE[kind]), "node1").update_status
    record = Record(cluster=cluster, member_name="node0", member_id="1f", joined=False, message="gone")
    recorded = await ActivityEnvironment().run(update, record)
    assert isinstance(recorded, Recorded)
    assert (recorded.recorded, recorded.step.outcome) == (False, "not-recorded")
    assert "correct kubeconfig" in recorded.note or "no profile 'unknown'" in recorded.note


async def test_warm_opens_what_can_be_opened(tmp_path: Path) -> None:
    """The client is there before the first call, and that call uses it."""
    opened = gateways(tmp_path, content(server="https://h:1"))
    await opened.warm()
    gateway = opened.require("prod")
    client = gateway._clients["node0"]
    await gateway.warm()
    assert gateway._clients == {"node0": client}
    await opened.close()
    assert gateway._clients == {}

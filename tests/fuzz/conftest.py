"""One lab for the tests of a module: three members, one worker, and a client that sends whatever it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from temporalio.client import Client

from etcd_handoff.lab import Lab, LabOptions, http
from etcd_handoff.temporal.converter import data_converter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

BARE = "bare"
GONE = "gone"
PROFILES = """
[clusters.{bare}.etcd]
endpoints = {endpoints}
[clusters.{gone}.etcd]
endpoints = ["http://127.0.0.1:1"]
call_timeout_seconds = 0.2
"""
"""Further profiles: the same cluster without a folder for snapshots, and a cluster that never answers."""


@dataclass
class Target:
    """What is fuzzed, and what must not change.

    Attributes:
        lab: The real parts.
        raw: A client that knows nothing of our data, as the Temporal CLI.
        client: A client for what has to be right.
    """

    lab: Lab
    raw: Client
    client: Client

    async def members(self) -> dict[str, Any]:
        """The member list of etcd itself to the last field, and the revision of the keyspace."""
        url = self.lab.nodes[0].etcd_url
        listed = await http.post(f"{url}/v3/cluster/member/list", {"linearizable": True})
        status = await http.post(f"{url}/v3/maintenance/status", {})
        return {"members": sorted(listed["members"], key=lambda m: m["ID"]), "revision": status["header"]["revision"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A lab without Kubernetes, whose only worker knows two more profiles."""
    options = LabOptions(kubernetes=False, forked=True, directory=tmp_path_factory.mktemp("fuzz"))
    async with Lab(options) as lab:
        endpoints = [node.etcd_url for node in lab.nodes]
        with lab.config_path.open("a", encoding="utf-8") as file:
            file.write(PROFILES.format(bare=BARE, gone=GONE, endpoints=endpoints))
        await lab.start_worker("node0")
        raw = await Client.connect(lab.temporal_address)
        yield Target(lab, raw, await Client.connect(lab.temporal_address, data_converter=data_converter))

"""The hash check on a real cluster that is written to and compacted all the time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import TYPE_CHECKING

from temporalio.testing import ActivityEnvironment

from activities.etcd import EtcdActivities
from activities.hash_and_snapshot import HashAndSnapshotActivities
from etcd_handoff.activity_io import CheckHashInput, CheckLeaderInput
from etcd_handoff.config import load_config
from etcd_handoff.etcd.gateway import EtcdGateway
from etcd_handoff.lab import Lab, LabOptions, Role, http, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.contract import Step

KEY = base64.b64encode(b"key").decode()
CHECKS = 60


async def view_of(lab: Lab, etcd: EtcdActivities) -> ClusterView:
    """What a look shows, once one shows anything."""
    views: list[ClusterView | None] = []

    async def seen() -> bool:
        look = await ActivityEnvironment().run(etcd.check_leader, CheckLeaderInput(cluster=lab.cluster))
        views.append(look.view)
        return look.view is not None

    await wait_until(seen, "a look shows the cluster", 60)
    view = views[-1]
    assert view is not None
    return view


async def checked(hashes: HashAndSnapshotActivities, act: CheckHashInput) -> Step:
    """The step of a check for which all that it needs have answered in time."""
    steps: list[Step] = []

    async def answered() -> bool:
        steps.append((await ActivityEnvironment().run(hashes.check_hash, act)).step)
        return steps[-1].outcome != "unavailable"

    await wait_until(answered, "the hashes can be compared", 60, lambda: str(steps[-1:]))
    return steps[-1]


async def test_compaction_between_two_hashes_is_no_difference(tmp_path: Path) -> None:
    """However often it is compacted meanwhile, nobody is called inconsistent; and all voters must answer."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        config, run = load_config(lab.config_path), ActivityEnvironment().run
        etcd, url = EtcdActivities(config, "node0", EtcdGateway), lab.nodes[0].etcd_url
        hashes = HashAndSnapshotActivities(config, "node0", etcd.looks)

        async def keep_compacting() -> None:
            while True:
                for _ in range(3):
                    put = await http.post(f"{url}/v3/kv/put", {"key": KEY, "value": KEY})
                await http.post(f"{url}/v3/kv/compaction", {"revision": put["header"]["revision"]})

        try:
            view = await view_of(lab, etcd)
            act = CheckHashInput(cluster=lab.cluster, cluster_id=view.cluster_id, target_id=view.members[0].id)
            compacting = asyncio.create_task(keep_compacting())
            outcomes = [(await run(hashes.check_hash, act)).step for _ in range(CHECKS)]
            assert not compacting.done(), compacting.exception()
            compacting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await compacting
            assert {step.outcome for step in outcomes} <= {"consistent", "unavailable"}, outcomes
            assert any(step.outcome == "consistent" for step in outcomes), outcomes
            still = await checked(hashes, act)
            assert still.outcome == "consistent"
            assert all(node.name in still.note for node in lab.nodes)

            down = lab.others(await lab.leader())[0].name
            await lab.kill(Role.ETCD, down)
            unknown = (await run(hashes.check_hash, act)).step
            assert (unknown.outcome, f"{down} does not answer" in unknown.note) == ("unavailable", True)
        finally:
            await etcd.close()


async def test_newest_revision_that_is_compacted_can_be_compared(tmp_path: Path) -> None:
    """Nobody writes after the compaction; a voter that compacted it and one that started since are compared."""
    async with Lab(LabOptions(kubernetes=False, temporal=False, directory=tmp_path)) as lab:
        config = load_config(lab.config_path)
        etcd, url = EtcdActivities(config, "node0", EtcdGateway), lab.nodes[0].etcd_url
        hashes = HashAndSnapshotActivities(config, "node0", etcd.looks)
        try:
            view = await view_of(lab, etcd)
            act = CheckHashInput(cluster=lab.cluster, cluster_id=view.cluster_id, target_id=view.members[0].id)
            for _ in range(2):  # only from the second one on is there a compaction before it
                for _ in range(3):
                    put = await http.post(f"{url}/v3/kv/put", {"key": KEY, "value": KEY})
                await http.post(f"{url}/v3/kv/compaction", {"revision": put["header"]["revision"], "physical": True})
            steps = [await checked(hashes, act)]
            await lab.restart(Role.ETCD, lab.others(await lab.leader())[0].name)
            steps.append(await checked(hashes, act))
            assert [step.outcome for step in steps] == ["consistent"] * 2, steps
        finally:
            await etcd.close()

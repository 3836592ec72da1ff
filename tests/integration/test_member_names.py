"""What people type for a member, and what they are told: names that several have, IDs in other forms, odd URLs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from etcd_handoff.contract import TASK_QUEUE, RemovalRequest
from etcd_handoff.lab import Role, http, wait_until
from tests.integration.conftest import ends, open_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.conftest import LiveCluster, MakeLiveCluster


async def test_name_takes_nobody_of_another_name(live_cluster: MakeLiveCluster) -> None:
    """An EtcdMember that carries a live member's ID does not give that member to whoever types the resource's name."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        victim, renamed = (n.name for n in b.lab.others(leader))
        await b.lie(renamed, {"memberID": await b.lab.member_id(victim)}, via=leader)
        await b.lab.kill(Role.ETCD, renamed)
        b.lab.process(Role.ETCD, renamed).command.append("--name=another")
        await b.lab.start(Role.ETCD, renamed)

        async def listed() -> bool:
            return "another" in {m.name for m in await b.lab.members(leader)}

        await wait_until(listed, "the new name is listed", 60)
        status, text = await ends(b.lab, "remove", renamed)
        assert (status, victim in text) == (2, True), text
        assert {m.name for m in await b.lab.members(leader)} == {leader, victim, "another"}


async def test_dead_member_that_advertised_nonsense_can_leave(live_cluster: MakeLiveCluster) -> None:
    """A port beyond all ports in its client URL: nobody who looks falls over it, while it runs and when it is dead."""
    async with live_cluster() as b:
        leader = await b.lab.leader()
        odd = b.lab.others(leader)[0].name
        process = b.lab.process(Role.ETCD, odd)
        process.command.append("--advertise-client-urls=http://127.0.0.1:237900")
        await b.lab.restart(Role.ETCD, odd)
        url = f"{b.lab.node(leader).etcd_url}/v3/cluster/member/list"

        async def listed() -> bool:
            return ":237900" in json.dumps(await http.post(url, {"linearizable": True}))

        await wait_until(listed, "the odd URL is listed", 60)
        status, text = await ends(b.lab, "plan", odd)
        assert status == 0, text
        await b.lab.kill(Role.ETCD, odd)
        status, text = await ends(b.lab, "remove", odd)
        assert status == 0, text
        await b.judge({odd})


async def test_three_members_of_one_name_are_told_apart(live_cluster: MakeLiveCluster) -> None:
    """The text has ID, peer URL and state of each; the dead one leaves by its peer address."""
    async with live_cluster(kubernetes=False, workers=("node0",)) as b:
        ids = {node.name: await b.lab.member_id(node.name) for node in b.lab.nodes}
        for node in b.lab.nodes:
            b.lab.process(Role.ETCD, node.name).command.append("--name=default")
            await b.lab.restart(Role.ETCD, node.name)

        async def renamed() -> bool:
            return {m.name for m in await b.lab.members()} == {"default"}

        await wait_until(renamed, "all members are called default", 60)
        dead = b.lab.nodes[2]

        async def lists() -> bool:
            try:
                return bool([await b.lab.members(node.name) for node in b.lab.others(dead.name)])
            except OSError:
                return False

        await b.lab.kill(Role.ETCD, dead.name)
        await wait_until(lists, "the others have a leader, as the dead one may have led", 60)
        for command in ("plan", "remove"):
            status, text = await ends(b.lab, command, "default")
            assert status == 2, text
            addresses = [node.peer_url.partition("://")[2] for node in b.lab.nodes]
            assert [word for word in (*ids.values(), *addresses, "healthy") if word not in text] == [], text
        status, text = await ends(b.lab, "remove", dead.peer_url.partition("://")[2])
        assert status == 0, text
        assert {m.id for m in await b.lab.members("node0")} == {ids["node0"], ids["node1"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(shared_path: Path) -> AsyncIterator[LiveCluster]:
    """One cluster for what changes nothing."""
    async with open_cluster(shared_path, workers=("node0",)) as b:
        yield b


@pytest.mark.asyncio(loop_scope="module")
async def test_dry_run_by_cron_starts_afresh_each_time(quiet: LiveCluster) -> None:
    """Temporal itself continues such a workflow; each run looks for itself and ends as planned."""
    b = quiet
    target = b.lab.others(await b.lab.leader())[0].name
    request = RemovalRequest(cluster=b.lab.cluster, member=target, dry_run=True)
    await b.client.start_workflow(
        "RemoveMember", request, id="by-cron", task_queue=TASK_QUEUE, cron_schedule="@every 1s"
    )
    outcomes: list[str] = []

    async def twice() -> bool:
        outcomes.clear()
        async for run in b.client.list_workflows('WorkflowId = "by-cron" AND ExecutionStatus != "Running"'):
            history = await b.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            last = history.events[-1]
            results = last.workflow_execution_completed_event_attributes.result.payloads
            outcomes.extend(json.loads(p.data)["outcome"] for p in results)
            assert results, last
        return len(outcomes) >= 2

    try:
        await wait_until(twice, "two runs have ended", 60, lambda: str(outcomes))
    finally:
        await b.client.get_workflow_handle("by-cron").terminate()
    assert set(outcomes) == {"planned"}
    assert len(await b.lab.members()) == 3


@pytest.mark.asyncio(loop_scope="module")
async def test_decimal_id_is_answered_with_the_hex_one(quiet: LiveCluster) -> None:
    """As JSON and some tools print it: nobody is removed, and the text has what would have been right."""
    b = quiet
    target = b.lab.others(await b.lab.leader())[0].name
    member_id = await b.lab.member_id(target)
    for command in ("plan", "remove"):
        status, text = await ends(b.lab, command, str(int(member_id, 16)))
        assert (status, "decimal" in text, member_id in text) == (2, True, True), text
    assert len(await b.lab.members()) == 3

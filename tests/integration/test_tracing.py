"""Traces of a removal, as an OpenTelemetry collector is sent them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.lab import Role
from tests.fakes.receiver import Receiver, spans_of

if TYPE_CHECKING:
    from tests.integration.conftest import MakeLiveCluster


async def test_call_is_within_the_activity_that_makes_it(live_cluster: MakeLiveCluster) -> None:
    """The call that removes a member, and the request that writes its status, in one trace with the workflow."""
    with Receiver() as collector:
        async with live_cluster(workers=()) as b:
            endpoint = collector.url.partition("/hook")[0]
            environment = {"ETCD_HANDOFF_TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
            await b.lab.start_worker("node1", environment)
            leader = await b.lab.leader()
            member = "node1" if leader != "node1" else "node2"
            assert (await b.remove(member)).status_recorded
            await b.lab.terminate(Role.WORKER, "node1")  # which exports what has not been yet
        found = spans_of(collector)
    by_id = {span.span_id: span for span in found}
    (removes,) = [span for span in found if span.name == "etcdserverpb.Cluster/MemberRemove"]
    (writes,) = [span for span in found if span.name.startswith("PATCH ") and span.name.endswith("/status")]
    assert by_id[removes.parent_span_id].name == "RunActivity:remove_member"
    assert by_id[writes.parent_span_id].name == "RunActivity:remove_member"  # which begins the record
    (runs,) = [span for span in found if span.name == "RunWorkflow:RemoveMember"]
    assert removes.trace_id == writes.trace_id == runs.trace_id

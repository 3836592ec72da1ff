"""Traces: what is said where the packages are missing, and what is exported where they are there."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from etcd3aio.errors import EtcdConnectionError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

import worker
from etcd_handoff.config import EtcdProfile
from etcd_handoff.errors import ConfigError
from etcd_handoff.etcd.channel import Channel
from etcd_handoff.kubernetes.traced_calls import trace_configs
from etcd_handoff.lab.ports import Ports
from etcd_handoff.temporal.tracing import Tracing, chosen_tracing, trace_of
from etcd_handoff.worker_options import TRACES_VARIABLE
from tests.fakes.receiver import Receiver, spans_of
from tests.unit.config_texts import GOOD

if TYPE_CHECKING:
    from pathlib import Path

GOOD_HTTP = GOOD.replace("https", "http")


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cannot be imported, whether they are installed or not."""
    monkeypatch.setitem(sys.modules, "temporalio.contrib.opentelemetry", None)


@pytest.mark.usefixtures("without_packages")
def test_missing_packages_are_named_at_once(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the remedy, before anything is connected."""
    config_file.write_text(GOOD_HTTP)
    assert worker.run(worker.parser().parse_args(["--config", str(config_file), "--traces", "otlp"])) == 2
    words = "--traces otlp: packages are missing; install etcd-handoff[otel], that is opentelemetry-sdk and"
    assert capsys.readouterr().err.startswith(words)


@pytest.mark.usefixtures("without_packages")
def test_nobody_needs_the_packages_who_wants_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option comes before the variable."""
    assert chosen_tracing(None, "node0") is None
    monkeypatch.setenv(TRACES_VARIABLE, "otlp")
    assert chosen_tracing("none", "node0") is None


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (TRACES_VARIABLE, "jaeger", "'jaeger' is nothing that traces can be; give one of none, otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf"),
    ],
)
def test_wrong_variable_is_named(variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what there is."""
    monkeypatch.setenv(TRACES_VARIABLE, "otlp")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=words):
        chosen_tracing(None, "node0")


async def test_calls_of_an_activity_are_spans_within_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """To etcd and to an API server, with method and status; a call outside of any activity is none."""
    closed = Ports("127.0.0.1")
    (port,) = closed.take(1)
    closed.close()

    async def ask() -> None:
        channel = Channel(f"http://127.0.0.1:{port}", EtcdProfile.model_validate({"endpoints": ["http://e:2379"]}))
        with contextlib.suppress(EtcdConnectionError):
            await channel.maintenance.status(timeout=5)
        await channel.close()
        async with aiohttp.ClientSession(trace_configs=trace_configs()) as session:
            (await session.post(f"{receiver.url}&of=nobody")).close()

    class Look:
        async def execute_activity(self, input: ExecuteActivityInput) -> None:  # noqa: A002, ARG002
            await ask()

    async def run() -> Any:
        inside: Any = Look()
        traced: ActivityInboundInterceptor = tracing.interceptor.intercept_activity(inside)
        await traced.execute_activity(ExecuteActivityInput(fn=run, args=[], executor=None, headers={}))

    with Receiver() as collector, Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.partition("/hook")[0])
        tracing = Tracing("node7")
        try:
            await ask()
            await ActivityEnvironment().run(run)
        finally:
            tracing.close()
        found = spans_of(collector)
    (activity,) = [span for span in found if span.name.startswith("RunActivity:")]
    calls = {span.name: span for span in found if span is not activity}
    assert len(found) == 3
    assert set(calls) == {"etcdserverpb.Maintenance/Status", "POST /hook"}
    assert all((span.trace_id, span.parent_span_id) == (activity.trace_id, activity.span_id) for span in calls.values())
    assert calls["etcdserverpb.Maintenance/Status"].status.message == "UNAVAILABLE"
    assert not calls["POST /hook"].status.message
    assert not any(b"in-the-url" in body for _, body in collector.seen)


async def test_activity_is_a_span_that_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """By OTLP, to where OpenTelemetry's variable says."""

    class Look:
        async def execute_activity(self, input: ExecuteActivityInput) -> str:  # noqa: A002, ARG002
            return "seen"

    async def run() -> Any:
        inside: Any = Look()
        traced: ActivityInboundInterceptor = tracing.interceptor.intercept_activity(inside)
        return await traced.execute_activity(ExecuteActivityInput(fn=run, args=[], executor=None, headers={}))

    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url.partition("/hook")[0])
        tracing = Tracing("node7")
        assert await ActivityEnvironment().run(run) == "seen"
        tracing.close()
        sent = b"".join(body for _, body in receiver.seen)
    for words in (b"RunActivity:", b"etcd-handoff-worker", b"node7"):
        assert words in sent


@pytest.mark.parametrize(("ratio", "flag"), [(1.0, "01"), (0.0, "00")])
def test_workflow_that_was_started_without_a_trace_has_one_by_its_run(ratio: float, flag: str) -> None:
    """All its activities are in it; the sampler decides by its ID, as for any other trace."""
    sampling = pytest.importorskip("opentelemetry.sdk.trace.sampling")
    carrier = trace_of("01a22344-6d7d-708b-942f-364ada8a54c5", sampling.TraceIdRatioBased(ratio))
    assert carrier == {"traceparent": f"00-01a223446d7d708b942f364ada8a54c5-942f364ada8a54c5-{flag}"}

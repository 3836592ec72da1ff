"""Traces of operations: a span for each workflow, step, message and call, exported by OTLP's own variables.

The packages are optional, and imported only if traces are requested.
"""

from __future__ import annotations

import importlib
import os
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from temporalio import workflow

from etcd_handoff import __version__, spans
from etcd_handoff.errors import ConfigError
from etcd_handoff.worker_options import TRACES, TRACES_VARIABLE

if TYPE_CHECKING:
    from temporalio.worker import Interceptor

PROTOCOL: Final = "http/protobuf"
PROTOCOL_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PACKAGES: Final = "opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http"


class Tracing:
    """Spans of this process, until `close`.

    Args:
        node: The node that the worker runs on.

    Attributes:
        interceptor: Makes spans of the worker's workflows and activities.

    Raises:
        ConfigError: The packages are missing, or the requested protocol is not supported.
    """

    def __init__(self, node: str) -> None:
        protocol = next((value for name in PROTOCOL_VARIABLES if (value := os.environ.get(name))), PROTOCOL)
        if protocol != PROTOCOL:
            msg = f"--traces otlp: the protocol {protocol!r} is not there; set {PROTOCOL_VARIABLES[1]} to {PROTOCOL}"
            raise ConfigError(msg)
        try:
            temporal = importlib.import_module("temporalio.contrib.opentelemetry")
            sdk = importlib.import_module("opentelemetry.sdk.trace")
            export = importlib.import_module("opentelemetry.sdk.trace.export")
            resources = importlib.import_module("opentelemetry.sdk.resources")
            api = importlib.import_module("opentelemetry.trace")
            otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError:
            msg = f"--traces otlp: packages are missing; install etcd-handoff[otel], that is {PACKAGES}"
            raise ConfigError(msg) from None
        about = {"service.version": __version__, "service.instance.id": node}
        if not os.environ.get("OTEL_SERVICE_NAME"):
            about["service.name"] = "etcd-handoff-worker"
        self._provider: Any = sdk.TracerProvider(resource=resources.Resource.create(about))
        self._provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
        tracer = self._provider.get_tracer("etcd_handoff", __version__)
        make = _interceptor_class(temporal, self._provider.sampler)
        # kubectl, Temporal's command line or a Schedule may start an operation, and none of them begins a trace.
        self.interceptor: Interceptor = make(tracer, always_create_workflow_spans=True)
        spans.make_with(partial(_begin_call, api, tracer))

    def close(self) -> None:
        """Export the remaining spans. That takes no longer than OTEL_EXPORTER_OTLP_TIMEOUT."""
        spans.make_with(None)
        self._provider.shutdown()


def _interceptor_class(temporal: Any, sampler: Any) -> Any:
    """Return the SDK's interceptor, with one trace for all runs and activities of a workflow started without one.

    The SDK begins with an empty context there, so each activity would have a separate trace.
    """

    class Workflows(temporal.TracingWorkflowInboundInterceptor):  # type: ignore[misc]  # imported where it is asked for
        def _load_workflow_context_carrier(self) -> Any:
            return super()._load_workflow_context_carrier() or trace_of(workflow.info().first_execution_run_id, sampler)

    class Tracer(temporal.TracingInterceptor):  # type: ignore[misc]
        def workflow_interceptor_class(self, input: Any) -> Any:  # noqa: A002  # the SDK's name
            super().workflow_interceptor_class(input)  # it gives the sandbox the function that makes spans
            return Workflows

    return Tracer


def trace_of(run_id: str, sampler: Any) -> dict[str, str]:
    """Return the trace of a workflow, in the form of W3C's Trace Context. Its ID is that of the first run.

    Args:
        run_id: The first run, a UUID.
        sampler: OpenTelemetry's sampler, which decides by the ID whether the trace is exported.
    """
    trace_id = uuid.UUID(run_id).hex
    sampled = sampler.should_sample(None, int(trace_id, 16), "").decision.is_sampled()
    return {"traceparent": f"00-{trace_id}-{trace_id[16:]}-{int(sampled):02x}"}


class _CallSpan:
    """The span of a call to etcd or to an API server."""

    def __init__(self, api: Any, span: Any) -> None:
        self._api, self._span = api, span

    def end(self, status: str | int, *, failed: bool) -> None:
        """See `etcd_handoff.spans`."""
        http = isinstance(status, int)
        self._span.set_attribute("http.response.status_code" if http else "rpc.response.status_code", status)
        if failed:
            self._span.set_status(self._api.Status(self._api.StatusCode.ERROR, str(status)))
        self._span.end()


def _begin_call(api: Any, tracer: Any, name: str, attributes: dict[str, str | int]) -> _CallSpan | None:
    """Begin a span within that of an activity. Calls outside of activities, for which no operation waits, get none."""
    if not api.get_current_span().get_span_context().is_valid:
        return None
    return _CallSpan(api, tracer.start_span(name, kind=api.SpanKind.CLIENT, attributes=attributes))


def chosen_tracing(given: str | None, node: str) -> Tracing | None:
    """Return the traces, if the option or the environment asks for them.

    Raises:
        ConfigError: They are not available, or there is no such kind.
    """
    name = given or os.environ.get(TRACES_VARIABLE) or TRACES[0]
    if name not in TRACES:
        msg = f"${TRACES_VARIABLE}: {name!r} is nothing that traces can be; give one of {', '.join(TRACES)}"
        raise ConfigError(msg)
    return Tracing(node) if name == "otlp" else None

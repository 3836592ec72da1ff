"""A real HTTP server that takes what a webhook is sent, and answers as it is told to."""

from __future__ import annotations

import importlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class Receiver(ThreadingHTTPServer):
    """Listens from `with` on.

    Attributes:
        answers: The next answers; 204 when there is none left.
        seen: Headers, with names in lower case, and body of each request.
        url: Where it listens, with a token that is nobody's business.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int] = []
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook?token=in-the-url"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def events(self) -> list[dict[str, Any]]:
        """The body of each request, in the order in which they came."""
        return [json.loads(body) for _, body in self.seen]


def spans_of(receiver: Receiver) -> list[Any]:
    """All spans that the receiver was sent by OTLP."""
    kind = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2").ExportTraceServiceRequest
    sent = [kind.FromString(body) for _, body in receiver.seen]
    scopes = [scope for request in sent for resource in request.resource_spans for scope in resource.scope_spans]
    return [span for scope in scopes for span in scope.spans]


class Handler(BaseHTTPRequestHandler):
    """One request to a `Receiver`."""

    server: Receiver

    def do_POST(self) -> None:
        """Remember it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Location", f"{self.server.url}&elsewhere")
        self.end_headers()

    def do_HEAD(self) -> None:
        """Answer as a server that takes POST alone, unless it is told to do otherwise."""
        self.send_response(self.server.answers.pop(0) if self.server.answers else 405)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""

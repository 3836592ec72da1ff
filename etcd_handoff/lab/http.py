"""Plain HTTP to the lab's own processes, so that the lab observes the product without the product's gateways."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

_UNVERIFIED: Final = ssl._create_unverified_context()  # noqa: S323, SLF001  # the lab's own self-signed certificates
FAILURES: Final = (OSError, HTTPException, ValueError)
"""What a request to a process that is starting, stopped or killed may raise."""
PATIENCE_SECONDS: Final = 10.0
"""How long an answer may take that is asked for once."""
ACCEPT: Final = {"Accept": "*/*"}
"""By this header etcd knows that a call comes through its JSON gateway, whose own certificate is then not taken for the
caller's (AuthInfoFromTLS in etcd's server/auth/store.go)."""
NO_TOKEN: Final = ("user name is empty", "invalid auth token")
"""What etcd says to a request without a token, or with one that has expired or was given before its restart."""


@dataclass(slots=True)
class Access:
    """How to ask a server that wants to know who asks.

    Attributes:
        ca_file: Certificate authorities of the server.
        cert_file: Our certificate, with its key in the same file; None where the server does not want one. It names no
            user: etcd's JSON gateway refuses those that do (etcd `server/embed/serve.go`).
        user_cert_file: The same for gRPC, where it names the user.
        user: Name and password at etcd's own authentication; None while that is off.
        headers: What goes along with each request: the token that `user` has got.
    """

    ca_file: Path
    cert_file: Path | None = None
    user_cert_file: Path | None = None
    user: tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def context(self) -> ssl.SSLContext:
        """Made for each request, as the files may have been renewed."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if self.cert_file is not None:
            context.load_cert_chain(str(self.cert_file))
        return context


_ACCESS: Final[dict[str, Access]] = {}
"""By host and port: requests name a URL alone, wherever they are made."""


def grant(url: str, access: Access) -> None:
    """Requests to the server of this URL are made like that from now on."""
    _ACCESS[urlsplit(url).netloc] = access


def forget(url: str) -> None:
    """Undo `grant`."""
    _ACCESS.pop(urlsplit(url).netloc, None)


def access(url: str) -> Access | None:
    """How the server of this URL is asked; None when it asks nobody for anything."""
    return _ACCESS.get(urlsplit(url).netloc)


async def request(
    url: str,
    body: dict[str, Any] | None = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> tuple[int, str]:
    """Status and text of the answer; an HTTP error is an answer too.

    Raises:
        OSError: No connection, or no answer in time.
    """

    def call() -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else None
        message = urllib.request.Request(url, data=data, method=method, headers={**ACCEPT, **(headers or {})})  # noqa: S310  # our URLs
        entry = access(url)
        context = entry.context() if entry else _UNVERIFIED if url.startswith("https") else None
        try:
            with _open(message, timeout_seconds, context) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(call)


def _open(message: urllib.request.Request, seconds: float, context: ssl.SSLContext | None) -> HTTPResponse:
    """Ask without any proxy that our environment may name: the lab's nodes are behind none."""
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    answer: HTTPResponse = urllib.request.build_opener(*handlers).open(message, timeout=seconds)
    return answer


async def post(url: str, body: dict[str, Any], timeout_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """The JSON answer of etcd's JSON gateway.

    Raises:
        OSError: No connection, no answer in time, or an error answer.
    """
    entry = access(url)
    status, text = await request(url, body, headers=entry.headers if entry else None, timeout_seconds=timeout_seconds)
    if status != 200 and entry and entry.user and any(word in text for word in NO_TOKEN):
        await _log_in(url, entry, entry.user)
        status, text = await request(url, body, headers=entry.headers, timeout_seconds=timeout_seconds)
    if status != 200:
        raise OSError(text)
    answer: dict[str, Any] = json.loads(text)
    return answer


async def answers(url: str, headers: dict[str, str] | None = None, timeout_seconds: float = 2.0) -> bool:
    """Whether it answers in time, with 200."""
    with contextlib.suppress(*FAILURES):
        status, _ = await request(url, headers=headers, timeout_seconds=timeout_seconds)
        return status == 200
    return False


async def _log_in(url: str, entry: Access, user: tuple[str, str]) -> None:
    """Take a token from the server; its JSON gateway does not take a certificate's common name for a user."""
    parts = urlsplit(url)
    name, password = user
    where = f"{parts.scheme}://{parts.netloc}/v3/auth/authenticate"
    status, text = await request(where, {"name": name, "password": password})
    if status != 200:
        raise OSError(text)
    entry.headers = {"Authorization": json.loads(text)["token"]}

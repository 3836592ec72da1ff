"""Plain HTTP to the lab's processes, so that the lab observes the product without the product's gateways."""

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
"""Errors of a request to a process that is starting, stopped or killed."""
PATIENCE_SECONDS: Final = 10.0
"""Time limit of a request that is not repeated."""
ACCEPT: Final = {"Accept": "*/*"}
"""This header tells etcd that a call comes through its JSON gateway. Then etcd does not take the gateway's own
certificate for the caller's (AuthInfoFromTLS in etcd's server/auth/store.go)."""
NO_TOKEN: Final = ("user name is empty", "invalid auth token")
"""etcd's errors for a request without a token, or with one that expired or is older than etcd's restart."""


@dataclass(slots=True)
class Access:
    """Credentials for a server that authenticates callers.

    Attributes:
        ca_file: Authorities to verify the server against.
        cert_file: Our certificate and its key in one file; None if the server needs none. It names no user, because
            etcd's JSON gateway refuses certificates that do (etcd `server/embed/serve.go`).
        user_cert_file: The same for gRPC, with the user's name.
        user: Name and password for etcd's own authentication; None while it is off.
        headers: Headers of each request, such as the token of `user`.
    """

    ca_file: Path
    cert_file: Path | None = None
    user_cert_file: Path | None = None
    user: tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def context(self) -> ssl.SSLContext:
        """Return a TLS context, new for each request because the files may have been renewed."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if self.cert_file is not None:
            context.load_cert_chain(str(self.cert_file))
        return context


_ACCESS: Final[dict[str, Access]] = {}
"""Credentials by host and port, so that requests need only a URL."""


def grant(url: str, access: Access) -> None:
    """Use these credentials for all later requests to the server of this URL."""
    _ACCESS[urlsplit(url).netloc] = access


def forget(url: str) -> None:
    """Undo `grant`."""
    _ACCESS.pop(urlsplit(url).netloc, None)


def access(url: str) -> Access | None:
    """Return the credentials for the server of this URL; None if it needs none."""
    return _ACCESS.get(urlsplit(url).netloc)


async def request(
    url: str,
    body: dict[str, Any] | None = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> tuple[int, str]:
    """Send a request, and return status and text of the answer; an HTTP error is an answer too.

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
    """Send the request, ignoring any proxy in our environment, because the lab's nodes are behind none."""
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    answer: HTTPResponse = urllib.request.build_opener(*handlers).open(message, timeout=seconds)
    return answer


async def post(url: str, body: dict[str, Any], timeout_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Return the JSON answer of etcd's JSON gateway.

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
    """Return whether the server answers in time, with 200."""
    with contextlib.suppress(*FAILURES):
        status, _ = await request(url, headers=headers, timeout_seconds=timeout_seconds)
        return status == 200
    return False


async def _log_in(url: str, entry: Access, user: tuple[str, str]) -> None:
    """Get a token from the server.

    Its JSON gateway does not take a certificate's common name for a user.
    """
    parts = urlsplit(url)
    name, password = user
    where = f"{parts.scheme}://{parts.netloc}/v3/auth/authenticate"
    status, text = await request(where, {"name": name, "password": password})
    if status != 200:
        raise OSError(text)
    entry.headers = {"Authorization": json.loads(text)["token"]}

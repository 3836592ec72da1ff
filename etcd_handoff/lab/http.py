"""Plain HTTP to the lab's own processes, so that it judges the product without the product's gateways."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final

_UNVERIFIED: Final = ssl._create_unverified_context()  # noqa: S323, SLF001  # the lab's own self-signed certificates
FAILURES: Final = (OSError, HTTPException, ValueError)
"""What a request to a process that is starting, stopped or killed may raise."""


async def request(
    url: str,
    body: dict[str, Any] | None = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    timeout_seconds: float = 2.0,
) -> tuple[int, str]:
    """Status and text of the answer; an HTTP error is an answer too.

    Raises:
        OSError: No connection, or no answer in time.
    """

    def call() -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(url, data=data, method=method, headers=headers or {})  # noqa: S310  # our URLs
        context = _UNVERIFIED if url.startswith("https") else None
        try:
            with urllib.request.urlopen(asked, timeout=timeout_seconds, context=context) as answer:  # noqa: S310
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(call)


async def post(url: str, body: dict[str, Any], timeout_seconds: float = 2.0) -> dict[str, Any]:
    """The JSON answer of etcd's JSON gateway.

    Raises:
        OSError: No connection, no answer in time, or an error answer.
    """
    status, text = await request(url, body, timeout_seconds=timeout_seconds)
    if status != 200:
        raise OSError(text)
    found: dict[str, Any] = json.loads(text)
    return found


async def answers(url: str, headers: dict[str, str] | None = None, timeout_seconds: float = 2.0) -> bool:
    """Whether it answers in time, with 200."""
    with contextlib.suppress(*FAILURES):
        status, _ = await request(url, headers=headers, timeout_seconds=timeout_seconds)
        return status == 200
    return False

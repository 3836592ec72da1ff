"""Wait for changes of EtcdMembers from any API server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Final

import aiohttp
from kubernetes.aio import client

from etcd_handoff import time_limits
from etcd_handoff.errors import (
    ApiUnavailableError,
    ConfigError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    UnauthenticatedError,
)
from etcd_handoff.etcdmember import GROUP, VERSION
from etcd_handoff.kubernetes.classify import classify, texts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from etcd_handoff.kubernetes.failover import ApiServers

PLURAL: Final = "etcdmembers"
BOOKMARK: Final = "BOOKMARK"
HTTP_GONE: Final = 410
NOT_UNDERSTOOD: Final = (ValueError, KeyError, TypeError, AttributeError)
"""Errors of reading an answer of another shape."""

log = logging.getLogger(__name__)


class Watch:
    """Watches on all API servers at once.

    Args:
        servers: The API servers.
        limit: Seconds within which an API server has to open a watch.
    """

    def __init__(self, servers: ApiServers, limit: float) -> None:
        self._servers = servers
        self._limit = limit

    async def wait_for_change(self, version: str) -> None:
        """Return when an API server reports a change of an EtcdMember after `version`, or that it cannot know.

        All API servers are watched at once, since one that hangs on a dying node looks like one without news. A
        connection that ends is opened again from its last version, which bookmarks keep fresh. A server that refuses,
        or does not serve the kind, has no news. It is asked again as long as others may have news.

        Raises:
            KubernetesPermissionError: No API server allows the watch.
        """
        await self._servers.refresh()
        refusals: dict[str, KubernetesError | None] = dict.fromkeys(self._servers.contexts())
        watches = [asyncio.ensure_future(self._watch_context(context, version, refusals)) for context in refusals]
        try:
            done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
            for watch in done:
                watch.result()  # an unexpected error is no news: counted as news, it would recur at once
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _watch_context(self, context: str, version: str, refusals: dict[str, KubernetesError | None]) -> None:
        """Watch one API server until it has news. Ask it again while it only breaks off or refuses.

        Args:
            context: The API server.
            version: What is known.
            refusals: By context, why it cannot be watched at all; shared by all watches.

        Raises:
            KubernetesPermissionError: No API server allows the watch.
        """
        while True:
            started = asyncio.get_running_loop().time()
            try:
                async for kind, at in self._events(context, version, refusals):
                    if kind != BOOKMARK:
                        return
                    version = at
            except client.ApiException as error:
                if error.status == HTTP_GONE:
                    return
                answer = classify(error)
                refusals[context] = answer if isinstance(answer, KubernetesPermissionError | KindGoneError) else None
                log.debug("watch through %s: %s", context, answer)
            except (aiohttp.ClientError, TimeoutError, OSError, ConfigError, ApiUnavailableError) as error:
                log.debug("watch through %s: %s", context, error)
            except NOT_UNDERSTOOD as error:  # no news: the same answer would recur at once, without end
                log.debug("watch through %s: not understood (%s)", context, type(error).__name__)
            answers = {name: answer for name, answer in refusals.items() if answer is not None}
            if len(answers) == len(refusals) and any(
                isinstance(a, KubernetesPermissionError) for a in answers.values()
            ):
                raise KubernetesPermissionError(texts(answers))
            await asyncio.sleep(
                max(0.0, time_limits.KUBERNETES.watch_again_seconds - (asyncio.get_running_loop().time() - started))
            )
            if len(answers) == len(refusals):
                return

    async def _events(
        self, context: str, version: str, refusals: dict[str, KubernetesError | None]
    ) -> AsyncIterator[tuple[str, str]]:
        """Yield type and resourceVersion of each watch event. An unreadable line raises one of `NOT_UNDERSTOOD`."""
        async with asyncio.timeout(self._limit):
            opened = await self._servers.client(context)
            api = client.CustomObjectsApi(opened.api)
            answer = await api.list_cluster_custom_object_without_preload_content(
                GROUP,
                VERSION,
                PLURAL,
                watch=True,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=time_limits.KUBERNETES.watch_seconds,
                _request_timeout=time_limits.KUBERNETES.watch_seconds + time_limits.KUBERNETES.watch_silence_seconds,
            )
        async with answer as stream:
            if not stream.ok:
                refusal = client.ApiException(status=stream.status, reason=stream.reason)
                refusal.body = await stream.text()
                if isinstance(classify(refusal), UnauthenticatedError):
                    await self._servers.refused(context, opened)
                raise refusal
            refusals[context] = None
            while True:
                async with asyncio.timeout(time_limits.KUBERNETES.watch_silence_seconds):
                    line = await stream.content.readline()
                if not line:
                    return
                event = json.loads(line)
                metadata = event["object"].get("metadata") or {}
                yield event["type"], str(metadata.get("resourceVersion") or version)

"""EtcdMember resources as the rest of the project sees them. Alone in importing the Kubernetes client.

In k0s every API server stands on its local etcd. The one on a departing member's node answers 500, hangs, or serves
what it last saw, so every call here goes through the configured API servers in turn, each try with its own deadline
and its own connection, the departing node's last. A patch carries the resourceVersion that it was made from, so that
an old answer can never overwrite a newer state.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException
from yaml import YAMLError

from etcd_handoff.errors import (
    ApiUnavailableError,
    ConfigError,
    ConflictError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from etcd_handoff.config import KubernetesProfile

GROUP: Final = "etcd.k0sproject.io"
VERSION: Final = "v1beta1"
PLURAL: Final = "etcdmembers"
FIELD_MANAGER: Final = "etcd-handoff"
IN_CLUSTER: Final = ""
EVENT_NAMESPACE: Final = "default"
"""Where Events about cluster-scoped objects live (Kubernetes `client-go/tools/record`)."""
BOOKMARK: Final = "BOOKMARK"
HTTP_GONE: Final = 410
WATCH_SECONDS: Final = 300
"""After so long an API server ends a watch by itself, and it is opened again."""
SILENT_SECONDS: Final = 90.0
"""A watch without a word for so long is dead: bookmarks come about once a minute."""
REWATCH_SECONDS: Final = 1.0
HEDGE_SECONDS: Final = 0.15
"""How long an API server may be silent before the next one is asked too; a healthy one needs some 10 ms."""
KEEP_SECONDS: Final = 1.0
"""How long an idle connection stands: the steps of a removal lie closer together, retries soon do not."""

UNUSABLE: Final = (ConfigException, YAMLError, OSError, ValueError, TypeError, KeyError)
"""What the client's loader raises for a kubeconfig that is not there, no YAML, or of another shape."""

T = TypeVar("T")
Resource = dict[str, Any]
Resources = list[Resource]
_Call = Callable[[client.CustomObjectsApi, float], Awaitable[T]]
log = logging.getLogger(__name__)

BY_STATUS: Final[dict[int, type[KubernetesError]]] = {
    400: RejectedError,
    401: KubernetesPermissionError,
    403: KubernetesPermissionError,
    404: ObjectGoneError,
    409: ConflictError,
    422: RejectedError,
}
"""HTTP status and our class (Kubernetes API conventions, "HTTP Status codes"); every other one moves on to the next
API server, because it speaks of the server and not of the object."""


class _ShortLivedConnections(aiohttp.TCPConnector):
    """A connection serves the requests of one step and no later ones.

    Behind one address there may be many API servers: whoever asks again after a pause must not meet a dying one again
    only because its connection still stood.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(keepalive_timeout=KEEP_SECONDS, **options)


class KubernetesGateway:
    """EtcdMembers of one cluster, through as many API servers as the profile names.

    Args:
        profile: Where the API servers are.
        node: The node that this process runs on: the context with that name is tried first.
    """

    def __init__(self, profile: KubernetesProfile, node: str = "") -> None:
        self._profile = profile
        self._node = node
        self._clients: dict[str, client.ApiClient] = {}
        self._silent: set[str] = set()

    async def close(self) -> None:
        """Close all clients."""
        for api in self._clients.values():
            await api.close()
        self._clients.clear()

    async def warm(self) -> None:
        """Each client that can be opened is open: reading its kubeconfig and certificates blocks for tens of ms."""
        for context in self.contexts():
            try:
                await self._client(context)
            except ConfigError as error:
                log.warning("context %s cannot be used: %s", context or "in-cluster", error)

    async def check_contexts(self) -> dict[str, str]:
        """Contexts that belong to another Kubernetes cluster than most of them, and what shows it."""
        return {}

    def contexts(self, departing: str = "") -> tuple[str, ...]:
        """Contexts in the order in which they are tried.

        The local one comes first, those that did not answer their last request later, the departing node's last.
        """
        known = self._profile.contexts or (IN_CLUSTER,)
        return tuple(sorted(known, key=lambda name: (name == departing, name in self._silent, name != self._node)))

    async def get(self, name: str, departing: str = "") -> Resource:
        """The EtcdMember called `name`.

        Raises:
            ObjectGoneError: There is none, or the resource kind is not installed.
            KubernetesPermissionError: It may not be read.
            ApiUnavailableError: No API server answered.
        """
        return await self._anywhere(departing, lambda api, limit: self._get(api, name, limit))

    async def list(self, departing: str = "") -> Resources:
        """All EtcdMembers.

        Raises:
            ObjectGoneError: The resource kind is not installed.
            KubernetesPermissionError: They may not be listed.
            ApiUnavailableError: No API server answered.
        """
        return (await self.list_at(departing))[0]

    async def list_at(self, departing: str = "") -> tuple[Resources, str]:
        """All EtcdMembers, and the resourceVersion that a watch for later changes starts from.

        Without a resourceVersion in the request the answer is as new as etcd itself (Kubernetes API concepts,
        "Resource versions").

        Raises:
            ObjectGoneError: The resource kind is not installed.
            KubernetesPermissionError: They may not be listed.
            ApiUnavailableError: No API server answered.
        """

        async def call(api: client.CustomObjectsApi, limit: float) -> tuple[Resources, str]:
            answer = await api.list_cluster_custom_object(GROUP, VERSION, PLURAL, _request_timeout=limit)
            listed = cast("dict[str, Any]", answer)
            return listed["items"], str(listed["metadata"]["resourceVersion"])

        return await self._anywhere(departing, call)

    async def changed(self, version: str) -> None:
        """Return when any API server reports that an EtcdMember changed after `version`, or that it cannot tell.

        All API servers are watched at once, since one that hangs on a dying node looks like one without news. A
        connection that ends is opened again from the last version that came over it, which bookmarks keep fresh.

        Raises:
            KubernetesPermissionError: They may not be watched.
        """
        watches = [asyncio.ensure_future(self._news(context, version)) for context in self.contexts()]
        try:
            done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
            for watch in done:
                watch.result()  # what was not foreseen is no news: taken for some, it would be met again at once
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def create(self, resource: Resource) -> Resource:
        """The EtcdMember as the API server stored it.

        Raises:
            ConflictError: There is one of that name.
            KubernetesPermissionError: It may not be created.
            RejectedError: The schema does not allow the content.
            ApiUnavailableError: No API server answered.
        """

        async def call(api: client.CustomObjectsApi, limit: float) -> Resource:
            stored = await api.create_cluster_custom_object(
                GROUP, VERSION, PLURAL, resource, field_manager=FIELD_MANAGER, _request_timeout=limit
            )
            return cast("Resource", stored)

        return await self._anywhere("", call)

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:
        """Store an Event; one that is there already, or cannot be stored, is let go: it is news, not state."""

        async def call(api: client.CustomObjectsApi, limit: float) -> None:
            await api.create_namespaced_custom_object(
                "events.k8s.io",
                "v1",
                EVENT_NAMESPACE,
                "events",
                event,
                field_manager=FIELD_MANAGER,
                _request_timeout=limit,
            )

        try:
            await self._anywhere(departing, call)
        except (KubernetesError, ConfigError) as error:
            log.debug("an Event was not stored: %s", error)

    async def patch_status(self, resource: Resource, status: dict[str, Any], departing: str = "") -> Resource:
        """The EtcdMember as the API server stored it, with the given fields of its status set.

        The patch is a JSON merge patch: fields that are not in `status` stay as they are, lists are replaced whole.

        Args:
            resource: The object as it was read; its resourceVersion must still be the current one.
            status: The fields to set.
            departing: Node whose API server is asked last.

        Raises:
            ConflictError: It changed since it was read.
            ObjectGoneError: It was deleted.
            KubernetesPermissionError: Its status may not be patched.
            RejectedError: The schema does not allow the content.
            ApiUnavailableError: No API server answered; the patch may have been stored all the same.
        """
        write = client.CustomObjectsApi.patch_cluster_custom_object_status
        return await self._patch(resource, {"status": status}, departing, write)

    async def patch_spec(self, resource: Resource, spec: dict[str, Any], departing: str = "") -> Resource:
        """The EtcdMember as the API server stored it, with the given fields of its spec set.

        Args:
            resource: The object as it was read; its resourceVersion must still be the current one.
            spec: The fields to set.
            departing: Node whose API server is asked last.

        Raises:
            ConflictError: It changed since it was read.
            ObjectGoneError: It was deleted.
            KubernetesPermissionError: It may not be patched.
            RejectedError: The schema does not allow the content.
            ApiUnavailableError: No API server answered; the patch may have been stored all the same.
        """
        write = client.CustomObjectsApi.patch_cluster_custom_object
        return await self._patch(resource, {"spec": spec}, departing, write)

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _patch(
        self, resource: Resource, part: dict[str, Any], departing: str, write: Callable[..., Awaitable[object]]
    ) -> Resource:
        metadata = resource["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, **part}

        async def call(api: client.CustomObjectsApi, limit: float) -> Resource:
            stored = await write(
                api,
                GROUP,
                VERSION,
                PLURAL,
                metadata["name"],
                body,
                field_manager=FIELD_MANAGER,
                _content_type="application/merge-patch+json",
                _request_timeout=limit,
            )
            return cast("Resource", stored)

        return await self._anywhere(departing, call)

    async def _news(self, context: str, version: str) -> None:
        """Watch one API server until it has news; it is asked again for as long as it only breaks."""
        while True:
            started, gone = asyncio.get_running_loop().time(), False
            try:
                async for kind, at in self._events(context, version):
                    if kind != BOOKMARK:
                        return
                    version = at
            except client.ApiException as error:
                if error.status == HTTP_GONE:
                    return
                found = classify(error)
                if isinstance(found, KubernetesPermissionError):
                    raise found from error
                gone = isinstance(found, ObjectGoneError)
                log.debug("watch through %s: %s", context, error.status)
            except (aiohttp.ClientError, TimeoutError, OSError, ConfigError) as error:
                log.debug("watch through %s: %s", context, error)
            except ValueError:
                return
            await asyncio.sleep(max(0.0, REWATCH_SECONDS - (asyncio.get_running_loop().time() - started)))
            if gone:
                return

    async def _events(self, context: str, version: str) -> AsyncIterator[tuple[str, str]]:
        """Type and resourceVersion of each watch event; a line that cannot be read counts as news."""
        api = client.CustomObjectsApi(await self._client(context))
        async with asyncio.timeout(self._profile.try_timeout_seconds):
            answer = await api.list_cluster_custom_object_without_preload_content(
                GROUP,
                VERSION,
                PLURAL,
                watch=True,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=WATCH_SECONDS,
                _request_timeout=WATCH_SECONDS + SILENT_SECONDS,
            )
        async with answer as stream:
            if not stream.ok:
                raise client.ApiException(status=stream.status, reason=stream.reason)
            while True:
                async with asyncio.timeout(SILENT_SECONDS):
                    line = await stream.content.readline()
                if not line:
                    return
                event = json.loads(line)
                metadata = event["object"].get("metadata") or {}
                yield event["type"], str(metadata.get("resourceVersion") or version)

    async def _get(self, api: client.CustomObjectsApi, name: str, limit: float) -> Resource:
        found = await api.get_cluster_custom_object(GROUP, VERSION, PLURAL, name, _request_timeout=limit)
        return cast("Resource", found)

    async def _anywhere(self, departing: str, call: _Call[T]) -> T:
        """The first definite answer of any API server.

        They are asked in turn, the next one as soon as the last has failed or been silent for `HEDGE_SECONDS`: one on a
        dying node would cost its whole time-out each time. Asking two is safe for patches, which carry the
        resourceVersion that they were made from; the second ends as a conflict.
        """
        left, notes, usable = list(self.contexts(departing)), list[str](), False
        asked: dict[asyncio.Future[T], str] = {}
        try:
            while left or asked:
                if left:
                    context = left.pop(0)
                    asked[asyncio.ensure_future(self._ask(context, call))] = context
                patience = HEDGE_SECONDS if left else None
                done, _ = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    context = asked.pop(task)
                    try:
                        answer = task.result()
                    except (ApiUnavailableError, ConfigError) as error:
                        notes.append(f"{context or 'in-cluster'}: {error}")
                        usable = usable or not isinstance(error, ConfigError)
                        self._silent.add(context)
                    else:
                        self._silent.discard(context)
                        self._silent.update(asked.values())
                        return answer
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        said = "; ".join(notes)
        if not usable:
            msg = f"clusters.*.kubernetes: no API server can be asked: {said}; correct kubeconfig and contexts"
            raise ConfigError(msg)
        msg = f"no API server answered: {said}"
        raise ApiUnavailableError(msg)

    async def _ask(self, context: str, call: _Call[T]) -> T:
        """One try at one API server.

        Raises:
            ApiUnavailableError: It gave no usable answer.
            ConfigError: The context cannot be used.
            KubernetesError: Its definite answer.
        """
        limit = self._profile.try_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                api = client.CustomObjectsApi(await self._client(context))
                return await call(api, limit)
        except client.ApiException as error:
            raise classify(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailableError(_connection_note(error, limit)) from error

    async def _client(self, context: str) -> client.ApiClient:
        """The client of a context, opened on first use.

        Raises:
            ConfigError: The kubeconfig, or the context in it, cannot be used.
        """
        if context not in self._clients:
            try:
                self._clients[context] = await self._open(context)
            except UNUSABLE as error:
                raise ConfigError(" ".join(str(error).split()) or type(error).__name__) from error
        return self._clients[context]

    async def _open(self, context: str) -> client.ApiClient:
        settings = client.Configuration()
        settings.retries = None
        if self._profile.kubeconfig is not None:
            await config.load_kube_config(
                config_file=str(self._profile.kubeconfig),
                context=context or None,
                client_configuration=settings,
                persist_config=False,
            )
        else:
            config.load_incluster_config(client_configuration=settings)
        api = client.ApiClient(configuration=settings)
        short = functools.partial(_ShortLivedConnections, ssl=api.rest_client.ssl_context)
        api.rest_client._create_connector = short  # type: ignore[method-assign]  # noqa: SLF001  # its only hook
        return api


def classify(error: client.ApiException) -> KubernetesError:
    """Our error for an HTTP answer; the message is the API server's own `message`, cut to what a log can carry."""
    try:
        said = str(json.loads(error.body or "{}").get("message") or error.reason)
    except (ValueError, AttributeError):
        said = str(error.body or error.reason)
    return BY_STATUS.get(error.status or 0, ApiUnavailableError)(f"{error.status}: {said[:300]}")


def _connection_note(error: BaseException, limit: float) -> str:
    """In a few words and without the address."""
    if isinstance(error, TimeoutError):
        return f"no answer within {limit:g} s"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "TLS handshake failed"
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return "connection refused"
    return "connection broken"

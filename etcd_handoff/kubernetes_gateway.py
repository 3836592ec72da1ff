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
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

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
    from collections.abc import Awaitable, Callable

    from etcd_handoff.config import KubernetesProfile

GROUP: Final = "etcd.k0sproject.io"
VERSION: Final = "v1beta1"
PLURAL: Final = "etcdmembers"
FIELD_MANAGER: Final = "etcd-handoff"
IN_CLUSTER: Final = ""

T = TypeVar("T")
Resource = dict[str, Any]
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

DEFINITE: Final = (KubernetesPermissionError, ObjectGoneError, ConflictError, RejectedError)


class _FreshConnections(aiohttp.TCPConnector):
    """Never reuses a connection: one to a dying API server would be met again by the next request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(force_close=True, **options)


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

    async def list(self, departing: str = "") -> list[Resource]:
        """All EtcdMembers.

        Raises:
            ObjectGoneError: The resource kind is not installed.
            KubernetesPermissionError: They may not be listed.
            ApiUnavailableError: No API server answered.
        """

        async def call(api: client.CustomObjectsApi, limit: float) -> list[Resource]:
            answer = await api.list_cluster_custom_object(GROUP, VERSION, PLURAL, _request_timeout=limit)
            return cast("dict[str, list[Resource]]", answer)["items"]

        return await self._anywhere(departing, call)

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
        metadata = resource["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}

        async def call(api: client.CustomObjectsApi, limit: float) -> Resource:
            stored = await api.patch_cluster_custom_object_status(
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

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _get(self, api: client.CustomObjectsApi, name: str, limit: float) -> Resource:
        found = await api.get_cluster_custom_object(GROUP, VERSION, PLURAL, name, _request_timeout=limit)
        return cast("Resource", found)

    async def _anywhere(self, departing: str, call: Callable[[client.CustomObjectsApi, float], Awaitable[T]]) -> T:
        """The first definite answer, asking one API server after the other."""
        limit, notes = self._profile.try_timeout_seconds, list[str]()
        for context in self.contexts(departing):
            try:
                async with asyncio.timeout(limit):
                    answer = await call(client.CustomObjectsApi(await self._client(context)), limit)
                self._silent.discard(context)
                return answer  # noqa: TRY300  # an else branch would part it from its call by three handlers
            except client.ApiException as error:
                found = classify(error)
                if isinstance(found, DEFINITE):
                    raise found from error
                notes.append(f"{context or 'in-cluster'}: {found}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                notes.append(f"{context or 'in-cluster'}: {_connection_note(error, limit)}")
            except ConfigException as error:
                msg = f"clusters.*.kubernetes: {error}"
                raise ConfigError(msg) from error
            self._silent.add(context)
            log.debug("API server did not answer: %s", notes[-1])
        msg = f"no API server answered: {'; '.join(notes)}"
        raise ApiUnavailableError(msg)

    async def _client(self, context: str) -> client.ApiClient:
        if context not in self._clients:
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
            fresh = functools.partial(_FreshConnections, ssl=api.rest_client.ssl_context)
            api.rest_client._create_connector = fresh  # type: ignore[method-assign]  # noqa: SLF001  # its only hook
            self._clients[context] = api
        return self._clients[context]


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

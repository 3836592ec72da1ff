"""EtcdMember resources as the rest of the project sees them.

Every call goes through the configured API servers in turn. A patch carries the resourceVersion that it was made from,
so an old answer can never overwrite a newer state.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from kubernetes.aio import client

from etcd_handoff.errors import ConfigError, KubernetesError
from etcd_handoff.etcdmember import GROUP, VERSION
from etcd_handoff.kubernetes.failover import ApiServers, OnError, ignored
from etcd_handoff.kubernetes.watch import PLURAL, Watch
from etcd_handoff.managed_fields import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from etcd_handoff.config import KubernetesProfile
    from etcd_handoff.kubernetes.member_servers import Hosts

EVENT_NAMESPACE: Final = "default"
"""The namespace of Events about cluster-scoped objects (Kubernetes `client-go/tools/record`)."""

Resource = dict[str, Any]
Resources = list[Resource]
log = logging.getLogger(__name__)


class KubernetesGateway:
    """EtcdMembers of one cluster, through the API servers that the profile names.

    Args:
        profile: Where the API servers are.
        node: The node that this process runs on. The context with that name is tried first.
        hosts: Reads the member list, for a profile whose API servers are the members'.
        on_error: Gets the error of each API server that gave no answer.
    """

    def __init__(
        self, profile: KubernetesProfile, node: str = "", hosts: Hosts | None = None, on_error: OnError = ignored
    ) -> None:
        self._servers = ApiServers(profile, node, hosts, on_error)
        self._watch = Watch(self._servers, profile.try_timeout_seconds)

    async def close(self) -> None:
        """Close all clients."""
        await self._servers.close()

    async def warm(self) -> None:
        """Open all clients, as far as possible."""
        await self._servers.warm()

    async def check_contexts(self) -> dict[str, str]:
        """Return the contexts that belong to another Kubernetes cluster than most, and the evidence.

        A context counts as belonging if it may not read the UID of the namespace kube-system, or does not answer.
        """
        return await self._servers.check_contexts()

    async def find_servers(self) -> None:
        """Find the contexts, also those of the members' API servers."""
        await self._servers.refresh()

    def all_contexts(self) -> tuple[str, ...]:
        """Return the contexts in the order of the profile, also those of another cluster."""
        return self._servers.all_contexts()

    def contexts(self, departing: str = "") -> tuple[str, ...]:
        """Return the contexts in the order in which they are tried."""
        return self._servers.contexts(departing)

    async def get(self, name: str, departing: str = "") -> Resource:
        """Return the EtcdMember called `name`.

        Raises:
            ObjectGoneError: There is none, or the resource kind is not installed.
            KubernetesPermissionError: It may not be read.
            ApiUnavailableError: No API server answered.
        """

        async def call(api: client.CustomObjectsApi, limit: float) -> Resource:
            stored: Any = await api.get_cluster_custom_object(GROUP, VERSION, PLURAL, name, _request_timeout=limit)
            return dict(stored)

        return await self._servers.first_answer(departing, call)

    async def list(self, departing: str = "") -> Resources:
        """Return all EtcdMembers.

        Raises:
            ObjectGoneError: The resource kind is not installed.
            KubernetesPermissionError: They may not be listed.
            ApiUnavailableError: No API server answered.
        """
        return (await self.list_at(departing))[0]

    async def list_through(self, context: str) -> Resources:
        """Return all EtcdMembers as one API server has them.

        Raises:
            KubernetesError: Its answer.
            ConfigError: The context cannot be used.
        """
        return (await self._servers.first_answer("", _list, only=context))[0]

    async def list_at(self, departing: str = "") -> tuple[Resources, str]:
        """Return all EtcdMembers, and the resourceVersion from which to watch for later changes.

        Without a resourceVersion in the request, the answer is as new as etcd itself (Kubernetes API concepts,
        "Resource versions"). An empty list counts when no other API server has any.

        Raises:
            ObjectGoneError: The resource kind is not installed.
            KubernetesPermissionError: They may not be listed.
            ApiUnavailableError: No API server answered.
        """
        return await self._servers.first_answer(departing, _list, absent=lambda answer: not answer[0])

    async def wait_for_change(self, version: str) -> None:
        """Return when an API server reports a change of an EtcdMember after `version`, or that it cannot know.

        Raises:
            KubernetesPermissionError: No API server allows the watch.
        """
        await self._watch.wait_for_change(version)

    async def create(self, resource: Resource) -> Resource:
        """Create an EtcdMember, and return it as the API server stored it.

        Raises:
            ConflictError: There is one of that name.
            KubernetesPermissionError: It may not be created.
            RejectedError: The schema does not allow the content.
            ApiUnavailableError: No API server answered.
        """

        async def call(api: client.CustomObjectsApi, limit: float) -> Resource:
            stored: Any = await api.create_cluster_custom_object(
                GROUP, VERSION, PLURAL, resource, field_manager=FIELD_MANAGER, _request_timeout=limit
            )
            return dict(stored)

        return await self._servers.first_answer("", call)

    async def record_event(self, event: dict[str, Any], departing: str = "") -> None:
        """Store an Event. Ignore one that exists already or cannot be stored: it is news, not state."""

        async def call(api: client.CustomObjectsApi, limit: float) -> None:
            options: Any = {"field_manager": FIELD_MANAGER, "_request_timeout": limit}
            await api.create_namespaced_custom_object(
                "events.k8s.io", "v1", EVENT_NAMESPACE, "events", event, **options
            )

        try:
            await self._servers.first_answer(departing, call)
        except (KubernetesError, ConfigError) as error:
            log.debug("an Event was not stored: %s", error)

    async def patch_status(self, resource: Resource, status: dict[str, Any], departing: str = "") -> Resource:
        """Set fields of an EtcdMember's status, and return it as the API server stored it.

        The patch is a JSON merge patch: fields that are not in `status` stay as they are, lists are replaced whole.

        Args:
            resource: The object as it was read. Its resourceVersion must still be the current one.
            status: The fields to set.
            departing: Node whose API server is asked last.

        Raises:
            ConflictError: It changed since it was read.
            ObjectGoneError: It was deleted.
            KubernetesPermissionError: Its status may not be patched.
            RejectedError: The schema does not allow the content.
            ApiUnavailableError: No API server answered. The patch may still have been stored.
        """
        write = client.CustomObjectsApi.patch_cluster_custom_object_status
        return await self._patch(resource, {"status": status}, departing, write)

    async def patch_spec(
        self, resource: Resource, spec: dict[str, Any], departing: str = "", *, without: str = ""
    ) -> Resource:
        """Set fields of an EtcdMember's spec, and return it as the API server stored it.

        Args:
            resource: The object as it was read. Its resourceVersion must still be the current one.
            spec: The fields to set.
            departing: Node whose API server is asked last.
            without: An annotation to remove; empty for none.

        Raises:
            ConflictError: It changed since it was read.
            ObjectGoneError: It was deleted.
            KubernetesPermissionError: It may not be patched.
            RejectedError: The schema does not allow the content.
            ApiUnavailableError: No API server answered. The patch may still have been stored.
        """
        write = client.CustomObjectsApi.patch_cluster_custom_object
        metadata: dict[str, Any] = {"annotations": {without: None}} if without else {}
        return await self._patch(resource, {"spec": spec, "metadata": metadata}, departing, write)

    async def may_patch(self, part: str) -> bool:
        """Return whether this account may patch one part of EtcdMembers, `status` or `spec`, by an API server's review.

        Raises:
            KubernetesError: No API server answers.
        """
        status = "status" if part == "status" else None
        what = client.V1ResourceAttributes(group=GROUP, resource=PLURAL, verb="patch", subresource=status)
        review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=what))

        async def call(api: client.CustomObjectsApi, limit: float) -> bool:
            reviews = client.AuthorizationV1Api(api.api_client)
            answer: Any = await reviews.create_self_subject_access_review(review, _request_timeout=limit)
            return bool(answer.status.allowed)

        return await self._servers.first_answer("", call)

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _patch(
        self, resource: Resource, part: dict[str, Any], departing: str, write: Callable[..., Awaitable[object]]
    ) -> Resource:
        metadata = resource["metadata"]
        body = {**part, "metadata": {**part.get("metadata", {}), "resourceVersion": metadata["resourceVersion"]}}

        async def call(api: client.CustomObjectsApi, limit: float) -> Resource:
            stored: Any = await write(
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
            return dict(stored)

        return await self._servers.first_answer(departing, call)


async def _list(api: client.CustomObjectsApi, limit: float) -> tuple[Resources, str]:
    listed: Any = await api.list_cluster_custom_object(GROUP, VERSION, PLURAL, _request_timeout=limit)
    return list(listed["items"]), str(listed["metadata"]["resourceVersion"])

"""Ask the API servers of one Kubernetes cluster in turn until one gives an answer that counts.

In k0s every API server uses its local etcd. The one on a departing member's node answers 500, hangs, or serves its last
state. So every call goes through the configured API servers in turn, the departing node's last. Each try has its own
deadline and its own connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp
from kubernetes.aio import client

from etcd_handoff import hedge, time_limits
from etcd_handoff.errors import ApiUnavailableError, ConfigError, KubernetesError, UnauthenticatedError
from etcd_handoff.kubernetes.answers import Answers, T
from etcd_handoff.kubernetes.classify import classify, together
from etcd_handoff.kubernetes.client import namespace_uid
from etcd_handoff.kubernetes.clients import Clients
from etcd_handoff.kubernetes.identity import IDENTITY_NAMESPACE, Identities
from etcd_handoff.kubernetes.member_servers import MemberServers, same_node

if TYPE_CHECKING:
    from etcd_handoff.config import KubernetesProfile
    from etcd_handoff.kubernetes.client import OpenClient
    from etcd_handoff.kubernetes.member_servers import Hosts

IN_CLUSTER: Final = ""
TLS_ERRORS: Final = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)

Call = Callable[[client.CustomObjectsApi, float], Awaitable[T]]
"""A request to one API server, given its client and a time-out in seconds."""
OnError = Callable[[KubernetesError], None]
"""Gets the error of each API server that gave no answer."""
log = logging.getLogger(__name__)


def ignored(_: KubernetesError) -> None:
    """Ignore an error of an API server: only the caller gets it."""


class ApiServers:
    """The API servers that the profile names.

    Args:
        profile: Where they are.
        node: The node that this process runs on. The context with that name is tried first.
        hosts: Reads the member list, for a profile whose API servers are the members'.
        on_error: Gets the error of each API server that gave no answer.
    """

    def __init__(
        self,
        profile: KubernetesProfile,
        node: str = "",
        hosts: Hosts | None = None,
        on_error: OnError = ignored,
    ) -> None:
        self._on_error = on_error
        self._named = profile.contexts or (IN_CLUSTER,)
        self._limit = profile.try_timeout_seconds
        self._node = node
        self._clients = Clients(profile.kubeconfig)
        self._silent: set[str] = set()
        self._members = (
            MemberServers(profile, node, self._clients, hosts) if hosts and profile.api_servers == "members" else None
        )
        self._identities = Identities(self.all_contexts, self._cluster_of)

    async def close(self) -> None:
        """Close all clients."""
        if self._members:
            await self._members.close()
        await self._identities.close()
        await self._clients.close()

    async def warm(self) -> None:
        """Open all clients, as far as possible: reading a kubeconfig and its certificates blocks for tens of ms."""
        await self.refresh()
        for context in self.all_contexts():
            try:
                await self._clients.get(context)
            except (ConfigError, ApiUnavailableError) as error:
                log.warning("context %s cannot be used: %s", context or "in-cluster", error)

    async def refresh(self) -> None:
        """Update the members' API servers if the member list is too old."""
        if self._members:
            await self._members.refresh()

    def all_contexts(self) -> tuple[str, ...]:
        """Return the contexts in the order of the profile, also those of another cluster."""
        return self._members.contexts if self._members else self._named

    def contexts(self, departing: str = "") -> tuple[str, ...]:
        """Return the contexts in the order in which they are tried.

        The local one comes first, those that did not answer their last request later, the departing node's last.
        Contexts of another Kubernetes cluster are left out.
        """
        foreign = self._identities.foreign()
        known = [context for context in self.all_contexts() if context not in foreign]

        def order(context: str) -> tuple[bool, bool, bool]:
            return same_node(context, departing), context in self._silent, not same_node(context, self._node)

        return tuple(sorted(known, key=order))

    async def client(self, context: str) -> OpenClient:
        """Return the client of a context.

        Raises:
            ConfigError: The kubeconfig, or the context in it, cannot be used.
            ApiUnavailableError: Its credentials cannot be had now.
        """
        return await self._clients.get(context)

    async def refused(self, context: str, opened: OpenClient) -> None:
        """Replace a client whose credentials were refused, so that the next request has others if there are any."""
        await self._clients.renewed(context, opened)

    async def first_answer(
        self, departing: str, call: Call[T], absent: Callable[[T], bool] = lambda _: False, only: str | None = None
    ) -> T:
        """Return the first answer of an API server that does not depend on one server alone.

        They are asked in turn, the next one as soon as the last has failed or been silent for a moment. A server on a
        dying node would otherwise cost its whole time-out each time. To ask two is safe for patches, which carry the
        resourceVersion that they were made from. The second one ends as a conflict.

        An answer that there is nothing counts once the other API servers had the time to contradict it: one on an empty
        etcd has no objects. The departing node's is not waited for then.

        Args:
            departing: Node whose API server is asked last.
            call: The request.
            absent: Whether an answer says that there is nothing.
            only: The one context to ask; None for all.

        Raises:
            KubernetesError: The combined error of all answers.
            ConfigError: No context can be used.
        """
        answers = Answers[T](departing, absent)
        await self.refresh()
        contexts = self.contexts(departing) if only is None else (only,)
        calls = {context: partial(self.ask, context, call) for context in contexts}
        try:
            answer = await hedge.first_answer(
                calls, time_limits.KUBERNETES.hedge_seconds, answers.counts, answers.matters
            )
        finally:
            self._identities.compare_later()
        self._silent.update(answers.errors)
        if answer is not None:
            self._silent.discard(answer.server)
            self._silent.update(answer.silent)
            return answer.task.result()
        if answers.nothing:
            return answers.nothing[0]
        foreign = {context: ConfigError(note) for context, note in self._identities.foreign().items()}
        raise together({**answers.errors, **foreign}, {c for c in contexts if same_node(c, departing)})

    async def ask(self, context: str, call: Call[T]) -> T:
        """Make one try at one API server. If it refuses the credentials, try again with fresh ones.

        Raises:
            ApiUnavailableError: It gave no usable answer.
            ConfigError: The context cannot be used.
            KubernetesError: Its answer.
        """
        try:
            return await self._ask(context, call)
        except KubernetesError as error:
            self._on_error(error)
            raise

    async def _ask(self, context: str, call: Call[T]) -> T:
        try:
            async with asyncio.timeout(self._limit):
                opened = await self._clients.get(context)
                try:
                    return await call(client.CustomObjectsApi(opened.api), self._limit)
                except (client.ApiException, aiohttp.ClientError) as error:
                    renewed = await self._clients.renewed(context, opened) if _about_credentials(error) else None
                    if renewed is None:
                        raise
                return await call(client.CustomObjectsApi(renewed.api), self._limit)
        except client.ApiException as error:
            raise classify(error) from None  # the original contains headers and the whole body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            proxy = self._clients.proxy(context)
            through = f"through the proxy of {proxy.origin}: " if proxy else ""
            raise ApiUnavailableError(f"{through}{_connection_note(error, self._limit)}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ApiUnavailableError("it answers something that no API server does") from None

    # --- which Kubernetes cluster ---------------------------------------------------------------------------------

    async def check_contexts(self) -> dict[str, str]:
        """Return the contexts that belong to another Kubernetes cluster than most, and the evidence."""
        await self.refresh()
        return await self._identities.compare()

    async def _cluster_of(self, context: str) -> str:
        """Return the UID of the Kubernetes cluster behind a context, or "" when it is not known."""

        async def call(api: client.CustomObjectsApi, limit: float) -> str:
            return await namespace_uid(api.api_client, IDENTITY_NAMESPACE, limit)

        try:
            return await self._ask(context, call)  # not `ask`: missing rights to read the UID are no error
        except (KubernetesError, ConfigError) as error:
            log.debug("context %s does not tell its cluster: %s", context, error)
            return ""


def _about_credentials(error: Exception) -> bool:
    """Whether other credentials, or another authority, may help."""
    if isinstance(error, client.ApiException):
        return isinstance(classify(error), UnauthenticatedError)
    return isinstance(error, TLS_ERRORS)


def _connection_note(error: BaseException, limit: float) -> str:
    """Return a short text without the address."""
    if isinstance(error, TimeoutError):
        return f"no answer within {limit:g} s"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers {error.status}"
    notes = (
        (aiohttp.ClientProxyConnectionError, "the proxy does not answer"),
        (TLS_ERRORS, "TLS handshake failed"),
        (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
        (aiohttp.ClientConnectorError, "connection refused"),
        (ConnectionRefusedError, "connection refused"),
    )
    return next((note for kind, note in notes if isinstance(error, kind)), "connection broken")

"""The API servers of one Kubernetes cluster, asked in turn until one gives an answer that counts.

In k0s every API server stands on its local etcd. The one on a departing member's node answers 500, hangs, or serves
what it last saw, so every call goes through the configured API servers in turn, each try with its own deadline and its
own connection, the departing node's last.
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
    from etcd_handoff.kubernetes.client import Opened
    from etcd_handoff.kubernetes.member_servers import Hosts

IN_CLUSTER: Final = ""
TLS_ERRORS: Final = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)

Call = Callable[[client.CustomObjectsApi, float], Awaitable[T]]
"""A request to one API server, given its client and a time-out in seconds."""
OnError = Callable[[KubernetesError], None]
"""Told what came of asking one API server, where that is no answer."""
log = logging.getLogger(__name__)


def ignored(_: KubernetesError) -> None:
    """Nobody wants to know of an error beside whoever has asked."""


class ApiServers:
    """As many API servers as the profile names.

    Args:
        profile: Where they are.
        node: The node that this process runs on: the context with that name is tried first.
        hosts: Reads the member list, for a profile whose API servers are the members'.
        on_error: Told what came of asking one API server, where that is no answer.
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
        """The members' API servers are those of a member list that is not too old."""
        if self._members:
            await self._members.refresh()

    def all_contexts(self) -> tuple[str, ...]:
        """Contexts in the order of the profile, those of another cluster too."""
        return self._members.contexts if self._members else self._named

    def contexts(self, departing: str = "") -> tuple[str, ...]:
        """Contexts in the order in which they are tried.

        The local one comes first, those that did not answer their last request later, the departing node's last. Those
        of another Kubernetes cluster are left out.
        """
        foreign = self._identities.foreign()
        known = [context for context in self.all_contexts() if context not in foreign]

        def order(context: str) -> tuple[bool, bool, bool]:
            return same_node(context, departing), context in self._silent, not same_node(context, self._node)

        return tuple(sorted(known, key=order))

    async def client(self, context: str) -> Opened:
        """The client of a context.

        Raises:
            ConfigError: The kubeconfig, or the context in it, cannot be used.
            ApiUnavailableError: Its credentials cannot be had now.
        """
        return await self._clients.get(context)

    async def refused(self, context: str, opened: Opened) -> None:
        """The credentials of this client were not accepted: the next request has others, where there are any."""
        await self._clients.renewed(context, opened)

    async def first_answer(
        self, departing: str, call: Call[T], absent: Callable[[T], bool] = lambda _: False, only: str | None = None
    ) -> T:
        """The first answer of any API server that is more than one server's word.

        They are asked in turn, the next one as soon as the last has failed or been silent for a moment: one on a dying
        node would cost its whole time-out each time. Asking two is safe for patches, which carry the
        resourceVersion that they were made from; the second ends as a conflict.

        That there is nothing is believed once the other API servers have had the time to say otherwise: one on an
        empty etcd knows nothing. The departing node's is not waited for then.

        Args:
            departing: Node whose API server is asked last.
            call: What to ask.
            absent: Whether an answer says that there is nothing.
            only: The one context to ask; None for all.

        Raises:
            KubernetesError: What they answered comes to this.
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
        """One try at one API server, with fresh credentials where it does not accept those at hand.

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
            raise classify(error) from None  # it holds headers and the whole body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            proxy = self._clients.proxy(context)
            through = f"through the proxy of {proxy.origin}: " if proxy else ""
            raise ApiUnavailableError(f"{through}{_connection_note(error, self._limit)}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ApiUnavailableError("it answers something that no API server does") from None

    # --- which Kubernetes cluster ---------------------------------------------------------------------------------

    async def check_contexts(self) -> dict[str, str]:
        """Contexts that belong to another Kubernetes cluster than most of them, and what shows it."""
        await self.refresh()
        return await self._identities.compare()

    async def _cluster_of(self, context: str) -> str:
        """UID of the Kubernetes cluster behind a context; empty when it does not say."""

        async def call(api: client.CustomObjectsApi, limit: float) -> str:
            return await namespace_uid(api.api_client, IDENTITY_NAMESPACE, limit)

        try:
            return await self._ask(context, call)  # who may not read it is in order all the same
        except (KubernetesError, ConfigError) as error:
            log.debug("context %s does not tell its cluster: %s", context, error)
            return ""


def _about_credentials(error: Exception) -> bool:
    """Whether other credentials, or another authority, may help."""
    if isinstance(error, client.ApiException):
        return isinstance(classify(error), UnauthenticatedError)
    return isinstance(error, TLS_ERRORS)


def _connection_note(error: BaseException, limit: float) -> str:
    """In a few words and without the address."""
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

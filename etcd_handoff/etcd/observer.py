"""One look at a cluster: ask all endpoints in parallel, wait, and ask further at the advertised URLs.

It also remembers where each member answered, since calls to a member go there.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_handoff import time_limits
from etcd_handoff.doubts import LISTS_DIFFER, UNLISTED_MEMBER, expected
from etcd_handoff.errors import EtcdError, UnreachableError
from etcd_handoff.etcd.client_url import canonical_url
from etcd_handoff.etcd.look import choose_list, expected_cluster, view_of
from etcd_handoff.etcd.query import Query, end, no_list, wait_for
from etcd_handoff.etcd.replies import MemberList, Reply, Status, read_list, read_status, self_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etcd_handoff.cluster_view import ClusterView, MemberSelfReport
    from etcd_handoff.config import EtcdProfile
    from etcd_handoff.etcd.connections import Call, Connections, T


@dataclass(frozen=True, slots=True)
class Route:
    """Where a member answered, and for which cluster."""

    url: str
    cluster_id: str


class Observer:
    """Looks at one cluster.

    Args:
        profile: How to reach the members.
        connections: Channels to them.
        cluster_id: The cluster that the profile names; empty when it names none.

    Attributes:
        leader_id: The leader at the last look; empty when there was none.
    """

    def __init__(self, profile: EtcdProfile, connections: Connections, cluster_id: str) -> None:
        self._profile = profile
        self._connections = connections
        self._cluster_id = cluster_id
        self._routes: dict[str, Route] = {}
        self._owners: dict[str, tuple[str, str]] = {}
        """The cluster and the member for which each endpoint of the profile answered last."""
        self.leader_id = ""

    @property
    def members(self) -> tuple[str, ...]:
        """Members that can be asked: the leader first, as far as it is known."""
        return tuple(sorted(self._routes, key=lambda member_id: member_id != self.leader_id))

    def route(self, member_id: str) -> Route:
        """Return where this member answered last.

        Raises:
            UnreachableError: It has not answered.
        """
        route = self._routes.get(member_id)
        if route is None:
            msg = f"member {member_id} has not answered at any endpoint yet"
            raise UnreachableError(msg)
        return route

    def forget(self, member_id: str) -> None:
        """Forget where this member answered, since another member answers there now."""
        self._routes.pop(member_id, None)

    async def observe(self, doubtful: Iterable[str], leaving: str) -> ClusterView:
        """See `EtcdGateway.observe`."""
        view = await self._look(frozenset(doubtful), leaving)
        if any(doubt.kind in (LISTS_DIFFER, UNLISTED_MEMBER) for doubt in view.doubts):
            await asyncio.sleep(time_limits.ETCD.second_look_seconds)
            silent = {m.id for m in view.members if not m.reachable or not (m.serves_reads or m.is_learner)}
            with suppress(EtcdError):  # without a second look, the contradiction stays
                view = await self._look(frozenset({*doubtful, *silent}), leaving)
        self.leader_id = view.leadership.id if view.leadership else ""
        return expected(view, self._cluster_id)

    async def self_reports(self) -> tuple[MemberSelfReport, ...]:
        """See `EtcdGateway.self_reports`."""
        tasks = [asyncio.ensure_future(self._status(url)) for url in self._profile.endpoints]
        try:
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await end(tasks)
        statuses = {answer.member_id: answer for answer in answers if isinstance(answer, Status)}
        return tuple(self_report(status) for _, status in sorted(statuses.items()))

    async def own_cluster(self) -> str:
        """See `EtcdGateway.own_cluster`."""
        with suppress(EtcdError):
            return (await self._list(self._profile.endpoints[0], linearizable=False)).cluster_id
        return ""

    async def _look(self, doubtful: frozenset[str], leaving: str) -> ClusterView:
        leaving_url = self._routes[leaving].url if leaving in self._routes else ""
        queries = [
            self._ask(f"endpoint {number} of the profile", url)
            for number, url in enumerate(self._profile.endpoints, start=1)
            if url != leaving_url
        ]
        try:
            await self._wait_for_answers(queries, doubtful | {leaving})
            chosen = self._chosen_list(queries)
            if chosen is None:
                raise await self._error_without_list(queries)
            further = self._query_advertised(chosen, queries, leaving)
            queries += further
            # A doubtful member is asked too, since nothing else would show that it is back.
            await wait_for(further, doubtful)
            chosen = self._chosen_list(queries) or chosen
        finally:
            await end([task for query in queries for task in query.tasks])
        replies = [query.reply() for query in queries]
        self._remember(replies, chosen)
        routes = {member_id: route.url for member_id, route in self._routes.items()}
        return view_of(chosen, replies, routes, {leaving})

    def _ask(self, endpoint: str, url: str, advertised_by: str = "") -> Query:
        status, listing = asyncio.create_task(self._status(url)), asyncio.create_task(self._list(url))
        return Query(endpoint, url, advertised_by, status, listing)

    async def _status(self, url: str) -> Status:
        return read_status(await self._read(url, lambda c, t: c.maintenance.status(timeout=t)))

    async def _list(self, url: str, *, linearizable: bool = True) -> MemberList:
        answer = await self._read(url, lambda c, t: c.cluster.member_list(linearizable=linearizable, timeout=t))
        return read_list(answer)

    async def _wait_for_answers(self, queries: Sequence[Query], doubtful: frozenset[str]) -> None:
        """Return when all members but the doubtful ones have answered, and these had a short grace."""
        pending = {task for query in queries for task in query.tasks}
        while pending:
            enough = self._enough(queries, doubtful)
            done, pending = await asyncio.wait(
                pending,
                timeout=time_limits.ETCD.late_member_seconds if enough else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if enough and not done:
                return

    def _enough(self, queries: Sequence[Query], doubtful: frozenset[str]) -> bool:
        """Return whether all members but the doubtful ones have answered, and most endpoints are of this cluster.

        Without the second condition, a foreign cluster that answers first, and lists only itself, would be all that is
        seen.
        """
        chosen = self._chosen_list(queries)
        if chosen is None:
            return False
        answered, members = 0, set[str]()
        for query in queries:
            cluster_id, owner = self._owners.get(query.url, ("", ""))
            reply = query.reply()
            if query.settled:
                members.add(reply.member_id or owner)
                answered += reply.cluster_id == chosen.cluster_id
            else:
                answered += cluster_id == chosen.cluster_id and owner in doubtful
        return 2 * answered > len(queries) and chosen.ids - doubtful <= members

    def _chosen_list(self, queries: Sequence[Query]) -> MemberList | None:
        return choose_list([query.reply() for query in queries], self._cluster_id, self._remembered)

    @property
    def _remembered(self) -> dict[str, str]:
        return {url: cluster_id for url, (cluster_id, _) in self._owners.items()}

    def _query_advertised(self, chosen: MemberList, queries: Sequence[Query], leaving: str) -> list[Query]:
        """Ask the members that have not answered at the URLs that they advertise."""
        answered = {reply.member_id for query in queries if (reply := query.reply()).cluster_id == chosen.cluster_id}
        known = {*self._profile.endpoints}
        further: dict[str, Query] = {}
        for member in chosen.members:
            if member.id == leaving or member.id in answered:
                continue
            for url in (canonical_url(text) for text in member.client_urls):
                # A member may advertise plain HTTP, over which no token or password of a TLS profile may go.
                usable = url.startswith("https://") or (url and not self._profile.secure)
                if usable and url not in known and url not in further:
                    further[url] = self._ask(f"the advertised URL of {member.name or member.id}", url, member.id)
        return [*further.values()]

    def _remember(self, replies: Iterable[Reply], chosen: MemberList) -> None:
        """Remember where each member answered. An advertised URL may lead anywhere: it never replaces an endpoint."""
        routes, cluster_id = dict[str, Route](), chosen.cluster_id
        for reply in replies:
            if not reply.advertised_by and reply.cluster_id:
                self._owners[reply.url] = (reply.cluster_id, reply.member_id)
            own = reply.advertised_by in ("", reply.member_id)
            if own and reply.status and reply.status.cluster_id == cluster_id:
                routes.setdefault(reply.status.member_id, Route(reply.url, cluster_id))
        self._routes = {i: route for i, route in (self._routes | routes).items() if i in chosen.ids}

    async def _error_without_list(self, queries: Sequence[Query]) -> EtcdError:
        """Return why no endpoint gave a list that counts."""
        replies = [query.reply() for query in queries]
        expected_cluster_id = expected_cluster(replies, self._cluster_id, self._remembered)
        own = [
            (query, reply)
            for query, reply in zip(queries, replies, strict=True)
            if reply.cluster_id in ("", expected_cluster_id)
        ]
        for query, _ in own:
            if query.refusal is not None:
                return query.refusal
        foreign = [
            f"{reply.endpoint} answers for another cluster ({reply.cluster_id})"
            for reply in replies
            if reply.cluster_id not in ("", expected_cluster_id)
        ]
        unstarted = await self._unstarted([reply.url for _, reply in own if reply.status])
        nobody = no_list([reply.list_note for reply in replies if not reply.listed])
        return UnreachableError("; ".join([nobody, *foreign, *unstarted]))

    async def _unstarted(self, urls: Sequence[str]) -> list[str]:
        """Return a note on each member that has not started, by any member's memory: each counts towards the quorum."""
        lists = await asyncio.gather(*(self._list(url, linearizable=False) for url in urls), return_exceptions=True)
        members = {m.id: m for query in lists if isinstance(query, MemberList) for m in query.members}
        return [
            f"member {m.id} is listed and has not started, and counts towards the majority that is needed"
            for m in members.values()
            if not m.name and not m.is_learner
        ]

    async def _read(self, url: str, call: Call[T]) -> T:
        return await self._connections.call(url, call, self._profile.call_timeout_seconds, change=False)

"""Questions about single endpoints for the command line: which member answers, what it advertises, and our rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etcd_handoff.errors import EtcdError, EtcdPermissionError
from etcd_handoff.etcd.connections import Connections

if TYPE_CHECKING:
    from etcd_handoff.config import EtcdProfile


@dataclass(frozen=True, slots=True)
class AnsweringMember:
    """The member that answers at an endpoint.

    Attributes:
        cluster_id: Cluster ID in the header of its status.
        member_id: Member ID in it.
        advertised: Client URLs of each member in its own linearizable member list, by member ID; None when it gave no
            list.
        note: Why it gave none.
    """

    cluster_id: str
    member_id: str
    advertised: dict[str, tuple[str, ...]] | None = None
    note: str = ""


class EtcdInspection:
    """The endpoints of one cluster profile, each asked alone.

    Args:
        profile: How to reach the members.
    """

    def __init__(self, profile: EtcdProfile) -> None:
        self._limit = profile.call_timeout_seconds
        self._connections = Connections(profile)

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def who_answers(self, endpoint: str) -> AnsweringMember:
        """Return the member at an endpoint by its own status, and its member list.

        Raises:
            UnreachableError: No member answers.
            EtcdPermissionError: The credentials are wrong.
        """
        status = await self._ask(endpoint, lambda c, t: c.maintenance.status(timeout=t))
        member = AnsweringMember(format(status.header.cluster_id, "x"), format(status.header.member_id, "x"))
        try:
            listed = await self._ask(endpoint, lambda c, t: c.cluster.member_list(linearizable=True, timeout=t))
        except EtcdError as error:
            return AnsweringMember(member.cluster_id, member.member_id, note=str(error))
        advertised = {format(m.ID, "x"): tuple(m.clientURLs) for m in listed.members}
        return AnsweringMember(member.cluster_id, member.member_id, advertised)

    async def why_no_change(self, endpoint: str) -> str:
        """Return why we may not change the membership, or "" when we may.

        The call asks whether auth is on, and commits an entry that changes nothing. Only a user with the root role gets
        an answer, and only that user may change the membership (etcd `server/auth/store.go`, IsAdminPermitted). If auth
        is off, every user gets an answer and may change it.

        Raises:
            EtcdError: The answer is not known now.
        """
        try:
            await self._ask(endpoint, lambda c, t: c.auth.auth_status(timeout=t))
        except EtcdPermissionError as error:
            return str(error)
        except EtcdError as error:
            if "user name not found" in str(error):  # the common name of the client certificate is no user
                return str(error)
            raise
        return ""

    async def _ask(self, endpoint: str, call: Any) -> Any:
        return await self._connections.call(endpoint, call, self._limit, change=False)

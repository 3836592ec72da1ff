"""Requests and results of the operations that consist of additions and removals (contract).

Their common part with all operations is in `requests.py` and `results.py`.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from etcd_handoff import peer_url
from etcd_handoff.contract.requests import MOST_URLS, AdditionRequest, JoiningRequest, RemovalRequest
from etcd_handoff.contract.results import KnownOutcome, OperationResult
from etcd_handoff.wire import MemberName, NewMemberName, PeerUrl, Request, WireModel

MOST_MEMBERS: Final = 15
"""Far more than seven, which the etcd project recommends as the most."""
LONGEST_SUBJECT: Final = 100
"""The most characters of a list of names."""


class ReplacementRequest(JoiningRequest):
    """Input of the workflow `ReplaceMember`.

    Attributes:
        member: Name of the member that leaves, or its ID in hex.
        name: Name of the member that takes its place. It is to be started with this name.
        peer_urls: All peer URLs of that member.
    """

    workflow_type = "ReplaceMember"
    noun = "replacement"
    of_parts = True

    member: MemberName
    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...] = Field(min_length=1, max_length=MOST_URLS)

    @property
    def subject(self) -> str:
        """The member that leaves, as the request names it."""
        return self.member

    @property
    def distinguishing_options(self) -> tuple[str, ...]:
        """The member that takes its place, and its peer URLs."""
        return (self.name, *sorted(map(peer_url.canonical, self.peer_urls)))

    @property
    def summary(self) -> str:
        """One line on the operation."""
        return f"Replace member {self.member} of etcd cluster {self.cluster} by {self.name}"

    @property
    def start_id(self) -> str:
        """The workflow ID of the replacement (contract), or of its dry run."""
        return f"{'etcd-plan-replace' if self.dry_run else 'etcd-replace'}/{self.cluster}/{self.member}"


class DesiredMember(Request):
    """A member of a membership that is applied.

    Attributes:
        name: Its name.
        peer_urls: All its peer URLs.
    """

    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...] = Field(min_length=1, max_length=MOST_URLS)


class MembershipRequest(JoiningRequest):
    """Input of the workflow `ApplyMembership`.

    Attributes:
        members: All members that the cluster is to have, and no others.
    """

    workflow_type = "ApplyMembership"
    noun = "membership change"
    of_parts = True

    members: tuple[DesiredMember, ...] = Field(min_length=1, max_length=MOST_MEMBERS)

    @field_validator("members")
    @classmethod
    def _distinct(cls, members: tuple[DesiredMember, ...]) -> tuple[DesiredMember, ...]:
        names_and_urls = [member.name for member in members]
        names_and_urls += [peer_url.canonical(url) for member in members for url in member.peer_urls]
        if twice := [each for each in dict.fromkeys(names_and_urls) if names_and_urls.count(each) > 1]:
            msg = f"{', '.join(twice)} is given twice; give each name and peer URL once"
            raise ValueError(msg)
        return members

    @property
    def subject(self) -> str:
        """The names of the wanted members."""
        names = ", ".join(member.name for member in self.members)
        return names if len(names) <= LONGEST_SUBJECT else f"{names[: LONGEST_SUBJECT - 3]}..."

    @property
    def distinguishing_options(self) -> tuple[str, ...]:
        """The members, in a canonical order."""
        urls = {member.name: sorted(map(peer_url.canonical, member.peer_urls)) for member in self.members}
        return tuple(f"{name} {' '.join(urls[name])}" for name in sorted(urls))

    @property
    def summary(self) -> str:
        """One line on the operation."""
        return f"Set the members of etcd cluster {self.cluster} to {self.subject}"

    @property
    def start_id(self) -> str:
        """The workflow ID of the change (contract), or of its dry run: one at a time for each cluster."""
        return f"{'etcd-plan-apply' if self.dry_run else 'etcd-apply'}/{self.cluster}"


OPERATIONS: Final = (RemovalRequest, AdditionRequest, ReplacementRequest, MembershipRequest)
"""All operations that take a turn to change a cluster."""


class PartResult(WireModel):
    """An addition or a removal that has ended well, as a part of a larger operation.

    Attributes:
        kind: `add` or `remove`.
        member_id: The member's ID.
        member_name: Its name.
        outcome: How it ended.
        status_recorded: Whether its EtcdMember has the true status.
        status_note: Why it does not.
        writes_acknowledged: As in the result of a removal.
        process: Of a member that was replaced: the state of its etcd and its data, or what is left to do on its node;
            empty if that node names no command for it.
    """

    kind: Literal["add", "remove"]
    member_id: str
    member_name: str
    outcome: KnownOutcome
    status_recorded: bool = False
    status_note: str = ""
    writes_acknowledged: bool | None = None
    process: str = ""


class PartsResult(OperationResult):
    """The common result of the operations that consist of parts.

    Attributes:
        parts: Additions and removals that have ended, in order.
        was_leader: True when a member that left led at any look.
        writes_acknowledged: Whether a write was committed after the last removal; None when that was not tried.
        snapshot: Where a requested snapshot was stored: node and file.
        warnings: What people should know about the membership.
    """

    parts: tuple[PartResult, ...] = ()
    was_leader: bool = False
    writes_acknowledged: bool | None = None
    snapshot: str = ""
    warnings: tuple[str, ...] = ()


class ReplacementResult(PartsResult):
    """Result of the workflow `ReplaceMember` (contract): `replaced` or `already-replaced`.

    `member_id`, `member_name` and `peer_urls` are those of the member that has left.

    Attributes:
        new_member_id: ID of the member that took its place; empty for a dry run before it was added.
        new_member_name: Its name.
        new_peer_urls: Its peer URLs.
    """

    new_member_id: str = ""
    new_member_name: str = ""
    new_peer_urls: tuple[str, ...] = ()


class ListedMember(WireModel):
    """A member at the end of a change of the membership.

    Attributes:
        id: Its ID.
        name: Its name; empty for a member that never started.
        peer_urls: Its peer URLs.
    """

    id: str
    name: str
    peer_urls: tuple[str, ...] = ()


class MembershipResult(PartsResult):
    """Result of the workflow `ApplyMembership` (contract): `applied` or `already-applied`.

    `member_id` and `peer_urls` are empty, and `member_name` has the wanted names.

    Attributes:
        members: All members, as they were seen last.
    """

    members: tuple[ListedMember, ...] = ()

"""Define the state of an operation that consists of additions and removals, besides the running part."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from etcd_handoff.activity_io import Target
from etcd_handoff.contract import (
    AdditionRequest,
    JoiningRequest,
    OperationRequest,
    PartResult,
    RemovalRequest,
)
from etcd_handoff.wire import WireModel


class Part(WireModel):
    """The addition or removal that runs.

    Attributes:
        kind: `add` or `remove`.
        name: Name of the member that joins.
        peer_urls: Its peer URLs.
        leaves: The member that leaves.
        successors: IDs of members that stay, as of its beginning: they have to work before the one leaves.
        number: Its number, from 1 on.
        of: The number of parts in all, as far as that can be foreseen.
    """

    kind: Literal["add", "remove"]
    name: str = ""
    peer_urls: tuple[str, ...] = ()
    leaves: Target | None = None
    successors: tuple[str, ...] = ()
    number: int = 1
    of: int = 1

    @property
    def words(self) -> str:
        """`part 1 of 2: adding node4`."""
        who = (self.leaves.member_name or self.leaves.member_id) if self.leaves else self.name
        return f"part {self.number} of {self.of}: {'adding' if self.kind == 'add' else 'removing'} {who}"

    def request(self, whole: OperationRequest) -> AdditionRequest | RemovalRequest:
        """Return the part's own request, as if it was started alone; the whole's approval covers it.

        Raises:
            TypeError: An operation of this kind has no parts.
        """
        if not isinstance(whole, JoiningRequest):
            msg = f"{whole.noun} has no parts"
            raise TypeError(msg)
        if self.leaves is None:
            return AdditionRequest(
                cluster=whole.cluster,
                name=self.name,
                peer_urls=self.peer_urls,
                reason=whole.reason,
                blocked_timeout_seconds=whole.blocked_timeout_seconds,
                progress_timeout_seconds=whole.progress_timeout_seconds,
                snapshot=whole.snapshot,
                hash_check=whole.hash_check,
            )
        return RemovalRequest(
            cluster=whole.cluster,
            member=self.leaves.member_id,
            reason=whole.reason,
            blocked_timeout_seconds=whole.blocked_timeout_seconds,
            snapshot=whole.snapshot,
            hash_check=whole.hash_check,
        )


class OwnLearner(WireModel):
    """A learner whose part was put off, on a node that has a command for its etcd.

    Attributes:
        name: Name of the member.
        started: Its etcd was started for this operation, or may have been.
        join: What it was last started with.
    """

    name: str
    started: bool = False
    join: dict[str, str] = Field(default_factory=dict)


class WholeChange(WireModel):
    """What an operation knows besides its part's own state.

    Attributes:
        pinned: The member that is replaced, or the cluster alone, from the first look on.
        leaves: The members that leave, as they were seen first.
        left_before: Members that had left before the first look, and whose EtcdMember said Joined=True then.
        part: The running part; None between two parts.
        possible: It has been found possible: from then on it waits for a lost quorum, and is not refused for it.
        begun: A part has begun: something may be half done.
        voters: The planned number of voters at the end when its first part began; 0 where that was not noted.
        ended: The parts that have ended.
        own: IDs of learners that parts of it have added.
        learners: Those of them whose nodes have a command for their etcd, by ID.
        was_leader: A member that left led at any look.
        request: The original request; each run has it from its own input.
    """

    pinned: Target | None = None
    leaves: tuple[Target, ...] = ()
    left_before: tuple[Target, ...] = ()
    part: Part | None = None
    possible: bool = False
    begun: bool = False
    voters: int = 0
    ended: tuple[PartResult, ...] = ()
    own: tuple[str, ...] = ()
    learners: dict[str, OwnLearner] = Field(default_factory=dict)
    was_leader: bool = False
    request: OperationRequest = Field(default=RemovalRequest.model_construct(cluster="", member=""), exclude=True)

    def changed(self, **fields: object) -> WholeChange:
        """Return the same with other values in these fields."""
        return self.model_copy(update=fields)

    @property
    def put_off(self) -> str:
        """Return the ID of the learner whose part was put off and has not ended since; empty without one."""
        return next((own for own in reversed(self.own) if self.ended_for("add", own) is None), "")

    def ended_for(self, kind: str, member_id: str) -> PartResult | None:
        """Return how the last part of this kind for this member ended; None when there was none."""
        return next((p for p in reversed(self.ended) if (p.kind, p.member_id) == (kind, member_id)), None)

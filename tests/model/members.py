"""A member of the model, and its EtcdMember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Standing(NamedTuple):
    """How far a cluster is, as one of its members knows it.

    Attributes:
        leader: ID of the leader; empty while there is none.
        term: Raft term.
        raft_index: Index of the last entry that is known to be committed.
    """

    leader: str
    term: int
    raft_index: int


@dataclass
class Member:
    """One member.

    Attributes:
        id: Member ID.
        name: Member name; empty while it has not started.
        voter: Whether it has a vote.
        alive: Whether its process runs.
        memory: What it goes on saying while it is cut off from its peers or hangs; None while it takes part.
        doomed: Whether it hangs from the next entry on.
        lag: How many entries it is behind.
        diverged: Whether it holds other data than the rest.
    """

    id: str
    name: str
    voter: bool = True
    alive: bool = True
    memory: Standing | None = None
    doomed: bool = False
    lag: int = 0
    diverged: bool = False

    @property
    def well(self) -> bool:
        """Whether it runs and takes part: votes, and answers linearizable reads."""
        return self.alive and self.memory is None

    @property
    def writes(self) -> bool:
        """Whether it acknowledges entries at once."""
        return self.well and not self.lag

    @property
    def works(self) -> bool:
        """Whether it also will acknowledge the next one."""
        return self.writes and not self.doomed

    def heal(self) -> bool:
        """It is well again; whether it was not."""
        sick = not self.works or not self.name
        self.alive, self.memory, self.doomed, self.lag = True, None, False, 0
        self.name = self.name or f"late-{self.id}"
        return sick


def most(members: Iterable[Member], quality: str) -> bool:
    """Whether more than half of the voters have a quality: `well`, `writes`, `works`."""
    voters = [m for m in members if m.voter]
    return 2 * sum(bool(getattr(m, quality)) for m in voters) > len(voters)


def resource(name: str, member_id: str, *, leave: bool = False) -> dict[str, Any]:
    """An EtcdMember that says what is true of a member."""
    metadata = {"name": name, "uid": f"u-{member_id}", "generation": 1, "resourceVersion": "1"}
    status = status_saying(member_id, "True")
    return {"kind": "EtcdMember", "metadata": metadata, "spec": {"leave": leave}, "status": status}


def status_saying(member_id: str, joined: str) -> dict[str, Any]:
    """A status as k0s writes it."""
    condition = {"type": "Joined", "status": joined, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"memberID": member_id, "peerAddress": member_id, "message": "as it was", "conditions": [condition]}

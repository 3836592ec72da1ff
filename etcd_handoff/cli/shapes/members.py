"""Shape of a member in `status` and `plan`. New fields of `MemberView` appear there by themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from etcd_handoff.cluster_view import MemberView


class ShownMember(MemberView):
    """A member of a cluster.

    Attributes:
        role: Its role according to a majority.
        healthy: Whether it counts towards the quorum; for a learner, whether it answers.
        lag: Number of entries that it is behind by; null if it does not answer.
    """

    model_config = ConfigDict(extra="forbid")

    role: Literal["leader", "voter", "learner"]
    healthy: bool
    lag: int | None

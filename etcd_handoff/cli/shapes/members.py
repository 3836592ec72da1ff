"""Shape of a member as `status` and `plan` show it. A field that `MemberView` gets appears there by itself."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from etcd_handoff.cluster_view import MemberView


class ShownMember(MemberView):
    """A member of a cluster.

    Attributes:
        role: What it is according to a majority.
        healthy: It counts towards the quorum; of a learner, it answers.
        lag: Entries that it is behind by; null if it does not answer.
    """

    model_config = ConfigDict(extra="forbid")

    role: Literal["leader", "voter", "learner"]
    healthy: bool
    lag: int | None

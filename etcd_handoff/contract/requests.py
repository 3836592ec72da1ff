"""Inputs of operations, and of the updates that they accept (contract)."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from etcd_handoff import peer_url
from etcd_handoff.change_windows import Moment, seconds_of
from etcd_handoff.contract.workflow_ids import plan_id, workflow_id
from etcd_handoff.wire import ClusterName, MemberName, NewMemberName, PeerUrl, Request

Remover = Literal["etcd", "k0s", "both"]
MOST_URLS: Final = 16
"""The most peer URLs of one member."""
SECONDS_IN_30_DAYS: Final = 30 * 24 * 3600


def removal_summary(member: str, cluster: str) -> str:
    """Return one line on a removal.

    Args:
        member: The member, for people.
        cluster: Name of the cluster profile.
    """
    return f"Remove member {member} from etcd cluster {cluster}"


class OperationRequest(Request):
    """The common input of all operations on a cluster.

    Attributes:
        cluster: Name of a cluster profile in the workers' configuration.
        reason: Free text for the people who read the history.
        require_approval: Wait for the update `approve` before anything is changed.
        not_before: When it may make its first change at the earliest; empty for any time.
        not_after: When it may make its first change at the latest, after which it fails; empty for any time.
        blocked_timeout_seconds: How long, in all, the operation waits for a condition that may pass.
        dry_run: Look, plan, and end with outcome `planned`. Nothing is changed.
        workflow_type: The workflow that carries it out.
        noun: Its kind in messages.
        adds: Whether it adds a member and removes none.
        of_parts: Whether it consists of additions and removals, one after the other.
    """

    workflow_type: ClassVar[str]
    noun: ClassVar[str]
    adds: ClassVar[bool] = False
    of_parts: ClassVar[bool] = False

    cluster: ClusterName
    reason: str = Field(default="", max_length=1000)
    require_approval: bool = False
    not_before: Moment = ""
    not_after: Moment = ""
    blocked_timeout_seconds: float = Field(default=3600, ge=0, le=SECONDS_IN_30_DAYS, allow_inf_nan=False)
    dry_run: bool = False

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.not_before and self.not_after and seconds_of(self.not_after) <= seconds_of(self.not_before):
            msg = "not_after is no later than not_before; correct one of them"
            raise ValueError(msg)
        return self

    @property
    def subject(self) -> str:
        """The member as the request names it.

        Raises:
            NotImplementedError: The subclass does not define it.
        """
        raise NotImplementedError

    @property
    def distinguishing_options(self) -> tuple[str, ...]:
        """The goal beside the workflow ID. A start with another wish is not the same operation."""
        return ()

    @property
    def summary(self) -> str:
        """One line on the operation.

        Raises:
            NotImplementedError: The subclass does not define it.
        """
        raise NotImplementedError

    @property
    def start_id(self) -> str:
        """The workflow ID under which our client starts it. A dry run has another one, so no start joins it.

        Raises:
            NotImplementedError: The subclass does not define it.
        """
        raise NotImplementedError


class CheckedRequest(OperationRequest):
    """The common input of operations that can check or save the data first.

    Attributes:
        snapshot: Store a snapshot of the keyspace on the worker's node before anything is changed.
        hash_check: Compare the hashes of the voters' keyspaces at one revision before anything is changed.
    """

    snapshot: bool = False
    hash_check: bool = False


class RemovalRequest(CheckedRequest):
    """Input of the workflow `RemoveMember`.

    Attributes:
        member: Member name, or member ID in hex.
    """

    workflow_type = "RemoveMember"
    noun = "removal"

    member: MemberName

    @property
    def subject(self) -> str:
        """The member as the request names it."""
        return self.member

    @property
    def summary(self) -> str:
        """One line on the operation."""
        return removal_summary(self.member, self.cluster)

    @property
    def start_id(self) -> str:
        """The workflow ID of the removal, or of its dry run."""
        name = plan_id if self.dry_run else workflow_id
        return name(self.cluster, self.member)


class JoiningRequest(CheckedRequest):
    """The common input of operations that may add a member.

    Attributes:
        progress_timeout_seconds: How long a learner may make no progress, its start included, before that is a separate
            reason.
    """

    progress_timeout_seconds: float = Field(default=600, gt=0, le=SECONDS_IN_30_DAYS, allow_inf_nan=False)


class AdditionRequest(JoiningRequest):
    """Input of the workflow `AddMember`.

    Attributes:
        name: Name that the member will have. It is to be started with this name.
        peer_urls: All its peer URLs. etcd gives none of them to two members.
    """

    workflow_type = "AddMember"
    noun = "addition"
    adds = True

    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...] = Field(min_length=1, max_length=MOST_URLS)

    @property
    def subject(self) -> str:
        """The member as the request names it."""
        return self.name

    @property
    def distinguishing_options(self) -> tuple[str, ...]:
        """Its peer URLs, in a canonical order and spelling."""
        return tuple(sorted(map(peer_url.canonical, self.peer_urls)))

    @property
    def summary(self) -> str:
        """One line on the operation."""
        return f"Add member {self.name} to etcd cluster {self.cluster}"

    @property
    def start_id(self) -> str:
        """The workflow ID of the addition (contract), or of its dry run: one at a time for each name."""
        return f"{'etcd-plan-add' if self.dry_run else 'etcd-add'}/{self.cluster}/{self.name}"


class Approval(Request):
    """Input of the update `approve`: who approves, and why."""

    by: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=1000)


class Recheck(Request):
    """Input of the update `recheck`: look at once instead of waiting for the timer."""

    reason: str = Field(default="", max_length=1000)


class Pause(Request):
    """Input of the updates `pause` and `resume`: who sends it, and why."""

    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=1000)

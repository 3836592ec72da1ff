"""What the activities on the process of a member take and return. They run on the node of that member.

No command, path or argument comes in here: those are in the configuration of the node.
"""

from __future__ import annotations

from pydantic import Field

from etcd_handoff.contract import Step
from etcd_handoff.wire import ClusterName, MemberId, Message, NewMemberName, PeerUrl


class PreflightMemberInput(Message):
    """Input of `preflight_member`: a member that is to be added.

    Attributes:
        cluster: Cluster profile.
        cluster_id: The cluster that it is to join.
        name: Name that it will have.
        peer_urls: All its peer URLs.
    """

    cluster: ClusterName
    cluster_id: MemberId
    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...]


class ProcessInput(Message):
    """Input of `archive_member`, and what others have of it: a member, by the ID that data on the node must have.

    Attributes:
        cluster: Cluster profile.
        cluster_id: Its cluster.
        member_id: Its ID.
        name: Its name, for people.
    """

    cluster: ClusterName
    cluster_id: MemberId
    member_id: MemberId
    name: str


class StopMemberInput(ProcessInput):
    """Input of `stop_member`.

    Attributes:
        needs_data: What runs is the member's only where its data lies: one that runs on no data is left alone.
    """

    needs_data: bool = False


class StartMemberInput(ProcessInput):
    """Input of `start_member`.

    Attributes:
        peer_urls: All its peer URLs.
        join: What etcd is to be started with, by environment variable.
        begun: This operation may have started it before.
        again: This operation has started it with other settings, before the members changed: what runs and has not
            joined is stopped first.
    """

    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...]
    join: dict[str, str] = Field(default_factory=dict)
    begun: bool = False
    again: bool = False


class NodeFacts(Message):
    """What a node is like, before a member is added there.

    Attributes:
        running: Its etcd process runs, or something will start it.
        data_dir: Its data directory.
        data_of: Whose data lies there, in words; empty where etcd would begin afresh.
        member_id: ID of the member whose data lies there; empty where none does.
        cluster_id: ID of its cluster.
        version: Version of its etcd; empty where the command does not tell.
        busy_ports: Ports that etcd needs and others have.
        free_bytes: How much can be written where the data directory is.
    """

    running: bool
    data_dir: str
    data_of: str = ""
    member_id: str = ""
    cluster_id: str = ""
    version: str = ""
    busy_ports: tuple[int, ...] = ()
    free_bytes: int = 0


class ProcessResult(Message):
    """What each of these activities answers.

    Attributes:
        step: How it went.
        command: The node's configuration names a command for it.
        changed: It has changed something, or may have.
        error: Why it did not succeed; empty when it did, or when there is no command.
        left_alone: That is because what lies or runs there is another member's, or may be: nothing was touched.
        facts: Of `preflight_member`: what the node is like; None where that is not known.
    """

    step: Step
    command: bool
    changed: bool = False
    error: str = ""
    left_alone: bool = False
    facts: NodeFacts | None = None

"""Inputs and results of the activities on a member's process, which run on the node of that member.

They contain no command, path or argument: those are in the configuration of the node.
"""

from __future__ import annotations

from pydantic import Field

from etcd_handoff.contract import Step
from etcd_handoff.wire import ClusterName, MemberId, NewMemberName, PeerUrl, WireModel


class PreflightMemberInput(WireModel):
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


class ProcessInput(WireModel):
    """Input of `archive_member`, and the common part of others: a member, by the ID that data on the node must have.

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
        needs_data: Whether the process is the member's only if its data is there. Then one without data is not stopped.
    """

    needs_data: bool = False


class StartMemberInput(ProcessInput):
    """Input of `start_member`.

    Attributes:
        peer_urls: All its peer URLs.
        join: What etcd is to be started with, by environment variable.
        begun: Whether this operation may have started it before.
        again: Whether this operation has started it with other settings, before the members changed. Then a process
            that has not joined is stopped first.
    """

    name: NewMemberName
    peer_urls: tuple[PeerUrl, ...]
    join: dict[str, str] = Field(default_factory=dict)
    begun: bool = False
    again: bool = False


class NodeFacts(WireModel):
    """The facts of a node before a member is added there.

    Attributes:
        running: Whether its etcd process runs, or will be started by something else.
        data_dir: Its data directory.
        data_of: The owner of the data there, in words; empty where etcd would begin afresh.
        member_id: ID of the member whose data is there; empty where there is none.
        cluster_id: ID of its cluster.
        version: Version of its etcd; empty if the command does not report it.
        busy_ports: Ports that etcd needs and other processes have.
        free_bytes: How much can be written in the file system of the data directory.
    """

    running: bool
    data_dir: str
    data_of: str = ""
    member_id: str = ""
    cluster_id: str = ""
    version: str = ""
    busy_ports: tuple[int, ...] = ()
    free_bytes: int = 0


class ProcessResult(WireModel):
    """The answer of each of these activities.

    Attributes:
        step: How it went.
        command: Whether the node's configuration names a command for it.
        changed: Whether it has changed something, or may have.
        error: Why it did not succeed; empty when it did, or when there is no command.
        untouched: Whether that is because data or a process is or may be another member's. Nothing was touched.
        facts: Of `preflight_member`: the facts of the node; None if they are not known.
    """

    step: Step
    command: bool
    changed: bool = False
    error: str = ""
    untouched: bool = False
    facts: NodeFacts | None = None

"""The workflow IDs that people may start and look up (contract)."""

from __future__ import annotations


def workflow_id(cluster: str, member: str) -> str:
    """The workflow ID of a removal: one at a time for each member (contract)."""
    return f"etcd-remove/{cluster}/{member}"


def record_id(cluster: str, member_id: str) -> str:
    """The workflow ID of `RecordStatus`, which writes an EtcdMember that an operation could not write in its time."""
    return f"etcd-record/{cluster}/{member_id}"


def plan_id(cluster: str, member: str) -> str:
    """The workflow ID of a dry run that our client starts: no removal ever joins it."""
    return f"etcd-plan/{cluster}/{member}"

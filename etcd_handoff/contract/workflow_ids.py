"""The workflow IDs that people may start and look up (contract)."""

from __future__ import annotations


def workflow_id(cluster: str, member: str) -> str:
    """Return the workflow ID of a removal: one at a time for each member (contract)."""
    return f"etcd-remove/{cluster}/{member}"


def record_id(cluster: str, member_id: str) -> str:
    """Return the workflow ID of `RecordStatus`, which writes an EtcdMember that an operation could not write."""
    return f"etcd-record/{cluster}/{member_id}"


def plan_id(cluster: str, member: str) -> str:
    """Return the workflow ID of a dry run that our client starts. No removal ever joins it."""
    return f"etcd-plan/{cluster}/{member}"


def names_in(workflow_id: str) -> tuple[str, str]:
    """Return the cluster and the member that a workflow ID of ours names; empty where it names none."""
    cluster, _, member = workflow_id.partition("/")[2].partition("/")
    return cluster, member

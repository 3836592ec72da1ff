"""The kinds of operations, by workflow type and workflow ID: one table for all commands."""
# ruff: noqa: PLC0415
# The contract is imported with pydantic: `--help` answers without it.

from __future__ import annotations

from typing import Final, NamedTuple


class OperationKind(NamedTuple):
    """A kind of operation.

    Attributes:
        workflow_type: The workflow that carries it out.
        noun: Its name for people.
        prefix: Start of its workflow IDs, up to the cluster.
        dry_run_prefix: The same for a dry run that our client starts.
        command: The command that starts it.
        of_parts: It consists of additions and removals, so that its activities name several members.
        of_whole: It changes the whole membership, so that lists name all members that the cluster is to have.
    """

    workflow_type: str
    noun: str
    prefix: str
    dry_run_prefix: str
    command: str
    of_parts: bool = False
    of_whole: bool = False

    def id_of(self, cluster: str, member: str) -> str:
        """Return the workflow ID of such an operation on a member."""
        return f"{self.prefix}/{cluster}/{member}"


KINDS: Final = (
    OperationKind("RemoveMember", "removal", "etcd-remove", "etcd-plan", "remove"),
    OperationKind("AddMember", "addition", "etcd-add", "etcd-plan-add", "add"),
    OperationKind("ReplaceMember", "replacement", "etcd-replace", "etcd-plan-replace", "replace", of_parts=True),
    OperationKind(
        "ApplyMembership", "membership change", "etcd-apply", "etcd-plan-apply", "apply", of_parts=True, of_whole=True
    ),
)
"""All kinds, in the order in which messages name them."""


RECORD_STATUS: Final = "RecordStatus"
"""The workflow that writes an EtcdMember after its operation has ended. It is no operation itself."""


def kind_of(workflow_type: str) -> OperationKind | None:
    """Return a workflow's kind of operation; None for any other workflow."""
    return next((kind for kind in KINDS if kind.workflow_type == workflow_type), None)


def is_dry_run_id(workflow_id: str) -> bool:
    """Return whether our client gives this workflow ID to a dry run."""
    return workflow_id.partition("/")[0] in {kind.dry_run_prefix for kind in KINDS}


def names_of(workflow_id: str) -> tuple[str, str]:
    """Return the cluster and the member that the workflow ID of an operation names; empty where it names none."""
    from etcd_handoff.contract import names_in

    prefixes = {prefix for kind in KINDS for prefix in (kind.prefix, kind.dry_run_prefix)}
    return names_in(workflow_id) if workflow_id.partition("/")[0] in prefixes else ("", "")

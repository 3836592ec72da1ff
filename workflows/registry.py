"""The workflows that a worker carries out."""

from __future__ import annotations

from typing import Final

from workflows.add_member import AddMember
from workflows.apply_membership import ApplyMembership
from workflows.change_queue import ChangeQueue
from workflows.notify import Notify
from workflows.reconcile_members import ReconcileEtcdMembers
from workflows.record_status import RecordStatus
from workflows.remove_member import RemoveMember
from workflows.replace_member import ReplaceMember

WORKFLOWS: Final = (
    RemoveMember,
    AddMember,
    ReplaceMember,
    ApplyMembership,
    RecordStatus,
    ChangeQueue,
    ReconcileEtcdMembers,
    Notify,
)

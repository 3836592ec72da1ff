"""Sentences in `status.message` of an EtcdMember, and how they begin where something else reads them again.

Those of a member that is in or out are k0s's own (`pkg/component/controller/etcd_member_reconciler.go`). What happens
meanwhile is told by `etcd_handoff.operation.texts`.
"""

from __future__ import annotations

from typing import Final

MESSAGE_REMOVED: Final = "Member removed from cluster"
MESSAGE_JOINED: Final = "Member joined"
LEAVE_ANNOTATION: Final = "etcd-handoff.io/leave"
"""Asks that leadership moves and the member leaves: `true`, or the ID of the member that is meant."""
OLD_REQUEST: Final = f"{MESSAGE_JOINED}; spec.leave is an old request"
OLD_ANNOTATION: Final = f"{MESSAGE_JOINED}; annotation {LEAVE_ANNOTATION} is an old request"
HELD_BACK: Final = "Not corrected: "
NOT_STARTED: Final = "Not started: "
STANDING: Final = (OLD_REQUEST, OLD_ANNOTATION, HELD_BACK, NOT_STARTED)
"""How messages of the watcher begin that are true only while their cause lasts."""


def old_request(member_id: str) -> str:
    """The message of a present member whose `spec.leave` was meant for another one.

    Args:
        member_id: The one that it was meant for; empty when that is not known.
    """
    whom = f" for member {member_id}" if member_id else ""
    return f"{OLD_REQUEST}{whom}: take it back, and set it again to remove this member"


def old_annotation(member_id: str) -> str:
    """The message of a present member whose annotation was meant for another one.

    Args:
        member_id: The one that it was meant for; empty when that is not known.
    """
    whom = f" for member {member_id}" if member_id else ""
    return f"{OLD_ANNOTATION}{whom}: take it away, and set it again to remove this member"

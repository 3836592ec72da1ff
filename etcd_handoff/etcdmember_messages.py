"""Define sentences in `status.message` of an EtcdMember, and the beginnings that other code reads again.

Those of a member that is in or out are k0s's own (`pkg/component/controller/etcd_member_reconciler.go`). The texts in
between come from `etcd_handoff.operation.texts`. The sentences that say why there is no EtcdMember are here too.
"""

from __future__ import annotations

import re
from typing import Final

from etcd_handoff.annotations import LEAVE_ANNOTATION

MESSAGE_REMOVED: Final = "Member removed from cluster"
MESSAGE_JOINED: Final = "Member joined"
OLD_REQUEST: Final = f"{MESSAGE_JOINED}; spec.leave is an old request"
OLD_ANNOTATION: Final = f"{MESSAGE_JOINED}; annotation {LEAVE_ANNOTATION} is an old request"
HELD_BACK: Final = "Not corrected: "
NOT_STARTED: Final = "Not started: "
STANDING: Final = (OLD_REQUEST, OLD_ANNOTATION, HELD_BACK, NOT_STARTED)
"""Beginnings of the watcher's messages that are true only while their cause lasts."""
NOT_INSTALLED: Final = "EtcdMembers are not installed; install deploy/crd.yaml"
NO_KUBERNETES: Final = "no Kubernetes in the profile"
NO_SUCH_RESOURCE: Final = "there is no such EtcdMember"

GENERATION: Final = re.compile(r" \(generation (\d+)\)$")


def no_resource(member_name: str, member_id: str) -> str:
    """Return that a member has no EtcdMember."""
    return f"there is no EtcdMember for {member_name or member_id}"


def old_request(member_id: str, generation: int) -> str:
    """Return the message of a present member whose `spec.leave` was meant for another one.

    It names the generation, which rises with the spec alone. The time of the flag in `metadata.managedFields` moves
    with every write of its manager.

    Args:
        member_id: The member that it was meant for; empty when that is not known.
        generation: The EtcdMember's generation.
    """
    whom = f" for member {member_id}" if member_id else ""
    return f"{OLD_REQUEST}{whom}: take it back, and set it again to remove this member (generation {generation})"


def old_generation(message: str) -> int | None:
    """Return the generation whose `spec.leave` a message calls an old request; None when it names none."""
    found = GENERATION.search(message) if message.startswith(OLD_REQUEST) else None
    return int(found[1]) if found else None


def old_annotation(member_id: str) -> str:
    """Return the message of a present member whose annotation was meant for another one.

    Args:
        member_id: The member that it was meant for; empty when that is not known.
    """
    whom = f" for member {member_id}" if member_id else ""
    return f"{OLD_ANNOTATION}{whom}: take it away, and set it again to remove this member"

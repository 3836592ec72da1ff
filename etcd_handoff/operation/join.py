"""Work out the settings with which etcd becomes the member that was added. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from etcd_handoff.contract import AdditionRequest
from etcd_handoff.wire import NEW_MEMBER_NAME

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import OperationState

SAFE_NAME: Final = re.compile(NEW_MEMBER_NAME)


def configuration(state: OperationState) -> dict[str, str]:
    """Return environment variables of etcd, as `etcdctl member add` prints them.

    Returns:
        Nothing unless the operation has added a member that has not started yet.
    """
    request, view = state.request, state.view
    if not isinstance(request, AdditionRequest) or view is None or state.pinned is None:
        return {}
    member = view.member(state.pinned.member_id)
    if member is None or member.name:
        return {}
    return environment(view, request.name, member.peer_urls, member.id)  # as etcd has them, which compares text


def planned(state: OperationState) -> dict[str, str]:
    """Return the settings as they would be now for a member that is not added yet; nothing for one that has started."""
    request, view = state.request, state.view
    if not isinstance(request, AdditionRequest) or view is None:
        return {}
    member_id = state.pinned.member_id if state.pinned else ""
    return configuration(state) if member_id else environment(view, request.name, request.peer_urls)


def environment(view: ClusterView, name: str, peer_urls: tuple[str, ...], member_id: str = "") -> dict[str, str]:
    """Return the settings for etcd as a member of this name and these peer URLs.

    Args:
        view: The members.
        name: Name that the member will have.
        peer_urls: All its peer URLs.
        member_id: Its ID in `view`; empty when it is not listed yet.
    """
    return {
        "ETCD_NAME": name,
        "ETCD_INITIAL_CLUSTER": _initial_cluster(view, member_id, name, peer_urls),
        "ETCD_INITIAL_CLUSTER_STATE": "existing",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": ",".join(peer_urls),
    }


def in_words(settings: dict[str, str]) -> str:
    """Return how to start etcd, for a person."""
    given = " ".join(f"{name}={value}" for name, value in settings.items())
    return f"start etcd with {given} and an empty data directory"


def _initial_cluster(view: ClusterView, member_id: str, name: str, peer_urls: tuple[str, ...]) -> str:
    """Return all members with their peer URLs.

    A member that joins compares the peer URLs and the number of members, and not the names of the others. Members of
    one name would count as one (etcd `client/pkg/types/urlsmap.go`). So a name that is missing, odd or repeated is
    replaced by the member's ID.
    """
    known = Counter([name, *(m.name for m in view.members if m.id != member_id)])
    names = {m.id: m.name if known[m.name] == 1 and SAFE_NAME.fullmatch(m.name) else m.id for m in view.members}
    others = [(names[m.id], url) for m in view.members if m.id != member_id for url in m.peer_urls]
    own = [(name, url) for url in peer_urls]
    return ",".join(f"{one}={url}" for one, url in (*others, *own))

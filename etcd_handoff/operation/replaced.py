"""Find the member that is replaced, once, and pin its ID. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from etcd_handoff import doubts, peer_url
from etcd_handoff.activity_io import Target
from etcd_handoff.cluster_view import MemberView
from etcd_handoff.contract import ReplacementRequest
from etcd_handoff.operation import failures, identity
from etcd_handoff.operation.commands import Failure
from etcd_handoff.planning import Ambiguous, Blocked, Reason, Refused, canonical_id, is_member_id, resolve

if TYPE_CHECKING:
    from etcd_handoff.cluster_view import ClusterView
    from etcd_handoff.operation.state import NextCommand, OperationState
    from etcd_handoff.operation.whole_change import WholeChange
    from etcd_handoff.planning import NotFound

DIGITS_OF_AN_ID: Final = 12
"""Least digits of an ID in full. A shorter text is rather a name, or a part of an ID: etcd's IDs are hashes of 64 bits.
"""


def find(
    state: OperationState, request: ReplacementRequest, view: ClusterView
) -> Target | NextCommand | OperationState | Blocked | Refused:
    """Return the member that is replaced, or what has to come before that is known.

    A member that is already gone was replaced by the new one, or removed otherwise. An EtcdMember that remembers it
    shows that; for a name, the presence of the new member does as well. A name that is found nowhere may be misspelt.
    So may an ID, whatever it looks like. With a wrong ID the new member would only be added, and the old one would
    stay.
    """
    fit = _resolved(view, request)
    if isinstance(fit, Refused):
        return fit
    target: Target | Failure
    if isinstance(fit, MemberView):
        target = identity.pinned(view, fit)
    elif isinstance(fit, Ambiguous):
        target = failures.ambiguous(request.member, fit)
    elif state.resource is None:
        return identity.find(state, view)
    else:
        target = _gone(state, request, view, fit)
    departed = doubts.silent_outsiders(view) if isinstance(fit, MemberView) else _ids(target)
    if doubt := identity.doubt(state, view, departed):
        return doubt
    if isinstance(target, Target) and target.member_id and (doubt := identity.absence_doubt(state, view, target)):
        return doubt
    if isinstance(fit, MemberView) and identity.has_joined_since(state, view, fit.id):
        target = failures.joined_since(request, fit.id)
    return state.failing(target) if isinstance(target, Failure) else target


def is_full_id(text: str) -> bool:
    """Whether a text of this form means a member ID and no name."""
    return is_member_id(canonical_id(text)) and len(canonical_id(text)) >= DIGITS_OF_AN_ID


def _resolved(view: ClusterView, request: ReplacementRequest) -> MemberView | NotFound | Ambiguous | Refused:
    """Return the member as etcd lists it, without the new one: a name that both have means the old one."""
    by_id = view.member(canonical_id(request.member))
    if by_id is not None:
        return by_id
    new = [m for m in view.members if is_new(m, request)]
    fit = resolve(view.only({m.id for m in view.members} - {m.id for m in new}), request.member)
    if isinstance(fit, MemberView | Ambiguous) or not any(m.name == request.member for m in new):
        return fit
    member_id = new[0].id
    return Refused(
        Reason.SAME_MEMBER,
        f"{request.member} ({member_id}) has the name and the peer URLs of the new member already",
        f"if it was replaced before, nothing is left to do; to replace it by an empty one, give its ID: `etcd-handoff"
        f" replace {member_id} --with {shlex.quote(request.name)} {_peer_urls(request)}`",
    )


def _peer_urls(request: ReplacementRequest) -> str:
    """Return the options that name the new member's peer URLs."""
    return " ".join(f"--peer-url {shlex.quote(url)}" for url in request.peer_urls)


def is_new(member: MemberView, request: ReplacementRequest) -> bool:
    """Whether this is the member that takes the place."""
    return member.name in ("", request.name) and peer_url.same(member.peer_urls, request.peer_urls)


def _gone(state: OperationState, request: ReplacementRequest, view: ClusterView, fit: NotFound) -> Target | Failure:
    """Return an unlisted member as its EtcdMember remembers it, or as the new member's presence suggests."""
    if state.resource is None:
        msg = "its EtcdMember was not looked for"
        raise RuntimeError(msg)
    remembered = identity.remembered(state, state.resource, view, fit)
    if isinstance(remembered, Target):
        return remembered
    if not is_full_id(request.member) and any(is_new(m, request) for m in view.members):
        return identity.pinned_as(view, "", request.member, (), present=False)
    add = f"etcd-handoff add {shlex.quote(request.name)} {_peer_urls(request)}"
    hint = f"; if it has left already, `{add}` does what is left"
    return Failure(remembered.kind, f"{remembered.text}{hint}")


def warnings(whole: WholeChange) -> tuple[str, ...]:
    """Return what people should know about the replaced member."""
    if not isinstance(whole.request, ReplacementRequest) or whole.pinned is None or whole.pinned.member_id:
        return ()
    old, new = whole.request.member, whole.request.name
    text = (
        f"neither etcd nor an EtcdMember knows a member called {old}; it is taken as replaced because {new} is there."
        f" If {old} is misspelt, the old member is still in the cluster"
    )
    return (text,)


def _ids(target: Target | Failure) -> tuple[str, ...]:
    return (target.member_id,) if isinstance(target, Target) else ()

"""Build a view from the answers of one look: which list counts, which members are reachable, and notes. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from etcd_handoff.cluster_view import READS_HANG, ClusterView, MemberView
from etcd_handoff.doubts import Answer, contradictions
from etcd_handoff.etcd.client_url import canonical_url
from etcd_handoff.etcd.replies import NO_ANSWER, ListedMember, MemberList, Reply, Status

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence


def choose_list(replies: Sequence[Reply], cluster_id: str, remembered: Mapping[str, str]) -> MemberList | None:
    """Return the list that a view is built from, or None if no endpoint gave a list of the right cluster.

    Args:
        replies: What the endpoints gave, in the order of the profile.
        cluster_id: The cluster that the profile names; empty when it names none.
        remembered: For URLs that are silent now, the cluster that they answered for last.

    The right cluster is the one that the profile names, if an endpoint answers for it. Otherwise it is the one that
    most endpoints of the profile belong to, and not the one whose list came first. Of several lists, the one that most
    members gave counts. The order of the profile decides between equals.
    """
    expected_cluster_id = expected_cluster(replies, cluster_id, remembered)
    lists = [reply.listed for reply in replies if reply.listed and reply.listed.cluster_id == expected_cluster_id]
    givers = Counter({one.member_id: (one.ids, one.learners) for one in lists}.values())
    return max(lists, key=lambda one: givers[one.ids, one.learners], default=None)


def expected_cluster(replies: Iterable[Reply], cluster_id: str, remembered: Mapping[str, str]) -> str:
    """Return the cluster ID that `choose_list` uses, or "" when no endpoint answers."""
    replies = list(replies)
    if cluster_id and any(reply.cluster_id == cluster_id for reply in replies):
        return cluster_id
    answered = {reply.cluster_id for reply in replies if reply.cluster_id}
    votes = Counter(
        cluster
        for reply in replies
        if not reply.advertised_by and (cluster := reply.cluster_id or remembered.get(reply.url, ""))
    )
    # Silent endpoints can outvote a foreign one, but cannot stand for a cluster of which none answers.
    return next((cluster for cluster, _ in votes.most_common()), "") if answered else ""


def view_of(
    chosen: MemberList, replies: Sequence[Reply], routes: Mapping[str, str], omitted: Container[str] = ()
) -> ClusterView:
    """Return the view that these answers make.

    Args:
        chosen: The list that counts.
        replies: All answers.
        routes: URL at which each member answered last.
        omitted: Members that were not asked.
    """
    own = [reply for reply in replies if reply.cluster_id == chosen.cluster_id]
    statuses: dict[str, Status] = {}
    for reply in own:
        if reply.status and reply.status.cluster_id == chosen.cluster_id:
            statuses.setdefault(reply.status.member_id, reply.status)
    serving = {r.listed.member_id for r in replies if r.listed and r.listed.cluster_id == chosen.cluster_id}
    alarms = sorted(
        {alarm for status in statuses.values() for alarm in status.alarms}, key=lambda a: (a.member_id, a.kind)
    )
    names = {m.id: m.name or m.id for m in chosen.members}
    members = [
        _member_view(
            member,
            statuses.get(member.id),
            serves_reads=member.id in serving,
            alarms=tuple(alarm.kind for alarm in alarms if alarm.member_id == member.id),
            ailment=_ailment(member, replies, routes, names, chosen.cluster_id)
            if member.id not in omitted
            else NO_ANSWER,
        )
        for member in chosen.members
    ]
    queried = [reply for reply in replies if not reply.advertised_by]
    return ClusterView(
        cluster_id=chosen.cluster_id,
        members=tuple(sorted(members, key=lambda m: int(m.id, 16))),
        doubts=contradictions(chosen.cluster_id, chosen.ids, answers_of(replies, chosen.cluster_id), chosen.learners),
        alarms=tuple(alarms),
        endpoints=len(queried),
        answering=sum(reply.cluster_id == chosen.cluster_id and reply.member_id in chosen.ids for reply in queried),
    )


def answers_of(replies: Iterable[Reply], cluster_id: str) -> list[Answer]:
    """Return what each endpoint answered, for `doubts.contradictions`.

    An answer for another cluster at a member's advertised URL counts as no answer of that member. It is no
    contradiction either: all members may advertise `http://127.0.0.1:2379`, where the worker's node may run another
    etcd.
    """
    answers = list[Answer]()
    for reply in replies:
        status, listed = reply.status, reply.listed
        if reply.advertised_by and reply.cluster_id != cluster_id:
            continue
        together = status and listed and (status.cluster_id, status.member_id) == (listed.cluster_id, listed.member_id)
        if status:
            own = (listed.ids, listed.learners) if listed and together else (None, frozenset[str]())
            answers.append(Answer(reply.endpoint, status.cluster_id, status.member_id, *own))
        if listed and not together:  # a load balancer may ask two members
            answers.append(Answer(reply.endpoint, listed.cluster_id, listed.member_id, listed.ids, listed.learners))
    return answers


def _member_view(
    member: ListedMember, status: Status | None, *, serves_reads: bool, alarms: tuple[str, ...], ailment: str
) -> MemberView:
    return MemberView(
        id=member.id,
        name=member.name,
        peer_urls=member.peer_urls,
        is_learner=member.is_learner,
        reachable=status is not None,
        serves_reads=serves_reads,
        leader_id=status.leader_id if status else None,
        term=status.term if status else 0,
        raft_index=status.raft_index if status else 0,
        version=status.version if status else "",
        db_size_bytes=status.db_size_bytes if status else 0,
        alarms=alarms,
        note=", ".join(words for words in (ailment, *alarms) if words),
    )


def _ailment(
    member: ListedMember, replies: Sequence[Reply], routes: Mapping[str, str], names: Mapping[str, str], cluster_id: str
) -> str:
    """Return why a member does not count as reachable or as serving reads, or ""."""
    own = [r for r in replies if r.cluster_id == cluster_id and r.member_id == member.id]
    if any(r.status for r in own):
        if member.is_learner or any(r.listed for r in own):  # a learner serves no list, even a healthy one
            return ""
        return _no_reads(own[0].list_note)
    return _silence(member, replies, routes, names, cluster_id) if member.name else "not started"


def _silence(
    member: ListedMember, replies: Sequence[Reply], routes: Mapping[str, str], names: Mapping[str, str], cluster_id: str
) -> str:
    """Return why nothing came from a member: another member answers at its URL, or what went wrong there."""
    advertised = [url for text in member.client_urls if (url := canonical_url(text))]
    where = [url for url in dict.fromkeys((routes.get(member.id, ""), *advertised)) if url]
    if member.client_urls and not where:
        return "its advertised URL is no client URL"
    at = [reply for url in where for reply in replies if reply.url == url]
    leads_to = [names.get(r.member_id, r.member_id) for r in at if r.cluster_id == cluster_id]
    leads_to += [f"another cluster ({r.cluster_id})" for r in at if r.cluster_id not in ("", cluster_id)]
    if leads_to:
        return f"its {'advertised ' if where[0] in advertised else ''}URL leads to {leads_to[0]}"
    return next((reply.status_note for reply in at), NO_ANSWER)


def _no_reads(note: str) -> str:
    if note == NO_ANSWER:
        return f"{READS_HANG} yet"
    silent = note.startswith(f"{NO_ANSWER} ")  # "no answer within 1 s"
    return f"{READS_HANG} {note.removeprefix(f'{NO_ANSWER} ')}" if silent else f"{READS_HANG}: {note}"

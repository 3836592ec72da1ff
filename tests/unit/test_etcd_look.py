"""From answers to a view: whose list counts, what contradicts, which alarms there are, what is said of each member."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_handoff.cluster_view import Alarm, ClusterView
from etcd_handoff.etcd.client_url import canonical_url
from etcd_handoff.etcd.look import choose_list, view_of
from etcd_handoff.etcd.replies import ListedMember, MemberList, Reply, Status, read_alarm

OURS, FOREIGN = "c1", "f1"
MEMBERS = tuple(
    ListedMember(f"{n}", f"node{n}", (f"http://10.0.0.{n}:2380",), (f"http://10.0.0.{n}:2379",)) for n in (1, 2, 3)
)


def url(number: int) -> str:
    """Where a member is asked."""
    return f"http://10.0.0.{number}:2379"


def reply(  # noqa: PLR0913  # all that an endpoint may answer
    number: int,
    member: str = "",
    *,
    cluster: str = OURS,
    members: tuple[ListedMember, ...] | None = MEMBERS,
    note: str = "no answer within 1 s",
    alarms: tuple[Alarm, ...] = (),
) -> Reply:
    """Endpoint `number` answers as a member of a cluster; `members` None: without a list."""
    member = member or str(number)
    listed = MemberList(cluster, member, members) if members is not None else None
    status = Status(cluster, member, leader_id="1", term=2, raft_index=10, version="3.6.16", alarms=alarms)
    return Reply(f"endpoint {number} of the profile", url(number), "", status, "", listed, "" if listed else note)


def silent(number: int, note: str = "connection refused", advertised_by: str = "") -> Reply:
    """Nothing came from there."""
    return Reply(f"endpoint {number} of the profile", url(number), advertised_by, None, note, None, note)


def seen(*replies: Reply, cluster_id: str = "", routes: dict[str, str] | None = None) -> ClusterView:
    """The view that these answers make."""
    chosen = choose_list(replies, cluster_id, {})
    assert chosen is not None
    return view_of(chosen, replies, routes or {})


STRANGER = reply(4, "9", cluster=FOREIGN, members=(ListedMember("9", "alone"),))


@pytest.mark.parametrize("at", range(4))
def test_foreign_list_never_counts_wherever_it_stands(at: int) -> None:
    """Three endpoints of one cluster outvote one of another, first or last in the profile, and it is named."""
    replies = [reply(1), reply(2), reply(3)]
    replies.insert(at, STRANGER)
    view = seen(*replies)
    assert view.cluster_id == OURS
    assert [(doubt.kind, "endpoint 4" in doubt.text) for doubt in view.doubts] == [("MixedClusters", True)]


def test_view_says_at_how_many_endpoints_its_cluster_answers() -> None:
    """A foreign endpoint and a silent one are no answers of it, and an advertised URL is no endpoint."""
    view = seen(reply(1), reply(2), silent(3), STRANGER, silent(5, advertised_by="3"))
    assert (view.answering, view.endpoints, view.few_answer) == (2, 4, True)
    assert not seen(reply(1), reply(2), silent(3)).few_answer
    assert seen(silent(1), silent(2), STRANGER).few_answer


def test_foreign_list_does_not_count_when_the_true_cluster_gives_none() -> None:
    """While the true members elect, only the foreign one gives a list: that is no list at all."""
    electing = [reply(n, members=None) for n in (1, 2, 3)]
    assert choose_list([STRANGER, *electing], "", {}) is None


def test_cluster_id_of_the_profile_decides() -> None:
    """Also against most endpoints; where nobody answers for it, the others are seen, to be doubted."""
    many = [reply(n, cluster=FOREIGN) for n in (1, 2)]
    chosen = choose_list([*many, reply(3)], OURS, {})
    assert chosen is not None
    assert chosen.cluster_id == OURS
    assert choose_list([*many, reply(3, members=None)], OURS, {}) is None
    other = choose_list(many, OURS, {})
    assert other is not None
    assert other.cluster_id == FOREIGN


def test_endpoints_that_are_silent_now_outvote_a_foreign_one() -> None:
    """They answered for our cluster before: a foreign endpoint that alone answers is not believed."""
    remembered = {url(1): OURS, url(2): OURS}
    assert choose_list([STRANGER, silent(1), silent(2)], "", remembered) is None
    assert choose_list([STRANGER, silent(1), silent(2)], "", {}) is not None


def test_list_that_most_members_gave_counts() -> None:
    """One member sees another membership under the same cluster ID: it is outvoted, and the difference is said."""
    apart = reply(1, members=MEMBERS[:1])
    view = seen(apart, reply(2), reply(3))
    assert len(view.members) == 3
    assert [doubt.kind for doubt in view.doubts] == ["ListsDiffer"]
    tie = seen(apart, reply(2), silent(3))
    assert len(tie.members) == 1
    assert [doubt.kind for doubt in tie.doubts] == ["UnlistedMember", "ListsDiffer"]


def test_list_with_other_voters_is_another_list() -> None:
    """One member has forgotten that node3 was promoted: it is outvoted, and the difference is said."""
    forgot = (*MEMBERS[:2], ListedMember("3", "node3", MEMBERS[2].peer_urls, MEMBERS[2].client_urls, is_learner=True))
    assert seen(*(reply(n, members=forgot) for n in (1, 2, 3))).doubts == ()
    view = seen(reply(1, members=forgot), reply(2), reply(3))
    assert len(view.voters) == 3
    assert [doubt.kind for doubt in view.doubts] == ["ListsDiffer"]


def test_only_listed_members_confirm_a_list() -> None:
    """One that has left and runs on says nothing about those that are not reached."""
    view = seen(reply(1, members=MEMBERS[:1]), reply(2, members=None), silent(3))
    assert (view.endpoints, view.answering) == (3, 1)
    assert view.few_answer


def test_member_that_answers_and_is_not_listed_is_a_doubt() -> None:
    """A removed member that still runs gives no list of its own; one that gives another list is worse."""
    listed = MEMBERS[:2]
    alone = seen(reply(1, members=listed), reply(2, members=listed), reply(3, members=None))
    assert [(d.kind, d.member_id, d.by_status_alone) for d in alone.doubts] == [("UnlistedMember", "3", True)]
    lists = seen(reply(1, members=listed), reply(2, members=listed), reply(3))
    assert [d.by_status_alone for d in lists.doubts if d.kind == "UnlistedMember"] == [False]


def test_member_that_answers_no_linearizable_read_is_not_healthy() -> None:
    """Its Status comes from memory: it counts as reachable, not as healthy, and the note says why."""
    view = seen(reply(1), reply(2, members=None), reply(3))
    member = view.member("2")
    assert member is not None
    assert (member.reachable, member.serves_reads) == (True, False)
    assert member.note == "answers, but no linearizable read within 1 s"
    assert [m.id for m in view.healthy_voters] == ["1", "3"]
    elects = seen(reply(1), reply(2, members=None, note="etcdserver: no leader"), reply(3)).member("2")
    assert elects is not None
    assert elects.note == "answers, but no linearizable read: etcdserver: no leader"


def test_learner_gives_no_list_and_is_well() -> None:
    """Etcd answers `rpc not supported for learner`: that is no sickness."""
    learner = ListedMember("3", "node3", is_learner=True)
    members = (*MEMBERS[:2], learner)
    note = "etcdserver: rpc not supported for learner"
    view = seen(reply(1, members=members), reply(2, members=members), reply(3, members=None, note=note))
    found = view.member("3")
    assert found is not None
    assert (found.reachable, found.note, view.doubts) == (True, "", ())


def test_advertised_url_of_all_members_is_named() -> None:
    """All advertise one URL: who runs behind it is said at each of the others."""
    shared = tuple(ListedMember(m.id, m.name, m.peer_urls, (url(1),)) for m in MEMBERS)
    view = seen(reply(1, members=shared))
    assert [m.note for m in view.members] == ["", *["its advertised URL leads to node1"] * 2]


@pytest.mark.parametrize(
    ("member", "replies", "note"),
    [
        (ListedMember("2", "node2", (), ("http://127.0.0.1:237900",)), [], "its advertised URL is no client URL"),
        (ListedMember("2", "node2"), [], "no answer"),
        (ListedMember("2", ""), [], "not started"),
        (MEMBERS[1], [silent(2)], "connection refused"),
        (
            MEMBERS[1],
            [reply(2, "9", cluster=FOREIGN, members=None)],
            f"its advertised URL leads to another cluster ({FOREIGN})",
        ),
    ],
    ids=["odd URL", "no URL", "not started", "refused", "another cluster"],
)
def test_silent_member_has_a_reason(member: ListedMember, replies: list[Reply], note: str) -> None:
    """Whatever a member advertises, the look goes on, and says why nothing came from it."""
    view = seen(reply(1, members=(MEMBERS[0], member)), *replies)
    found = view.member("2")
    assert found is not None
    assert (found.reachable, found.note) == (False, note)


def test_foreign_etcd_at_an_advertised_url_is_no_contradiction() -> None:
    """The profile does not name it: a worker's own node may run another etcd where all members advertise localhost."""
    foreign = reply(2, "9", cluster=FOREIGN, members=(ListedMember("9"),))
    stray = Reply("the advertised URL of node2", url(2), "2", foreign.status, "", foreign.listed, "")
    assert seen(reply(1), stray, reply(3)).doubts == ()


def test_balanced_endpoint_speaks_for_each_member_by_its_header() -> None:
    """Status and list may come from two members behind one URL: each counts as its own member's word."""
    mixed = Reply("endpoint 1 of the profile", url(1), "", reply(1).status, "", MemberList(OURS, "2", MEMBERS), "")
    view = seen(mixed)
    assert {m.id: (m.reachable, m.serves_reads) for m in view.members} == {
        "1": (True, False),
        "2": (False, True),
        "3": (False, False),
    }


# --- alarms -------------------------------------------------------------------------------------------------------

ALARMS = [
    ("memberID:123 alarm:NOSPACE ", Alarm(kind="NOSPACE", member_id="7b")),
    ("memberID:123  alarm:CORRUPT", Alarm(kind="CORRUPT", member_id="7b")),
    ("memberID:18446744073709551615 alarm:CORRUPT ", Alarm(kind="CORRUPT", member_id="ffffffffffffffff")),
    ("alarm:CORRUPT ", Alarm(kind="CORRUPT")),
    ("alarm:NOSPACE memberID:123 ", Alarm(kind="NOSPACE", member_id="7b")),
    ("memberID:0 alarm:CORRUPT ", Alarm(kind="CORRUPT")),
    ("memberID:123 alarm:7 ", Alarm(kind="7", member_id="7b")),
    ("memberID:123 ", Alarm(kind="memberID:123")),
    ("memberID:many alarm:CORRUPT", Alarm(kind="memberID:many alarm:CORRUPT")),
    ("the disk is on fire", Alarm(kind="the disk is on fire")),
    ("etcdserver: no leader", None),
    ("", None),
    ("  ", None),
]


@pytest.mark.parametrize(("text", "alarm"), ALARMS)
def test_alarm_is_read_by_its_fields(text: str, alarm: Alarm | None) -> None:
    """A zero field is left out by etcd; what nobody understands is an alarm too; `no leader` is none."""
    assert read_alarm(text) == alarm


@given(st.text(max_size=300))
def test_no_text_of_an_alarm_is_lost(text: str) -> None:
    """Whatever etcd says is an alarm with a short kind, or is empty."""
    found = read_alarm(text)
    assert (found is None) == (not text.split() or text.split() == ["etcdserver:", "no", "leader"])
    assert found is None or 0 < len(found.kind) <= 100


def test_alarms_of_members_and_of_the_cluster_are_all_there() -> None:
    """Each once, however many members report it; at a member stand only its own."""
    own, whole, gone = (
        Alarm(kind="NOSPACE", member_id="2"),
        Alarm(kind="CORRUPT"),
        Alarm(kind="CORRUPT", member_id="9"),
    )
    view = seen(reply(1, alarms=(own, whole)), reply(2, alarms=(own, whole, gone)), reply(3))
    assert view.alarms == (whole, own, gone)
    assert [m.alarms for m in view.members] == [(), ("NOSPACE",), ()]
    assert [m.id for m in view.healthy_voters] == ["1", "2", "3"]


# --- client URLs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://[0:0:0:0:0:0:0:1]:2379", "https://[::1]:2379"),
        ("https://[FD00:0::1]:2379/", "https://[fd00::1]:2379"),
        ("HTTP://Node2.Example:2379", "http://node2.example:2379"),
        ("http://10.0.0.1:2379", "http://10.0.0.1:2379"),
        ("http://127.0.0.1:237900", ""),
        ("http://127.0.0.1", ""),
        ("unix:///run/etcd.sock", ""),
        ("http://[::1", ""),
        ("http://a b:2379", ""),
        ("http://host:2379/v3", ""),
        ("", ""),
    ],
)
def test_client_url_has_one_form(text: str, canonical: str) -> None:
    """Two spellings of one address are one; what is no client URL is empty."""
    assert canonical_url(text) == canonical


@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{1,30}:\d{1,7}/?", fullmatch=True))
def test_no_url_breaks_a_look(text: str) -> None:
    """Members advertise what they like; the canonical form of a canonical form is itself."""
    once = canonical_url(text)
    assert once == "" or canonical_url(once) == once

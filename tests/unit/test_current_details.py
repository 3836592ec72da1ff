"""The page that an operator reads in the Temporal Web UI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etcd_handoff.activity_io import Target, UpdateStatusInput
from etcd_handoff.cluster_view import Alarm
from etcd_handoff.contract import HandoffState, RemovalRequest, StepOutcome
from etcd_handoff.operation.current_details import (
    details,
    lasting_since,
    notice_details,
    progress,
    queue_details,
    record_details,
)
from etcd_handoff.operation.phases import EndState, JoinState
from etcd_handoff.operation.queue_messages import ChangeQueueState
from etcd_handoff.planning import Blocked, Reason
from tests.unit.builders import CLUSTER, A, B, C, D, begun, cluster, down, member, step

if TYPE_CHECKING:
    from etcd_handoff.operation.state import OperationState

REQUEST = RemovalRequest(cluster="prod", member="node1", reason="new disk")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
PINNED = Target(cluster_id=CLUSTER, member_id=B, member_name="node1")


VIEW = cluster(
    member(D, name="", is_learner=True),
    member(A, raft_index=4711),
    member(B),
    down(C),
)


def state(**fields: Any) -> OperationState:
    """A removal of node1 that looks at the cluster, with these fields."""
    known = {"request": REQUEST, "doing": "looking", "pinned": PINNED, "view": VIEW}
    return begun(**{**known, **fields})


def row(text: str, member_id: str) -> str:
    """The line of the page about this member."""
    (found,) = [line for line in text.splitlines() if f"`{member_id}`" in line]
    return found


def test_summary_names_member_and_cluster() -> None:
    """One line says what the workflow is for."""
    assert REQUEST.summary == "Remove member node1 from etcd cluster prod"


def test_pages_of_the_workflows_beside_an_operation() -> None:
    """They say what the workflow does, and where the last answer is."""
    record = UpdateStatusInput(
        cluster="prod", run_id="run", member_id=B, member_name="node1", joined=False, message="out"
    )
    assert record_details("node1", record).startswith("### ")
    assert "`update_status`" in record_details("node1", record)
    assert notice_details("node1 is blocked").startswith("### Send to the webhook: node1 is blocked\n\n")
    assert queue_details(ChangeQueueState(cluster_id=CLUSTER)) == "**Turn:** nobody\n"


def test_page_before_the_first_look_has_no_members_and_no_steps() -> None:
    """What is not known yet is left out instead of shown empty."""
    text = details(state(request=RemovalRequest(cluster="prod", member="node1"), pinned=None, view=None))
    assert text == "### Remove member node1 from etcd cluster prod\n\n- **Checking**: looking"


def test_page_says_what_happens_and_what_it_waits_for() -> None:
    """State, what was seen, what would unblock it, and why it was asked for."""
    doing, waiting_for = "QuorumAtRisk: node2 is down", "bring node2 back"
    text = details(state(handoff_state=HandoffState.BLOCKED, doing=doing, waiting_for=waiting_for))
    assert "- **Blocked**: QuorumAtRisk: node2 is down\n" in text
    assert "- **What unblocks it:** bring node2 back\n" in text
    assert "- **Why:** new disk\n" in text


def test_page_says_since_when_who_asked_and_when_it_gives_up() -> None:
    """A look in between ends nothing: it is as blocked as before."""
    blocked = Blocked(Reason.QUORUM_AT_RISK, "node2 is down", "node2 is back")
    known = {"blocked": blocked, "started_by": "etcd-handoff:ann@host", "began": "2026-01-01T11:59:00+00:00"}
    at = lasting_since(
        state(handoff_state=HandoffState.BLOCKED, since=NOON + 90, blocked_remaining_seconds=60, **known), NOON
    )
    looking = lasting_since(at.changed(handoff_state=HandoffState.CHECKING, blocked=None), NOON + 30)
    again = lasting_since(looking.changed(handoff_state=HandoffState.BLOCKED, blocked=blocked), NOON + 90)
    text = details(again)
    assert "- **Blocked**, since 2026-01-01 12:00:00 UTC: looking\n" in text
    assert "- **Looks again:** by itself; it gives up at 2026-01-01 12:02:30 UTC\n" in text
    assert "- **Asked for the removal:** etcd-handoff:ann@host at 2026-01-01 11:59:00 UTC\n" in text
    assert "since" not in details(looking)
    for now in (at, looking, again):
        shown = progress(now)
        assert (shown.blocked_reason, shown.since) == ("QuorumAtRisk", "2026-01-01T12:00:00+00:00")
    assert progress(state()).since == progress(at.changed(handoff_state=HandoffState.REMOVING)).since == ""
    other = Blocked(Reason.VOTER_HANGS, "node2 hangs", "node2 works")
    assert "since 2026-01-01 12:01:40" in details(lasting_since(again.changed(blocked=other), NOON + 100))


def test_page_names_who_gave_the_order_on_the_etcdmember() -> None:
    """A watcher has started the removal, and has no name of its own."""
    known = {"requester": "alice (by kubectl-patch)", "began": "2026-01-01T11:59:00+00:00"}
    text = details(state(**known))
    assert "- **Asked for the removal:** alice (by kubectl-patch) at 2026-01-01 11:59:00 UTC\n" in text


def test_page_shows_the_place_in_the_queue() -> None:
    """Who is before it, or that it has the turn."""
    text = details(state(handoff_state=HandoffState.QUEUED, behind=("the removal of node3", "the addition of node5")))
    assert "- **Queue:** number 3, behind the removal of node3, the addition of node5\n" in text
    assert "- **Queue:** first: it may change the cluster" in details(state(holds_turn=True))
    assert "**Queue:**" not in details(state())


def test_page_says_what_follows_until_it_ends() -> None:
    """Whoever approves has to know; afterwards it would not be true."""
    lines = ("hand leadership from node1 to node0", "remove node1 through node0")
    text = details(state(planned=lines))
    assert "**What follows**\n\n1. hand leadership from node1 to node0\n2. remove node1 through node0\n" in text
    assert "What follows" not in details(state(planned=lines, ending=EndState()))
    blocked = Blocked(Reason.QUORUM_AT_RISK, "node2 is down", "node2 is back")
    assert "What follows" not in details(state(planned=lines).blocked_by(blocked))


def test_page_has_no_table() -> None:
    """The Web UI draws them without lines: `leaderhealthy2470`."""
    assert "|" not in details(state(steps=(step(),)))


def test_page_of_what_was_approved_offers_no_approval() -> None:
    """Lists show the state until the next one is published."""
    text = details(state(handoff_state=HandoffState.AWAITING_APPROVAL, doing="looking at node4"))
    assert "- approve:" not in text
    assert "- cancel:" in text


def test_page_of_a_wait_has_the_commands_and_updates_that_end_it() -> None:
    """Ready to be copied, for somebody with our command line and for somebody with the Web UI alone."""
    text = details(state(handoff_state=HandoffState.AWAITING_APPROVAL, waiting_for="the update `approve`"))
    assert (
        "**What you can do**\n\n"
        "- approve: `etcd-handoff approve node1 -c prod`\n"
        '- or here: More Actions, Send an Update, `approve`, with the input `{"by": "<your name>"}`\n'
    ) in text
    assert "- cancel: `etcd-handoff cancel node1 -c prod`\n" in text
    assert "- look again now: `etcd-handoff recheck node1 -c prod`" in details(
        state(handoff_state=HandoffState.BLOCKED)
    )
    final = details(state(handoff_state=HandoffState.BLOCKED, pending_since=1.0))
    assert "etcd-handoff cancel" not in final, "past the point of no return it would be refused"
    joined = details(state(handoff_state=HandoffState.BLOCKED, joining=JoinState(has_vote=True)))
    assert "etcd-handoff cancel" not in joined, "a member that has its vote stays"
    by_k0s = details(state(handoff_state=HandoffState.BLOCKED, leave_asked=True))
    assert "etcd-handoff cancel" in by_k0s, "a cancellation takes the flag back that k0s waits for"
    stuck = details(state(handoff_state=HandoffState.RECORDING, waiting_for="an API server takes the status"))
    assert "- find what keeps it: `etcd-handoff doctor -c prod`" in stuck
    assert "What you can do" not in details(state(handoff_state=HandoffState.RECORDING))
    assert "What you can do" not in details(state())


def test_page_lists_each_member_with_role_and_state() -> None:
    """Name and ID, leader, voter or learner, healthy or why not."""
    text = details(state())
    assert CLUSTER in text
    for word in ("node0", "leader", "healthy", "4711"):
        assert word in row(text, A)
    for word in ("node2", "voter", "connection refused"):
        assert word in row(text, C)
    assert "learner" in row(text, D)
    assert f"**{D}**" in row(text, D)


def test_leaving_member_is_marked_alone() -> None:
    """The pinned member carries the mark; before it is pinned nobody does, whatever name was asked for."""
    text = details(state())
    assert [i for i in (A, B, C, D) if "leaves" in row(text, i)] == [B]
    assert "leaves" not in details(state(pinned=None))


def test_page_without_a_leader_shows_none() -> None:
    """While no majority agrees nobody is called leader, and nobody healthy."""
    split = VIEW.model_copy(update={"members": tuple(m for m in VIEW.members if m.id != A)})
    text = details(state(view=split))
    assert "leader" not in row(text, B)
    assert "answers" in row(text, B)
    assert "healthy" not in text


def test_page_shows_the_point_of_no_return() -> None:
    """Only when the removal has been proposed is it said that a cancel comes too late."""
    assert "no longer possible: the removal was proposed" in details(state(in_flight=True))
    assert "no longer possible" not in details(state())


def test_page_lists_the_steps_in_order() -> None:
    """Name, outcome, duration, node, the attempts when there were several, and what to know about it."""
    steps = (
        step(note="node1 leads at term 7"),
        step("move_leader", StepOutcome.MOVED, attempts=2),
    )
    text = details(state(steps=steps))
    assert text.endswith(
        "**Steps**\n\n"
        "- `check_leader` observed, 12 ms on node0: node1 leads at term 7\n"
        "- `move_leader` moved, 12 ms on node0, 2 attempts"
    )


def test_page_warns_of_what_nothing_can_be_recorded_in() -> None:
    """A full disk is told above the members; without one there is no warning."""
    full = VIEW.model_copy(update={"alarms": (Alarm(kind="NOSPACE", member_id=A),)})
    text = details(state(view=full))
    assert "**Warning:** etcd has raised the alarm NOSPACE for node0" in text
    assert "Warning" not in details(state())


def test_page_says_how_many_steps_it_does_not_show() -> None:
    """A month of looks is not a page of steps."""
    steps = (step(),)
    text = details(state(steps=steps, steps_left_out=1234))
    assert "**Steps** (without 1234 in between)" in text

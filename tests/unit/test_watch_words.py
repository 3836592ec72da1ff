"""What `watch status`, `status` and the page in the Web UI say of a watcher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_handoff.cli import run
from etcd_handoff.cli.render import status as out
from etcd_handoff.cli.render.operations import TemporalParts, WatcherHealth
from etcd_handoff.cli.render.watch import status_lines
from etcd_handoff.reconciler import page
from etcd_handoff.reconciler.state import LeaveOrder, ReconcilerStatus, RemovalRetry
from tests.unit.builders import resource

if TYPE_CHECKING:
    import pytest

TROUBLE = "ResourcesDisagree: two sides; run `etcd-handoff watch resync --confirm`"


STATUS = ReconcilerStatus(
    cluster="prod",
    members=(
        resource("node1", "a1", generation=2),
        resource("node2", "b2", generation=2),
        resource("node3", "a3", generation=2),
        resource("node4", "a4", generation=2, leave=False),
    ),
    orders=(
        LeaveOrder(uid="uid-node1", generation=2, member_id="a1", asked_by="alice (by kubectl-patch)"),
        LeaveOrder(uid="uid-node2", generation=2, member_id="a2"),
        LeaveOrder(uid="uid-node3", generation=2),
    ),
    retries=(RemovalRetry(uid="uid-node1", generation=2, failures=3, at_seconds=1.0),),
    trouble=TROUBLE,
    repaired=("node4: created",),
)


def test_watch_status_tells_trouble_orders_and_retries() -> None:
    """Trouble comes before the table; an old request is told from one that counts."""
    lines = status_lines(STATUS)
    assert lines[1] == f"trouble: {TROUBLE}"
    rows = {line.split()[0]: line for line in lines[2:]}
    assert "asked to leave by alice (by kubectl-patch)" in rows["node1"]
    assert "failed 3 times, tried again" in rows["node1"]
    assert "old request for a2" in rows["node2"]
    assert "old request for nobody" in rows["node3"]
    assert "leave" not in rows["node4"]
    assert lines[-1] == "corrected: node4: created"


def test_requester_is_named_where_it_is_known() -> None:
    """Each of two requests counts; a request that nobody is known to have set has no name."""
    member, by = resource("node1", "a1", generation=2), LeaveOrder(uid="uid-node1", generation=2, member_id="a1")
    names = {
        ("",): "asked to leave",
        ("alice",): "asked to leave by alice",
        ("alice", "alice"): "asked to leave by alice",
        ("alice", "", "argocd"): "asked to leave by alice and argocd",
    }
    for asked_by, words in names.items():
        orders = tuple(by.model_copy(update={"asked_by": name}) for name in asked_by)
        status = ReconcilerStatus(cluster="prod", members=(member,), orders=orders)
        assert status_lines(status)[-1].endswith(words)
        assert page.details(status, installed=True).endswith(words)


def test_watch_status_of_a_watcher_that_sees_nothing_shows_no_empty_table() -> None:
    """What is wrong is all that there is to say."""
    assert status_lines(ReconcilerStatus(cluster="prod", trouble=TROUBLE)) == [
        "cluster prod is watched, every 300 s",
        f"trouble: {TROUBLE}",
    ]


def test_page_tells_the_same() -> None:
    """Trouble first, then each EtcdMember with its order."""
    text = page.details(STATUS, installed=True)
    assert text.index(TROUBLE) < text.index("node1")
    for words in (
        "asked to leave by alice (by kubectl-patch)",
        "an old request for a2",
        "an old request for nobody",
        "- node4: created",
    ):
        assert words in text
    assert "deploy/crd.yaml" in page.details(ReconcilerStatus(cluster="prod"), installed=False)


def test_status_tells_the_watchers_trouble() -> None:
    """Beside the EtcdMembers, for people and as JSON."""
    parts = TemporalParts(None, "etcd-handoff", watcher=WatcherHealth(runs=True, trouble=TROUBLE))
    seen = out.StatusReport("prod", None, None, parts, {})
    assert any(line.startswith(f"! the watcher has a problem: {TROUBLE}; see `") for line in out.status_lines(seen))
    assert out.status_object(seen)["watcher"]["trouble"] == TROUBLE


def test_confirmation_belongs_to_resync_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """`watch stop --confirm` is a slip, and says so before anything is asked."""
    assert run(["watch", "stop", "--confirm", "-c", "prod"]) == 2
    assert "watch resync" in capsys.readouterr().err

"""What `status` says of operations, their queue, the last results, workers and the watcher."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

import pytest

from etcd_handoff import __version__
from etcd_handoff.cli.audit.trail import Trail
from etcd_handoff.cli.live_workers import LiveWorker
from etcd_handoff.cli.render.operations import (
    START_WORKER,
    OpenOperation,
    TemporalParts,
    WatcherHealth,
    temporal_lines,
    temporal_object,
)
from etcd_handoff.cli.render.status import StatusReport, status_object
from etcd_handoff.cli.shapes.status import StatusOutput
from etcd_handoff.config import Config
from etcd_handoff.temporal.client import NO_WORKER
from etcd_handoff.temporal.identity import MORE, MOST_CHARACTERS, WorkerIdentity, fingerprint, parsed, worker_identity
from tests.unit.printed import as_printed

BLOCKED: Final = OpenOperation(
    "etcd-remove/prod/node2",
    "removal",
    "node2",
    "Blocked",
    "2026-01-01T00:00:00+00:00",
    doing="QuorumAtRisk: n3 is down",
    waiting_for="n3 is up",
    next=("to look again now: etcd-handoff recheck node2 -c prod",),
    asked_by="ann@laptop",
    reason="new disk",
    approved_by="bob@laptop",
)
QUEUED: Final = OpenOperation(
    "etcd-add/prod/node4", "addition", "node4", "Queued", "2026-01-01T00:00:01+00:00", queue="1 of 1 in the queue"
)
WORKERS: Final = (
    LiveWorker("node0", "0.1.0", "2369de8e", "host0", 3.2, "c0ffee00", ("prod", "test"), (("prod", "2027-11-28"),)),
    LiveWorker("node1", "0.1.0", "2369de8e", "host1", 0.4, "c0ffee00", ("prod",), (("prod", "2027-11-28"),)),
)
LAST: Final = Trail(
    "etcd-plan/prod/node3",
    "removal",
    cluster="prod",
    member="node3",
    dry_run=True,
    asked_by="ann@laptop",
    outcome="planned",
    ended_at="2026-01-01T00:00:00.500Z",
)
PROFILE: Final = {"etcd": {"endpoints": ["https://10.0.0.1:2379"]}}
CONFIG: Final = Config.model_validate({"clusters": {"prod": PROFILE}})
PARTS: Final = TemporalParts(None, "etcd-handoff", (QUEUED, BLOCKED), (LAST,), WORKERS)


def test_dry_run_under_the_id_of_a_change_is_told_as_one() -> None:
    """Temporal's own command line starts such; whoever sees it is not to wait for a removal."""
    row = temporal_lines(replace(PARTS, operations=(replace(BLOCKED, dry_run=True),)))[1]
    assert row.startswith("dry run (removal)  node2")
    assert temporal_object(PARTS)["operations"][0]["dry_run"] is False


def test_each_part_in_words() -> None:
    """Open ones with what unblocks them, the last ones, and who does the work."""
    assert temporal_lines(PARTS) == [
        "OPEN      MEMBER  STATE    STARTED (UTC)        QUEUE",
        "addition  node4   Queued   2026-01-01 00:00:01  1 of 1 in the queue",
        "removal   node2   Blocked  2026-01-01 00:00:00  -",
        "node4: Queued",
        "  asked for by: unknown: no reason given",
        "node2: QuorumAtRisk: n3 is down",
        "  asked for by: ann@laptop: new disk",
        "  approved by: bob@laptop",
        "  what unblocks it: n3 is up",
        "  to look again now: etcd-handoff recheck node2 -c prod",
        "",
        "LAST               MEMBER  OUTCOME  ENDED (UTC)          ASKED FOR BY  APPROVED BY  REASON",
        "dry run (removal)  node3   planned  2026-01-01 00:00:00  ann@laptop    -            -",
        "",
        "WORKER  VERSION  BUILD     CONFIG    PROFILES   CERTIFICATES     HOST   ASKED FOR WORK",
        "node0   0.1.0    2369de8e  c0ffee00  prod,test  prod 2027-11-28  host0  3 s ago",
        "node1   0.1.0    2369de8e  c0ffee00  prod       2027-11-28       host1  0 s ago",
    ]


def test_operation_that_says_nothing_says_why() -> None:
    """Temporal lists the workers of the last minute, so its table shows those that have just died."""
    silent = replace(BLOCKED, state="Checking", doing="", trouble=NO_WORKER)
    lines = temporal_lines(replace(PARTS, operations=(silent,)))
    assert lines[2] == f"! node2: Checking; {NO_WORKER}"
    assert "systemctl start etcd-handoff-worker" in NO_WORKER
    assert temporal_object(replace(PARTS, operations=(silent,)))["operations"][0]["trouble"] == NO_WORKER


def test_approver_of_an_operation_that_has_ended_is_told() -> None:
    """As its result has it; where it has none, as its history does."""
    approved = replace(LAST, result={"approved_by": "bob@laptop"})
    lines = temporal_lines(replace(PARTS, last=(approved,)))
    assert "dry run (removal)  node3   planned  2026-01-01 00:00:00  ann@laptop    bob@laptop   -" in lines
    assert temporal_object(replace(PARTS, last=(approved,)))["last"][0]["approved_by"] == "bob@laptop"


def test_nothing_to_tell_is_said() -> None:
    """And that without a worker nothing goes on, with the command."""
    assert temporal_lines(TemporalParts(None, "etcd-handoff")) == [
        "Operations: none is running",
        "",
        "Last operations: none that Temporal still has",
        "",
        f"! no worker asks for work on task queue etcd-handoff; {START_WORKER}",
    ]


def test_workers_of_two_builds_are_marked() -> None:
    """An upgrade that was left half done."""
    mixed = replace(PARTS, workers=(WORKERS[0], WORKERS[1]._replace(build="aaaaaaaa")))
    assert temporal_lines(mixed)[-1] == "! workers of 2 builds: finish the upgrade on all nodes"
    assert not temporal_lines(PARTS)[-1].startswith("!")


def test_certificates_that_end_soon_are_marked() -> None:
    """Where, and which profile's; in JSON too."""
    soon = replace(PARTS, workers=(WORKERS[0]._replace(expiring=("prod",)), WORKERS[1]))
    assert temporal_lines(soon)[-1] == "! a certificate of prod on node0 ends on 2027-11-28: renew it there"
    workers = temporal_object(soon)["workers"]
    assert (workers[0]["certificates"], workers[0]["expiring"]) == ({"prod": "2027-11-28"}, ("prod",))
    assert workers[1]["expiring"] == ()


def test_workers_with_other_settings_are_marked() -> None:
    """They would decide otherwise; one that does not tell counts for nothing."""
    other = replace(PARTS, workers=(WORKERS[0], WORKERS[1]._replace(config="0")))
    assert temporal_lines(other)[-1].startswith("! workers of 2 configurations: ")
    silent = replace(PARTS, workers=(WORKERS[0], WORKERS[1]._replace(config="")))
    assert not temporal_lines(silent)[-1].startswith("!")


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"etcd": {"endpoints": ["https://10.0.0.9:2379"]}}, True),
        ({"min_voters": 3}, False),
        ({"require_approval": True}, False),
    ],
)
def test_fingerprint_is_about_what_decides(changed: dict[str, object], same: bool) -> None:  # noqa: FBT001
    """Not about how a node reaches etcd; no address can be guessed from it."""
    other = Config.model_validate({"clusters": {"prod": {**PROFILE, **changed}}})
    assert (fingerprint(other) == fingerprint(CONFIG)) == same
    renamed = Config.model_validate({"clusters": {"test": PROFILE}})
    assert fingerprint(renamed) != fingerprint(CONFIG)


@pytest.mark.parametrize(
    ("health", "line"),
    [
        (
            WatcherHealth(),
            "watcher: none, so EtcdMembers start no removal; start it with `etcd-handoff watch start -c a`",
        ),
        (WatcherHealth(runs=True, resync_seconds=300), "watcher: runs, compares everything every 300 s"),
        (
            WatcherHealth(runs=True, resync_seconds=300, removing=2),
            "watcher: runs, compares everything every 300 s, 2 removals under way",
        ),
        (
            WatcherHealth(runs=True, trouble="etcd is away"),
            "! the watcher has a problem: etcd is away; see `etcd-handoff watch status -c a`",
        ),
    ],
)
def test_watcher_in_one_line(health: WatcherHealth, line: str) -> None:
    """Whether it is there, and how it does."""
    assert health.line("-c a") == line


def test_json_has_each_part() -> None:
    """With the commands, and dry runs told apart."""
    printed = temporal_object(PARTS)
    assert as_printed(StatusOutput, status_object(StatusReport("prod", None, None, PARTS, {"etcd": "no answer"})))
    assert (printed["operations"][1]["reason"], printed["operations"][1]["approved_by"]) == ("new disk", "bob@laptop")
    assert printed["operations"][1]["next"] == ("to look again now: etcd-handoff recheck node2 -c prod",)
    assert (printed["last"][0]["dry_run"], printed["last"][0]["outcome"]) == (True, "planned")
    assert [worker["node"] for worker in printed["workers"]] == ["node0", "node1"]


def test_identity_of_a_worker_tells_node_and_version() -> None:
    """In Temporal's lists of pollers and in histories."""
    identity = worker_identity("node1", CONFIG)
    who = parsed(identity)
    assert (who.node, who.version, who.config, who.profiles) == ("node1", __version__, fingerprint(CONFIG), ("prod",))
    assert f":{os.getpid()}@{who.host}" in identity
    assert parsed("etcd-handoff-worker/0.1.0:node1:7@host") == WorkerIdentity("node1", "0.1.0", "host", process="7")
    assert parsed("4711@host") == WorkerIdentity("", "", "4711@host")


def test_identity_of_a_worker_keeps_within_its_bounds() -> None:
    """It stands in every event of a history; what is left out is left out whole, and said to be more."""
    many = Config.model_validate({"clusters": {f"cluster-{number:02}": PROFILE for number in range(50)}})
    who = parsed(worker_identity("node1", many))
    *names, last = who.profiles
    assert 10 < len(names) < 50
    assert all(len(name) == len("cluster-00") for name in names)
    assert last == MORE
    assert len(",".join(who.profiles)) <= MOST_CHARACTERS
    assert all(who.may_have(name) for name in many.clusters), "also one that is not named"
    assert not parsed(worker_identity("node1", CONFIG)).may_have("cluster-00")
    one = Config.model_validate(
        {"clusters": {"c" * 63: PROFILE, "d" * 63: PROFILE, "e" * 63: PROFILE, "f" * 63: PROFILE}}
    )
    assert parsed(worker_identity("node1", one)).profiles[-1] == MORE


def test_identity_tells_when_certificates_end() -> None:
    """By profile; an older worker tells none."""
    parts = parsed("etcd-handoff-worker/0.1.0+c0ffee00+prod=20271128,test:node1:7@host")
    assert (parts.profiles, parts.ends) == (("prod", "test"), (("prod", "2027-11-28"),))
    assert parsed("etcd-handoff-worker/0.1.0+c0ffee00+prod:node1:7@host").ends == ()

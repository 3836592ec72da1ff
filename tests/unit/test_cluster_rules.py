"""What the profile of a cluster asks of every change, however it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from activities.worker_info import WorkerActivities
from etcd_handoff.activity_io import WorkerInfo
from etcd_handoff.change_windows import ChangeWindow
from etcd_handoff.contract import StepOutcome
from etcd_handoff.errors import ConfigError
from etcd_handoff.operation import commands as to
from etcd_handoff.operation.commands import Until
from etcd_handoff.planning import MemberAbsent, Reason, Refused, Remove, plan
from tests.unit.builders import CLUSTER, A, B, C, cluster, down, member
from tests.unit.config_texts import GOOD, load
from tests.unit.test_removal_loop import LED_BY_B, Drive, begin, report

if TYPE_CHECKING:
    from pathlib import Path

THREE = cluster(member(A, B), member(B, B), member(C, B))


def seen(**rules: object) -> Drive:
    """A removal of node0 whose first look was taken by a worker with these rules."""
    return begin().do(to.Observe, report(StepOutcome.OBSERVED, LED_BY_B, worker_info=rules))


def test_profile_makes_a_removal_wait_for_an_approval() -> None:
    """The request did not ask for one, as an order by spec.leave cannot."""
    assert seen(require_approval=True).next(to.Wait).until is Until.APPROVAL
    seen().next(to.AskQueue)


def test_profile_makes_a_removal_compare_the_data_and_store_a_snapshot_first() -> None:
    """In this order, and neither without the rule."""
    removal = seen(snapshot=True, hash_check=True).turn()
    removal.do(to.CheckHash, report(StepOutcome.CONSISTENT, None)).next(to.TakeSnapshot)
    seen(snapshot=True).turn().next(to.TakeSnapshot)
    seen().turn().next(to.RemoveTarget)


@pytest.mark.parametrize(("least", "refused"), [(1, False), (2, False), (3, True)])
def test_removal_that_leaves_too_few_voters_is_refused(least: int, *, refused: bool) -> None:
    """Two of three voters would remain."""
    decision = plan(THREE, MemberAbsent(CLUSTER, A, min_voters=least))
    if not refused:
        assert isinstance(decision, Remove)
        return
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.TOO_FEW_VOTERS
    assert decision.seen == "2 voters would remain, and min_voters of the cluster's profile is 3"


def test_learner_does_not_count_as_a_voter() -> None:
    """Neither one that leaves nor one that stays."""
    view = cluster(member(A, A), member(B, A), member(C, A, is_learner=True))
    assert isinstance(plan(view, MemberAbsent(CLUSTER, C, min_voters=2)), Remove)
    assert isinstance(plan(view, MemberAbsent(CLUSTER, B, min_voters=2)), Refused)


def test_dead_voter_that_remains_is_one() -> None:
    """The rule is about the membership; health has rules of its own."""
    view = cluster(member(A, A), member(B, A), member(C, A), down("2222"))
    assert isinstance(plan(view, MemberAbsent(CLUSTER, B, min_voters=4)), Refused)


def test_removal_is_refused_by_the_rule_of_the_first_look() -> None:
    """With a text that says whose rule it is."""
    failure = seen(min_voters=3).next(to.Fail).failure
    assert failure.kind == "RemovalRefused"
    assert "min_voters" in failure.text


def test_rule_goes_with_the_order_to_remove() -> None:
    """Whoever carries it out looks again, perhaps much later: somebody else may have taken a member out meanwhile."""
    assert seen(min_voters=2).turn().next(to.RemoveTarget).ask.min_voters == 2


def test_rule_that_wants_snapshots_needs_a_folder_for_them(tmp_path: Path) -> None:
    """Found when the file is loaded, and not in the first removal."""
    rule = GOOD.replace("[clusters.prod.etcd]", "[clusters.prod]\nsnapshot = true\n[clusters.prod.etcd]")
    with pytest.raises(ConfigError, match=r"snapshot = true is given without etcd\.snapshot_directory"):
        load(tmp_path / "a.toml", rule)
    assert load(tmp_path / "b.toml", f'{rule}\nsnapshot_directory = "/var/lib/x"\n').cluster("prod").snapshot


def test_windows_and_approvals_of_the_file_reach_every_operation(tmp_path: Path) -> None:
    """As the worker that looks first tells them, in minutes since midnight."""
    rules = (
        'change_windows = [{days = ["sat", "sun"], from = "01:00", to = "05:00"}, {from = "22:30", to = "24:00"}]\n'
        'time_zone = "Europe/Berlin"\nfour_eyes = true\napproval_lapses_after_seconds = 600\n'
    )
    config = load(tmp_path / "a.toml", f"[clusters.prod]\n{rules}{GOOD}")
    info = WorkerActivities(config, search_attributes=True).worker_info("prod")
    days = tuple(range(7))
    assert info.change_windows == (
        ChangeWindow(days=(5, 6), begins=60, ends=300),
        ChangeWindow(days=days, begins=1350, ends=1440),
    )
    assert (info.time_zone, info.four_eyes, info.approval_lapses_after_seconds) == ("Europe/Berlin", True, 600)
    assert WorkerInfo.model_validate_json(info.model_dump_json()) == info

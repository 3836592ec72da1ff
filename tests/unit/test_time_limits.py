"""Times and counts of attempts stand in `etcd_handoff/time_limits`, each once and with its reason, and nowhere else."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import ValidationError
from temporalio import workflow

from activities.etcd_looks import Looks
from etcd_handoff import time_limits
from etcd_handoff.activity_io import StepInput
from etcd_handoff.config.servers import EtcdProfile
from etcd_handoff.operation.commands import RemoveTarget, TakeSnapshot
from tests.fakes.etcd import FakeEtcd
from workflows import activity_calls, patches, retries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.operation.commands import Activity

ROOT: Final = Path(__file__).resolve().parents[2]
ELSEWHERE: Final = tuple(ROOT / "etcd_handoff" / name for name in ("lab", "time_limits"))
FILES: Final = sorted(
    path
    for folder in ("workflows", "activities", "etcd_handoff")
    for path in (ROOT / folder).rglob("*.py")
    if not any(path.is_relative_to(other) for other in ELSEWHERE)
)
GROUPS: Final = sorted((ROOT / "etcd_handoff/time_limits").glob("*.py"))
A_TIME: Final = re.compile(r"_?([A-Z]+_)*(SECONDS|TIMEOUT|PAUSE|INTERVAL|TRIES|ATTEMPTS)")
UNITS: Final = frozenset(
    {"seconds", "attempts", "answers", "growth", "steps", "timeout", "pause", "delay", "grace", "throttle"}
)
STAYS: Final = {
    "activities/interceptor.py": {"HEARTBEATS_PER_TIMEOUT"},
    "etcd_handoff/cli/change_options.py": {"BLOCKED_TIMEOUT_SECONDS", "PROGRESS_TIMEOUT_SECONDS"},
    "etcd_handoff/cli/render/operations.py": {"SECONDS"},
    "etcd_handoff/cli/render/timeline.py": {"UNIT_SECONDS"},
    "etcd_handoff/etcd/lock.py": {"LONGEST_SECONDS"},
    "workflows/retries.py": {"ATTEMPTS"},
}
"""What is no time of ours to choose. In their order: a count of heartbeats; defaults of inputs, which the contract
has, for `--help`; how many characters of a moment are shown; the scale of a drawing; what nobody can have set in a
profile; part of a retry policy."""


def times(source: str) -> Iterator[str]:
    """Constants of a module that are times or attempts by their names, or by what they are made of."""
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and (_is_timedelta(node) or A_TIME.fullmatch(name.id)):
                    yield name.id


def _is_timedelta(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and "timedelta" in ast.dump(value.func)


def test_no_time_stands_beside_the_groups() -> None:
    """Nor does the list of exceptions name one that is gone."""
    found = {str(path.relative_to(ROOT)): set(times(path.read_text(encoding="utf-8"))) for path in FILES}
    assert {name: constants for name, constants in found.items() if constants} == STAYS


@pytest.mark.parametrize(
    "source",
    [
        "A_SECONDS = 1",
        "A_PAUSE: Final = 1",
        "FIRST_PAUSE, LONGEST_PAUSE = 1, 2",
        "_TIMEOUT = 1",
        "INTERVAL = 1",
        "LASTS = timedelta(1)",
        "LOCK_TRIES = 1",
    ],
)
def test_time_is_found_however_it_is_assigned(source: str) -> None:
    """With a type, in a pair, with a leading underscore, by what it is made of."""
    assert list(times(source))


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: path.stem)
def test_each_limit_has_its_unit_and_its_reason(path: Path) -> None:
    """The name ends in a unit, and a docstring follows."""
    groups = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    for group in groups:
        for field, reason in zip(group.body, group.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                assert field.target.id.rpartition("_")[2] in UNITS
                assert isinstance(reason, ast.Expr), f"{field.target.id} has no reason"
        assert isinstance(group.body[-1], ast.Expr), f"the last field of {group.name} has no reason"


def test_table_of_subjects_names_limits_that_exist() -> None:
    """It leads to a group and a field of it."""
    named = re.findall(r"\b([A-Z]+)\.([a-z_]+)", (time_limits.__doc__ or "").partition("Where to look for")[2])
    assert len(named) > 30
    assert [name for name in named if not hasattr(getattr(time_limits, name[0]), name[1])] == []


# --- attempts end by themselves, whatever the profile allows ----------------------------------------------------------

SLOWEST: Final = EtcdProfile(
    endpoints=("http://127.0.0.1:2379",), call_timeout_seconds=60, change_timeout_seconds=60, hash_timeout_seconds=600
)
LIMITS: Final = time_limits.WORKFLOWS


def test_slowest_profile_is_the_slowest_that_can_be_loaded() -> None:
    """What follows would prove nothing if a profile could wait longer."""
    for key in ("call_timeout_seconds", "change_timeout_seconds", "hash_timeout_seconds"):
        with pytest.raises(ValidationError, match=key):
            EtcdProfile.model_validate({**SLOWEST.model_dump(), key: getattr(SLOWEST, key) + 1})


def test_look_ends_in_its_time() -> None:
    """An entry first, through one member and then another, and two looks."""
    looks = Looks(FakeEtcd({"1": "node1"}), SLOWEST)
    longest = 2 * looks.write_seconds + 2 * looks.longest_seconds
    assert longest < LIMITS.look_timeout.total_seconds()


def test_change_ends_in_its_time() -> None:
    """It begins as late as it may, after a look; then the call, two looks, and two writes for the lock, each twice."""
    looks = Looks(FakeEtcd({"1": "node1"}), SLOWEST)
    latest = max(time_limits.STEPS.latest_proposal_seconds, 2 * looks.longest_seconds)
    last_look = looks.write_seconds + looks.longest_seconds
    afterwards = SLOWEST.change_timeout_seconds + 2 * looks.longest_seconds + 4 * looks.write_seconds
    assert latest + last_look + afterwards < LIMITS.change_timeout.total_seconds()


def test_wait_for_a_learner_ends_in_its_time() -> None:
    """The look that begins last is the one that ends it."""
    looks = Looks(FakeEtcd({"1": "node1"}), SLOWEST)
    waits = max(time_limits.OPERATION.blocked_longest_pause_seconds, time_limits.OPERATION.confirm_seconds)
    assert waits + 2 * looks.longest_seconds < LIMITS.look_timeout.total_seconds()


def test_abandoned_lock_is_given_back_in_its_time() -> None:
    """A look, then one write after another, through each of the most voters that etcd's documentation recommends."""
    looks, voters = Looks(FakeEtcd({"1": "node1"}), SLOWEST), 7
    assert looks.longest_seconds + voters * looks.write_seconds < LIMITS.look_timeout.total_seconds()


def test_transfer_and_election_end_in_their_time() -> None:
    """A look before and one after; the wait for an election is cut off at its end."""
    looks, steps = Looks(FakeEtcd({"1": "node1"}), SLOWEST), time_limits.STEPS
    most = max(2 * looks.longest_seconds + steps.transfer_seconds, steps.election_seconds)
    assert most < LIMITS.change_timeout.total_seconds()


def test_comparison_of_hashes_ends_in_its_time() -> None:
    """In each round the first voter is hashed, then the others at its revision, then those once more."""
    looks = Looks(FakeEtcd({"1": "node1"}), SLOWEST)
    rounds = time_limits.OPERATION.hash_check_attempts * (
        3 * SLOWEST.hash_timeout_seconds + time_limits.STEPS.hash_again_seconds
    )
    assert looks.longest_seconds + rounds < LIMITS.hash_timeout.total_seconds()


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        (TakeSnapshot, LIMITS.long_heartbeat_timeout),
        (RemoveTarget, LIMITS.step_heartbeat_timeout),
    ],
)
async def test_what_takes_minutes_has_more_time_for_its_heartbeats(
    command: type[Activity], seconds: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To begin a snapshot anew for a hiccup of half a second would cost more than a late takeover."""
    options = dict[str, Any]()

    async def execute(*_: object, **given: Any) -> None:
        options.update(given)

    monkeypatch.setattr(workflow, "execute_activity_method", execute)
    monkeypatch.setattr(workflow, "info", lambda: SimpleNamespace(task_queue="etcd-handoff"))
    monkeypatch.setattr(patches, "is_on", lambda _: True)
    ask = StepInput(cluster="demo", cluster_id="c", target_id="3")
    await activity_calls.activity(command(ask=ask, summary=""))
    assert options["heartbeat_timeout"] == seconds


def test_activities_that_may_run_for_an_hour_take_minutes() -> None:
    """Their heartbeats have more time, and they are tried less often."""
    hour = timedelta(hours=1)
    for command, call in activity_calls.CALLS.items():
        assert call.takes_minutes == (call.timeout >= hour), command.__name__
        for_minutes = any(call.retry is policy for policy in (retries.LONG, retries.SNAPSHOT))
        assert for_minutes == call.takes_minutes, command.__name__

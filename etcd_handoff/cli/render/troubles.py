"""What is wrong with a cluster's members and what to do, in the same words for `status` and `doctor`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.render.members import NO_LEADER, cluster_warnings, health, is_healthy, seen_by_few
from etcd_handoff.cluster_view import CORRUPT
from etcd_handoff.planning import FREE_SPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etcd_handoff.cluster_view import ClusterView, MemberView

REMEDY_OF_ALARM: Final[dict[str, str]] = {
    "NOSPACE": f"free space: {FREE_SPACE}",
    "CORRUPT": (
        "find the corrupt member with `etcdctl endpoint hashkv --cluster`, and replace it; where the alarm names no"
        " member, run `etcdctl alarm disarm` before that"
    ),
}
NO_LEADER_REMEDY: Final = "read the logs of the members"
ASTRAY: Final = "another cluster answers at a member's URL: stop what runs there, or correct that URL"
FOREIGN: Final = "URL leads to another cluster"
"""Part of a member's note if another cluster answers at its URL (`etcd_handoff.etcd.look`)."""
START_LEARNER: Final = "start the learner, or make it reachable from here; remove one that is lost for good"


def alarm_remedy(view: ClusterView) -> str:
    """Return the remedy for all alarms; empty if there are none."""
    return "; ".join(REMEDY_OF_ALARM.get(kind, f"look up {kind} in etcd's documentation") for kind in alarm_kinds(view))


def alarm_kinds(view: ClusterView) -> list[str]:
    """Return the kinds of all alarms, of members, of the cluster and of members that have left, each once."""
    return sorted({alarm for m in view.members for alarm in m.alarms} | {alarm.kind for alarm in view.alarms})


def member_remedy(members: Sequence[MemberView], options: str) -> str:
    """Return the remedy for members that do not work; empty if there are none.

    Args:
        members: The members.
        options: The options that name cluster and configuration, for commands in messages.
    """
    joining = [m.label for m in members if not m.name]
    joined = [m for m in members if m.name]
    remedies = [f"start {', '.join(joining)}, which was added and has not joined yet"] if joining else []
    voters = [m for m in joined if not m.is_learner]
    corrupt = [m for m in voters if CORRUPT in m.alarms]
    answer = [m for m in voters if m.reachable and m not in corrupt]
    silent = [m for m in voters if not m.reachable]
    remedies += [_start(away, options)] if (away := [m.label for m in silent if FOREIGN not in m.note]) else []
    remedies += [ASTRAY] if any(FOREIGN in m.note for m in silent) else []
    remedies += [START_LEARNER] if len(voters) < len(joined) else []
    remedies += [hangs(", ".join(late))] if (late := [m.label for m in answer if not m.serves_reads]) else []
    remedies += [_apart(apart)] if (apart := [m.label for m in answer if m.serves_reads]) else []
    remedies += [REMEDY_OF_ALARM[CORRUPT]] if corrupt else []
    return "; ".join(remedies)


def hangs(who: str) -> str:
    """Return the remedy for voters that answer no linearizable read.

    Args:
        who: Their names.
    """
    return f"look at disk and load of {who}: no linearizable read is answered there"


def _start(names: Sequence[str], options: str) -> str:
    """Return the remedy for voters that do not answer.

    The command in it changes nothing, because a voter may work where only other nodes reach it.
    """
    plans = ", ".join(f"`etcd-handoff plan {shlex.quote(name)} {options}`" for name in names)
    them = "it" if len(names) == 1 else "them"
    lost = f"if {'it' if len(names) == 1 else 'one'} is lost for good, see what its removal does: {plans}"
    return f"start {', '.join(names)}, or make {them} reachable from here; {lost}"


def _apart(names: Sequence[str]) -> str:
    verb, them = ("does", "it") if len(names) == 1 else ("do", "them")
    return f"{', '.join(names)} {verb} not follow the leader: let {them} reach the other voters at their peer URLs"


def trouble_lines(view: ClusterView, options: str, *, alarms_alone: bool = False) -> list[str]:
    """Return alarms and members that do not work, each with its remedy; empty if all is well.

    A member that only its own node reaches is no trouble if another member answers a read that needs a quorum.

    Args:
        view: The view.
        options: The options that name cluster and configuration, for commands in messages.
        alarms_alone: Leave out the members, because their view cannot be trusted.
    """
    lines = [f"! {warning}" for warning in cluster_warnings(view)]
    if CORRUPT in alarm_kinds(view):  # the warning of a full database ends with its remedy
        lines.append(f"  remedy: {REMEDY_OF_ALARM[CORRUPT]}")
    if not alarms_alone and seen_by_few(view) is None:
        lines += _member_lines(view, options)
    return [*lines, f"  to check everything: etcd-handoff doctor {options}"] if lines else []


def _member_lines(view: ClusterView, options: str) -> list[str]:
    if view.leadership is None:
        lines = [f"! {NO_LEADER}"]
        lines += [f"! {m.label}: {health(view, m)}" for m in view.members if not m.reachable or m.note]
        silent = [m for m in view.members if not m.reachable]
        return [*lines, f"  remedy: {'; '.join(filter(None, (NO_LEADER_REMEDY, member_remedy(silent, options))))}"]
    sick = [m for m in view.members if not is_healthy(view, m) and CORRUPT not in m.alarms]  # its alarm is told
    lines = [f"! {m.label}: {health(view, m)}" for m in sick]
    return [*lines, f"  remedy: {member_remedy(sick, options)}"] if lines else []

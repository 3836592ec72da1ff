"""The contracts of `.importlinter` that list files by name: a new file is in them, or it is said why not."""

from __future__ import annotations

import configparser
from typing import Final

from etcd_handoff.lab.nodes import ROOT

ACTIVITIES: Final = {f"activities.{path.stem}": path for path in (ROOT / "activities").glob("[!_]*.py")}
TEMPORAL: Final = frozenset(
    {
        "activities.attempts",
        "activities.change_queue",
        "activities.node_workers",
        "activities.removal_progress",
        "activities.workflow_descriptions",
    }
)
"""They speak to Temporal alone."""
NODE: Final = frozenset({"activities.departed", "activities.member_process", "activities.node_data"})
"""They reach the etcd process, or its data, on this worker's own node."""
NEITHER: Final = TEMPORAL | NODE | {"activities.notices", "activities.worker_info"}
"""A webhook, and the worker itself."""
ALL: Final = frozenset({"activities.interceptor", "activities.registry"})
"""What all activities share, and the list of all."""


def listed(contract: str, key: str) -> list[str]:
    """The files that a contract lists."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    return contracts[f"importlinter:contract:{contract}"][key].split()


def test_every_file_of_activities_belongs_to_one_outside_system() -> None:
    """A file that no contract lists may import whatever it likes."""
    etcd, kubernetes = listed("activities-etcd", "source_modules"), listed("activities-kubernetes", "source_modules")
    assert sorted([*etcd, *kubernetes, *NEITHER, *ALL]) == sorted(ACTIVITIES)


def test_every_file_with_an_activity_is_apart_from_the_others() -> None:
    """What defines an activity imports no file that defines another."""
    defining = [name for name, path in ACTIVITIES.items() if "@activity.defn" in path.read_text(encoding="utf-8")]
    assert sorted(listed("activities-apart", "modules")) == sorted(defining)

"""A compose file's services, brought up as `docker compose up --wait` does: each when what it depends on is ready."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from tests.compose.podman import Podman

ROOT: Final = Path(__file__).resolve().parents[2]
NOT_HERE: Final = frozenset({"grafana"})
"""Services without a stand-in."""
SECONDS: Final = 300.0
"""So long all of them together may take."""


class Project:
    """The services of one compose file, those with a profile too.

    Podman schedules no health checks where there is no systemd, and podman-compose 1.6 reads over the conditions of
    dependencies with this Podman. So this reads the conditions in the file, and asks the containers.

    Args:
        podman: Where they run.
        file: Its name, in the root of the repository.
    """

    def __init__(self, podman: Podman, file: str) -> None:
        self.file = file
        self._podman = podman
        loaded = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
        self._name: str = loaded["name"]
        self._services: dict[str, dict[str, Any]] = {
            name: service for name, service in loaded["services"].items() if name not in NOT_HERE
        }

    def up(self) -> dict[str, float]:
        """Every service runs and is healthy, or has ended well where others await that; and after how many seconds.

        Raises:
            TimeoutError: Some are not, and who.
            RuntimeError: One has ended that should not have, or badly.
        """
        begin, began, ready = time.monotonic(), set[str](), dict[str, float]()
        while len(ready) < len(self._services):
            if time.monotonic() - begin > SECONDS:
                waiting = {name: self._health(name) for name in began - set(ready)}
                msg = f"not ready: {waiting}; not begun: {set(self._services) - began}"
                raise TimeoutError(msg)
            for name in self._may_begin(began, set(ready)):
                self._compose("up", "--detach", "--no-deps", "--no-build", name)
                began.add(name)
            for name in began - set(ready):
                if self._is_ready(name):
                    ready[name] = round(time.monotonic() - begin, 1)
            time.sleep(0.5)
        return ready

    def down(self) -> None:
        """Containers, networks and volumes are gone."""
        self._compose("down", "--volumes", "--timeout", "5")

    def exec(self, service: str, *command: str) -> str:
        """What a command printed in the container of a service."""
        return self._podman("exec", self.container(service), *command).stdout

    def again(self, service: str) -> None:
        """A service that ends by itself has ended well once more."""
        self._podman("start", "--attach", self.container(service))

    def ended(self, service: str) -> bool:
        """The container of a service no longer runs."""
        return not self._state(service)["Running"]

    def ended_by_themselves(self) -> list[str]:
        """The services that others await the end of, in the order of the file."""
        conditions = [
            (name, how["condition"])
            for service in self._services.values()
            for name, how in service.get("depends_on", {}).items()
        ]
        ending = {name for name, condition in conditions if condition == "service_completed_successfully"}
        return [name for name in self._services if name in ending]

    def container(self, service: str) -> str:
        """The ID of the container of a service."""
        filters = [f"label=com.docker.compose.project={self._name}", f"label=com.docker.compose.service={service}"]
        options = [part for each in filters for part in ("--filter", each)]
        return self._podman("ps", "--all", "--quiet", *options).stdout.strip()

    def _compose(self, *arguments: str) -> None:
        profiles = sorted({profile for service in self._services.values() for profile in service.get("profiles", [])})
        self._podman.compose(ROOT / self.file, *(f"--profile={profile}" for profile in profiles), *arguments)

    def _may_begin(self, began: set[str], ready: set[str]) -> list[str]:
        enough = {"service_started": began}
        return [
            name
            for name, service in self._services.items()
            if name not in began
            and all(
                other in enough.get(how["condition"], ready) for other, how in service.get("depends_on", {}).items()
            )
        ]

    def _state(self, name: str) -> dict[str, Any]:
        shown = self._podman("inspect", "--format", "{{json .State}}", self.container(name)).stdout
        state: dict[str, Any] = json.loads(shown)
        return state

    def _is_ready(self, name: str) -> bool:
        state = self._state(name)
        if name in self.ended_by_themselves():
            if not state["Running"] and state["ExitCode"]:
                raise RuntimeError(self._words(name))
            return not state["Running"]
        if not state["Running"] and "restart" not in self._services[name]:
            raise RuntimeError(self._words(name))
        return self._podman("healthcheck", "run", self.container(name), check=False).returncode == 0

    def _health(self, name: str) -> str:
        done = self._podman("healthcheck", "run", self.container(name), check=False)
        return f"{done.stdout.strip()} {done.stderr.strip()}\n{self._words(name)}"

    def _words(self, name: str) -> str:
        done = self._podman("logs", "--tail", "20", self.container(name))
        return f"{name} has ended, or is not healthy; its last words:\n{done.stdout}{done.stderr}"

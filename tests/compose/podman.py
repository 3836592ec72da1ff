"""Podman where there is no systemd, and podman-compose, both with all their state in one folder."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PODMAN_COMPOSE: Final = "1.6.0"
CONTAINERS: Final = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
STORAGE: Final = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


class Podman:
    """Runs podman and podman-compose.

    Args:
        folder: Where images, containers and volumes are; nothing of the machine's own is seen or changed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE.format(folder=folder))):
            (folder / name).write_text(text)
        self._environment = os.environ | {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What `podman` printed.

        Raises:
            subprocess.CalledProcessError: It failed, and `check` was not switched off.
        """
        return self._run(["podman", *arguments], check=check)

    def build(self, target: str, image: str, folder: Path, *options: str) -> None:
        """There is an image, made of a stage of a Dockerfile."""
        self("build", "--quiet", "--target", target, "--tag", image, *options, str(folder))

    def compose(self, file: Path, *arguments: str) -> None:
        """podman-compose has done this with a file, without a look at what waits for what."""
        python = self.folder / "venv" / "bin" / "python"
        if not python.exists():
            venv.create(self.folder / "venv", with_pip=True)
            self._run([str(python), "-m", "pip", "install", "--quiet", f"podman-compose=={PODMAN_COMPOSE}"])
        self._run([str(python.with_name("podman-compose")), "--file", str(file), *arguments])

    def _run(self, command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
            done.check_returncode()
        return done

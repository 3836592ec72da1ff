"""Choose a process's configuration by its options, and its own node.

Which of its clusters a command means is in `cli/configuration.py`.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from etcd_handoff.config.presets import PRESETS, PresetName, member_name
from etcd_handoff.config.toml_file import CONFIG_VARIABLE, Config, load_config, words_for
from etcd_handoff.errors import ConfigError
from etcd_handoff.wire import describe

DEFAULT_CONFIG_FILE: Final = "etcd-handoff.toml"


def config_path(explicit: str | Path | None = None) -> Path:
    """Return the file to read: `explicit`, else `$ETCD_HANDOFF_CONFIG`, else `./etcd-handoff.toml`."""
    return Path(explicit or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_FILE)


def preset_config(preset: PresetName, cluster: str = "", data_dir: Path | None = None) -> Config:
    """Return the configuration of a controller, for which no file is needed.

    Args:
        preset: The distribution that set it up.
        cluster: Name of the cluster in inputs and workflow IDs; empty for the name of the distribution.
        data_dir: Its data directory; None for the distribution's default.

    Raises:
        ConfigError: `cluster` is no name of a cluster.
    """
    profile = {"preset": preset, "data_dir": data_dir.absolute() if data_dir else None}
    try:
        return Config.model_validate({"clusters": {cluster or preset: profile}})
    except ValidationError as error:
        raise ConfigError("\n".join(f"--{preset}: {line}" for line in describe(error, words_for))) from None


def chosen_config(file: str | None, preset: PresetName | None, cluster: str | None, data_dir: Path | None) -> Config:
    """Return the configuration that options name: a controller's, as `preset_config`, or that of a file.

    Raises:
        ConfigError: They contradict each other, or the configuration is wrong.
    """
    if preset and file:
        msg = f'--{preset} and --config: give one of them; in the file, preset = "{preset}" does the same'
        raise ConfigError(msg)
    if data_dir and not preset:
        msg = f"--data-dir goes with one of {', '.join(f'--{name}' for name in PRESETS)}; in the file it is data_dir"
        raise ConfigError(msg)
    return preset_config(preset, cluster or "", data_dir) if preset else load_config(config_path(file))


def own_node(config: Config) -> str:
    """Return the node that a worker on this machine serves by default: its member's, or the host name.

    Raises:
        ConfigError: The file with the member's name cannot be read.
    """
    profile = next(iter(config.clusters.values()))
    if len(config.clusters) > 1 or profile.preset is None:
        return socket.gethostname()
    name = member_name(profile.preset, profile.data_dir)
    return profile.nodes.get(name, name)

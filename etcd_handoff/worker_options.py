"""State the options of a worker once, for `worker.py` and for `etcd-handoff worker`.

It imports nothing that is slow to import, since the help of the command line shows these options.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

METRICS_VARIABLE: Final = "ETCD_HANDOFF_METRICS_ADDRESS"
PROBE_VARIABLE: Final = "ETCD_HANDOFF_PROBE_ADDRESS"
LOG_FORMATS: Final = ("console", "json")
LOG_FORMAT_VARIABLE: Final = "ETCD_HANDOFF_LOG_FORMAT"
TRACES: Final = ("none", "otlp")
TRACES_VARIABLE: Final = "ETCD_HANDOFF_TRACES"
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

CONFIG_HELP: Final = "configuration file (default: $ETCD_HANDOFF_CONFIG or ./etcd-handoff.toml)"
DATA_DIR_HELP: Final = "its data directory (default: the distribution's own)"


def preset_help(name: str, cluster_option: str) -> str:
    """Return the help of the option for a preset.

    Args:
        name: The preset.
        cluster_option: The option that gives its cluster another name.
    """
    source = f"take endpoint, certificates and kubeconfig from {name}"
    return f"{source}; the cluster is called {name} without {cluster_option}"


def add_worker_options(options: argparse.ArgumentParser) -> None:
    """Add the options that only a worker has."""
    text = "node that it runs on (default: host name; on a controller, the name of its member)"
    options.add_argument("--node", metavar="NAME", help=text)
    text = "file that is kept fresh while the worker takes work, and FILE.alive while it runs; for probes"
    options.add_argument("--ready-file", type=Path, metavar="FILE", help=text)
    text = f"where Prometheus finds metrics, such as 127.0.0.1:9464 (default: ${METRICS_VARIABLE}, else nowhere)"
    options.add_argument("--metrics-address", default="", metavar="IP:PORT", help=text)
    text = f"where /livez and /readyz are answered, such as 127.0.0.1:9465 (default: ${PROBE_VARIABLE}, else nowhere)"
    options.add_argument("--probe-address", default="", metavar="IP:PORT", help=text)
    options.add_argument("--log-level", default="INFO", choices=LOG_LEVELS)
    text = f"lines for people, or JSON (default: ${LOG_FORMAT_VARIABLE}, else {LOG_FORMATS[0]})"
    options.add_argument("--log-format", choices=LOG_FORMATS, help=text)
    text = f"export traces as OTEL_EXPORTER_OTLP_* say (default: ${TRACES_VARIABLE}, else {TRACES[0]})"
    options.add_argument("--traces", choices=TRACES, help=text)

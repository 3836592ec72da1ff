"""The worker as a systemd service: the unit and its environment file, as text. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from etcd_handoff.config.presets import PresetName

UNIT_NAME: Final = "etcd-handoff-worker.service"
ENVIRONMENT_FILE: Final = "/etc/etcd-handoff/worker.env"
HOMES: Final = ("/home/", "/root/")
CAPABILITIES: Final[dict[str, str]] = {"k0s": "CAP_DAC_READ_SEARCH", "rke2": "CAP_DAC_READ_SEARCH"}
"""On k0s the data directory of etcd belongs to the user etcd (k0s `pkg/component/controller/etcd.go`, Init), and with
RKE2's profile `cis` all of etcd's files do (RKE2 `pkg/executor/staticpod/staticpod.go`, chownr). Files of the other
distributions can be read by their owner root, or by its group."""

ENVIRONMENT: Final = """\
# Where Temporal is: https://docs.temporal.io/develop/environment-configuration lists all variables.
TEMPORAL_ADDRESS=temporal.example:7233
TEMPORAL_NAMESPACE=default
# TEMPORAL_TLS_SERVER_CA_CERT_PATH=/etc/etcd-handoff/temporal-ca.crt
# TEMPORAL_TLS_CLIENT_CERT_PATH=/etc/etcd-handoff/temporal.crt
# TEMPORAL_TLS_CLIENT_KEY_PATH=/etc/etcd-handoff/temporal.key
# TEMPORAL_API_KEY=
# Lines of the log as JSON, metrics for Prometheus, and /livez and /readyz:
# ETCD_HANDOFF_LOG_FORMAT=json
# ETCD_HANDOFF_METRICS_ADDRESS=127.0.0.1:9464
# ETCD_HANDOFF_PROBE_ADDRESS=127.0.0.1:9465
"""
UNIT: Final = """\
# {origin}
[Unit]
Description=etcd-handoff worker
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
# Ready once it takes work. It gives a sign of life every few seconds, also while it waits for Temporal;
# `systemctl status` shows whether it takes work, and why not.
Type=notify
WatchdogSec=60
{user}
EnvironmentFile={environment_file}
ExecStart={command}
# A worker that cannot reach Temporal when it starts exits. From systemd 254 on the pause grows.
Restart=always
RestartSec=5
RestartSteps=5
RestartMaxDelaySec=60
# It finishes within 3 s what it has begun.
TimeoutStopSec=15
RuntimeDirectory=etcd-handoff
# For snapshot_directory = "/var/lib/etcd-handoff/snapshots".
StateDirectory=etcd-handoff
StateDirectoryMode=0700
UMask=0077

CapabilityBoundingSet={capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={homes}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
AS_ROOT: Final = """\
# The files of {preset} are open to root alone. Of root's rights it keeps only the one to read {readable}.
User=root"""
AS_ITSELF: Final = """\
# The files that the configuration names belong to this user.
User=etcd-handoff"""


@dataclass(frozen=True, slots=True)
class Service:
    """A worker as a service.

    Attributes:
        program: Absolute path of the program, with the arguments that come before its own.
        preset: The distribution that set up this controller; None with a configuration file.
        options: Further options of the worker.
        reads: The distribution whose files the configuration names; None if it names none.
    """

    program: tuple[str, ...]
    preset: PresetName | None
    options: tuple[str, ...]
    reads: PresetName | None = None

    @property
    def unit(self) -> str:
        """The unit file."""
        chosen = (f"--{self.preset}",) if self.preset else ()
        words = (*self.program, "worker", *chosen, *self.options, "--ready-file", "/run/etcd-handoff/ready")
        preset = self.preset or self.reads
        capabilities = CAPABILITIES.get(preset or "", "")
        readable = "all files" if capabilities else "what root owns"
        at_home = any(word.startswith(HOMES) for word in words)
        return UNIT.format(
            origin="Written by: etcd-handoff install-service",
            user=AS_ROOT.format(preset=preset, readable=readable) if preset else AS_ITSELF,
            environment_file=ENVIRONMENT_FILE,
            command=" ".join(map(quoted, words)),
            capabilities=capabilities,
            homes="read-only" if at_home else "yes",
        )


def quoted(word: str) -> str:
    """Quote a word for a unit's command line (systemd.service, "Command lines")."""
    text = word.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if not text or any(c.isspace() or c in "\"'\\;" for c in text) else text

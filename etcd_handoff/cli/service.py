"""`install-service`: let systemd run the worker on this machine."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff.cli.errors import CommandError
from etcd_handoff.cli.terminal import print_lines
from etcd_handoff.exit_status import EXIT_DONE, EXIT_USAGE

if TYPE_CHECKING:
    import argparse

    from etcd_handoff.cli.service_unit import Service

UNITS: Final = Path("/etc/systemd/system")


def install_service_command(args: argparse.Namespace) -> int:
    """Write the unit and its environment file, or print the unit.

    Returns:
        The exit status: 0.

    Raises:
        CommandError: A file cannot be written.
    """
    from etcd_handoff.cli.service_unit import ENVIRONMENT, ENVIRONMENT_FILE, UNIT_NAME

    service = service_for(args)
    if args.print:
        print_lines(service.unit.splitlines())
        return EXIT_DONE
    unit, environment = UNITS / UNIT_NAME, Path(ENVIRONMENT_FILE)
    written = [unit]
    _write(unit, service.unit, 0o644)
    if not environment.exists():
        written.append(environment)
        _write(environment, ENVIRONMENT, 0o600)
    print_lines(
        [
            *(f"written: {path}" for path in written),
            f"Set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE in {environment}, then:",
            "  systemctl daemon-reload",
            f"  systemctl enable --now {UNIT_NAME.removesuffix('.service')}",
        ]
    )
    return EXIT_DONE


def service_for(args: argparse.Namespace) -> Service:
    """Return the service for a worker with these options.

    Raises:
        ConfigError: The options contradict each other, or the configuration is wrong.
    """
    from etcd_handoff.cli.service_unit import CAPABILITIES, Service
    from etcd_handoff.config.choice import chosen_config, config_path

    config = chosen_config(args.config, args.preset, args.cluster, args.data_dir)
    given = [
        ("--config", None if args.preset else config_path(args.config).absolute()),
        ("--data-dir", args.data_dir and args.data_dir.absolute()),
        ("--cluster", args.cluster),
        ("--node", args.node),
    ]
    options = [word for option, value in given if value for word in (option, str(value))]
    read = {profile.preset for profile in config.clusters.values() if profile.preset}
    reads = min(read, key=lambda preset: (preset not in CAPABILITIES, preset), default=None)
    return Service(_program(), args.preset, tuple(options), reads)


def _program() -> tuple[str, ...]:
    """Return the command that starts this program, independent of the current folder."""
    started = Path(sys.argv[0]).absolute()
    if started.name == "etcd-handoff" and started.is_file():
        return (str(started),)
    return (sys.executable, "-m", "etcd_handoff.cli")


def _write(path: Path, text: str, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=mode)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        text = f"{path}: {error.strerror}; run this as root, or print the unit with --print"
        raise CommandError(EXIT_USAGE, text) from None

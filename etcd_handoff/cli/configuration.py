"""Combine a command's options with the configuration file: which cluster they mean, and what they ask for."""
# ruff: noqa: PLC0415
# Commands import what they need when they run: `--help` answers at once, without gRPC and Temporal.

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from etcd_handoff.cli.errors import CommandError
from etcd_handoff.exit_status import EXIT_USAGE

if TYPE_CHECKING:
    import argparse

    from pydantic import ValidationError

    from etcd_handoff.config import ClusterProfile, Config
    from etcd_handoff.contract import RemovalRequest

OPTIONS: Final = {
    "blocked_timeout_seconds": "--blocked-timeout",
    "by": "--by",
    "comment": "--comment",
    "digest": "--confirm",
    "peer_urls": "--peer-url",
    "progress_timeout_seconds": "--progress-timeout",
    "reason": "--reason",
    "resync_seconds": "--resync",
}
"""The option that sets each field of the input."""


def read_config(args: argparse.Namespace) -> Config | None:
    """Read the configuration; None if no file was named and this folder has none.

    Raises:
        ConfigError: The file was named and is missing, or it is wrong, or options contradict each other.
    """
    from etcd_handoff.config import CONFIG_VARIABLE
    from etcd_handoff.config.choice import chosen_config, config_path

    named = args.preset or args.data_dir or args.config or os.environ.get(CONFIG_VARIABLE)
    if not named and not config_path(None).exists():
        return None
    return chosen_config(args.config, args.preset, args.cluster, args.data_dir)


def cluster_name(args: argparse.Namespace, config: Config | None) -> str:
    """Return the named cluster, otherwise the only one of the configuration.

    Raises:
        CommandError: None was named, and the configuration does not decide it.
    """
    if args.cluster:
        return str(args.cluster)
    if config is None:
        text = "there is no ./etcd-handoff.toml to take it from; name one with --config or $ETCD_HANDOFF_CONFIG"
        raise CommandError(EXIT_USAGE, f"cluster: give -c NAME: {text}")
    if len(config.clusters) > 1:
        known = ", ".join(sorted(config.clusters))
        raise CommandError(EXIT_USAGE, f"cluster: give -c NAME: the configuration has {known}")
    return next(iter(config.clusters))


def cluster_profile(args: argparse.Namespace) -> tuple[str, ClusterProfile]:
    """Return the cluster's name and profile, for commands that need the configuration themselves.

    Raises:
        ConfigError: There is no configuration, or it is wrong.
        CommandError: It has no such profile.
    """
    from etcd_handoff.config import load_config
    from etcd_handoff.config.choice import config_path

    config = read_config(args) or load_config(config_path(args.config))
    name = cluster_name(args, config)
    if name not in config.clusters:
        known = ", ".join(sorted(config.clusters))
        raise CommandError(EXIT_USAGE, f"cluster: no profile {name!r} in the configuration; known: {known}")
    return name, config.clusters[name]


def require_controller(profile: ClusterProfile) -> None:
    """Check that this machine is a controller as the profile's preset expects, if it has one.

    Without this check, errors of etcd and Kubernetes would hide the cause.

    Raises:
        CommandError: It is not; etcd and Kubernetes could not be read, and would say so in other words.
    """
    from etcd_handoff.config.presets import what_is_missing

    if profile.preset and (missing := what_is_missing(profile.preset, profile.data_dir, profile.etcd.ca_file)):
        raise CommandError(EXIT_USAGE, missing)


def removal_request(args: argparse.Namespace, cluster: str, **options: object) -> RemovalRequest:
    """Return the validated input of a removal.

    Raises:
        CommandError: A field is wrong; one line for each.
    """
    from pydantic import ValidationError

    from etcd_handoff.contract import RemovalRequest

    try:
        return RemovalRequest.model_validate({"cluster": cluster, "member": args.member, **options})
    except ValidationError as error:
        raise wrong_options(error) from None


def wrong_options(error: ValidationError, **others: str) -> CommandError:
    """Return the error for wrong input: one line for each field, prefixed with its option.

    Args:
        error: What is wrong.
        others: Option names that only this command uses, by field.
    """
    from etcd_handoff.wire import describe

    def by_option(line: str) -> str:
        path, _, text = line.partition(": ")
        field, _, place = path.partition(".")
        option = (OPTIONS | others).get(field, path)
        which = f" number {int(place) + 1}" if option != path and place.isdecimal() and place != "0" else ""
        return f"{option}{which}: {text}"

    return CommandError(EXIT_USAGE, "\n".join(map(by_option, describe(error))))


def gate_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that hold a change back, as fields of a request."""
    return {"require_approval": args.require_approval, "not_before": args.not_before, "not_after": args.not_after}


def change_fields(args: argparse.Namespace, cluster: str) -> dict[str, Any]:
    """Return the options of every change that adds a member, as fields of a request.

    Args:
        args: The options.
        cluster: The cluster profile.
    """
    return {
        "cluster": cluster,
        "reason": args.reason,
        **gate_options(args),
        "snapshot": args.snapshot,
        "hash_check": args.hash_check,
        "progress_timeout_seconds": args.progress_timeout,
        "blocked_timeout_seconds": args.blocked_timeout,
        "dry_run": args.dry_run,
    }


def named_options(args: argparse.Namespace, cluster: str) -> str:
    """Return the options that name cluster and configuration, for commands in messages."""
    import shlex

    named = [] if args.preset or args.cluster else ["-c", cluster]
    return shlex.join([*named, *common_options(args)])


def common_options(args: argparse.Namespace) -> list[str]:
    """Return the options that name cluster and configuration, as they were given."""
    options = [f"--{args.preset}"] if args.preset else []
    for option, value in (("-c", args.cluster), ("--config", args.config), ("--data-dir", args.data_dir)):
        options += [option, str(value)] if value else []
    return options

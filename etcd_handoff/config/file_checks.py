"""Check whether the files that a configuration names can be used: certificates, keys, passwords, kubeconfigs."""

from __future__ import annotations

import contextlib
import functools
import grp
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etcd_handoff import pem
from etcd_handoff.config import presets
from etcd_handoff.errors import ConfigError
from etcd_handoff.webhook import DeliveryError, read_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etcd_handoff.config.notifications import NotificationsProfile
    from etcd_handoff.config.profile import ClusterProfile
    from etcd_handoff.config.toml_file import Config

COMMAND: Final = "member.command"
"""The one file that no preset provides."""


def check_files(config: Config) -> None:
    """Check that every file that the configuration names can be used.

    Raises:
        ConfigError: One cannot be; the message has one line for each, with the field and the remedy.
    """
    faults = [line for name, profile in config.clusters.items() for line in file_faults(name, profile)]
    if config.notifications is not None:
        faults += webhook_faults(config.notifications)
    if faults:
        raise ConfigError("\n".join(faults))


def webhook_faults(webhook: NotificationsProfile) -> list[str]:
    """Return what is wrong with the files of the webhook, one line for each: field, fault, remedy."""
    faults = []
    try:
        read_secret(webhook.secret_file)
    except DeliveryError as error:
        faults.append(f"{error} ({webhook.secret_file})")
    if webhook.ca_file is not None:
        try:
            pem.check_authorities(webhook.ca_file)
        except ConfigError as error:
            faults.append(f"notifications.ca_file: {webhook.ca_file} {error}")
    return faults


def file_faults(name: str, profile: ClusterProfile) -> list[str]:
    """Return what is wrong with the files that a profile names, one line for each: field, file, fault, remedy."""
    lines = []
    for field, path, check, remedy in _files(profile):
        if profile.preset and field != COMMAND and (fault := read_fault(path)):
            lines.append(f"clusters.{name}.{field}: {path} {fault}; {presets.remedy(profile.preset)}")
            continue
        try:
            check(path)
        except ConfigError as error:
            fault = str(error)
            lines.append(f"clusters.{name}.{field}: {path} {fault}{'' if '; ' in fault else f'; {remedy}'}")
    return lines


def read_fault(path: Path) -> str:
    """Return why this process cannot read a file, and who can; empty when it can."""
    try:
        path.open("rb").close()
    except PermissionError:
        folders = [folder for folder in reversed(path.parents) if not os.access(folder, os.X_OK, effective_ids=True)]
        place, bits = (folders[0], (stat.S_IXUSR, stat.S_IXGRP)) if folders else (path, (stat.S_IRUSR, stat.S_IRGRP))
        where = f"cannot be read: {place}" if folders else "cannot be read: it"
        return f"{where} is open to {_who(place.stat(), *bits)} alone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _who(file: os.stat_result, of_user: int, of_group: int) -> str:
    """Return who has the rights of these mode bits, by name where there is one."""
    with contextlib.suppress(KeyError):
        user = f"user {pwd.getpwuid(file.st_uid).pw_name}" if file.st_mode & of_user else ""
        group = f"group {grp.getgrgid(file.st_gid).gr_name}" if file.st_mode & of_group else ""
        return " and ".join(filter(None, (user, group))) or "root"
    return f"user {file.st_uid}"


def _files(profile: ClusterProfile) -> Iterator[tuple[str, Path, Callable[[Path], None], str]]:
    """Yield field, file, check, and the remedy where the check names none."""
    etcd = profile.etcd
    if etcd.ca_file:
        remedy = "name the certificate of the authority that signed the members' certificates"
        yield "etcd.ca_file", etcd.ca_file, pem.check_authorities, remedy
    if etcd.cert_file and etcd.key_file:
        yield "etcd.cert_file", etcd.cert_file, pem.check_certificate, _certificate_remedy(etcd.cert_file)
        key = functools.partial(pem.check_key, certificate=etcd.cert_file)
        if _usable(etcd.cert_file):
            yield "etcd.key_file", etcd.key_file, key, "name the private key of the client certificate"
    if etcd.password_file:
        yield "etcd.password_file", etcd.password_file, _check_password, "write the password into its first line"
    if profile.kubernetes and profile.kubernetes.kubeconfig:
        yield "kubernetes.kubeconfig", profile.kubernetes.kubeconfig, _check_readable, "name a kubeconfig"
    if profile.member:
        yield COMMAND, Path(profile.member.command[0]), _check_program, "name a program, or leave member out"


def _certificate_remedy(path: Path) -> str:
    try:
        swapped = bool(pem.KEY.search(pem.read(path)))
    except ConfigError:
        swapped = False
    return "are cert_file and key_file swapped?" if swapped else "name the client certificate"


def _usable(certificate: Path) -> bool:
    try:
        pem.check_certificate(certificate)
    except ConfigError:
        return False
    return True


def _check_password(path: Path) -> None:
    if not pem.read(path).partition("\n")[0].strip():
        msg = "has no password in its first line"
        raise ConfigError(msg)


def _check_program(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        msg = f"cannot be run: {error.strerror}"
        raise ConfigError(msg) from None
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        msg = "cannot be run; make it a file that this user may execute"
        raise ConfigError(msg)
    if mode & stat.S_IWOTH:
        msg = "can be changed by everybody, and runs with this worker's rights; take that right away: `chmod o-w`"
        raise ConfigError(msg)


def _check_readable(path: Path) -> None:
    if not (path.is_file() and os.access(path, os.R_OK)):
        msg = "cannot be read; correct the path or its permissions"
        raise ConfigError(msg)

"""Credential plugins: programs that a kubeconfig names and that print credentials."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etcd_handoff import time_limits

if TYPE_CHECKING:
    from kubernetes.aio.config.exec_provider import ExecProvider

log = logging.getLogger(__name__)


class PluginError(Exception):
    """A credential plugin gave no credentials. The message contains nothing that it printed."""


async def run_plugin(plugin: ExecProvider, folder: Path) -> dict[str, Any]:
    """Run a credential plugin, and return the `status` of its answer (client-go `plugin/pkg/client/auth/exec`).

    Args:
        plugin: What to run.
        folder: The folder of the kubeconfig. A command with a path is relative to it.

    Raises:
        PluginError: It cannot be run, failed, does not end, or uses another version.
        ValueError, KeyError, TypeError: It answers something else.
    """
    command, *arguments = plugin.args
    if os.sep in command:
        command = str(folder / command)
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**plugin.env, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            command, *arguments, env=environment, stdin=nothing, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        raise PluginError(f"cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(time_limits.KUBERNETES.plugin_seconds):
            output, errors = await process.communicate()
    except TimeoutError:
        raise PluginError(f"did not end within {time_limits.KUBERNETES.plugin_seconds:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        outcome = f"ended with {process.returncode} and {len(errors)} bytes on its standard error; run it by hand"
        log.warning("credential plugin %s %s", Path(command).name, outcome)  # what it prints may be a secret
        raise PluginError(f"ended with {process.returncode}")
    answer = json.loads(output)
    if answer["apiVersion"] != plugin.api_version:
        raise PluginError(f"does not answer in {plugin.api_version}")
    status: dict[str, Any] = answer["status"]
    return status

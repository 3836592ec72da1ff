"""The programs that people run against a lab: kubectl, the Temporal CLI, and our own command line."""

from __future__ import annotations

import os
import sys
from typing import Final

from etcd_handoff.lab.forks import fork_server
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import ProcessError, run
from etcd_handoff.lab.supervisor import Supervisor

HANDOFF: Final = "from etcd_handoff.cli import main; main()"


class Commands(Supervisor):
    """Commands that end by themselves, with a lab's addresses and credentials."""

    async def kubectl(self, *arguments: str, context: str, stdin: str | None = None, timeout: str = "10s") -> str:
        """Output of the real kubectl.

        Raises:
            ProcessError: It failed; the message is what it said.
        """
        base = [str(self._binaries.kubectl), "--kubeconfig", str(self.kubeconfig_path), "--context", context]
        base += ["--request-timeout", timeout]
        status, output, errors = await self.run([*base, *arguments], stdin)
        if status != 0:
            msg = f"kubectl {' '.join(arguments)}: {errors.strip()}"
            raise ProcessError(msg)
        return output

    async def temporal(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and errors of the Temporal CLI."""
        return await self.run([str(self._binaries.temporal), *arguments, "--address", self.temporal_address])

    async def handoff(self, *arguments: str, node: str = "", **variables: str) -> tuple[int, str, str]:
        """Exit status, output and errors of our own command line.

        Args:
            arguments: What follows `etcd-handoff`.
            node: Where it runs; anywhere when it is empty.
            variables: Environment variables that are otherwise than the lab has them.
        """
        if self._forks:
            environment = {**os.environ, **(self.environment_on(node) if node else self.environment), **variables}
            return await fork_server().run(HANDOFF, arguments, environment, self.namespaces(node))
        return await self.run([sys.executable, "-c", HANDOFF, *arguments], node=node, **variables)

    async def run(
        self, command: list[str], stdin: str | None = None, node: str = "", **variables: str
    ) -> tuple[int, str, str]:
        """Exit status, output and errors of a command that ends by itself, on a node where one is named."""
        environment = {**(self.environment_on(node) if node else self.environment), **variables}
        return await run([*self.inside(node), *command], environment, ROOT, stdin)

"""Programs that people run against a lab: kubectl, the Temporal CLI, and our own command line."""

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
    """Runs commands with a lab's addresses and credentials."""

    async def kubectl(self, *arguments: str, context: str, stdin: str | None = None, timeout: str = "10s") -> str:
        """Run kubectl and return its output.

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
        """Run the Temporal CLI, and return exit status, output and errors."""
        return await self.run([str(self._binaries.temporal), *arguments, "--address", self.temporal_address])

    async def handoff(self, *arguments: str, node: str = "", **variables: str) -> tuple[int, str, str]:
        """Run our own command line, and return exit status, output and errors.

        Args:
            arguments: The arguments after `etcd-handoff`.
            node: The node to run it on; empty for none.
            variables: Environment variables that differ from the lab's.
        """
        if self._forks:
            environment = {**os.environ, **(self.environment_on(node) if node else self.environment), **variables}
            return await fork_server().run(HANDOFF, arguments, environment, self.namespaces(node))
        return await self.run([sys.executable, "-c", HANDOFF, *arguments], node=node, **variables)

    async def run(
        self, command: list[str], stdin: str | None = None, node: str = "", **variables: str
    ) -> tuple[int, str, str]:
        """Run a command until it ends, on a node if one is named; return exit status, output and errors."""
        environment = {**(self.environment_on(node) if node else self.environment), **variables}
        return await run([*self.inside(node), *command], environment, ROOT, stdin)

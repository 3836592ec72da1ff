"""README's own path on a lab cluster: its configuration, its commands, word for word and in its order."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab import Lab, LabOptions, wait_until
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLDER: Final = "/etc/etcd-handoff"
NOT_RUN: Final = ("pip install", "members.toml")
"""Blocks with these words are not run: they install packages, or wait until somebody starts the new member, as
tests/integration/test_replace_member.py does."""


class Reader:
    """Does what README says, on a lab: its addresses and its folder are replaced, nothing else.

    Args:
        lab: With TLS, cluster profile `prod`, and no worker.
        folder: In the place of README's folder of configuration.
        programs: For the programs that README's commands name.
    """

    def __init__(self, lab: Lab, folder: Path, programs: Path) -> None:
        self._lab, self._folder, self._watched = lab, folder, False
        pairs = [(f"10.0.0.{i}:2379", f"127.0.0.1:{node.client_port}") for i, node in enumerate(lab.nodes, 1)]
        pairs += [(f"10.0.0.{i}:6443", f"127.0.0.1:{node.api_port}") for i, node in enumerate(lab.nodes, 1)]
        self._replaced = [*pairs, (FOLDER, str(folder)), ("temporal.example:7233", lab.temporal_address)]
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(lab.kubeconfig_path),
        }
        parts = locate_binaries()
        for name, command in (
            ("etcd-handoff", f"{sys.executable} -m etcd_handoff.cli"),
            ("kubectl", str(parts.kubectl)),
            ("temporal", str(parts.temporal)),
        ):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            program.chmod(0o755)

    def here(self, text: str) -> str:
        """The text with the lab's addresses and folder."""
        for shown, real in self._replaced:
            text = text.replace(shown, real)
        return text

    def prepare_files(self, configuration: str) -> None:
        """The files that README asks for are where it wants them."""
        certificates = self._lab.credentials.certificates
        assert certificates is not None
        client = certificates.client("readme", "readme")
        for name, path in (
            ("ca.crt", certificates.servers_ca),
            ("kubernetes-ca.crt", certificates.servers_ca),
            ("client.crt", client.cert),
            ("client.key", client.key),
        ):
            (self._folder / name).write_bytes(path.read_bytes())
        (self._folder / "etcd-handoff.toml").write_text(self.here(configuration))
        example = (ROOT / "docs" / "examples" / "kubeconfig.yaml").read_text()
        (self._folder / "kubeconfig").write_text(self.here(example))

    async def follow(self, language: str, code: str) -> None:
        """Run one block of code as README has it; each command must succeed."""
        if language == "python":
            await self._run([sys.executable, "-c", code])
        for line in code.splitlines() if language == "sh" else ():
            if line.startswith("export "):
                self._environment |= dict(word.split("=", 1) for word in shlex.split(self.here(line))[1:])
            elif line.startswith("etcd-handoff worker"):
                for node in self._lab.nodes:
                    await self._lab.start_worker(node.name, self._environment)
            else:
                if line.startswith("etcd-handoff doctor") and self._watched:
                    await wait_until(self._has_etcdmembers, "the watcher has made the EtcdMembers", 60)
                await self._run(["bash", "-euc", self.here(line)])
                self._watched |= line.startswith("etcd-handoff watch start")

    async def _has_etcdmembers(self) -> bool:
        resources = (await self._lab.etcdmembers("node0")).values()
        joined = [r for r in resources if any(c["status"] == "True" for c in r.get("status", {}).get("conditions", ()))]
        return len(joined) == len(self._lab.nodes)

    async def _run(self, command: list[str]) -> None:
        status, output, errors = await run(command, self._environment, ROOT)
        assert status == 0, f"{command[-1]}\n{output}{errors}"


def blocks() -> Iterator[tuple[str, str]]:
    """README's blocks of code that are run, with their languages, in order."""
    for language, code in FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        if language in ("sh", "python") and not any(words in code for words in NOT_RUN):
            yield language, code


async def test_commands_of_the_readme_work_with_its_configuration_in_its_order(tmp_path: Path) -> None:
    """From a cluster without EtcdMembers to two removals, one by the command line and one by kubectl."""
    (configuration,) = [code for name, code in FENCE.findall((ROOT / "README.md").read_text()) if name == "toml"]
    folder, programs = tmp_path / "etc", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    async with Lab(LabOptions(cluster="prod", tls=True, directory=tmp_path / "lab")) as lab:
        await lab.wait_for_health_interval()
        await lab.kubectl("delete", "etcdmembers", "--all", context="node0")
        reader = Reader(lab, folder, programs)
        reader.prepare_files(configuration)
        for language, code in blocks():
            await reader.follow(language, code)
        assert [member.name for member in await lab.members("node0")] == ["node0"]

"""The commands of deploy/hooks with all that they need, on one machine: stand-ins for systemctl and for the kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from etcd_handoff.config.member import MemberProfile
from etcd_handoff.lab.binaries.lookup import locate_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from etcd_handoff.lab.nodes import Node

HOOKS: Final = Path(__file__).parents[2] / "deploy" / "hooks"
KINDS: Final = ("lab", "systemd", "static-pod")
SYSTEMCTL: Final = """#!/bin/sh
# What the hook uses of systemctl, for one unit whose processes are etcd's.
echo "$*" >>{folder}/calls
running() {{ pid=$(cat {folder}/pid 2>/dev/null) && [ "$(cat /proc/$pid/comm 2>/dev/null)" = etcd ]; }}
case $1 in
show)
    running || pid=0
    case $3 in
    --property=LoadState) [ "$2" = etcd.service ] && echo LoadState=loaded || echo LoadState=not-found ;;
    --property=ActiveState) running && echo ActiveState=active || echo ActiveState=inactive ;;
    --property=MainPID) echo MainPID=$pid ;;
    esac ;;
start)
    set -a; . {folder}/member.env; set +a
    setsid {command} </dev/null >>{folder}/etcd.log 2>&1 &
    echo $! >{folder}/pid ;;
stop) running && kill -TERM $pid || true ;;
esac
"""
MANIFEST: Final = """apiVersion: v1
kind: Pod
metadata:
  name: etcd
  namespace: kube-system
spec:
  hostNetwork: true
  containers:
  - command:
    - etcd
    - --advertise-client-urls={client}
    - --data-dir={data}
    - --initial-advertise-peer-urls=https://10.0.0.1:2380
    - --initial-cluster=old=https://10.0.0.1:2380
    - --listen-client-urls={client}
    - --listen-peer-urls={peer}
    - --name=old
    image: registry.k8s.io/etcd:{version}-0
    name: etcd
"""


def profile(kind: str, folder: Path, node: Node, version: str) -> MemberProfile:
    """The table `member` for this command, with all that it needs in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    data, binary = folder / "data", str(locate_binaries().etcd)
    settings: dict[str, Any] = {
        "command": (str(HOOKS / kind),),
        "data_dir": data,
        "client_port": node.client_port,
        "status_timeout_seconds": 60,
        "start_timeout_seconds": 120,
        "stop_timeout_seconds": 120,
    }
    if kind == "lab":
        given = {"BINARY": binary, "CLIENT_URL": node.local_url, "LOG": str(folder / "etcd.log")}
    elif kind == "systemd":
        listen = ["--listen-client-urls", node.local_url, "--listen-peer-urls", node.peer_listener]
        command = [binary, "--data-dir", str(data), *listen, "--advertise-client-urls", node.local_url]
        (folder / "bin").mkdir()
        text = SYSTEMCTL.format(folder=shlex.quote(str(folder)), command=shlex.join(command))
        (folder / "bin" / "systemctl").write_text(text)
        (folder / "bin" / "systemctl").chmod(0o755)
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        given = {"BINARY": binary, "PATH": path, "ENV_FILE": str(folder / "member.env")}
    else:
        (folder / "manifests").mkdir()
        (folder / "kept").mkdir()
        text = MANIFEST.format(client=node.local_url, peer=node.peer_listener, data=data, version=version)
        (folder / "kept" / "etcd.yaml").write_text(text)
        given = {"MANIFEST": str(folder / "manifests" / "etcd.yaml"), "KEPT": str(folder / "kept" / "etcd.yaml")}
    return MemberProfile.model_validate({**settings, "environment": given})


@contextlib.asynccontextmanager
async def kubelet(folder: Path) -> AsyncIterator[None]:
    """Runs etcd as long as its manifest lies in `manifests`, and passes over files whose names begin with a dot."""

    async def work() -> None:
        pod: subprocess.Popen[bytes] | None = None
        while True:
            names = [p for p in (folder / "manifests").iterdir() if not p.name.startswith(".")]
            if names and (pod is None or pod.poll() is not None):
                command = yaml.safe_load(names[0].read_text())["spec"]["containers"][0]["command"]
                command[0] = str(locate_binaries().etcd)
                with (folder / "etcd.log").open("ab") as log:
                    pod = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220
            elif not names and pod is not None and pod.poll() is None:
                pod.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def etcd_on(folder: Path) -> list[int]:
    """Every etcd whose data lies in `folder`, or is it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"/etcd") and any(str(folder).encode() in word for word in words):
                found.append(int(process.name))
    return found


def end_all(folder: Path) -> None:
    """Kill them: a test that fails leaves none behind."""
    for pid in etcd_on(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

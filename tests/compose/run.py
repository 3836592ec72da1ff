"""`python -m tests.compose.run [FOLDER]`: run compose.yaml and compose.dev.yaml for real, with Podman.

Images of others are stand-ins.

It needs root, Go, and Debian 12 with the packages podman, runc, netavark, aardvark-dns and mmdebstrap. FOLDER keeps
what was built for the next time (default: /var/tmp/etcd-handoff-compose). docs/contributing.md says what this shows.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.compose import standins
from tests.compose.podman import Podman
from tests.compose.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER: Final = "/var/tmp/etcd-handoff-compose"  # noqa: S108  # images should outlive a reboot


def main() -> None:
    """Build, then bring up one after the other: both publish the same ports."""
    podman = Podman(Path(sys.argv[1] if len(sys.argv) > 1 else FOLDER))
    log("building images")
    standins.build(podman)
    run(Project(podman, "compose.yaml"), whole)
    run(Project(podman, "compose.dev.yaml"), small)


def run(project: Project, look: Callable[[Project], None]) -> None:
    """Bring up, remove a member and look, run once more what ends by itself, bring down."""
    project.down()
    log(f"bringing up {project.file}")
    try:
        log(f"up: {json.dumps(project.up())}")
        look(project)
        for service in project.ended_by_themselves():
            project.again(service)
            log(f"{service} has ended well once more")
    finally:
        project.down()
    log("down")


def whole(project: Project) -> None:
    """compose.yaml: EtcdMembers before and after a removal, and what Prometheus has seen of it."""
    status(project, {"node0": "True", "node1": "True", "node2": "True"})
    removal(project, recorded=True)
    status(project, {"node0": "True", "node1": "True", "node2": "False"})
    monitoring(project)


def small(project: Project) -> None:
    """compose.dev.yaml: there is no Kubernetes to record a removal in."""
    removal(project, recorded=False)


def removal(project: Project, *, recorded: bool) -> None:
    """What the heads of both files type, with a result that can be read."""
    result = json.loads(project.exec("worker0", "etcd-handoff", "remove", "node2", "--output=json"))
    log(f"result: {json.dumps(result)}")
    assert result["outcome"] == "removed"
    assert result["status_recorded"] is recorded
    left = project.exec("node0", "/usr/local/bin/etcdctl", "member", "list")
    log(f"members:\n{left.rstrip()}")
    assert sorted(line.split(", ")[2] for line in left.splitlines()) == ["node0", "node1"]
    deadline = time.monotonic() + 30
    while not project.ended("node2"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    log("etcd of node2 has ended by itself")


def status(project: Project, expected: dict[str, str]) -> None:
    """Both other API servers tell the same of each EtcdMember."""
    for context in ("node0", "node1"):
        shown = json.loads(project.exec("worker0", "python", "-c", ASK, context))
        log(f"EtcdMembers by the API server of {context}: {shown}")
        assert shown == expected


ASK: Final = """
import json, sys
from kubernetes import client, config
config.load_kube_config("/etc/etcd-handoff/kubeconfig", context=sys.argv[1])
found = client.CustomObjectsApi().list_cluster_custom_object("etcd.k0sproject.io", "v1beta1", "etcdmembers")
print(json.dumps({i["metadata"]["name"]: i["status"]["conditions"][0]["status"] for i in found["items"]}))
"""


def monitoring(project: Project) -> None:
    """Prometheus has read all rules, reaches all workers, and has seen the removal."""
    rules = ask(project, "rules")["groups"][0]["rules"]
    log(f"Prometheus has {len(rules)} rules")
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    targets = {target["labels"]["instance"]: target["health"] for target in ask(project, "targets")["activeTargets"]}
    assert targets == {f"worker{number}:9464": "up" for number in range(3)}
    deadline = time.monotonic() + 60
    while not ask(project, "query?query=etcd_handoff_operations_total%7Boutcome=%22removed%22%7D")["result"]:
        assert time.monotonic() < deadline
        time.sleep(1)
    log("Prometheus has seen the removal")


def ask(project: Project, question: str) -> dict[str, Any]:
    """What Prometheus' API answers."""
    answer = project.exec("prometheus", "wget", "-q", "-O", "-", f"http://127.0.0.1:9090/api/v1/{question}")
    data: dict[str, Any] = json.loads(answer)["data"]
    return data


def log(words: str) -> None:
    """Print it at once, with the time."""
    print(time.strftime("%H:%M:%S"), words, flush=True)


if __name__ == "__main__":
    main()

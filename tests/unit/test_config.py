"""Reading the configuration file: what is accepted, which file it is, and a file that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.worker_info import WorkerActivities
from etcd_handoff.config import CONFIG_VARIABLE, load_config
from etcd_handoff.config.choice import config_path
from etcd_handoff.errors import ConfigError, UnknownClusterError
from tests.unit.config_texts import ENDPOINTS, ETCD, GOOD, complaints, load

# --- what is accepted ---------------------------------------------------------------------------------------


def test_smallest_file_names_a_cluster_and_its_endpoints(config_file: Path) -> None:
    """Everything else has a default: no Kubernetes, no client certificate, the contract's task queue."""
    config = load(config_file, GOOD)
    profile = config.cluster("prod")
    assert config.task_queue == "etcd-handoff"
    assert profile.etcd.endpoints == ("https://10.0.0.1:2379", "https://10.0.0.2:2379")
    assert profile.etcd.secure
    assert profile.kubernetes is None
    assert (profile.etcd.call_timeout_seconds, profile.etcd.change_timeout_seconds) == (1.0, 8.0)


def test_relative_paths_are_relative_to_the_file(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a worker is started, files lie beside its configuration; absolute paths stay, ~ is home."""
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir("/")
    keys = 'ca_file = "pki/ca.pem"\ncert_file = "/etc/etcd/client.pem"\nkey_file = "~/client.key"\n'
    rest = 'username = "root"\npassword_file = "../password"\nsnapshot_directory = "snapshots"\n'
    profile = load(config_file, GOOD + keys + rest + '[clusters.prod.kubernetes]\nkubeconfig = "kubeconfig"\n').cluster(
        "prod"
    )
    folder = config_file.parent.resolve()
    assert profile.etcd.ca_file == folder / "pki/ca.pem"
    assert profile.etcd.cert_file == Path("/etc/etcd/client.pem")
    assert profile.etcd.key_file == Path("/home/ann/client.key")
    assert profile.etcd.password_file == folder / "../password"
    assert profile.etcd.snapshot_directory == folder / "snapshots"
    assert profile.kubernetes is not None
    assert profile.kubernetes.kubeconfig == folder / "kubeconfig"


def test_relative_name_of_the_file_works_too(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths come out absolute even when the file is named relative to the current folder."""
    config_file.write_text(GOOD + 'ca_file = "ca.pem"\n')
    monkeypatch.chdir(config_file.parent)
    assert load_config(Path(config_file.name)).cluster("prod").etcd.ca_file == config_file.parent.resolve() / "ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:2379",
        "https://node0.example.com:2379",
        "https://[fd00::1]:2379",
        "http://10.0.0.1:1",
    ],
)
def test_endpoint_is_a_client_url(config_file: Path, url: str) -> None:
    """Host names and addresses of both families, http or https, with a port; a closing slash is dropped."""
    for written in (url, f"{url}/"):
        endpoints = load(config_file, f'{ETCD}endpoints = ["{written}"]\n').cluster("prod").etcd.endpoints
        assert endpoints == (url,)


def test_kubernetes_without_a_kubeconfig_is_in_cluster(config_file: Path) -> None:
    """An empty table is enough there."""
    kubernetes = load(config_file, GOOD + "[clusters.prod.kubernetes]\n").cluster("prod").kubernetes
    assert kubernetes is not None
    assert (kubernetes.kubeconfig, kubernetes.contexts) == (None, ())


def test_nodes_of_members_that_are_called_otherwise_are_told_to_workflows(config_file: Path) -> None:
    """Workflows read no file: the worker tells them the nodes, and only those that differ from the member's name."""
    table = '[clusters.prod.nodes]\netcd-a = "node1"\nnode2 = "node2"\n"etcd.c" = "node3.example"\n'
    config = load(config_file, GOOD + table)
    assert config.cluster("prod").nodes == {"etcd-a": "node1", "node2": "node2", "etcd.c": "node3.example"}
    worker_info = WorkerActivities(config, search_attributes=True).worker_info("prod")
    assert worker_info.nodes == {"etcd-a": "node1", "etcd.c": "node3.example"}
    assert WorkerActivities(config, search_attributes=True).worker_info("unknown").nodes == {}
    assert load(config_file, GOOD).cluster("prod").nodes == {}


def test_unknown_cluster_lists_the_known_ones(config_file: Path) -> None:
    """The message has what was asked for and what there is, sorted."""
    config = load(config_file, GOOD + "[clusters.dev.etcd]\n" + ENDPOINTS)
    with pytest.raises(UnknownClusterError, match=r"no profile 'test' .*; known: dev, prod$"):
        config.cluster("test")


# --- what cannot be read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "[clusters]\n", "clusters = 3\n", 'task_queue = "x"\n'])
def test_file_without_clusters_says_so(config_file: Path, text: str) -> None:
    """A configuration for nothing is an error."""
    (line,) = complaints(config_file, text)
    assert line.startswith("clusters: ")


def test_missing_file_is_named_with_both_ways_to_name_another(config_file: Path) -> None:
    """The message has the path, the option and the variable."""
    with pytest.raises(
        ConfigError, match=r"etcd-handoff\.toml: there is no such file; .*--config.*ETCD_HANDOFF_CONFIG"
    ):
        load_config(config_file)


def test_unreadable_file_says_why(tmp_path: Path, config_file: Path) -> None:
    """A folder, and bytes that are no UTF-8."""
    with pytest.raises(ConfigError, match=r"cannot be read: .*directory"):
        load_config(tmp_path)
    config_file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot be read: .*utf-8"):
        load_config(config_file)


@pytest.mark.parametrize("text", ["clusters = [", "a = 1\na = 2\n", "a = b\n"])
def test_no_toml_says_where(config_file: Path, text: str) -> None:
    """With the place in the config_file, as the parser tells it."""
    (line,) = complaints(config_file, text)
    assert line.startswith("is no valid TOML: ")
    assert "(at " in line


def test_one_endpoint_has_no_two_cluster_ids(config_file: Path) -> None:
    """Two profiles that share an endpoint and name different clusters: one of them can never be right."""
    profiles = [(f"c{n}", f"{n}abc", "https://10.0.0.1:2379") for n in (1, 2)]
    text = "".join(
        f'[clusters.{name}]\ncluster_id = "{cid}"\n[clusters.{name}.etcd]\nendpoints = ["{url}"]\n'
        for name, cid, url in profiles
    )
    (line,) = complaints(config_file, text)
    assert "clusters c1 and c2 have 'https://10.0.0.1:2379' in common and different cluster_ids" in line
    assert set(load(config_file, text.replace("2abc", "1abc")).clusters) == {"c1", "c2"}


# --- which file ---------------------------------------------------------------------------------------------


def test_explicit_file_comes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, then variable, then the default in the current folder; an empty variable is none."""
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    assert config_path() == Path("etcd-handoff.toml")
    monkeypatch.setenv(CONFIG_VARIABLE, "/etc/handoff.toml")
    assert config_path() == Path("/etc/handoff.toml")
    assert config_path("mine.toml") == Path("mine.toml")
    monkeypatch.setenv(CONFIG_VARIABLE, "")
    assert config_path() == Path("etcd-handoff.toml")

"""Controllers as their distributions set them up: what a worker takes from there, and what it says when it may not."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

import worker
from etcd_handoff import cli
from etcd_handoff.cli.configuration import cluster_profile
from etcd_handoff.config import Config, load_config
from etcd_handoff.config.choice import own_node, preset_config
from etcd_handoff.config.file_checks import check_files, file_faults, read_fault
from etcd_handoff.config.presets import PRESETS, PresetName
from etcd_handoff.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "Controller-1.example"
NOBODY = 65534


@dataclass(frozen=True)
class Layout:
    """Files of a controller, in its data directory; written from the distribution's own sources."""

    preset: PresetName
    default: str
    ca: str
    client: str
    kubeconfig: str
    node: str


LAYOUTS = [
    Layout(
        *("k0s", "/var/lib/k0s", "pki/etcd/ca.crt", "pki/apiserver-etcd-client"), kubeconfig="pki/admin.conf", node=HOST
    ),
    Layout(
        *("kubeadm", "/etc/kubernetes", "pki/etcd/ca.crt", "pki/etcd/healthcheck-client"),
        kubeconfig="admin.conf",
        node=HOST.lower(),
    ),
    *(
        Layout(
            *(name, f"/var/lib/rancher/{name}", "server/tls/etcd/server-ca.crt", "server/tls/etcd/client"),
            kubeconfig=f"/etc/rancher/{name}/{name}.yaml",
            node="controller-1-3f2a9c01",
        )
        for name in ("k3s", "rke2")
    ),
]


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.preset)
def layout(request: pytest.FixtureRequest) -> Layout:
    """Each distribution in turn."""
    found: Layout = request.param
    return found


@pytest.fixture
def data_dir(layout: Layout, tmp_path: Path) -> Path:
    """A data directory with certificates that a distribution would make, and the file with the member's name."""
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1", common_name="etcd-client")
    for name in (layout.ca, layout.client, layout.kubeconfig, "server/db/etcd/name"):
        if not Path(name).is_absolute():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(tmp_path / layout.ca)
    pair.cert_chain_pems[0].write_to_path(tmp_path / f"{layout.client}.crt")
    pair.private_key_pem.write_to_path(tmp_path / f"{layout.client}.key")
    if not Path(layout.kubeconfig).is_absolute():
        (tmp_path / layout.kubeconfig).write_text("apiVersion: v1\n")
    if layout.preset in ("k3s", "rke2"):
        (tmp_path / "server/db/etcd/name").write_text(layout.node)
    return tmp_path


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)


@contextlib.contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """This process is not root; `folder` and those around it can be entered."""
    if os.geteuid() != 0:
        yield
        return
    for place in (folder, *folder.parents):
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o001)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


# --- what a preset gives --------------------------------------------------------------------------------------------


def test_controller_needs_no_file(layout: Layout) -> None:
    """Every path is the one that the distribution has as it comes, and the cluster is called like the distribution."""
    profile = preset_config(layout.preset).cluster(layout.preset)
    folder = Path(layout.default)
    assert profile.etcd.endpoints == ("https://127.0.0.1:2379",)
    assert profile.etcd.ca_file == folder / layout.ca
    assert (profile.etcd.cert_file, profile.etcd.key_file) == (
        folder / f"{layout.client}.crt",
        folder / f"{layout.client}.key",
    )
    assert profile.kubernetes is not None
    assert profile.kubernetes.kubeconfig == folder / layout.kubeconfig
    assert profile.kubernetes.api_servers == "members"


def test_k0s_alone_has_a_reconciler_of_its_own(layout: Layout) -> None:
    """There EtcdMembers are k0s's to make, and `spec.leave` is set as k0s has it; elsewhere nobody else knows them."""
    profile = preset_config(layout.preset).cluster(layout.preset)
    is_k0s = layout.preset == "k0s"
    assert (profile.is_k0s, profile.sets_leave, profile.manages_resources) == (is_k0s, is_k0s, not is_k0s)
    assert profile.kubernetes is not None
    assert profile.kubernetes.optional is not is_k0s


def test_controller_of_k0s_is_one_whatever_else_its_profile_says() -> None:
    """Its own reconciler makes EtcdMembers and acts on `spec.leave`, also where ours leaves that flag alone."""
    own = {"preset": "k0s", "kubernetes": {"sets_leave": False}}
    profile = Config.model_validate({"clusters": {"prod": own}}).cluster("prod")
    assert (profile.sets_leave, profile.is_k0s, profile.manages_resources) == (False, True, False)


def test_files_of_a_controller_pass_the_check(layout: Layout, data_dir: Path) -> None:
    """All files are found below the data directory and hold what they should; k3s has its kubeconfig elsewhere."""
    config = preset_config(layout.preset, "prod", data_dir)
    assert set(config.clusters) == {"prod"}
    faults = file_faults("prod", config.cluster("prod"))
    assert [f for f in faults if "kubernetes.kubeconfig: /etc/rancher" not in f] == []
    assert own_node(config) == layout.node


def test_profile_in_a_file_is_the_same_as_the_flag(layout: Layout, data_dir: Path) -> None:
    """`preset` in a profile, with a data directory that is relative to the file."""
    file = data_dir.parent / "etcd-handoff.toml"
    file.write_text(f'[clusters.prod]\npreset = "{layout.preset}"\ndata_dir = "{data_dir.name}"\n')
    assert load_config(file).cluster("prod").etcd == preset_config(layout.preset, "x", data_dir).cluster("x").etcd
    assert own_node(load_config(file)) == layout.node


def test_own_keys_win_over_the_preset(layout: Layout, tmp_path: Path) -> None:
    """Each key of its own replaces one of the preset; all others stay."""
    file = tmp_path / "etcd-handoff.toml"
    file.write_text(
        f'[clusters.prod]\npreset = "{layout.preset}"\nremover = "k0s"\n'
        '[clusters.prod.etcd]\nendpoints = ["https://10.0.0.1:2379"]\ncall_timeout_seconds = 3\n'
        '[clusters.prod.kubernetes]\nkubeconfig = "/k"\napi_port = 7443\n'
        f'[clusters.prod.nodes]\n"{layout.node}" = "first"\n'
    )
    profile = load_config(file).cluster("prod")
    assert profile.etcd.endpoints == ("https://10.0.0.1:2379",)
    assert profile.etcd.call_timeout_seconds == 3
    assert profile.etcd.ca_file == Path(layout.default) / layout.ca
    assert profile.remover == "k0s"
    assert profile.kubernetes is not None
    assert (profile.kubernetes.kubeconfig, profile.kubernetes.api_port) == (Path("/k"), 7443)


def test_named_contexts_replace_the_members_api_servers(layout: Layout) -> None:
    """Who names contexts means these, and no others."""
    table = {"preset": layout.preset, "kubernetes": {"contexts": ["a", "b"]}}
    kubernetes = Config.model_validate({"clusters": {"prod": table}}).cluster("prod").kubernetes
    assert kubernetes is not None
    assert (kubernetes.contexts, kubernetes.api_servers, kubernetes.api_port) == (("a", "b"), "contexts", None)


def test_preset_without_kubernetes(layout: Layout) -> None:
    """`kubernetes = false` is for clusters that have no EtcdMembers and want none."""
    config = Config.model_validate({"clusters": {"prod": {"preset": layout.preset, "kubernetes": False}}})
    assert config.cluster("prod").kubernetes is None


def test_node_of_a_member_that_is_called_otherwise(data_dir: Path, layout: Layout) -> None:
    """The table `nodes` holds for the worker on that node too."""
    table = {"preset": layout.preset, "data_dir": str(data_dir), "nodes": {layout.node: "first"}}
    assert own_node(Config.model_validate({"clusters": {"prod": table}})) == "first"


def test_worker_of_several_clusters_is_called_like_its_host() -> None:
    """Which of them would name it is not for us to say."""
    two = {"a": {"preset": "kubeadm"}, "b": {"etcd": {"endpoints": ["https://10.0.0.1:2379"]}}}
    assert own_node(Config.model_validate({"clusters": two})) == HOST


# --- the options for it ---------------------------------------------------------------------------------------------


@dataclass
class Served:
    """What a worker would have served."""

    config: Config
    node: str


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Served]:
    """Workers that were started with a configuration whose files hold what they should."""
    found: list[Served] = []

    async def serve(config: Config, options: worker.Options) -> None:
        found.append(Served(config, options.node))

    monkeypatch.setattr(worker, "serve", serve)
    monkeypatch.setattr(worker, "check_files", lambda _config: None)
    monkeypatch.delenv("ETCD_HANDOFF_CONFIG", raising=False)
    return found


@pytest.mark.parametrize("start", [cli.run, lambda arguments: worker.run(worker.parser().parse_args(arguments[1:]))])
def test_worker_on_a_controller_needs_one_option(
    layout: Layout, data_dir: Path, served: list[Served], start: Callable[[list[str]], int]
) -> None:
    """Through the command line and through worker.py; another name of cluster or node is an option too."""
    folder = ["--data-dir", str(data_dir)]
    assert start(["worker", f"--{layout.preset}", *folder]) == 0
    assert start(["worker", f"--{layout.preset}", *folder, "--cluster", "prod", "--node", "first"]) == 0
    default, named = served
    assert (list(default.config.clusters), default.node) == ([layout.preset], layout.node)
    assert (list(named.config.clusters), named.node) == (["prod"], "first")


def test_data_directory_is_found_from_where_the_command_runs(
    served: list[Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every path on a command line."""
    monkeypatch.chdir(tmp_path)
    assert cli.run(["worker", "--k0s", "--data-dir", "k0s"]) == 0
    assert served[0].config.cluster("k0s").etcd.ca_file == tmp_path / "k0s/pki/etcd/ca.crt"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--k0s", "--config", "f.toml"], '--k0s and --config: give one of them; in the file, preset = "k0s" does the'),
        (["--data-dir", "/x"], "--data-dir goes with one of --k0s, --kubeadm, --k3s, --rke2"),
        (["--k0s", "-c", "a/b"], "--k0s: clusters.a/b.[key]: give up to 63 letters"),
        (["--k0s", "--k3s"], "argument --k3s: not allowed with argument --k0s"),
    ],
)
@pytest.mark.parametrize("command", [["worker"], ["plan", "node0"]])
def test_options_that_contradict_each_other_end_with_2(
    command: list[str], arguments: list[str], words: str, served: list[Served], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says which of them to leave out; nothing is started."""
    assert cli.run([*command, *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not served


def test_commands_read_a_controller_too(layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`plan`, `status` and `doctor` need no file either, and `remove` knows the cluster's name."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["status", f"--{layout.preset}"], [f"--{layout.preset}", "doctor"]):
        name, profile = cluster_profile(cli.parser().parse_args(arguments))
        assert (name, profile.preset) == (layout.preset, layout.preset)
    assert cluster_profile(cli.parser().parse_args(["status", f"--{layout.preset}", "-c", "prod"]))[0] == "prod"


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('preset = "k9s"', "clusters.prod.preset: Input should be 'k0s', 'kubeadm', 'k3s' or 'rke2'"),
        ('data_dir = "/x"', "data_dir is given without preset; name the distribution, or leave data_dir out"),
        ('preset = "k0s"\ndata_dir = 5', 'clusters.prod.data_dir: give a path in quotes, "..."'),
        ('preset = "k0s"\nkubernetes = {api_servers = "all"}', "api_servers: Input should be 'contexts' or 'members'"),
        ('preset = "k0s"\nkubernetes = {api_port = 0}', "api_port: Input should be greater than or equal to 1"),
        (
            'preset = "k0s"\nkubernetes = {contexts = ["a"], api_servers = "members"}',
            'api_servers = "members" needs kubeconfig, and no contexts',
        ),
        (
            'preset = "k0s"\nkubernetes = {contexts = ["a"], api_port = 6443}',
            'api_port is given without api_servers = "members"; add that, or leave it out',
        ),
    ],
)
def test_wrong_key_is_named(tmp_path: Path, lines: str, words: str) -> None:
    """A line that says what would be right."""
    file = tmp_path / "etcd-handoff.toml"
    etcd = "" if "preset" in lines else '[clusters.prod.etcd]\nendpoints = ["https://10.0.0.1:2379"]\n'
    file.write_text(f"[clusters.prod]\n{lines}\n{etcd}")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert words in str(caught.value)


def test_cluster_needs_a_name_that_workflows_take(layout: Layout) -> None:
    """The flag for it is the only thing that can be wrong without a file."""
    with pytest.raises(ConfigError, match=rf"^--{layout.preset}: clusters\..*: give up to 63 letters"):
        preset_config(layout.preset, "a/b")


def test_machine_that_is_no_controller_is_told(layout: Layout, tmp_path: Path) -> None:
    """One line for each file, and what to do; a worker does not start."""
    with pytest.raises(ConfigError) as caught:
        check_files(preset_config(layout.preset, "prod", tmp_path))
    lines = str(caught.value).splitlines()
    fields = [line.split(":")[0] for line in lines]
    assert fields == [
        "clusters.prod.etcd.ca_file",
        "clusters.prod.etcd.cert_file",
        "clusters.prod.kubernetes.kubeconfig",
    ]
    for line in lines:
        assert "cannot be read: No such file or directory; run as root, on a " in line
        assert f"another data directory than {layout.default}, give it as --data-dir" in line


@pytest.mark.parametrize("command", [["status"], ["plan", "node0"]])
def test_command_that_reads_the_cluster_names_what_is_missing(
    command: list[str], layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data directory first, then the file; not what a client library makes of its absence."""
    for folder, missing in ((tmp_path / "none", tmp_path / "none"), (tmp_path, tmp_path / layout.ca)):
        assert cli.run([*command, f"--{layout.preset}", "--data-dir", str(folder)]) == 2
        errors = capsys.readouterr().err
        assert errors.startswith(f"{missing} is missing; run as root, on a {layout.preset} controller")


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each.preset in ("k3s", "rke2")], indirect=True)
def test_member_whose_name_cannot_be_read_is_asked_for(layout: Layout, data_dir: Path) -> None:
    """K3s keeps the name in a file; without it the node has to be named."""
    file = data_dir / "server/db/etcd/name"
    config = preset_config(layout.preset, "prod", data_dir)
    file.write_text(" \n")
    with pytest.raises(ConfigError, match=r"name is empty: .*give --node"):
        own_node(config)
    file.unlink()
    with pytest.raises(ConfigError, match=r"name cannot be read .*No such file.*, or give --node"):
        own_node(config)


@pytest.mark.parametrize("layout", [LAYOUTS[0]], indirect=True)
def test_key_that_this_user_may_not_read_names_those_who_may(layout: Layout, data_dir: Path) -> None:
    """k0s's keys have mode 0640 and its kubeconfig 0600; a folder may be closed as well."""
    config = preset_config(layout.preset, "prod", data_dir)
    file_faults("prod", config.cluster("prod"))  # loads what Python loads late, maybe from folders closed to others
    (data_dir / f"{layout.client}.key").chmod(0o040 if os.geteuid() else 0o640)
    (data_dir / layout.kubeconfig).chmod(0o000)
    group = grp.getgrgid((data_dir / layout.ca).stat().st_gid).gr_name
    with unprivileged(data_dir / "pki"):
        key, kubeconfig = file_faults("prod", config.cluster("prod"))
    assert f"{layout.client}.key cannot be read: it is open to " in key
    assert f"group {group} alone; run as root, on a k0s controller" in key
    assert "admin.conf cannot be read: it is open to root alone; run as root" in kubeconfig
    (data_dir / "pki").chmod(0o000 if os.geteuid() else 0o700)
    with unprivileged(data_dir):
        assert f"cannot be read: {data_dir / 'pki'} is open to " in read_fault(data_dir / layout.kubeconfig)
    (data_dir / "pki").chmod(0o700)


def test_what_can_be_read_has_no_fault(tmp_path: Path) -> None:
    """Nothing is said of a file that is there and open."""
    (tmp_path / "file").touch()
    assert read_fault(tmp_path / "file") == ""


def test_every_preset_is_tested_here() -> None:
    """A new one needs its layout."""
    assert {each.preset for each in LAYOUTS} == set(PRESETS)

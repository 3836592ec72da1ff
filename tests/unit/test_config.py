"""Reading the configuration file: what is accepted, and which line says what is wrong with it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.worker_info import WorkerActivities
from etcd_handoff.cli.doctor_certificates import kubeconfig_certificates
from etcd_handoff.config import (
    CONFIG_VARIABLE,
    ClusterProfile,
    Config,
    EtcdProfile,
    KubernetesProfile,
    config_path,
    load_config,
)
from etcd_handoff.config_files import check_files, file_faults
from etcd_handoff.errors import ConfigError, UnknownClusterError
from etcd_handoff.pem import certificates

ETCD = "[clusters.prod.etcd]\n"
ENDPOINTS = 'endpoints = ["https://10.0.0.1:2379", "https://10.0.0.2:2379"]\n'
GOOD = ETCD + ENDPOINTS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a folder of its own; nothing is in it yet."""
    return tmp_path / "etcd-handoff.toml"


def load(file: Path, text: str) -> Config:
    """The configuration that `text` makes."""
    file.write_text(text, encoding="utf-8")
    return load_config(file)


def complaints(file: Path, text: str) -> list[str]:
    """What is said about `text`, a line each, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(file, text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


# --- what is accepted ---------------------------------------------------------------------------------------


def test_smallest_file_names_a_cluster_and_its_endpoints(file: Path) -> None:
    """Everything else has a default: no Kubernetes, no client certificate, the contract's task queue."""
    config = load(file, GOOD)
    profile = config.cluster("prod")
    assert config.task_queue == "etcd-handoff"
    assert profile.etcd.endpoints == ("https://10.0.0.1:2379", "https://10.0.0.2:2379")
    assert profile.etcd.secure
    assert profile.kubernetes is None
    assert (profile.etcd.call_timeout_seconds, profile.etcd.change_timeout_seconds) == (1.0, 8.0)


def test_relative_paths_are_relative_to_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a worker is started, files lie beside its configuration; absolute paths stay, ~ is home."""
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir("/")
    keys = 'ca_file = "pki/ca.pem"\ncert_file = "/etc/etcd/client.pem"\nkey_file = "~/client.key"\n'
    rest = 'username = "root"\npassword_file = "../password"\nsnapshot_directory = "snapshots"\n'
    profile = load(file, GOOD + keys + rest + '[clusters.prod.kubernetes]\nkubeconfig = "kubeconfig"\n').cluster("prod")
    folder = file.parent.resolve()
    assert profile.etcd.ca_file == folder / "pki/ca.pem"
    assert profile.etcd.cert_file == Path("/etc/etcd/client.pem")
    assert profile.etcd.key_file == Path("/home/ann/client.key")
    assert profile.etcd.password_file == folder / "../password"
    assert profile.etcd.snapshot_directory == folder / "snapshots"
    assert profile.kubernetes is not None
    assert profile.kubernetes.kubeconfig == folder / "kubeconfig"


def test_relative_name_of_the_file_works_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths come out absolute even when the file is named relative to the current folder."""
    file.write_text(GOOD + 'ca_file = "ca.pem"\n')
    monkeypatch.chdir(file.parent)
    assert load_config(Path(file.name)).cluster("prod").etcd.ca_file == file.parent.resolve() / "ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:2379",
        "https://node0.example.com:2379",
        "https://[fd00::1]:2379",
        "http://10.0.0.1:1",
    ],
)
def test_endpoint_is_a_client_url(file: Path, url: str) -> None:
    """Host names and addresses of both families, http or https, with a port; a closing slash is dropped."""
    for written in (url, f"{url}/"):
        endpoints = load(file, f'{ETCD}endpoints = ["{written}"]\n').cluster("prod").etcd.endpoints
        assert endpoints == (url,)


def test_kubernetes_without_a_kubeconfig_is_in_cluster(file: Path) -> None:
    """An empty table is enough there."""
    kubernetes = load(file, GOOD + "[clusters.prod.kubernetes]\n").cluster("prod").kubernetes
    assert kubernetes is not None
    assert (kubernetes.kubeconfig, kubernetes.contexts) == (None, ())


def test_nodes_of_members_that_are_called_otherwise_are_told_to_workflows(file: Path) -> None:
    """Workflows read no file: the worker tells them the nodes, and only those that differ from the member's name."""
    table = '[clusters.prod.nodes]\netcd-a = "node1"\nnode2 = "node2"\n"etcd.c" = "node3.example"\n'
    config = load(file, GOOD + table)
    assert config.cluster("prod").nodes == {"etcd-a": "node1", "node2": "node2", "etcd.c": "node3.example"}
    told = WorkerActivities(config, search_attributes=True).traits("prod")
    assert told.nodes == {"etcd-a": "node1", "etcd.c": "node3.example"}
    assert WorkerActivities(config, search_attributes=True).traits("unknown").nodes == {}
    assert load(file, GOOD).cluster("prod").nodes == {}


def test_unknown_cluster_lists_the_known_ones(file: Path) -> None:
    """The message has what was asked for and what there is, sorted."""
    config = load(file, GOOD + "[clusters.dev.etcd]\n" + ENDPOINTS)
    with pytest.raises(UnknownClusterError, match=r"no profile 'test' .*; known: dev, prod$"):
        config.cluster("test")


# --- what is not --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "field", "remedy"),
    [
        (
            'cert_file = "c"',
            "clusters.prod.etcd",
            "cert_file is given without key_file; give both or neither",
        ),
        ('key_file = "k"', "clusters.prod.etcd", "key_file is given without cert_file; give both or neither"),
        (
            'username = "u"',
            "clusters.prod.etcd",
            "username is given without password_file; give both or neither",
        ),
        (
            'password_file = "p"',
            "clusters.prod.etcd",
            "password_file is given without username; give both or neither",
        ),
        ("call_timeout_seconds = 0", "clusters.prod.etcd.call_timeout_seconds", "greater than 0"),
        ("call_timeout_seconds = 61", "clusters.prod.etcd.call_timeout_seconds", "less than or equal to 60"),
        (
            "change_timeout_seconds = nan",
            "clusters.prod.etcd.change_timeout_seconds",
            "less than or equal to 60",
        ),
        (
            'change_timeout_seconds = "8s"',
            "clusters.prod.etcd.change_timeout_seconds",
            "give a number of seconds, without quotes",
        ),
        ("call_timeout_seconds = []", "clusters.prod.etcd.call_timeout_seconds", "give a number of seconds"),
        ("ca_file = 5", "clusters.prod.etcd.ca_file", 'give a path in quotes, "..."'),
        ('ca_file = ""', "clusters.prod.etcd.ca_file", "is empty; name a file or folder, or leave the key out"),
        ('ca_file = "~nosuch/ca"', "clusters.prod.etcd.ca_file", "~nosuch/ca: there is no such user's home"),
        ('username = ""\npassword_file = "p"', "clusters.prod.etcd.username", "is empty; give a text"),
        ('username = 5\npassword_file = "p"', "clusters.prod.etcd.username", 'give a text in quotes, "..."'),
        ('tls_server_name = ""', "clusters.prod.etcd.tls_server_name", "is empty; give a text"),
        ("endpoint = 1", "clusters.prod.etcd.endpoint", "is no known key; known here: ca_file, call_timeout_seconds,"),
        ('password = "s3cr3t"', "clusters.prod.etcd.password", "key_file, password_file, snapshot_directory,"),
        (
            "[clusters.prod.kubernets]",
            "clusters.prod.kubernets",
            "known here: cluster_id, data_dir, etcd, kubernetes, member, nodes, preset, remover",
        ),
        ("[clusters.prod.nodes]\na = 5", "clusters.prod.nodes.a", 'give a text in quotes, "..."'),
        ('[clusters.prod.nodes]\na = ""', "clusters.prod.nodes.a", "is no node name; write it as the worker there has"),
        ('[clusters.prod.nodes]\na = "b/c"', "clusters.prod.nodes.a", "is no node name; write it as the worker there"),
        ('[clusters.prod.nodes]\n"a/b" = "c"', "clusters.prod.nodes.a/b.[key]", "give a member name"),
        ('[clusters.prod]\nnodes = "a"', "clusters.prod.nodes", "give a table"),
        (
            '[clusters.prod.nodes]\nb = "node1"\na = "node1"',
            "clusters.prod.nodes",
            "a, b are all on 'node1'; a node has one member: correct all but one",
        ),
        ("[cluster.prod]", "cluster", "known here: clusters, task_queue"),
        (
            '[clusters.prod.kubernetes]\ncontext = "a"',
            "clusters.prod.kubernetes.context",
            "known here: api_port, api_servers, contexts, kubeconfig,",
        ),
        ("[clusters]\ndev = 3", "clusters.dev", "give a table, such as [clusters.<name>.etcd]"),
        (
            '[clusters.prod.kubernetes]\nkubeconfig = "k"\ncontexts = "a"',
            "clusters.prod.kubernetes.contexts",
            "give a list",
        ),
        (
            '[clusters.prod.kubernetes]\nkubeconfig = "k"\ncontexts = ["a", "b", "a"]',
            "clusters.prod.kubernetes.contexts",
            "'a' is given 2 times; give each once",
        ),
        (
            '[clusters.prod.kubernetes]\nmanage_resources = "no way"',
            "clusters.prod.kubernetes.manage_resources",
            "give true or false, without quotes",
        ),
        (
            '[clusters.prod.kubernetes]\ncontexts = ["a"]',
            "clusters.prod.kubernetes",
            "contexts are given without kubeconfig; name the file that has them",
        ),
        (
            "[clusters.prod.kubernetes]\ntry_timeout_seconds = -1",
            "clusters.prod.kubernetes.try_timeout_seconds",
            "greater than 0",
        ),
    ],
)
def test_wrong_setting_is_named_with_its_remedy(file: Path, lines: str, field: str, remedy: str) -> None:
    """One line: where it stands in the file, and what would be right; values are not repeated."""
    (line,) = complaints(file, f"{GOOD}{lines}\n")
    assert line.startswith(f"{field}: ")
    assert remedy in line
    assert "s3cr3t" not in line


@pytest.mark.parametrize(
    "url",
    [
        "10.0.0.1:2379",
        "https://10.0.0.1",
        "https://:2379",
        "ftp://a:2379",
        "https://a:b",
        "https:/a:1",
        "",
        "https://a:2379/v3",
        "https://a:2379//",
        "https://a:2379?x=1",
        "https://a:2379#x",
        "https://a:65536",
        "https://a:99999",
        "https://a:0",
        "https://a:-1",
        "https://a b:2379",
        " https://a:2379",
        "https://a:2379 ",
        "https://a,b:2379",
        "https://fd00::1:2379",
        "https://[fd00::1:2379",
        "https://[a]:2379",
        "https://-a:2379",
    ],
)
def test_endpoint_that_is_no_client_url_is_named(file: Path, url: str) -> None:
    """One line has its place in the list, the text itself, and how to write it; alone in the list or not."""
    said = f"'{url}' is no client URL; write it as https://host:2379 or http://host:2379"
    endpoints = f'{ETCD}endpoints = ["https://ok:2379", "{url}"]\n'
    assert complaints(file, endpoints) == [f"clusters.prod.etcd.endpoints.1: {said}"]
    assert complaints(file, f'{ETCD}endpoints = ["{url}"]\n') == [f"clusters.prod.etcd.endpoints.0: {said}"]


def test_credentials_in_an_endpoint_are_not_repeated(file: Path) -> None:
    """They belong into a file of their own, and into no message."""
    (line,) = complaints(file, f'{ETCD}endpoints = ["https://root:s3cr3t@a:2379"]\n')
    assert line == (
        "clusters.prod.etcd.endpoints.0: a client URL holds no credentials; give username and password_file"
    )


def test_endpoint_given_twice_is_named(file: Path) -> None:
    """However it is written: two answers of one member are not two members."""
    for other in ("https://a:2379", "https://a:2379/", "HTTPS://A:2379"):
        assert complaints(file, f'{ETCD}endpoints = ["https://a:2379", "{other}"]\n') == [
            "clusters.prod.etcd.endpoints: 'https://a:2379' is given 2 times; give each once"
        ]


@pytest.mark.parametrize("value", ['"https://a:2379"', "5", "[]", "[5]"])
def test_endpoints_are_a_list_with_at_least_one(file: Path, value: str) -> None:
    """One text, a number, nothing and a list of numbers are not."""
    assert complaints(file, f"{ETCD}endpoints = {value}\n")[0].startswith("clusters.prod.etcd.endpoints")


def test_http_and_https_do_not_mix(file: Path) -> None:
    """A password must not go over one plain connection among secured ones."""
    text = ETCD + 'endpoints = ["https://a:2379", "http://b:2379"]\n'
    assert complaints(file, text) == ["clusters.prod.etcd: endpoints mix http and https; give one scheme for all"]


@pytest.mark.parametrize(
    ("lines", "unused"),
    [
        ('ca_file = "ca"', "ca_file"),
        ('cert_file = "c"\nkey_file = "k"', "cert_file"),
        ('tls_server_name = "etcd"', "tls_server_name"),
        ('ca_file = "ca"\ntls_server_name = "etcd"', "ca_file, tls_server_name"),
    ],
)
def test_what_is_for_tls_needs_https(file: Path, lines: str, unused: str) -> None:
    """Beside http endpoints it would silently not be used."""
    text = f'{ETCD}endpoints = ["http://a:2379"]\n{lines}\n'
    assert complaints(file, text) == [
        f"clusters.prod.etcd: {unused} given with http endpoints; write https there, or leave it out"
    ]


def test_each_wrong_field_has_its_line(file: Path) -> None:
    """All that is wrong is said at once, each with its path."""
    text = 'task_queue = ""\n[clusters.a.etcd]\n[clusters.b.kubernetes]\nx = 1\n[clusters."c d".etcd]\n' + ENDPOINTS
    lines = complaints(file, text)
    for field in (
        "task_queue: ",
        "clusters.a.etcd.endpoints: ",
        "clusters.b.etcd: ",
        "clusters.b.kubernetes.x: ",
    ):
        assert any(line.startswith(field) for line in lines), field
    assert any(line.startswith("clusters.c d") and "give up to 63 letters, digits" in line for line in lines)
    assert not any("Tuple" in line or "pattern" in line for line in lines)


@pytest.mark.parametrize("text", ["", "[clusters]\n", "clusters = 3\n", 'task_queue = "x"\n'])
def test_file_without_clusters_says_so(file: Path, text: str) -> None:
    """A configuration for nothing is an error."""
    (line,) = complaints(file, text)
    assert line.startswith("clusters: ")


def test_missing_file_is_named_with_both_ways_to_name_another(file: Path) -> None:
    """The message has the path, the option and the variable."""
    with pytest.raises(
        ConfigError, match=r"etcd-handoff\.toml: there is no such file; .*--config.*ETCD_HANDOFF_CONFIG"
    ):
        load_config(file)


def test_unreadable_file_says_why(tmp_path: Path, file: Path) -> None:
    """A folder, and bytes that are no UTF-8."""
    with pytest.raises(ConfigError, match=r"cannot be read: .*directory"):
        load_config(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot be read: .*utf-8"):
        load_config(file)


@pytest.mark.parametrize("text", ["clusters = [", "a = 1\na = 2\n", "a = b\n"])
def test_no_toml_says_where(file: Path, text: str) -> None:
    """With the place in the file, as the parser tells it."""
    (line,) = complaints(file, text)
    assert line.startswith("is no valid TOML: ")
    assert "(at " in line


def test_one_endpoint_has_no_two_cluster_ids(file: Path) -> None:
    """Two profiles that share an endpoint and name different clusters: one of them can never be right."""
    profiles = [(f"c{n}", f"{n}abc", "https://10.0.0.1:2379") for n in (1, 2)]
    text = "".join(
        f'[clusters.{name}]\ncluster_id = "{cid}"\n[clusters.{name}.etcd]\nendpoints = ["{url}"]\n'
        for name, cid, url in profiles
    )
    (line,) = complaints(file, text)
    assert "clusters c1 and c2 have 'https://10.0.0.1:2379' in common and different cluster_ids" in line
    assert set(load(file, text.replace("2abc", "1abc")).clusters) == {"c1", "c2"}


# --- the files that it names ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates and keys as people have them, made by openssl."""
    folder, program = tmp_path_factory.mktemp("pems"), shutil.which("openssl")
    assert program, "openssl is needed"

    def openssl(*arguments: str) -> None:
        subprocess.run([program, *arguments], check=True, capture_output=True, cwd=folder)

    new = ("req", "-x509", "-nodes", "-days", "400", "-subj")
    openssl(*new, "/O=etcd/CN=root", "-newkey", "rsa:2048", "-keyout", "key.pem", "-out", "cert.pem")
    openssl(
        *new, "/CN=other", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-keyout", "ec.key", "-out", "ec.pem"
    )
    openssl("rsa", "-in", "key.pem", "-aes128", "-passout", "pass:x", "-traditional", "-out", "traditional.key")
    openssl("pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:x", "-out", "encrypted.key")
    both = (folder / "cert.pem").read_text() + (folder / "ec.pem").read_text()
    (folder / "both.pem").write_text(f"# Käse, and two authorities\n{both}", encoding="utf-8")
    (folder / "empty.pem").touch()
    (folder / "text.pem").write_text("hello\n")
    body = (folder / "cert.pem").read_text().splitlines()
    (folder / "broken.pem").write_text("\n".join([body[0], body[1], body[-1]]))
    (folder / "broken.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    (folder / "password").write_text("s3cr3t\n")
    return folder


def faults(pems: Path, **files: str) -> list[str]:
    """What is said against a profile with these files, without their folder."""
    fields = {key: pems / value for key, value in files.items()}
    user = {"username": "root"} if "password_file" in files else {}
    etcd = EtcdProfile.model_validate({"endpoints": ["https://10.0.0.1:2379"], **fields, **user})
    return [line.replace(f"{pems}/", "") for line in file_faults("prod", ClusterProfile(etcd=etcd))]


def test_files_that_hold_what_they_should_are_taken(pems: Path) -> None:
    """RSA and P-521, several authorities in one file, and text around them."""
    good = {"ca_file": "both.pem", "cert_file": "cert.pem", "key_file": "key.pem", "password_file": "password"}
    assert faults(pems, **good) == []
    assert faults(pems, ca_file="cert.pem", cert_file="ec.pem", key_file="ec.key") == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"ca_file": "key.pem"},
            "etcd.ca_file: key.pem holds no certificate, but: private key; name the certificate of",
        ),
        ({"ca_file": "empty.pem"}, "etcd.ca_file: empty.pem holds no certificate: it is empty"),
        ({"ca_file": "text.pem"}, "etcd.ca_file: text.pem holds no certificate: it is no PEM file"),
        ({"ca_file": "broken.pem"}, "etcd.ca_file: broken.pem has a broken certificate"),
        ({"ca_file": "gone.pem"}, "etcd.ca_file: gone.pem cannot be read: No such file or directory; correct the path"),
        (
            {"cert_file": "key.pem", "key_file": "cert.pem"},
            "etcd.cert_file: key.pem holds no certificate, but: private key; are cert_file and key_file swapped?",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "cert.pem"},
            "etcd.key_file: cert.pem holds no private key, but: certificate",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "ec.key"},
            "etcd.key_file: ec.key is not the key of the certificate in cert.pem; name the private key",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "encrypted.key"},
            "encrypted.key has an encrypted key; store it without",
        ),
        ({"cert_file": "cert.pem", "key_file": "traditional.key"}, "traditional.key has an encrypted key"),
        ({"cert_file": "cert.pem", "key_file": "broken.key"}, "etcd.key_file: broken.key has a broken key"),
        ({"password_file": "empty.pem"}, "etcd.password_file: empty.pem has no password in its first line; write the"),
    ],
)
def test_file_that_holds_something_else_is_named(pems: Path, files: dict[str, str], said: str) -> None:
    """Field, file, what it holds instead and what to do, where else a handshake would fail without a cause."""
    (line,) = faults(pems, **files)
    assert line.startswith("clusters.prod.etcd.")
    assert said in line
    assert "; " in line
    assert "s3cr3t" not in line


def test_all_files_are_judged_at_once(pems: Path, file: Path) -> None:
    """Those of every profile, each with its line; a kubeconfig has to be readable."""
    tls = f'ca_file = "{pems}/key.pem"\n'
    text = GOOD + tls + '[clusters.prod.kubernetes]\nkubeconfig = "gone"\n[clusters.dev.etcd]\n' + ENDPOINTS + tls
    config = load(file, text)
    with pytest.raises(ConfigError) as caught:
        check_files(config)
    fields = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert fields == ["clusters.prod.etcd.ca_file", "clusters.prod.kubernetes.kubeconfig", "clusters.dev.etcd.ca_file"]
    check_files(load(file, GOOD))


def test_certificate_is_read_for_its_name_and_end(pems: Path) -> None:
    """Etcd takes the common name for a user's; the end is told before it comes."""
    first, second = certificates((pems / "both.pem").read_text(encoding="utf-8"))
    assert (first.common_name, second.common_name) == ("root", "other")
    assert 399 <= (first.expires - datetime.now(UTC)).days <= 400
    with pytest.raises(ConfigError, match="broken"):
        certificates((pems / "broken.pem").read_text())
    assert certificates("") == []


def test_certificates_of_a_kubeconfig_are_found(pems: Path, tmp_path: Path) -> None:
    """Of the contexts that the profile names alone: in the file itself, and in files that it names."""
    inline = base64.b64encode((pems / "cert.pem").read_bytes()).decode()
    content = {
        "current-context": "a",
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in ("a", "b")],
        "users": [
            {"name": "a", "user": {"client-certificate-data": inline}},
            {"name": "b", "user": {"client-certificate": str(pems / "ec.pem")}},
        ],
        "clusters": [{"name": "a", "cluster": {"certificate-authority-data": inline}}, {"name": "b", "cluster": {}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(content))

    def found(*contexts: str) -> list[str]:
        profile = KubernetesProfile(kubeconfig=kubeconfig, contexts=contexts)
        return [what.partition(" in ")[0] for what, _ in kubeconfig_certificates(profile)]

    assert found() == ["client-certificate of user a", "certificate-authority of cluster a"]
    assert found("b") == ["client-certificate of user b"]
    for odd in ("[", "7", '{"contexts": 1}', '{"contexts": [1, {"name": "a", "context": 3}]}', '{"users": null}'):
        kubeconfig.write_text(odd)
        assert found("a") == []


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

"""Settings that the configuration file may not have: each is named with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.config_texts import ENDPOINTS, ETCD, GOOD, complaints

if TYPE_CHECKING:
    from pathlib import Path


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
            "known here: approval_lapses_after_seconds, change_windows, cluster_id, data_dir, etcd, four_eyes,",
        ),
        (
            '[clusters.prod]\ntime_zone = "Europe/Nowhere"',
            "clusters.prod.time_zone",
            "'Europe/Nowhere' is no time zone; write it as",
        ),
        (
            '[clusters.prod]\ntime_zone = "../passwd"',
            "clusters.prod.time_zone",
            "is no time zone; write it as",
        ),
        (
            "[clusters.prod]\napproval_lapses_after_seconds = 0",
            "clusters.prod.approval_lapses_after_seconds",
            "greater than 0",
        ),
        (
            '[clusters.prod]\nchange_windows = [{from = "1:00", to = "05:00"}]',
            "clusters.prod.change_windows.0.from",
            'is no time of the day; write hours and minutes, from "00:00" to "23:59"',
        ),
        (
            '[clusters.prod]\nchange_windows = [{from = "01:00", to = "24:01"}]',
            "clusters.prod.change_windows.0.to",
            'from "00:00" to "24:00"',
        ),
        (
            '[clusters.prod]\nchange_windows = [{from = "01:00", to = "01:00"}]',
            "clusters.prod.change_windows.0",
            "from and to are the same",
        ),
        (
            '[clusters.prod]\nchange_windows = [{days = ["saturday"], from = "01:00", to = "05:00"}]',
            "clusters.prod.change_windows.0.days.0",
            "'sat'",
        ),
        (
            '[clusters.prod]\nchange_windows = [{day = "sat", from = "01:00", to = "05:00"}]',
            "clusters.prod.change_windows.0.day",
            "is no known key; known here: days, from, to",
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
        ("[cluster.prod]", "cluster", "known here: clusters, notifications, task_queue"),
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
def test_wrong_setting_is_named_with_its_remedy(config_file: Path, lines: str, field: str, remedy: str) -> None:
    """One line: where it stands in the config_file, and what would be right; values are not repeated."""
    (line,) = complaints(config_file, f"{GOOD}{lines}\n")
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
def test_endpoint_that_is_no_client_url_is_named(config_file: Path, url: str) -> None:
    """One line has its place in the list, the text itself, and how to write it; alone in the list or not."""
    complaint = f"'{url}' is no client URL; write it as https://host:2379 or http://host:2379"
    endpoints = f'{ETCD}endpoints = ["https://ok:2379", "{url}"]\n'
    assert complaints(config_file, endpoints) == [f"clusters.prod.etcd.endpoints.1: {complaint}"]
    assert complaints(config_file, f'{ETCD}endpoints = ["{url}"]\n') == [f"clusters.prod.etcd.endpoints.0: {complaint}"]


def test_credentials_in_an_endpoint_are_not_repeated(config_file: Path) -> None:
    """They belong into a file of their own, and into no message."""
    (line,) = complaints(config_file, f'{ETCD}endpoints = ["https://root:s3cr3t@a:2379"]\n')
    assert line == (
        "clusters.prod.etcd.endpoints.0: a client URL holds no credentials; give username and password_file"
    )


def test_endpoint_given_twice_is_named(config_file: Path) -> None:
    """However it is written: two answers of one member are not two members."""
    for other in ("https://a:2379", "https://a:2379/", "HTTPS://A:2379"):
        assert complaints(config_file, f'{ETCD}endpoints = ["https://a:2379", "{other}"]\n') == [
            "clusters.prod.etcd.endpoints: 'https://a:2379' is given 2 times; give each once"
        ]


@pytest.mark.parametrize("value", ['"https://a:2379"', "5", "[]", "[5]"])
def test_endpoints_are_a_list_with_at_least_one(config_file: Path, value: str) -> None:
    """One text, a number, nothing and a list of numbers are not."""
    assert complaints(config_file, f"{ETCD}endpoints = {value}\n")[0].startswith("clusters.prod.etcd.endpoints")


def test_http_and_https_do_not_mix(config_file: Path) -> None:
    """A password must not go over one plain connection among secured ones."""
    text = ETCD + 'endpoints = ["https://a:2379", "http://b:2379"]\n'
    assert complaints(config_file, text) == [
        "clusters.prod.etcd: endpoints mix http and https; give one scheme for all"
    ]


@pytest.mark.parametrize(
    ("lines", "unused"),
    [
        ('ca_file = "ca"', "ca_file"),
        ('cert_file = "c"\nkey_file = "k"', "cert_file"),
        ('tls_server_name = "etcd"', "tls_server_name"),
        ('ca_file = "ca"\ntls_server_name = "etcd"', "ca_file, tls_server_name"),
    ],
)
def test_what_is_for_tls_needs_https(config_file: Path, lines: str, unused: str) -> None:
    """Beside http endpoints it would silently not be used."""
    text = f'{ETCD}endpoints = ["http://a:2379"]\n{lines}\n'
    assert complaints(config_file, text) == [
        f"clusters.prod.etcd: {unused} given with http endpoints; write https there, or leave it out"
    ]


def test_each_wrong_field_has_its_line(config_file: Path) -> None:
    """All that is wrong is said at once, each with its path."""
    text = 'task_queue = ""\n[clusters.a.etcd]\n[clusters.b.kubernetes]\nx = 1\n[clusters."c d".etcd]\n' + ENDPOINTS
    lines = complaints(config_file, text)
    for field in (
        "task_queue: ",
        "clusters.a.etcd.endpoints: ",
        "clusters.b.etcd: ",
        "clusters.b.kubernetes.x: ",
    ):
        assert any(line.startswith(field) for line in lines), field
    assert any(line.startswith("clusters.c d") and "give up to 63 letters, digits" in line for line in lines)
    assert not any("Tuple" in line or "pattern" in line for line in lines)

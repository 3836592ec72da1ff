"""Which proxy an API server is reached through: the rules of Go's httpproxy, which kubectl follows."""

from __future__ import annotations

import pytest

from etcd_handoff.kubernetes.proxies import Proxy, proxy_for, uses_proxy

PORT = 6443


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("api.example.com", "example.com"),
        ("example.com", "example.com"),
        ("API.Example.com", " Example.COM "),
        ("api.example.com", ".example.com"),
        ("api.example.com", "*.example.com"),
        ("api.example.com", "other,example.com:6443"),
        ("10.1.2.3", "127.0.0.0/8,10.0.0.0/8"),
        ("10.1.2.3", "10.9.9.9/8"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3:6443"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("fd00::1", "fd00::/16"),
        ("fd00::1", "fd00::1"),
        ("fd00::1", "[fd00::1]:6443"),
        ("anything", "*"),
        ("10.1.2.3", "example.com,*"),
        ("localhost", ""),
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::1", ""),
    ],
)
def test_host_that_no_proxy_names_is_reached_directly(host: str, no_proxy: str) -> None:
    """Hosts, domains, addresses and networks count, with a port where one is given, and loopback always."""
    assert not uses_proxy(host, PORT, no_proxy)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("example.com", ""),
        ("notexample.com", "example.com"),
        ("example.com", ".example.com"),
        ("example.com", "*.example.com"),
        ("api.example.com", "example.com:443"),
        ("example.com", "*com"),
        ("10.1.2.3", "11.0.0.0/8"),
        ("10.1.2.3", "10.1.2.0/33"),
        ("10.1.2.3", "10.1.2.3:443"),
        ("10.1.2.3", "2.3"),
        ("fd00::1", "[fd00::1]:443"),
        ("fd00::1", "[fd00::1]"),
        ("10.1.2.3", ",:6443,/"),
        ("node.10.0.0.0", "10.0.0.0/8"),
    ],
)
def test_host_that_no_proxy_does_not_name_is_reached_through_it(host: str, no_proxy: str) -> None:
    """What looks alike does not count, and what is malformed is left out."""
    assert uses_proxy(host, PORT, no_proxy)


def test_proxy_follows_the_scheme_and_lower_case_wins() -> None:
    """HTTPS_PROXY is for https, HTTP_PROXY for http; an empty variable is none, and a bare host is an http proxy."""
    environment = {"HTTPS_PROXY": "upper:1", "https_proxy": "", "HTTP_PROXY": "http://plain:2"}
    assert proxy_for("https://h:6443", environment) == Proxy("http://upper:1", "HTTPS_PROXY")
    assert proxy_for("http://h", environment) == Proxy("http://plain:2", "HTTP_PROXY")
    lower = {**environment, "https_proxy": "http://ann:secret@lower:3"}
    assert proxy_for("https://h:6443", lower) == Proxy("http://ann:secret@lower:3", "https_proxy")
    assert proxy_for("https://h:6443", {}) is None
    assert proxy_for("ftp://h", {"FTP_PROXY": "p:1", "ftp_proxy": "p:1"}) is None


def test_port_of_a_url_without_one_is_that_of_its_scheme() -> None:
    """An entry with port 443 applies to https without a port, and to no other."""
    environment = {"HTTPS_PROXY": "p:1", "HTTP_PROXY": "p:1", "NO_PROXY": "h:443"}
    assert proxy_for("https://h", environment) is None
    assert proxy_for("https://h:6443", environment) is not None
    assert proxy_for("http://h", environment) is not None


def test_proxy_variable_of_a_cgi_program_is_not_believed() -> None:
    """HTTP_PROXY is there what the request's header Proxy says."""
    assert proxy_for("http://h", {"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}) is None

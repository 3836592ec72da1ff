"""Whatever stands in a configuration file is read, or turned down by the file's name and the key."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcd_handoff.config import Config, load_config
from etcd_handoff.errors import ConfigError
from tests.fuzz.mutations import NUMBERS, REPEATABLE, TEXTS, mutated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


GOOD: Final[dict[str, Any]] = {
    "task_queue": "etcd-handoff",
    "clusters": {
        "prod": {
            "remover": "etcd",
            "etcd": {
                "endpoints": ["https://10.0.0.1:2379", "https://10.0.0.2:2379"],
                "ca_file": "ca.pem",
                "cert_file": "client.pem",
                "key_file": "client.key",
                "username": "root",
                "password_file": "password",
                "call_timeout_seconds": 1.0,
                "snapshot_directory": "snapshots",
            },
            "kubernetes": {
                "kubeconfig": "kubeconfig",
                "contexts": ["node0", "node1"],
                "try_timeout_seconds": 2,
                "manage_resources": True,
            },
        }
    },
}
URLS: Final = (
    "10.0.0.1:2379",
    "https://10.0.0.1",
    "https://root:secret@10.0.0.1:2379",
    "https://[::1]:2379",
    "https://[::1:2379",
    "https://[fe80::1%eth0]:2379",
    "https://10.0.0.1:99999",
    "https://10.0.0.1:2379/v3",
    "https://\u2100.example:2379",
    "unix:///run/etcd.sock",
    "~nobody-of-that-name/ca.pem",
    "~",
)
LINES: Final = (
    "[clusters.prod.etcd]",
    "[clusters.prod.kubernetes]",
    "[[clusters.prod.etcd]]",
    "[clusters]",
    "clusters = 1",
    "[clusters.'a b'.etcd]",
    'endpoints = ["http://127.0.0.1:2379"]',
    "endpoints = []",
    'task_queue = ""',
    "x = 1979-02-30T25:61:00Z",
    "x = 07:32:00",
    "x = 0xffffffffffffffffffffffff",
    "x = inf",
    'x = """',
    "x = {a = 1,",
    "\ufeff",
    "\0",
)

tried: dict[str, int] = {}


@pytest.fixture(scope="module", autouse=True)
def _counts() -> Iterator[None]:
    """How much was tried, for the record."""
    yield
    print(f"\nconfiguration files: {sum(tried.values())} inputs: {tried}")  # noqa: T201


def toml(thing: Any, above: str = "") -> str:
    """`thing`, a table of what JSON can hold, as TOML has it; None is left out."""
    plain = [f"{json.dumps(k)} = {_value(v)}" for k, v in thing.items() if not isinstance(v, dict) and v is not None]
    tables = [
        f"\n[{above}{json.dumps(k)}]\n{toml(v, f'{above}{json.dumps(k)}.')}"
        for k, v in thing.items()
        if isinstance(v, dict)
    ]
    return "\n".join([*plain, *tables])


def _value(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(v) for v in value if v is not None) + "]"
    return re.sub(r"\x7f", r"\\u007f", json.dumps(value))


def read(folder: Path, content: bytes, kind: str) -> list[str]:
    """What is said against a file with this content, a line each; nothing when it is read."""
    tried[kind] = tried.get(kind, 0) + 1
    file = folder / "etcd-handoff.toml"
    file.write_bytes(content)
    try:
        config = load_config(file)
    except ConfigError as error:
        lines = str(error).split("\n")
    else:
        assert isinstance(config, Config)
        assert config.clusters
        return []
    assert all(line.startswith(f"{file}: ") for line in lines), lines
    complaints = [line.removeprefix(f"{file}: ") for line in lines]
    assert all(re.match(r".+?: \S|is no valid TOML: |cannot be read: ", line) for line in complaints), complaints
    assert all(line.isprintable() for line in complaints), complaints
    return complaints


@settings(REPEATABLE, max_examples=250)
@given(thing=mutated(GOOD))
def test_one_wrong_value_or_key_is_named(tmp_path_factory: pytest.TempPathFactory, thing: Any) -> None:
    """Each line of the complaint has the file and the key, and stands on one line of the terminal."""
    read(tmp_path_factory.getbasetemp(), toml(thing).encode(errors="surrogatepass"), "wrong values")


@settings(REPEATABLE, max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from([*GOOD["clusters"]["prod"]["etcd"], "typo"]), st.sampled_from([*TEXTS, *URLS, *NUMBERS])
    )
)
def test_etcd_table_of_odd_values_is_answered(tmp_path_factory: pytest.TempPathFactory, etcd: dict[str, Any]) -> None:
    """Endpoints, paths and names as people mistype them."""
    endpoints = [etcd["endpoints"]] if "endpoints" in etcd else ["http://10.0.0.1:2379"]
    thing = {"clusters": {"prod": {"etcd": {**etcd, "endpoints": endpoints}}}}
    read(tmp_path_factory.getbasetemp(), toml(thing).encode(errors="surrogatepass"), "odd values")


@settings(REPEATABLE, max_examples=200)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass"))
    | st.lists(st.sampled_from(LINES), max_size=6).map(lambda lines: "\n".join(lines).encode())
)
def test_text_of_any_kind_is_answered(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Broken TOML, other encodings, tables twice."""
    read(tmp_path_factory.getbasetemp(), content, "any text")


def test_texts_that_readers_choke_on_are_answered(tmp_path: Path) -> None:
    """Numbers of thousands of digits, and nesting of thousands of levels."""
    for content in (b"x = " + b"9" * 5_000, b"x = " + b"[" * 5_000, b"a." * 5_000 + b"x = 1", b"x = " + b"{a=" * 5_000):
        assert read(tmp_path, content, "choking")


def test_all_the_good_is_read(tmp_path: Path) -> None:
    """What the wrong is made of is right."""
    assert read(tmp_path, toml(GOOD).encode(), "good") == []

"""Texts of configuration files, and what is said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etcd_handoff.config import Config, load_config
from etcd_handoff.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ETCD = "[clusters.prod.etcd]\n"
ENDPOINTS = 'endpoints = ["https://10.0.0.1:2379", "https://10.0.0.2:2379"]\n'
GOOD = ETCD + ENDPOINTS


def load(file: Path, text: str) -> Config:
    """The configuration that `text` makes."""
    file.write_text(text, encoding="utf-8")
    return load_config(file)


def complaints(file: Path, text: str) -> list[str]:
    """What is said about `text`, a line each, without the file's name; each must begin with it."""
    with pytest.raises(ConfigError) as caught:
        load(file, text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]

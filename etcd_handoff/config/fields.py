"""Define and check the values of the configuration file."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from etcd_handoff.etcd.client_url import canonical_url
from etcd_handoff.wire import HEX_ID


class Section(BaseModel):
    """Base of the file's tables: an unknown key is an error, since a misspelt one would silently be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _endpoint(url: str) -> str:
    if "@" in url:
        msg = "a client URL holds no credentials; give username and password_file"
        raise ValueError(msg)
    canonical = canonical_url(url)
    if not canonical:
        msg = f"{url!r} is no client URL; write it as https://host:2379 or http://host:2379"
        raise ValueError(msg)
    return canonical


def _path(path: Path) -> Path:
    if path == Path():
        msg = "is empty; name a file or folder, or leave the key out"
        raise ValueError(msg)
    try:
        return path.expanduser()
    except RuntimeError:
        msg = f"{path}: there is no such user's home; write the path in full"
        raise ValueError(msg) from None


def once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values, none of which is given twice.

    Raises:
        ValueError: One is given twice.
    """
    for value, times in Counter(values).items():
        if times > 1:
            msg = f"{value!r} is given {times} times; give each once"
            raise ValueError(msg)
    return values


def one_node_each(nodes: dict[str, str]) -> dict[str, str]:
    """Return the nodes by their members' names, with no two members on one node.

    Raises:
        ValueError: Two members are on one node.
    """
    for node, times in Counter(nodes.values()).items():
        if times > 1:
            members = ", ".join(sorted(member for member, its_node in nodes.items() if its_node == node))
            msg = f"{members} are all on {node!r}; a node has one member: correct all but one"
            raise ValueError(msg)
    return nodes


def _node_name(text: str) -> str:
    if not NODE_NAME.fullmatch(text):
        msg = "is no node name; write it as the worker there has it with --node"
        raise ValueError(msg)
    return text


def _cluster_id(text: str) -> str:
    digits = text.lower().removeprefix("0x").lstrip("0")
    if not re.fullmatch(HEX_ID, digits):
        msg = f'{text!r} is no cluster ID; write it in hex, as in "cdf818194e3a8c32"'
        raise ValueError(msg)
    return digits


NODE_NAME: Final = re.compile(r"[^\s/]+")
"""A node's name ends the name of its task queue."""
Endpoint = Annotated[str, AfterValidator(_endpoint)]
ClusterId = Annotated[str, AfterValidator(_cluster_id)]
NodeName = Annotated[str, AfterValidator(_node_name)]
Location = Annotated[Path, AfterValidator(_path)]
Text = Annotated[str, StringConstraints(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=60)]
REMEDIES: Final = {
    "missing": "is missing; add it",
    "too_short": "is empty; give at least one",
    "string_too_short": "is empty; give a text, or leave the key out",
    "string_type": 'give a text in quotes, "..."',
    "path_type": 'give a path in quotes, "..."',
    "tuple_type": 'give a list of texts, ["...", "..."]',
    "float_type": "give a number of seconds, without quotes",
    "float_parsing": "give a number of seconds, without quotes",
    "bool_type": "give true or false, without quotes",
    "bool_parsing": "give true or false, without quotes",
    "model_type": "give a table, such as [clusters.<name>.etcd]",
    "dict_type": "give a table, such as [clusters.<name>.etcd]",
}
"""Remedies by pydantic's kinds of error; its own texts are written for programmers."""

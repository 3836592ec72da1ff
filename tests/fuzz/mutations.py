"""What people and programs put in by mistake: values of any shape, and good input with one thing wrong."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Json = Any

REPEATABLE: Final = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The same inputs on every machine, however busy it is."""

TEXTS: Final = (
    "",
    " ",
    "node0 ",
    "NODE0",
    "node0\n",
    "a/b",
    "../..",
    "a\0b",
    "\x1b[31m",
    "\u202e",
    "\ud800",
    "💥",
    "é" * 126,
    "💥" * 200,
    "x" * 253,
    "x" * 254,
    "x" * 100_000,
    "0x0",
    "0" * 16,
    "ffffffffffffffff",
    "10000000000000000",
    "18446744073709551615",
    "9" * 5_000,
    "\uff11\uff12",
    "127.0.0.1:2380",
    "[::1]:2380",
    "true",
    "null",
    "NaN",
    "1h",
    "-1",
    "${HOME}",
    "'; DROP TABLE members; --",
)
NUMBERS: Final = (
    0,
    -1,
    0.5,
    1e-320,
    2_592_001,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    -(10**400),
    float("nan"),
    float("inf"),
    float("-inf"),
)
ENCODINGS: Final = (
    b"binary/plain",
    b"binary/null",
    b"binary/protobuf",
    b"json/protobuf",
    b"binary/encrypted",
    b"JSON/PLAIN",
    b"json/plain; charset=utf-8",
    b"",
    b"\xff\xfe",
    None,
)
BROKEN: Final = (
    b"",
    b" ",
    b"nul",
    b"{",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"a": 1} {}',
    b"{'cluster': 'demo'}",
    b'{"cluster": "\xe9"}',
    b"\x00" * 64,
    b"[" * 5_000,
    b"[" * 5_000 + b"]" * 5_000,
    b'{"cluster": "demo", "cluster": 1}',
    b"1" * 5_000,
    b'"' + b"x" * 1_000_000 + b'"',
)
"""Payloads that are no JSON, or JSON that readers differ about."""

texts = st.sampled_from(TEXTS) | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
"""Anything that JSON can hold."""


def drawn(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """`count` different examples, the same each time; for what is tried at once and not one by one."""
    found: dict[str, T] = {}

    @settings(REPEATABLE, max_examples=3 * count, phases=[Phase.generate])
    @given(strategy)
    def collect(example: T) -> None:
        found.setdefault(repr(example), example)

    collect()
    assert len(found) >= count, f"only {len(found)} different ones"
    return list(found.values())[:count]


def places(thing: Json) -> list[tuple[Any, ...]]:
    """Where a value stands in `thing`, at any depth."""
    pairs = list(thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ())
    return [place for key, inner in pairs for place in ((key,), *((key, *rest) for rest in places(inner)))]


def alike(value: Json) -> st.SearchStrategy[Json]:
    """Values of the same type."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int | float):
        return st.sampled_from(NUMBERS) | st.integers(0, 1)
    return texts if isinstance(value, str) else values


@st.composite
def mutated(draw: st.DrawFn, *bases: Json) -> Json:
    """One of the good `bases` with one field changed, missing, misspelt or too many; sometimes as it is."""
    thing = copy.deepcopy(draw(st.sampled_from(bases)))
    *above, key = draw(st.sampled_from(places(thing)))
    holder = thing
    for part in above:
        holder = holder[part]
    change: Callable[[], object] = draw(
        st.sampled_from(
            [
                *[lambda: holder.__setitem__(key, draw(alike(holder[key])))] * 6,
                lambda: holder.__setitem__(key, draw(values)),
                lambda: holder.__setitem__(key, draw(scalars)),
                lambda: holder.__setitem__(key, [holder[key]]),
                lambda: holder.pop(key),
                lambda: holder.update({draw(texts): draw(values)}) if isinstance(holder, dict) else None,
                lambda: holder.update({str(key).title(): holder.pop(key)}) if isinstance(holder, dict) else None,
                lambda: None,
            ]
        )
    )
    change()
    return thing


@dataclass(frozen=True)
class Sent:
    """What somebody sends as the arguments of a workflow, an update, a signal or a query."""

    payloads: tuple[Payload, ...]

    def __repr__(self) -> str:
        """Short enough for a failure's message."""
        return f"Sent({[(dict(p.metadata), p.data[:200]) for p in self.payloads]})"


def as_json(thing: Json) -> Payload:
    """A payload as the Temporal CLI and the Web UI make it."""
    return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(thing).encode())


@st.composite
def _garbled(draw: st.DrawFn, thing: Json) -> Payload:
    payload = as_json(thing)
    metadata, data = dict(payload.metadata), payload.data
    at = draw(st.integers(0, max(0, len(data) - 1)))
    kind = draw(st.sampled_from(["cut", "flip", "broken", "utf-16", "encoding", "message type"]))
    if kind == "cut":
        data = data[:at]
    elif kind == "flip":
        data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    elif kind == "broken":
        data = draw(st.sampled_from(BROKEN))
    elif kind == "utf-16":
        data = data.decode().encode("utf-16")
    elif kind == "encoding":
        encoding = draw(st.sampled_from(ENCODINGS))
        metadata = {} if encoding is None else {"encoding": encoding}
    else:
        metadata["messageType"] = b"temporal.api.common.v1.Payload"
    return Payload(metadata=metadata, data=data)


@st.composite
def sent(draw: st.DrawFn, things: st.SearchStrategy[Json]) -> Sent:
    """One of `things`, most often as it should be sent; else garbled, with others, or left out."""
    thing = draw(things)
    how = draw(st.sampled_from(["well"] * 8 + ["garbled"] * 3 + ["with others", "none"]))
    if how == "well":
        return Sent((as_json(thing),))
    if how == "garbled":
        return Sent((draw(_garbled(thing)),))
    if how == "none":
        return Sent(())
    more = [as_json(draw(things | values)) for _ in range(draw(st.integers(1, 3)))]
    return Sent((as_json(thing), *more))

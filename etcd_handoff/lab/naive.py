"""The naive way: remove a member through itself, then write its status through its own API server.

This is what k0s's reconciler did before its first fix, and what a script does that asks the local endpoint. It is here
to be measured against, and to prove that the lab shows the bug.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab import http
from etcd_handoff.lab.nodes import TOKEN

if TYPE_CHECKING:
    from etcd_handoff.lab.cluster import Lab

STATUS_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class NaiveStep:
    """One step of the naive way: what was done, how long it took, and the error, empty when it worked."""

    what: str
    milliseconds: float
    error: str


async def remove_through_itself(lab: Lab, name: str) -> list[NaiveStep]:
    """Remove the node's member through its own endpoint and record that through its own API server."""
    node, member_id = lab.node(name), int(await lab.member_id(name), 16)
    began = time.perf_counter()
    removed = await _asked(f"{node.etcd_url}/v3/cluster/member/remove", {"ID": str(member_id)}, {}, "POST", 8.0)
    first = NaiveStep(f"remove {name} through {name}", (time.perf_counter() - began) * 1000, removed)
    began = time.perf_counter()
    condition = {"type": "Joined", "status": "False", "message": "Member removed from cluster"}
    status = {"conditions": [condition], "message": condition["message"], "reconcileStatus": "Success"}
    recorded = await _asked(
        f"{node.api_url}/apis/etcd.k0sproject.io/v1beta1/etcdmembers/{name}/status",
        {"status": status},
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/merge-patch+json"},
        "PATCH",
        STATUS_TIMEOUT_SECONDS,
    )
    second = NaiveStep(f"write Joined=False through {name}'s API server", (time.perf_counter() - began) * 1000, recorded)
    return [first, second]


async def _asked(url: str, body: dict[str, object], headers: dict[str, str], method: str, limit: float) -> str:
    """Empty when it worked, otherwise the server's words or our own for its silence."""
    try:
        status, text = await http.request(url, body, method=method, headers=headers, timeout_seconds=limit)
    except TimeoutError:
        return f"no answer within {limit:g} s"
    except OSError as error:
        return f"connection lost: {getattr(error, 'reason', error)}"
    if status < 300:  # noqa: PLR2004
        return ""
    try:
        return str(json.loads(text).get("message") or text)
    except ValueError:
        return text

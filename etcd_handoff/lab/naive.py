"""The naive way: remove a member through itself, then write its status through its own API server.

k0s's reconciler did this before its first fix, and so does a script that uses the local endpoint. The lab compares the
product with it, and proves by it that the lab shows the bug.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etcd_handoff.lab import http
from etcd_handoff.lab.nodes import bearer
from etcd_handoff.lab.observer import CHANGE_SECONDS, UNHEALTHY_CLUSTER
from etcd_handoff.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from etcd_handoff.lab.cluster import Lab
    from etcd_handoff.lab.nodes import Node

STATUS_TIMEOUT_SECONDS: Final = 5.0
CHANGE_ACCEPTED_SECONDS: Final = 20.0
"""Time limit for etcd, just started, to accept a membership change."""


@dataclass(frozen=True, slots=True)
class NaiveStep:
    """One step of the naive way: its name, its duration, and its error, empty if it worked."""

    what: str
    milliseconds: float
    error: str


async def remove_through_itself(lab: Lab, name: str) -> list[NaiveStep]:
    """Remove the node's member through its own endpoint, and record that through its own API server."""
    removed = await leave(lab, name)
    return [removed, await write_removed(lab.node(name), name)]


async def leave(lab: Lab, name: str) -> NaiveStep:
    """Remove the node's member through its own endpoint, once etcd accepts membership changes.

    Raises:
        KeyError: It is no member.
    """
    member_id = await lab.member_id(name)
    removed: list[NaiveStep] = []

    async def accepted() -> bool:
        removed.append(await remove_once(name, member_id, lab.node(name)))
        return UNHEALTHY_CLUSTER not in removed[-1].error

    await wait_until(accepted, "etcd takes a change of the membership", CHANGE_ACCEPTED_SECONDS)
    return removed[-1]


async def remove_once(name: str, member_id: str, via: Node) -> NaiveStep:
    """Ask the etcd of the node `via` to remove the member with this hex ID."""
    url = f"{via.etcd_url}/v3/cluster/member/remove"
    request = _request(url, {"ID": str(int(member_id, 16))}, {}, "POST", CHANGE_SECONDS)
    return await _timed(f"remove {name} through {via.name}", request)


async def write_removed(node: Node, name: str, message: str = "Member removed from cluster") -> NaiveStep:
    """Record a member's removal through the node's API server."""
    condition = {"type": "Joined", "status": "False", "message": message}
    status = {"conditions": [condition], "message": message, "reconcileStatus": "Success"}
    return await write_status(node, name, status, "Joined=False")


async def write_status(node: Node, name: str, status: Mapping[str, object], what: str) -> NaiveStep:
    """Write a status of an EtcdMember through the node's API server; `what` is part of the step's name."""
    url = f"{node.api_url}/apis/etcd.k0sproject.io/v1beta1/etcdmembers/{name}/status"
    headers = {**bearer(), "Content-Type": "application/merge-patch+json"}
    request = _request(url, {"status": status}, headers, "PATCH", STATUS_TIMEOUT_SECONDS)
    return await _timed(f"write {what} through {node.name}'s API server", request)


async def _timed(what: str, request: Coroutine[None, None, str]) -> NaiveStep:
    began = time.perf_counter()
    error = await request
    return NaiveStep(what, (time.perf_counter() - began) * 1000, error)


async def _request(url: str, body: dict[str, object], headers: dict[str, str], method: str, limit: float) -> str:
    """Send a request, and return its error: the server's, or ours without an answer; empty if it worked."""
    try:
        status, text = await http.request(url, body, method=method, headers=headers, timeout_seconds=limit)
    except TimeoutError:
        return f"no answer within {limit:g} s"
    except http.FAILURES as error:
        return f"connection lost: {getattr(error, 'reason', error)}"
    if status < 300:
        return ""
    try:
        return str(json.loads(text).get("message") or text)
    except ValueError:
        return text

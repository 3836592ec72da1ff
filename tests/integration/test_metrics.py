"""What a worker exports while it works, and whether the alert rules and the dashboard ask for what there is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.request import urlopen

import pytest
import yaml
from temporalio.client import WorkflowFailureError

from etcd_handoff.contract import RemovalRequest
from etcd_handoff.lab import Role, wait_until
from etcd_handoff.lab.nodes import ROOT
from etcd_handoff.lab.ports import Ports
from etcd_handoff.lab.processes import run
from etcd_handoff.temporal.client import start_removal
from etcd_handoff.webhook import signature
from tests.checkers import promtool
from tests.fakes.receiver import Receiver
from tests.integration.conftest import joined_condition, start_watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from temporalio.client import WorkflowHandle

    from etcd_handoff.contract import RemovalResult
    from tests.integration.conftest import LiveCluster, MakeLiveCluster

SECRET: Final = "a secret of sixteen bytes or more"  # noqa: S105  # of nobody
NAME: Final = re.compile(r"etcd_handoff_\w+")
LABELS: Final = re.compile(r"\bby \(([^)]*)\)|\{([^}]*)\}")
SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class Exposition:
    """A page of metrics, as Prometheus reads it."""

    def __init__(self, text: str) -> None:
        self.samples = [
            (name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value))
            for name, labels, value in SAMPLE.findall(text)
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the first sample that has these labels."""
        found = (v for n, has, v in self.samples if n == name and labels.items() <= has.items())
        return next(found, None)

    def labels_of(self, name: str) -> set[str]:
        """All labels that a metric has."""
        return {label for n, has, _ in self.samples if n == name for label in has}


def expressions() -> Iterator[str]:
    """All that the alert rules and the dashboard ask."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    board: dict[str, Any] = json.loads((ROOT / "deploy/grafana/etcd-handoff.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])


async def test_what_happens_shows_in_metrics_in_the_log_and_at_the_webhook(live_cluster: MakeLiveCluster) -> None:
    """A removal that is done and one that waits show in the numbers, with the labels that the rules group by.

    Each line of the log is an object that says what it is about; the webhook is told once, however often it is asked.
    """
    async with live_cluster(workers=(), tls=True) as b:
        ports = b.stack.enter_context(contextlib.closing(Ports("127.0.0.1")))
        (port,) = ports.take(1)
        address = f"127.0.0.1:{port}"
        receiver = b.stack.enter_context(Receiver())
        configure_webhook(b, receiver)
        environment = {"ETCD_HANDOFF_METRICS_ADDRESS": address, "ETCD_HANDOFF_LOG_FORMAT": "json"}
        await b.lab.start_worker("node1", environment)
        assert b.lab.process(Role.WORKER, "node1").log_contains(f"metrics at http://{address}/metrics")
        leader = await b.lab.leader()
        assert (await b.remove(leader)).outcome == "removed"
        waiting = await b.start("node1" if leader != "node1" else "node2", require_approval=True)

        async def is_counted() -> bool:
            return (await page(address)).value("etcd_handoff_open_workflows", state="AwaitingApproval") == 1

        await wait_until(is_counted, "the removal that waits for an approval is counted", 60)
        shown = await page(address)
        await waiting.signal("your_turn", args=[1, 2])  # which the workflow drops, and says so
        await all_is_told(b, receiver, leader, waiting)
        await log_says_what_each_line_is_about(b)
        shown = await after_trouble(b, address, leader, receiver)
        ended = {"cluster": b.lab.cluster, "operation": "RemoveMember", "outcome": "removed"}
        assert shown.value("etcd_handoff_operations_total", **ended) == 1
        assert shown.value("etcd_handoff_steps_total", step="remove_member", outcome="removed") == 1
        moved = {"step": "move_leader", "outcome": "ended"}
        assert (shown.value("etcd_handoff_step_duration_seconds_count", **moved) or 0) >= 1
        assert (shown.value("etcd_handoff_last_look_timestamp_seconds") or 0) > time.time() - 600
        assert (shown.value("etcd_handoff_certificate_expiry_timestamp_seconds", server="etcd") or 0) > time.time()
        assert shown.value("etcd_handoff_build", node="node1") == 1
        assert shown.value("temporal_worker_task_slots_available") is not None
        for expression in expressions():
            names = set(NAME.findall(expression))
            labels = {label for name in names for label in shown.labels_of(name)} | {"le"}
            assert all(shown.labels_of(name) for name in names), expression
            assert set(labels_in(expression)) <= labels, expression
        cases_are_about_what_is_exported(shown)
        dashboard_has_something_to_show(shown, b.folder)


async def after_trouble(b: LiveCluster, address: str, removed: str, receiver: Receiver) -> Exposition:
    """What is exported once an EtcdMember was wrong and a removal is blocked; the webhook is told of that."""
    stays, dies = b.others(removed)
    await start_watcher(b)
    await b.lie(stays, {"conditions": [joined_condition("False")]}, via=stays)

    async def is_corrected() -> bool:
        return ((await page(address)).value("etcd_handoff_corrections_total") or 0) >= 1

    await wait_until(is_corrected, "the EtcdMember is corrected", 60)
    await b.lab.kill(Role.ETCD, dies)
    blocked = await b.start(stays)

    async def is_blocked() -> bool:
        return ((await page(address)).value("etcd_handoff_blocked_seconds") or 0) > 0

    async def api_servers_are_counted() -> bool:  # they have no quorum under them now
        return ((await page(address)).value("etcd_handoff_kubernetes_errors_total", cluster=b.lab.cluster) or 0) >= 1

    await wait_until(is_blocked, "it is told how long the removal is blocked", 90)
    await wait_until(api_servers_are_counted, "errors of API servers are counted", 90)

    async def is_delivered() -> bool:
        return any(
            event["type"].endswith(".blocked") and event["data"]["member"] == stays for event in receiver.events()
        )

    await wait_until(is_delivered, "the webhook is told that the removal is blocked", 60)
    shown = await page(address)
    assert (shown.value("etcd_handoff_etcd_errors_total", cluster=b.lab.cluster) or 0) >= 1
    assert (shown.value("etcd_handoff_last_comparison_timestamp_seconds") or 0) > time.time() - 600
    assert shown.value("etcd_handoff_queue_length", cluster=b.lab.cluster) == 0
    await blocked.cancel()
    return shown


def cases_are_about_what_is_exported(shown: Exposition) -> None:
    """The tests of the alert rules have no metric and no label that a worker lacks."""
    cases = yaml.safe_load((ROOT / "tests/unit/alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
    for series in (given["series"] for case in cases for given in case["input_series"]):
        name = series.partition("{")[0]
        assert set(re.findall(r"(\w+)=", series)) - {"instance"} <= shown.labels_of(name), series


def dashboard_has_something_to_show(shown: Exposition, folder: Path) -> None:
    """Prometheus' promtool asks each panel's question of what the worker exports, and gets an answer to all."""
    series = [
        {"series": f"{name}{{{','.join(f'{label}={json.dumps(has)}' for label, has in labels.items())}}}"}
        | {"values": f"{value}x70"}
        for name, labels, value in shown.samples
    ]
    board = json.loads((ROOT / "deploy/grafana/etcd-handoff.json").read_text(encoding="utf-8"))
    queries = [target["expr"].replace("$cluster", ".*") for panel in board["panels"] for target in panel["targets"]]
    absent = [{"expr": f"absent({expression})", "eval_time": "65m", "exp_samples": []} for expression in queries]
    case = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": absent}]}
    (folder / "panels.yaml").write_text(yaml.safe_dump(case))
    status, output = promtool("test", "rules", folder / "panels.yaml")
    assert (status, len(queries) >= 8) == (0, True), output


def configure_webhook(b: LiveCluster, receiver: Receiver) -> None:
    """The workers tell the receiver, which takes nothing at first."""
    secret = b.folder / "webhook-secret"
    secret.write_text(f"{SECRET}\n")
    table = f'[notifications]\nurl = "{receiver.url}"\nsecret_file = "{secret}"\n'
    b.lab.config_path.write_text(f"{b.lab.config_path.read_text()}\n{table}")
    receiver.answers += [503, 503]


async def all_is_told(
    b: LiveCluster, receiver: Receiver, removed: str, waiting: WorkflowHandle[object, RemovalResult]
) -> None:
    """Two ends and a wish for an approval, each with one ID, though the receiver did not take them at first.

    No history has the receiver's address or the secret.
    """
    await waiting.cancel()
    with pytest.raises(WorkflowFailureError):
        await waiting.result()

    def lasting() -> dict[str, dict[str, Any]]:
        """By ID; that a removal was blocked for a moment may have been told as well."""
        return {event["id"]: event for event in receiver.events() if not event["type"].endswith(".blocked")}

    async def are_delivered() -> bool:
        return len(lasting()) == 3 and not receiver.answers

    await wait_until(are_delivered, "three events, though the first two attempts were not taken", 60)
    events = lasting()
    short = [(e["type"].rpartition(".")[2], e["data"]["member"], e["data"]["outcome"]) for e in events.values()]
    other = waiting.id.rpartition("/")[2]
    assert sorted(short) == sorted(
        [("ended", removed, "removed"), ("approval-requested", other, ""), ("ended", other, "cancelled")]
    )
    assert len({body for _, body in receiver.seen}) == len({event["id"] for event in receiver.events()})
    for headers, body in receiver.seen:
        now = int(headers["webhook-timestamp"])
        assert headers["webhook-signature"] == signature(SECRET.encode(), headers["webhook-id"], now, body)
    for event in events:
        notify = b.client.get_workflow_handle(f"etcd-notify/{b.lab.cluster}/{event}")
        assert await notify.result() == 204
        assert event.encode() in await innocent_history(notify, receiver)
    assert b"etcd-notify/" in await innocent_history(waiting, receiver)


async def innocent_history(handle: WorkflowHandle[Any, Any], receiver: Receiver) -> bytes:
    """All that a workflow's history holds; neither the receiver's address nor the secret is in it."""
    history = b"".join(event.SerializeToString() for event in (await handle.fetch_history()).events)
    assert not any(word.encode() in history for word in (SECRET, receiver.url, "webhook-secret"))
    return history


async def log_says_what_each_line_is_about(b: LiveCluster) -> None:
    """All lines are JSON; a step that fails is one line, and nothing of the SDK's repeats it."""
    nowhere = await start_removal(b.client, RemovalRequest(cluster="nowhere", member="node9"))
    with pytest.raises(WorkflowFailureError):
        await nowhere.result()
    log = b.lab.process(Role.WORKER, "node1").log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    failed = [line for line in lines if line.get("workflow_id") == nowhere.id]
    about = {"cluster": "nowhere", "member": "node9", "operation": "RemoveMember", "step": "check_leader"}
    assert all(about.items() <= line.items() for line in failed), failed
    assert [line["attempt"] for line in failed] == list(range(1, len(failed) + 1))
    assert failed[0]["message"].startswith("check_leader failed: cluster: no profile 'nowhere'")
    (dropped,) = [line for line in lines if line["message"].startswith("a signal was dropped: ")]
    assert (dropped["cluster"], dropped["step"], dropped["attempt"]) == (b.lab.cluster, "workflow", 1)
    assert dropped["workflow_id"] == f"etcd-remove/{b.lab.cluster}/{dropped['member']}"
    assert dropped["run_id"]
    refused = [line for line in lines if line["message"] == "send_notice failed: the webhook answers 503"]
    assert len(refused) == 2
    assert all(line["step"] == "send_notice" and line["cluster"] == b.lab.cluster for line in refused)
    assert not [line for line in lines if "stack" in line]
    assert not any(word in log for word in ("Completing activity as failed", "Traceback", SECRET, "in-the-url"))


async def page(address: str) -> Exposition:
    """What the worker exports now."""

    def read() -> str:
        with urlopen(f"http://{address}/metrics") as answer:  # our own worker
            return str(answer.read().decode())

    return Exposition(await asyncio.to_thread(read))


def labels_in(expression: str) -> Iterator[str]:
    """The labels that a question groups by or selects with."""
    for grouped, selected in LABELS.findall(expression):
        yield from (label.strip() for label in grouped.split(",") if label.strip())
        yield from re.findall(r"(\w+)[!=]", selected)


async def test_address_that_cannot_be_listened_at_is_told_at_once(live_cluster: MakeLiveCluster) -> None:
    """A worker must not go on without the metrics that somebody counts on."""
    async with live_cluster(workers=(), nodes=1, kubernetes=False) as b:
        command = [sys.executable, str(ROOT / "worker.py"), "--metrics-address", b.lab.temporal_address]
        status, _, errors = await run(command, {**os.environ, **b.lab.environment}, ROOT)
        assert status == 2
        assert f"--metrics-address {b.lab.temporal_address}: " in errors
        assert "give IP address and port, such as 127.0.0.1:9464" in errors

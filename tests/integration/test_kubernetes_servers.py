"""Real API servers that refuse, restart, are another cluster's or stand behind a proxy, and credentials that end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.member_status import KubernetesActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import LeaveInput, ReadLeaveResult, UpdateStatusInput, UpdateStatusResult
from etcd_handoff.config import Config
from etcd_handoff.errors import (
    AdmissionError,
    ApiUnavailableError,
    HandoffError,
    KubernetesPermissionError,
    ObjectGoneError,
)
from etcd_handoff.kubernetes.gateway import KubernetesGateway
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.lab import Role
from etcd_handoff.lab.nodes import HOST, PROXIED_HOST, TOKEN
from etcd_handoff.lab.waiting import wait_until
from etcd_handoff.temporal.failure_converter import NOT_RECORDED
from tests.integration.relayed_servers import PATIENCE_SECONDS, RelayedServers, relay, relayed_servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path


pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = {"token": "nonsense"}


async def weak_token(relayed: RelayedServers, name: str) -> str:
    """The token of a ServiceAccount without rights."""
    with contextlib.suppress(Exception):
        await relayed.lab.kubectl("create", "serviceaccount", name, context="node0")
    return (await relayed.lab.kubectl("create", "token", name, context="node0")).strip()


# --- one server's word ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rights", ["unknown", "without rights"])
@pytest.mark.usefixtures("one_after_another")
async def test_refusal_of_one_server_is_passed_over(relayed: RelayedServers, rights: str) -> None:
    """Reads, lists, patches and watches go to the other one; both are asked once, and the one that serves is first."""
    user = NOBODY if rights == "unknown" else {"token": await weak_token(relayed, "weak")}
    async with relayed.gateway(node="node0", users={"node0": user}) as gateway:
        read = await gateway.get("node0")
        assert relayed.connections == ["node0", "node1"]
        assert gateway.contexts() == ("node1", "node0")
        assert len(await gateway.list()) == 2
        _, version = await gateway.list_at()
        news = asyncio.create_task(gateway.wait_for_change(version))
        await gateway.patch_status(read, {"message": f"written past {rights}"})
        async with asyncio.timeout(30):
            await news


async def test_watch_that_all_refuse_is_an_error(relayed: RelayedServers) -> None:
    """And only then: with one of them silent there may be news yet."""
    weak = {"token": await weak_token(relayed, "weak")}
    async with relayed.gateway(users={"node0": NOBODY, "node1": weak}) as gateway:
        with pytest.raises(KubernetesPermissionError, match=r"node0: 401: .*node1: 403: "):
            await gateway.wait_for_change("1")
    async with relayed.gateway("node0", "shut", users={"node0": NOBODY}) as gateway:
        news = asyncio.create_task(gateway.wait_for_change("1"))
        await wait_until(lambda: _true(relayed.connections.count("node0") > 1), "it is watched again", 60)
        assert not news.done()
        news.cancel()


async def _true(answer: bool) -> bool:  # noqa: FBT001
    return answer


# --- a restart while the record is written --------------------------------------------------------------------


def activities_of(relayed: RelayedServers, *contexts: str) -> tuple[KubernetesGateways, KubernetesActivities]:
    """Those of a worker on node0."""
    kubernetes = {
        "kubeconfig": relayed.folder / "kubeconfig",
        "contexts": contexts,
        "try_timeout_seconds": PATIENCE_SECONDS,
    }
    profile = {"etcd": {"endpoints": ["http://127.0.0.1:1"]}, "kubernetes": kubernetes}
    gateways = KubernetesGateways(Config.model_validate({"clusters": {"demo": profile}}), "node0")
    return gateways, KubernetesActivities(gateways, "node0")


async def attempts(do: Callable[[], Awaitable[UpdateStatusResult]], errors: list[str]) -> UpdateStatusResult:
    """What an activity answers when it is repeated as Temporal does it; what attempts failed with goes to `errors`."""
    while True:
        try:
            return await do()
        except ApplicationError as error:
            if error.type != NOT_RECORDED or error.non_retryable:
                raise
            errors.append(error.message)
            await asyncio.sleep(0.01)


async def test_status_is_written_though_the_only_server_is_restarted(relayed: RelayedServers) -> None:
    """It refuses connections, then everybody, then serves: no answer of it on the way is the last word."""
    lab = relayed.lab
    await weak_token(relayed, "writer")
    kinds = "--resource=etcdmembers.etcd.k0sproject.io,etcdmembers.etcd.k0sproject.io/status"
    await lab.kubectl("create", "clusterrole", "writer", "--verb=get,list,patch", kinds, context="node0")
    bound = ("--clusterrole=writer", "--serviceaccount=default:writer")
    await lab.kubectl("create", "clusterrolebinding", "writer", *bound, context="node0")
    relayed.write_kubeconfig(token=(await lab.kubectl("create", "token", "writer", context="node0")).strip())
    gateways, activities = activities_of(relayed, "node0")
    before = (await lab.etcdmembers("node1"))["node1"]
    record = UpdateStatusInput(
        cluster="demo",
        member_name="node1",
        member_id=before["status"]["memberID"],
        joined=False,
        message="restarted",
    )
    try:
        await lab.kill(Role.APISERVER, "node0")

        async def write() -> UpdateStatusResult:
            answer: UpdateStatusResult = await ActivityEnvironment().run(activities.update_status, record)
            return answer

        async def has_failed() -> bool:
            return bool(errors)

        errors = list[str]()
        writing = asyncio.create_task(attempts(write, errors))
        await wait_until(has_failed, "an attempt has failed", 60)
        await lab.start(Role.APISERVER, "node0")
        async with asyncio.timeout(60):
            recorded = await writing
        assert recorded.recorded, errors
        assert any("no API server answered" in text for text in errors), errors
        assert (await lab.etcdmembers("node1"))["node1"]["status"]["message"] == "restarted"
    finally:
        async with relayed.gateway("node1") as gateway:
            await gateway.patch_status(await gateway.get("node1"), before["status"])
        await gateways.close()


# --- admission ------------------------------------------------------------------------------------------------

KINDS = {"apiGroups": ["etcd.k0sproject.io"], "apiVersions": ["*"], "operations": ["UPDATE"]}
MATCH = {"resourceRules": [{**KINDS, "resources": ["etcdmembers/status"]}]}
ADMISSION = "admissionregistration.k8s.io/v1"
POLICY: list[dict[str, Any]] = [
    {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "freeze"},
        "spec": {
            "matchConstraints": MATCH,
            "validations": [{"expression": "false", "message": "freeze until monday", "reason": "Forbidden"}],
        },
    },
    {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "freeze"},
        "spec": {"policyName": "freeze", "validationActions": ["Deny"]},
    },
]
WEBHOOK: list[dict[str, Any]] = [
    {
        "apiVersion": ADMISSION,
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "guard"},
        "webhooks": [
            {
                "name": "guard.example.com",
                "clientConfig": {"url": f"https://{HOST}:1/"},
                "rules": [{**KINDS, "resources": ["etcdmembers/status"]}],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 1,
            }
        ],
    }
]


@pytest.mark.parametrize(
    ("objects", "kind", "words"),
    [
        (POLICY, AdmissionError, r"ValidatingAdmissionPolicy 'freeze' .*denied request: freeze until monday"),
        (WEBHOOK, ApiUnavailableError, r'500: .*failed calling webhook "guard\.example\.com"'),
    ],
    ids=["policy", "webhook"],
)
async def test_admission_speaks_for_itself(
    relayed: RelayedServers, objects: list[dict[str, Any]], kind: type[HandoffError], words: str
) -> None:
    """A policy's 403 and a webhook that is down are told in their own words; nobody's rights are blamed."""
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    await relayed.lab.kubectl("apply", "-f", "-", context="node0", stdin=stdin)
    try:
        async with relayed.gateway() as gateway:
            found: list[HandoffError] = []

            async def refused() -> bool:
                try:
                    await gateway.patch_status(await gateway.get("node0"), {"message": "frozen"})
                except HandoffError as error:
                    found.append(error)
                return bool(found)

            await wait_until(refused, "the API servers heard of it", 60)
            with pytest.raises(kind, match=words):
                raise found[0]
            assert "rbac" not in str(found[0])
    finally:
        await relayed.lab.kubectl("delete", "-f", "-", context="node0", stdin=stdin)

        async def allowed() -> bool:
            try:
                for node in ("node0", "node1"):  # each alone: one that refuses is passed over
                    async with relayed.gateway(node) as gateway:
                        await gateway.patch_status(await gateway.get("node0"), {"message": f"by {node}"})
            except HandoffError:
                return False
            return True

        await wait_until(allowed, "the API servers forgot it", 60)


# --- another cluster ------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(relayed: RelayedServers, tmp_path: Path) -> AsyncIterator[RelayedServers]:
    """A cluster of its own, whose API server is the context `stranger` beside the first one's."""
    async with relayed_servers(tmp_path, nodes=1) as other:
        server = await relayed.open("stranger", other.lab.node("node0").api_port)
        yield other
        server.close()
        del relayed.ports["stranger"]


async def test_server_of_another_cluster_is_found_out(relayed: RelayedServers, stranger: RelayedServers) -> None:
    """One that knows of nothing is not believed, and once the contexts have been compared it is not asked any more."""
    await stranger.lab.kubectl("delete", "etcdmembers", "--all", context="node0")
    async with relayed.gateway("node0", "node1", "stranger", node="stranger") as gateway:
        assert gateway.contexts()[0] == "stranger"
        assert (await gateway.get("node1"))["metadata"]["name"] == "node1"
        assert len(await gateway.list()) == 2
        with pytest.raises(ObjectGoneError, match="not found"):
            await gateway.get("nosuch")
        notes = await gateway.check_contexts()
        assert [*notes] == ["stranger"]
        assert "belongs to another Kubernetes cluster" in notes["stranger"]
        assert set(gateway.contexts()) == {"node0", "node1"}
        relayed.connections.clear()
        await gateway.get("node1")
        assert "stranger" not in relayed.connections
    async with relayed.gateway("node0", "stranger", users={"stranger": NOBODY}) as gateway:
        assert await gateway.check_contexts() == {}
        assert gateway.contexts() == ("node0", "stranger")
    relayed.write_kubeconfig()
    gateways, _ = activities_of(relayed, "node0", "node1", "stranger")
    await gateways.warm()
    try:
        watched = gateways.require("demo")
        assert isinstance(watched, KubernetesGateway)
        compared = watched.contexts
        await wait_until(lambda: _true("stranger" not in compared()), "a worker that starts finds it out", 60)
    finally:
        await gateways.close()


# --- credentials ----------------------------------------------------------------------------------------------


async def test_renewed_token_is_used_by_the_request_that_meets_the_old_ones_end(
    relayed: RelayedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read again on 401, whenever it was looked at last."""
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, file_check_seconds=3600.0))
    file = relayed.folder / "token"
    file.write_text("ended\n")
    async with relayed.gateway("node0", users={"node0": {"tokenFile": str(file)}}) as gateway:
        await gateway.warm()
        renewed = relayed.folder / "renewed"
        renewed.write_text(f"{TOKEN}\n")
        renewed.replace(file)
        assert (await gateway.get("node0"))["metadata"]["name"] == "node0"


async def test_renewed_kubeconfig_is_used(relayed: RelayedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A living gateway takes it up, also for watching, and goes on with the one before while it cannot be read."""
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, file_check_seconds=0.0))
    async with relayed.gateway("node0") as gateway:
        await gateway.list()
        kubeconfig = relayed.folder / "kubeconfig"
        good = kubeconfig.read_text()
        kubeconfig.write_text(good[: len(good) // 2])
        await gateway.list()
        kubeconfig.write_text(good.replace(TOKEN, "ended"))
        with pytest.raises(KubernetesPermissionError, match=r"^401: "):
            await gateway.list()
        kubeconfig.write_text(good)
        await gateway.list()


async def test_plugin_that_fails_sends_nobody_and_is_run_again(relayed: RelayedServers) -> None:
    """Without credentials nothing reaches the API server; with the next call's they do."""
    plugin, gate = relayed.folder / "plugin.sh", relayed.folder / "gate"
    status = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": TOKEN}}
    plugin.write_text(f"#!/bin/sh\n[ -e {gate} ] || exit 1\necho '{json.dumps(status)}'\n")
    plugin.chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    async with relayed.gateway("node0", users={"node0": user}) as gateway:
        await gateway.warm()
        with pytest.raises(
            ApiUnavailableError, match=r"node0: credentials cannot be had: plugin plugin\.sh ended with 1"
        ):
            await gateway.list()
        assert relayed.connections == []
        gate.touch()
        await wait_until(lambda: _served(gateway), "the plugin was run again", 60)


async def _served(gateway: KubernetesGateway) -> bool:
    try:
        await gateway.list()
    except HandoffError:
        return False
    return True


# --- proxies --------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No proxy is set but by the test."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield monkeypatch
    assert os.environ  # whatever was set is taken back by the monkeypatch


async def proxy(answer: str, seen: list[str]) -> asyncio.Server:
    """A proxy that answers CONNECT with this status line, and relays when it is a good one."""

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        writer.write(f"HTTP/1.1 {answer}\r\n\r\n".encode())
        if answer.startswith("200"):
            await relay(reader, writer, int(head.split()[1].rpartition(":")[2]))
        else:
            await writer.drain()
            writer.close()

    return await asyncio.start_server(enter, HOST)


@pytest.mark.parametrize(
    ("answer", "message"),
    [("200 OK", ""), ("407 Proxy Authentication Required", "the proxy answers 407"), ("", "the proxy does not answer")],
)
async def test_proxy_is_used_and_named(
    relayed: RelayedServers, environment: pytest.MonkeyPatch, answer: str, message: str
) -> None:
    """As kubectl does, with its credentials; where it fails it is named as the cause, and they are not."""
    seen: list[str] = []
    server = await proxy(answer, seen)
    port = server.sockets[0].getsockname()[1]
    if not answer:
        server.close()
    environment.setenv("HTTPS_PROXY", f"http://ann:secret@{HOST}:{port}")
    async with relayed.gateway("node0", host=PROXIED_HOST) as gateway:
        if message:
            with pytest.raises(
                ApiUnavailableError, match=f"node0: through the proxy of HTTPS_PROXY: {message}"
            ) as caught:
                await gateway.list()
            assert not any(word in str(caught.value) for word in ("ann", "secret", HOST, str(port)))
        else:
            await gateway.list()
            assert seen[0].startswith(f"CONNECT {PROXIED_HOST}:")
            assert "Proxy-Authorization: Basic YW5uOnNlY3JldA==" in seen[0]
    environment.setenv("NO_PROXY", "10.0.0.0/8,0.0.0.0/8")
    seen.clear()
    async with relayed.gateway("node0", host=PROXIED_HOST) as gateway:
        await gateway.list()
    async with relayed.gateway("node0") as gateway:  # loopback
        await gateway.list()
    assert seen == []
    server.close()


# --- the order to leave ---------------------------------------------------------------------------------------


async def test_order_to_leave_can_be_read_back(relayed: RelayedServers) -> None:
    """Whether it stands, since which generation, and who took it back."""
    relayed.write_kubeconfig()
    gateways, activities = activities_of(relayed, "node0", "node1")
    before = (await relayed.lab.etcdmembers("node0"))["node1"]
    ask = LeaveInput(cluster="demo", member_name="node1", member_id=before["status"]["memberID"])

    async def read() -> ReadLeaveResult:
        state: ReadLeaveResult = await ActivityEnvironment().run(activities.read_leave, ask)
        return state

    try:
        assert not (await read()).leave
        await ActivityEnvironment().run(activities.request_leave, ask)
        order = await read()
        assert (order.leave, order.manager) == (True, "etcd-handoff")
        assert order.generation == before["metadata"]["generation"] + 1
        taken = '{"spec":{"leave":false}}'
        await relayed.lab.kubectl("patch", "etcdmember", "node1", "--type=merge", "-p", taken, context="node0")
        back = await read()
        assert (back.leave, back.generation) == (False, order.generation + 1)
        assert back.manager.startswith("kubectl")
        assert back.uid == before["metadata"]["uid"]
    finally:
        await gateways.close()

"""A kubeconfig that cannot be used: said as what it is, and never in the way of what happened already."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.member_status import KubernetesActivities
from activities.worker_info import WorkerActivities
from etcd_handoff import time_limits
from etcd_handoff.activity_io import FindResourceInput, FindResourceResult, UpdateStatusInput, UpdateStatusResult
from etcd_handoff.config import Config
from etcd_handoff.errors import ApiUnavailableError, ConfigError
from etcd_handoff.kubernetes import temporary_files
from etcd_handoff.kubernetes.client import OpenClient, renewal
from etcd_handoff.kubernetes.clients import Clients
from etcd_handoff.kubernetes.gateway import KubernetesGateway
from etcd_handoff.kubernetes.pool import KubernetesGateways
from etcd_handoff.temporal.failure_converter import NOT_RECORDED

if TYPE_CHECKING:
    from pathlib import Path

USER = {"name": "u", "user": {"token": "t"}}
CONTEXT = {"name": "node0", "context": {"cluster": "c", "user": "u"}}


def content(**cluster: str) -> str:
    """A kubeconfig with the context node0, whose cluster has these settings."""
    parts: dict[str, Any] = {"clusters": [{"name": "c", "cluster": cluster}], "users": [USER], "contexts": [CONTEXT]}
    return json.dumps(parts)


UNUSABLE = {
    "missing": None,
    "empty": "",
    "no YAML": "a: [",
    "a list": "[]",
    "a text": "kubeconfig",
    "another shape": '{"contexts": 5, "clusters": {}}',
    "without the context": content(server="https://h:1").replace("node0", "other"),
    "without the authority's file": content(server="https://h:1", **{"certificate-authority": "/nosuch/ca.pem"}),
    "with an authority that is none": content(server="https://h:1", **{"certificate-authority-data": "bm9uZQ=="}),
}


def gateways(folder: Path, text: str | None) -> KubernetesGateways:
    """Gateways of the cluster `prod`, whose kubeconfig says `text`."""
    if text is not None:
        (folder / "kubeconfig").write_text(text)
    kubernetes = {"kubeconfig": folder / "kubeconfig", "contexts": ["node0"]}
    etcd = {"endpoints": ["http://etcd:2379"]}
    return KubernetesGateways(
        Config.model_validate({"clusters": {"prod": {"etcd": etcd, "kubernetes": kubernetes}}}), "node1"
    )


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_unusable_kubeconfig_is_a_configuration_error(tmp_path: Path, kind: str) -> None:
    """It names the field and the context; warming up passes over it."""
    opened = gateways(tmp_path, UNUSABLE[kind])
    await opened.warm()
    with pytest.raises(ConfigError, match=r"^clusters\.\*\.kubernetes: .*node0: .*; correct kubeconfig and contexts$"):
        await opened.require("prod").list()


def at_attempt(number: int) -> ActivityEnvironment:
    """Where an activity runs for the `number`-th time."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=number)
    return environment


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("cluster", ["prod", "unknown"])
async def test_removal_that_happened_is_not_failed_by_it(tmp_path: Path, kind: str, cluster: str) -> None:
    """The member has left whatever the configuration says: other workers are tried, then the step ends with a note."""
    update = KubernetesActivities(gateways(tmp_path, UNUSABLE[kind]), "node1").update_status
    record = UpdateStatusInput(cluster=cluster, member_name="node0", member_id="1f", joined=False, message="gone")
    with pytest.raises(ApplicationError, match=r"correct kubeconfig|no profile 'unknown'") as caught:
        await at_attempt(time_limits.STEPS.elsewhere_attempts - 1).run(update, record)
    assert (caught.value.type, caught.value.non_retryable) == (NOT_RECORDED, False)
    recorded = await at_attempt(time_limits.STEPS.elsewhere_attempts).run(update, record)
    assert isinstance(recorded, UpdateStatusResult)
    assert (recorded.recorded, recorded.step.outcome) == (False, "not-recorded")
    assert "correct kubeconfig" in recorded.note or "no profile 'unknown'" in recorded.note


async def test_worker_without_kubernetes_lets_others_try() -> None:
    """Profiles differ while they are rolled out; when some workers in a row have none, there is none."""
    profile = {"etcd": {"endpoints": ["http://etcd:2379"]}}
    opened = KubernetesGateways(Config.model_validate({"clusters": {"prod": profile}}), "node1")
    update = KubernetesActivities(opened, "node1").update_status
    record = UpdateStatusInput(cluster="prod", member_name="node0", member_id="1f", joined=False, message="gone")
    for number in range(1, time_limits.STEPS.no_kubernetes_attempts):
        with pytest.raises(ApplicationError, match="has no Kubernetes"):
            await at_attempt(number).run(update, record)
    recorded = await at_attempt(time_limits.STEPS.no_kubernetes_attempts).run(update, record)
    assert isinstance(recorded, UpdateStatusResult)
    assert not recorded.recorded
    assert await opened.claims("prod") is None


@pytest.mark.parametrize(
    "attempt", [time_limits.STEPS.no_kubernetes_attempts, time_limits.STEPS.elsewhere_attempts, 1000]
)
@pytest.mark.parametrize("table", [True, False])
async def test_what_another_worker_can_write_is_never_given_up(tmp_path: Path, attempt: int, *, table: bool) -> None:
    """Attempts that an outage has failed count too: one worker with the wrong files must not end it after them."""
    profile = {"etcd": {"endpoints": ["http://etcd:2379"]}}
    bare = KubernetesGateways(Config.model_validate({"clusters": {"prod": profile}}), "node1")
    update = KubernetesActivities(gateways(tmp_path, "a: [") if table else bare, "node1").update_status
    record = UpdateStatusInput(
        cluster="prod", member_name="node0", member_id="1f", joined=False, message="gone", kubernetes=True
    )
    with pytest.raises(ApplicationError) as caught:
        await at_attempt(attempt).run(update, record)
    assert (caught.value.type, caught.value.non_retryable) == (NOT_RECORDED, False)
    assert (caught.value.next_retry_delay is None) == (attempt >= time_limits.STEPS.elsewhere_attempts)


async def test_lookup_without_kubernetes_lets_others_try(tmp_path: Path) -> None:
    """As a record does; what the worker knows says whether it has any."""
    profile = {"etcd": {"endpoints": ["http://etcd:2379"]}}
    config = Config.model_validate({"clusters": {"prod": profile}})
    find = KubernetesActivities(KubernetesGateways(config, "node1"), "node1").find_resource
    query = FindResourceInput(cluster="prod", member="node0")
    with pytest.raises(ApplicationError, match="no Kubernetes in the profile"):
        await at_attempt(time_limits.STEPS.no_kubernetes_attempts - 1).run(find, query)
    found = await at_attempt(time_limits.STEPS.no_kubernetes_attempts).run(find, query)
    assert isinstance(found, FindResourceResult)
    assert (found.name, found.step.note) == ("", "no Kubernetes in the profile")
    for attempt in (time_limits.STEPS.elsewhere_attempts, 1000):
        with pytest.raises(ApplicationError, match="no Kubernetes in the profile"):
            await at_attempt(attempt).run(find, query.model_copy(update={"kubernetes": True}))
    with_kubernetes = {"prod": {**profile, "kubernetes": {"kubeconfig": tmp_path / "kubeconfig"}}}
    configs = (config, Config.model_validate({"clusters": with_kubernetes}))
    workers = [WorkerActivities(each, search_attributes=True) for each in configs]
    assert [worker.worker_info("prod").kubernetes for worker in workers] == [False, True]
    assert not workers[1].worker_info("other").kubernetes


async def test_warm_opens_what_can_be_opened(tmp_path: Path) -> None:
    """The client is there before the first call, and that call uses it."""
    opened = gateways(tmp_path, content(server="https://h:1"))
    await opened.warm()
    gateway = opened.require("prod")
    assert isinstance(gateway, KubernetesGateway)
    clients = gateway._servers._clients
    client = await clients.get("node0")
    await opened.warm()
    assert await clients.get("node0") is client
    await opened.close()
    assert clients._opened == {}


# --- secrets ------------------------------------------------------------------------------------------------

PRIVATE = "WITHHELD-c2VjcmV0"


def with_user(user: object) -> str:
    """A kubeconfig with this entry of its list of users."""
    parts = json.loads(content(server="https://h:1"))
    return json.dumps({**parts, "users": [user]})


def exec_user(**settings: object) -> str:
    """A kubeconfig whose user has a credential plugin with these settings."""
    known = {"command": "true", "apiVersion": "client.authentication.k8s.io/v1"}
    return with_user({"name": "u", "user": {"exec": {**known, **settings}}})


def oidc(**config: object) -> str:
    """A kubeconfig whose user has an identity provider with this configuration."""
    return with_user({"name": "u", "user": {"auth-provider": {"name": "oidc", "config": config}}})


LEAKY = {
    "user without `user`": with_user({"name": "u", "token": PRIVATE}),
    "user without a name": with_user({"user": {"token": PRIVATE}}),
    "user that is a text": with_user(PRIVATE),
    "users that are a text": json.dumps({**json.loads(content()), "users": PRIVATE}),
    "context whose user is a mapping": content().replace('"user": "u"}}', f'"user": {{"token": "{PRIVATE}"}}}}}}'),
    "environment without a value": exec_user(env=[{"name": PRIVATE}]),
    "environment without a name": exec_user(env=[{"value": PRIVATE}]),
    "environment that is a text": exec_user(env=PRIVATE),
    "command that is a list": exec_user(command=[PRIVATE]),
    "plugin that prints and fails": exec_user(command="sh", args=["-c", f"echo {PRIVATE}; echo {PRIVATE} >&2; exit 3"]),
    "plugin that prints": exec_user(command="echo", args=[PRIVATE]),
    "cut off": with_user({"name": "u", "user": {"token": PRIVATE}}).partition("contexts")[0],
    "tag that is none": f"users:\n- name: u\n  user:\n    token: !{PRIVATE} x\n",
    "alias that is none": f"users: *{PRIVATE}\n",
    "tabs": f"users:\n\t- {PRIVATE}\n",
    "text": PRIVATE,
    "key that is no base64": with_user({"name": "u", "user": {"client-key-data": f"{PRIVATE}="}}),
    "certificate that is none": with_user(
        {"name": "u", "user": {key: base64.b64encode(PRIVATE.encode()).decode()
                               for key in ("client-certificate-data", "client-key-data")}}
    ),
    "key pasted for a file's name": with_user({"name": "u", "user": {"client-key": PRIVATE}}),
    "key pasted that is long": with_user({"name": "u", "user": {"client-key": PRIVATE * 500}}),
    "token with a line end": with_user({"name": "u", "user": {"tokenFile": f"{PRIVATE}\0"}}),
    "token of two parts": oidc(**{"id-token": f"{PRIVATE}.x"}),
    "token of no base64": oidc(**{"id-token": f"a.{PRIVATE}.c"}),
    "nothing to renew with": oidc(**{"client-secret": PRIVATE}),
    "no issuer": oidc(**{"refresh-token": PRIVATE}),
}  # fmt: skip


def chain(error: BaseException | None) -> str:
    """What an error and its causes say: Temporal keeps the causes too."""
    return "" if error is None else f"{error!r} {error} {chain(error.__cause__)}"


@pytest.mark.parametrize("kind", LEAKY)
async def test_nothing_of_a_kubeconfig_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """Whatever is wrong with it: no error, no cause of one and no log record quotes what stands in it."""
    caplog.set_level("DEBUG")
    opened = gateways(tmp_path, LEAKY[kind])
    await opened.warm()
    with pytest.raises((ConfigError, ApiUnavailableError)) as caught:
        await opened.require("prod").list()
    gateway = opened.require("prod")
    assert isinstance(gateway, KubernetesGateway)
    with pytest.raises((ConfigError, ApiUnavailableError)) as one:
        await gateway._servers._clients.get("node0")
    await opened.close()
    assert "node0" in str(caught.value)
    assert "WITHHELD" not in chain(caught.value) + chain(one.value) + caplog.text


async def test_place_and_kind_of_a_mistake_are_told(tmp_path: Path) -> None:
    """So that it can be found without what stands there."""
    for kind, words in (
        ("user without `user`", "ConfigException: it lacks `user`"),
        ("environment without a value", "ConfigException: it lacks `value`"),
        ("tag that is none", "ConstructorError: no YAML at line 4, column 12"),
        ("certificate that is none", "SSLError: a certificate or key in it cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words):
            await gateways(tmp_path, LEAKY[kind]).require("prod").list()


# --- credentials --------------------------------------------------------------------------------------------


def clients(folder: Path, user: dict[str, Any], *, cluster: dict[str, Any] | None = None) -> Clients:
    """Clients of the context node0, whose user is this."""
    parts = json.loads(content(server="https://h:1"))
    parts["clusters"][0]["cluster"] |= cluster or {}
    parts["users"][0]["user"] = user
    path = folder / "kubeconfig"
    path.write_text(json.dumps(parts))
    return Clients(path)


def bearer(opened: OpenClient) -> str | None:
    """What a client shows an API server."""
    token: str | None = opened.api.configuration.api_key.get("BearerToken")
    return token


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """A user whose credentials a shell script gives; it is run in a folder of its own."""
    file = folder / "plugin.sh"
    file.write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
    file.chmod(0o700)
    return {"exec": {"command": "./plugin.sh", "apiVersion": "client.authentication.k8s.io/v1"}}


def credential(**status: str) -> str:
    """What a plugin prints."""
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})


def token(text: str, **status: str) -> str:
    """What a plugin prints that gives a token."""
    return credential(token=text, **status)


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo secret >&2; exit 3", "plugin plugin.sh ended with 3"),
        ("echo secret", "answers something that is no ExecCredential"),
        (f"echo '{credential()}'", "gave no token and no certificate"),
        (f"echo '{token('t').replace('/v1', '/v1beta1')}'", "does not answer in"),
        ("echo []", "answers something that is no ExecCredential"),
    ],
)
async def test_plugin_that_fails_leaves_no_anonymous_client(tmp_path: Path, script: str, note: str) -> None:
    """There is no client then, the reason holds nothing that the plugin printed, and the next call runs it again."""
    opened = clients(tmp_path, plugin(tmp_path, script))
    with pytest.raises(ApiUnavailableError, match=f"^credentials cannot be had: .*{note}") as caught:
        await opened.get("node0")
    assert "secret" not in str(caught.value)
    plugin(tmp_path, f"echo '{token('good')}'")
    opened._failed.clear()  # as after a moment
    assert bearer(await opened.get("node0")) == "Bearer good"
    await opened.close()


async def test_plugin_that_is_not_there_is_said(tmp_path: Path) -> None:
    """As one that fails."""
    user = {"exec": {"command": "no-such-plugin", "apiVersion": "client.authentication.k8s.io/v1"}}
    with pytest.raises(ApiUnavailableError, match="plugin no-such-plugin cannot be run: No such file"):
        await clients(tmp_path, user).get("node0")


async def test_plugin_goes_on_though_nobody_waits_for_it(tmp_path: Path) -> None:
    """A request's time-out does not end a slow plugin, so that the next request finds its credentials."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    opened = clients(tmp_path, plugin(tmp_path, f"echo run >> runs; cat gate; echo '{token('slow')}'"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened.get("node0"), 0.01)
    getting = asyncio.create_task(opened.get("node0"))
    await asyncio.to_thread(gate.write_text, "")
    assert bearer(await getting) == "Bearer slow"
    assert (tmp_path / "runs").read_text() == "run\n"
    await opened.close()


async def test_plugin_runs_again_before_its_credentials_end(tmp_path: Path) -> None:
    """Near their end the old ones still serve while new ones are had; after it nobody gets them any more."""
    script = f"echo run >> runs; echo '{token('n', expirationTimestamp='2099-01-01T00:00:00Z')}'"
    opened = clients(tmp_path, plugin(tmp_path, script))
    first = await opened.get("node0")
    assert first.ends == datetime(2099, 1, 1, tzinfo=UTC).timestamp()
    assert await opened.get("node0") is first
    first.renew_at = 0.0
    assert await opened.get("node0") is first
    await asyncio.gather(*opened._opening.values())
    second = await opened.get("node0")
    assert second is not first
    second.ends = 0.0
    plugin(tmp_path, "exit 1")
    with pytest.raises(ApiUnavailableError):
        await opened.get("node0")
    assert (tmp_path / "runs").read_text() == "run\n" * 2
    await opened.close()


@pytest.mark.parametrize(("lifetime", "before"), [(900.0, 60.0), (120.0, 12.0), (0.0, 0.0), (-5.0, 0.0)])
def test_credentials_are_renewed_in_the_last_minute_or_tenth(lifetime: float, before: float) -> None:
    """Short-lived ones are not renewed all the time."""
    assert renewal(1000.0, 1000.0 + lifetime) == 1000.0 + lifetime - before


@pytest.mark.parametrize("user", [{"tokenFile": "empty"}, {"token": ""}, {"username": "u"}, {"tokenFile": "nosuch"}])
async def test_user_that_names_credentials_is_never_nobody(tmp_path: Path, user: dict[str, Any]) -> None:
    """An empty or missing token is no reason to go on without one; a user that names nothing may."""
    (tmp_path / "empty").write_text("\n")
    opened = clients(tmp_path, user)
    if user == {"token": ""}:
        assert bearer(await opened.get("node0")) is None
    else:
        with pytest.raises(ApiUnavailableError, match=r"^credentials cannot be had: "):
            await opened.get("node0")
    await opened.close()


async def test_user_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The library would go on as nobody."""
    opened = clients(tmp_path, {"token": "t"})
    path = tmp_path / "kubeconfig"
    path.write_text(path.read_text().replace('"name": "u"', '"name": "other"'))
    with pytest.raises(ConfigError, match="there is no user 'u'"):
        await opened.get("node0")


@pytest.mark.parametrize("changed", ["token", "kubeconfig"])
async def test_changed_file_gives_another_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """A renewed token is used, a kubeconfig that is half written is not: the client from before still serves."""
    monkeypatch.setattr(time_limits, "KUBERNETES", replace(time_limits.KUBERNETES, file_check_seconds=0.0))
    (tmp_path / "token").write_text("one\n")
    opened = clients(tmp_path, {"tokenFile": "token"})
    first = await opened.get("node0")
    assert bearer(first) == "Bearer one"
    assert await opened.get("node0") is first
    kubeconfig = (tmp_path / "kubeconfig").read_text()
    if changed == "token":
        (tmp_path / "token").write_text("two, longer")
        assert bearer(await opened.get("node0")) == "Bearer two, longer"
    else:
        (tmp_path / "kubeconfig").write_text(kubeconfig[:50])
        assert await opened.get("node0") is first
        (tmp_path / "kubeconfig").write_text(kubeconfig.replace("https://h:1", "https://h:2"))
        assert (await opened.get("node0")).api.configuration.host == "https://h:2"
    await opened.close()


async def test_refused_credentials_are_asked_for_again_once(tmp_path: Path) -> None:
    """The same ones are not tried twice, and who was refused right after that is not opened again and again."""
    opened = clients(tmp_path, plugin(tmp_path, f"echo run >> runs; echo '{token('one')}'"))
    first = await opened.get("node0")
    assert await opened.renewed("node0", first) is None
    second = await opened.get("node0")
    assert second is not first
    assert await opened.renewed("node0", second) is None
    assert (tmp_path / "runs").read_text() == "run\n" * 2
    second.after_refusal = False
    plugin(tmp_path, f"echo '{token('two')}'")
    renewed = await opened.renewed("node0", second)
    assert renewed is not None
    assert bearer(renewed) == "Bearer two"
    assert await opened.renewed("node0", second) is renewed
    await opened.close()


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.fail("a certificate is made with the openssl program, and there is none in PATH: install it")
    folder = tmp_path_factory.mktemp("pair")
    options = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=client")
    files = ("-keyout", folder / "key", "-out", folder / "certificate")
    subprocess.run([program, "req", "-x509", *options, *files], check=True, capture_output=True)
    return (folder / "certificate").read_text(), (folder / "key").read_text()


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return [path.name for path in folder.iterdir()]


async def test_nothing_of_a_key_is_left_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: tuple[str, str]
) -> None:
    """Keys in the kubeconfig, or of a plugin, are files for as long as the client reads them, and as often."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    certificate, key = pair
    inline = {
        "client-key-data": base64.b64encode(key.encode()).decode(),
        "client-certificate-data": base64.b64encode(certificate.encode()).decode(),
    }
    script = f"cat <<'EOF'\n{credential(clientCertificateData=certificate, clientKeyData=key)}\nEOF"
    home = tmp_path / "home"
    home.mkdir()
    authority = {"certificate-authority-data": inline["client-certificate-data"]}
    for user in (inline, plugin(home, script), inline):
        opened = clients(home, user, cluster=authority)
        assert (await opened.get("node0")).api.configuration.key_file.startswith(f"{tmp_path}/")
        assert names(tmp_path) == ["home"]
        await opened.close()


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of dead processes, once they are some minutes old; those of living ones, and what is not ours, stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    old, young, alive, other = (
        tmp_path / name
        for name in (
            f"{temporary_files.FOLDER_PREFIX}{dead.pid}-old",
            f"{temporary_files.FOLDER_PREFIX}{dead.pid}-young",
            f"{temporary_files.FOLDER_PREFIX}{os.getpid()}-old",
            "another-folder",
        )
    )
    for folder in (old, young, alive, other):
        folder.mkdir()
        (folder / "key").write_text("secret")
        if folder is not young:
            os.utime(folder, (0, 0))
    temporary_files._remove_leftovers.cache_clear()
    temporary_files._remove_leftovers()
    assert {path for path in (old, young, alive, other) if path.exists()} == {young, alive, other}

"""The manifests of deploy/ on real API servers: accepted, enough for all that a worker does, and for nothing else."""

from __future__ import annotations

import inspect
import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio
import yaml
from kubernetes.aio.config import incluster_config

import worker
from etcd_handoff import time_limits
from etcd_handoff.annotations import LEAVE_ANNOTATION, REQUESTER_ANNOTATION
from etcd_handoff.config import CONFIG_VARIABLE
from etcd_handoff.contract import RemovalResult
from etcd_handoff.errors import KubernetesPermissionError
from etcd_handoff.etcdmember import DesiredStatus, new_resource, status_for
from etcd_handoff.etcdmember_events import EventSpec, event_for
from etcd_handoff.kubernetes.gateway import KubernetesGateway
from etcd_handoff.lab import Lab, LabOptions, ProcessError, wait_until
from etcd_handoff.lab.http import request
from etcd_handoff.lab.nodes import HOST, bearer
from etcd_handoff.lab.serving import AUTHORITY
from etcd_handoff.temporal.probes import parsed_address
from tests.integration.conftest import ends, start_watcher
from tests.integration.sites import DEPLOY, NAME, NODE, Site, configuration, objects, pod, the, token_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import LiveCluster, MakeLiveCluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPTIONAL: Final = ("k0s-remover.yaml", "k0s-leave-policy.yaml", "requester-policy.yaml")
"""Files that the kustomization leaves to whoever wants them."""
POLICY: Final = ("-f", str(DEPLOY / "requester-policy.yaml"))
FORGED: Final = f"{REQUESTER_ANNOTATION}=mallory"
FLAG: Final = {"spec": {"leave": True}}
NOW: Final = "2026-01-01T00:00:00.000000Z"
GROUP: Final = "etcd.k0sproject.io"
RIGHTS: Final = {
    *((GROUP, "etcdmembers", verb) for verb in ("get", "list", "watch", "create")),
    (GROUP, "etcdmembers/status", "patch"),
    ("", "namespaces", "get"),
}
"""All that the account may do anywhere, beyond what everybody may."""
EVENT_RIGHT: Final = {("events.k8s.io", "events", "create")}
"""What it may do in the namespace `default` besides."""
REMOVER_RIGHT: Final = {(GROUP, "etcdmembers", "patch")}
"""What deploy/k0s-remover.yaml adds."""

MEMBERS: Final = f"/apis/{GROUP}/v1beta1/etcdmembers"
OWN: Final = f"/api/v1/namespaces/{NAME}"
RBAC: Final = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
MEMBER: Final = {"apiVersion": f"{GROUP}/v1beta1", "kind": "EtcdMember", "metadata": {"name": NODE}, "spec": {}}
EVENT: Final = {"metadata": {"name": "e"}, "eventTime": NOW}
BINDING: Final = {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}}
DENIED: Final[list[tuple[str, str, dict[str, Any] | None]]] = [
    ("DELETE", f"{MEMBERS}/{NODE}", None),
    ("DELETE", MEMBERS, None),
    ("PUT", f"{MEMBERS}/{NODE}", MEMBER),
    ("PATCH", f"{MEMBERS}/{NODE}", {"spec": {"leave": True}}),
    ("PUT", f"{MEMBERS}/{NODE}/status", MEMBER),
    ("GET", f"{MEMBERS}/{NODE}/status", None),
    ("GET", "/api/v1/secrets", None),
    ("GET", f"{OWN}/secrets", None),
    ("GET", f"{OWN}/secrets/etcd-handoff-etcd-client", None),
    ("GET", f"{OWN}/configmaps/{NAME}", None),
    ("PATCH", f"{OWN}/configmaps/{NAME}", {"data": {}}),
    ("POST", f"{OWN}/serviceaccounts/{NAME}/token", {"spec": {}}),
    ("GET", f"{OWN}/pods", None),
    ("POST", f"{OWN}/pods", {"metadata": {"name": "p"}}),
    ("GET", "/api/v1/nodes", None),
    ("GET", "/api/v1/namespaces", None),
    ("GET", "/api/v1/namespaces/default", None),
    ("GET", "/apis/apps/v1/deployments", None),
    ("GET", "/apis/coordination.k8s.io/v1/leases", None),
    ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", None),
    ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", None),
    ("POST", RBAC, BINDING),
    ("GET", "/apis/events.k8s.io/v1/namespaces/default/events", None),
    ("POST", f"/apis/events.k8s.io/v1/namespaces/{NAME}/events", EVENT),
    ("POST", "/api/v1/namespaces/default/events", EVENT),
]
"""Method, path and content of what a worker has no need for."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(shared_path: Path) -> AsyncIterator[Site]:
    """One node for all tests, with everything in deploy/kustomization.yaml; each test leaves it as it was."""
    folder = shared_path
    async with Lab(LabOptions(nodes=1, temporal=False, roles=True, directory=folder / "lab")) as lab:
        apply = ("apply", "--server-side")
        await lab.kubectl(*apply, "-f", str(DEPLOY / "namespace.yaml"), context=NODE)
        checked = await lab.kubectl(*apply, "--dry-run=server", "-k", str(DEPLOY), context=NODE)
        await lab.kubectl(*apply, "-k", str(DEPLOY), context=NODE)
        await lab.kubectl("create", "serviceaccount", "nobody", "--namespace", "default", context=NODE)
        site = Site(lab, await token_of(lab, NAME, NAME), checked)
        await site.comes_to(RIGHTS)
        yield site


# --- accepted -----------------------------------------------------------------------------------------------


async def test_api_server_accepts_every_manifest(site: Site) -> None:
    """The dry run names each object of each file once, all of them are stored, and no file is left out."""
    declared = sorted(f"{item['kind'].lower()}/{item['metadata']['name']}" for item in objects())
    lines = site.checked.splitlines()
    assert all(line.endswith("(server dry run)") for line in lines)
    printed = (line.split()[0].partition("/") for line in lines)
    assert sorted(f"{kind.partition('.')[0]}/{name}" for kind, _, name in printed) == declared
    rendered = await site.kubectl("kustomize", str(DEPLOY))
    assert len(list(yaml.safe_load_all(rendered))) == len(declared)
    await site.kubectl("get", "-k", str(DEPLOY))
    for file in OPTIONAL:
        await site.kubectl("apply", "--server-side", "--dry-run=server", "-f", str(DEPLOY / file))
    listed = {*yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]}
    assert {file.name for file in DEPLOY.iterdir() if file.is_file()} == listed | {"kustomization.yaml", *OPTIONAL}


async def test_misspelt_field_would_not_pass_the_dry_run(site: Site) -> None:
    """The API server's validation is strict, so an accepted manifest has no field that would be dropped."""
    wrong = the("Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    with pytest.raises(ProcessError, match="readOnlyRootFileSystem"):
        await site.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=json.dumps(wrong))


async def test_namespace_admits_the_pod_and_none_with_a_privilege_more(site: Site) -> None:
    """The real admission of the namespace's `restricted` level: each line of the Pod's security context is needed."""

    async def admit(changed: dict[str, Any]) -> tuple[int, str]:
        return await site.ask("POST", f"{OWN}/pods", changed, bearer())

    status, text = await admit(pod())
    assert status == 201, text
    for level, key in (
        ("pod", "runAsNonRoot"),
        ("pod", "seccompProfile"),
        ("container", "allowPrivilegeEscalation"),
        ("container", "capabilities"),
    ):
        worse = pod()
        spec = worse["spec"]
        del (spec if level == "pod" else spec["containers"][0])["securityContext"][key]
        status, text = await admit(worse)
        assert (status, "restricted" in text) == (403, True), f"{key}: {text}"


# --- rights -------------------------------------------------------------------------------------------------


async def test_account_may_do_what_is_listed_and_nothing_else(site: Site) -> None:
    """The API server's own list of the account's rights is ours, in every namespace, with and without k0s-remover."""
    for namespace in (NAME, "kube-system"):
        assert await site.rights(namespace) == RIGHTS
    assert await site.rights("default") == RIGHTS | EVENT_RIGHT
    remover = ("-f", str(DEPLOY / "k0s-remover.yaml"))
    await site.kubectl("apply", "--server-side", *remover)
    try:
        await site.comes_to(RIGHTS | REMOVER_RIGHT)
        status, text = await site.ask("PATCH", f"{MEMBERS}/{NODE}", {"spec": {"leave": True}})
        assert status == 200, text
    finally:
        await site.kubectl("delete", *remover)
        await site.comes_to(RIGHTS)


@pytest.mark.parametrize(("method", "path", "body"), DENIED, ids=lambda value: value if isinstance(value, str) else "")
async def test_needless_request_is_answered_403(
    site: Site, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """The account is refused; the administrator, with the same words, is not, so it is for its rights."""
    status, text = await site.ask(method, path, body)
    assert status == 403, text
    assert f"system:serviceaccount:{NAME}:{NAME}" in text
    assert (await site.ask(method, path, body, bearer()))[0] != 403


async def test_account_cannot_act_as_somebody_else(site: Site) -> None:
    """Impersonation is refused."""
    as_admin = {
        "Authorization": f"Bearer {site.token}",
        "Impersonate-User": "lab",
        "Impersonate-Group": "system:masters",
    }
    assert (await site.ask("GET", "/api/v1/secrets", None, as_admin))[0] == 403


async def test_every_call_of_the_gateway_is_allowed_from_within_a_pod(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the profile of deploy/config.yaml: token, authority and address as a Pod finds them, and no kubeconfig."""
    lab = site.lab
    for name, content in (
        ("TOKEN", site.token),
        ("CERT", (lab.directory / "shared" / AUTHORITY).read_text()),
    ):
        (tmp_path / name).write_text(content)
        monkeypatch.setattr(incluster_config, f"SERVICE_{name}_FILENAME", str(tmp_path / name))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", HOST)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(lab.node(NODE).api_port))
    profile = configuration(tmp_path).cluster("prod").kubernetes
    assert profile is not None
    gateway = KubernetesGateway(profile)
    try:
        await gateway.warm()
        await gateway.find_servers()
        assert await gateway.check_contexts() == {}
        member = await gateway.get(NODE)
        assert member in await gateway.list()
        (context,) = gateway.contexts()
        assert member in await gateway.list_through(context)
        _, version = await gateway.list_at()
        created = await gateway.create(new_resource("another"))
        truth = DesiredStatus(
            "abc", joined=False, message="Member removed from cluster", peer_urls=("https://10.0.0.9:2380",)
        )
        patched = await gateway.patch_status(created, status_for(created, truth, NOW))
        assert patched["status"]["memberID"] == "abc"
        await gateway.wait_for_change(version)
        # It keeps a refusal to itself, so that the Event is looked for.
        event = event_for(member, EventSpec("Removed", "said"), NOW)
        await gateway.record_event(event)
        await site.kubectl("get", "events.events.k8s.io", event["metadata"]["name"], "--namespace", "default")
        assert (await gateway.may_patch("status"), await gateway.may_patch("spec")) == (True, False)
        with pytest.raises(KubernetesPermissionError):
            await gateway.patch_spec(member, {"leave": True})
        remover = ("-f", str(DEPLOY / "k0s-remover.yaml"))
        await site.kubectl("apply", "--server-side", *remover)
        try:
            await wait_until(lambda: gateway.may_patch("spec"), "the account may patch the spec", 60)
        finally:
            await site.kubectl("delete", *remover)
            await site.comes_to(RIGHTS)
    finally:
        await gateway.close()
        await site.kubectl("delete", "etcdmember", "another", "--ignore-not-found")
    calls = {n for n, call in vars(KubernetesGateway).items() if n[0] != "_" and inspect.iscoroutinefunction(call)}
    tried = {
        "warm",
        "find_servers",
        "check_contexts",
        "get",
        "list",
        "list_through",
        "may_patch",
        "list_at",
        "create",
        "patch_status",
        "wait_for_change",
        "record_event",
        "patch_spec",
        "close",
    }
    assert calls == tried, "a call of the gateway is not tried here"


async def names_its_requester(b: LiveCluster, member: str, kept: str, requester: str) -> None:
    """Result, Event, `history`, `status` and `describe` of its removal name who has set the flag."""
    (removal,) = [run async for run in b.client.list_workflows("WorkflowType = 'RemoveMember'")]
    result = await b.client.get_workflow_handle(removal.id, result_type=RemovalResult).result()
    assert result.asked_by == requester
    assert result.reason.startswith(f"spec.leave of EtcdMember {member}, set at 20")
    answer = json.loads(await b.lab.kubectl("get", "events", "-o", "json", "--namespace=default", context=kept))
    notes = [event["message"] for event in answer["items"] if event["reason"] == "Requested"]
    assert notes == [f"asked for by {requester}: {result.reason}"]
    for command in (
        ("history", member, "-c", b.lab.cluster),
        ("history",),
        ("status",),
        ("describe", member),
        ("report", member),
    ):
        _, shown = await ends(b.lab, *command)
        assert requester in shown, f"{command}: {shown}"


async def test_watched_cluster_loses_its_leader_and_tells_all_with_these_rights_alone(
    live_cluster: MakeLiveCluster,
) -> None:
    """Workers with the account's token: a flag by a user, a removal, its Events, and a resource that was missing."""
    async with live_cluster(workers=(), roles=True) as b:
        lab = b.lab
        for file in ("namespace.yaml", "rbac.yaml"):
            await lab.kubectl("apply", "--server-side", "-f", str(DEPLOY / file), context=NODE)
        kubeconfig = json.loads(lab.kubeconfig_path.read_text())
        kubeconfig["users"][0]["user"] = {"token": await token_of(lab, NAME, NAME)}
        account = b.folder / "account.kubeconfig"
        account.write_text(json.dumps(kubeconfig))
        ours = lab.config_path.read_text()
        lab.config_path.write_text(ours.replace(str(lab.kubeconfig_path), str(account)))
        assert str(account) in lab.config_path.read_text()
        leader = await lab.leader()
        kept, missing = (node.name for node in lab.others(leader))
        await lab.kubectl("delete", "etcdmember", missing, context=kept)
        for node in lab.nodes:
            await lab.start_worker(node.name)
        await start_watcher(b)
        await apply_requester_policy(lab, kept)
        for verb in (
            ("role", "asks", "--verb=get,patch", f"--resource=etcdmembers.{GROUP}"),
            ("rolebinding", "asks", "--clusterrole=asks", "--user=alice"),
        ):
            await lab.kubectl("create", f"cluster{verb[0]}", *verb[1:], context=kept)
        patch = ["patch", "etcdmember", leader, "--type", "merge", "-p", json.dumps(FLAG)]
        with pytest.raises(ProcessError, match="Forbidden"):
            await lab.kubectl(*patch, "--as=bob", context=kept)

        async def flagged() -> bool:
            try:
                await lab.kubectl(*patch, "--as=alice", context=kept)
            except ProcessError as error:
                assert "Forbidden" in str(error)  # noqa: PT017  # its rights are not known yet
                return False
            return True

        await wait_until(flagged, "alice may set the flag", 60)
        out = [f"etcdmember/{leader}", "--for=condition=Joined=False", "--timeout=120s"]
        await lab.kubectl("wait", *out, context=kept, timeout="120s")

        async def are_stored() -> bool:
            answer = json.loads(await lab.kubectl("get", "events", "-o", "json", "--namespace=default", context=kept))
            reasons = {event["reason"] for event in answer["items"]}
            return {"MoveLeader", "RemoveMember", "Removed"} <= reasons

        await wait_until(are_stored, "the removal's Events are stored", 60)
        await names_its_requester(b, leader, kept, "alice (by kubectl-patch)")

        async def created() -> bool:
            return missing in await lab.etcdmembers(kept) and await lab.joined(missing, kept) == "True"

        await wait_until(created, f"EtcdMember {missing} is made", 60)
        await b.judge({leader})


# --- who has asked ------------------------------------------------------------------------------------------


def as_user(user: str) -> dict[str, str]:
    """The header of a request that the administrator sends as somebody else, who may do all too."""
    return {**bearer(), "Impersonate-User": user, "Impersonate-Group": "system:masters"}


def annotated(**values: str | None) -> dict[str, Any]:
    """A patch of the annotation that asks, of the one that says who has asked, or of both."""
    names = {"asks": LEAVE_ANNOTATION, "by": REQUESTER_ANNOTATION}
    return {"metadata": {"annotations": {names[name]: value for name, value in values.items()}}}


async def patched(site: Site, user: str, patch: dict[str, Any], manager: str = "curl") -> str | None:
    """Whom the EtcdMember names as its requester after a stored patch by that user."""
    url = f"{site.lab.node(NODE).api_url}{MEMBERS}/{NODE}?fieldManager={manager}"
    headers = {"Content-Type": "application/merge-patch+json", **as_user(user)}
    status, text = await request(url, patch, method="PATCH", headers=headers, timeout_seconds=10)
    assert status == 200, text
    names: dict[str, str] = json.loads(text)["metadata"].get("annotations") or {}
    return names.get(REQUESTER_ANNOTATION)


async def apply_requester_policy(lab: Lab, node: str) -> None:
    """The policy is in force: an API server hears of it a little later, and of the schema that it needs."""
    await lab.kubectl("apply", "--server-side", *POLICY, context=node)
    forge = ("annotate", "etcdmember", node, FORGED, "--dry-run=server", "-o", "json")

    async def undone() -> bool:
        try:
            return REQUESTER_ANNOTATION not in await lab.kubectl(*forge, context=node)
        except ProcessError as error:
            assert "There can be a delay" in str(error)  # noqa: PT017  # nothing else may fail
            return False

    await wait_until(undone, "the policy is in force", 60)


@pytest_asyncio.fixture(loop_scope="module")
async def policed(site: Site) -> AsyncIterator[Site]:
    """The site with the policy, and afterwards without it."""
    await apply_requester_policy(site.lab, NODE)
    yield site
    await patched(site, "lab", {"spec": {"leave": False}, **annotated(asks=None, by=None)})
    await site.kubectl("delete", *POLICY)

    async def forged() -> bool:
        return REQUESTER_ANNOTATION in await site.kubectl(
            "annotate", "etcdmember", NODE, FORGED, "--dry-run=server", "-o", "json"
        )

    await wait_until(forged, "the policy is in force no more", 60)


async def test_without_the_policy_the_annotation_is_what_anybody_writes(site: Site) -> None:
    """So it proves nothing."""
    assert await patched(site, "alice", FLAG) is None
    assert await patched(site, "alice", annotated(by="mallory")) == "mallory"
    assert await patched(site, "lab", {"spec": {"leave": False}, **annotated(by=None)}) is None


async def test_policy_notes_who_sets_the_flag_until_it_is_taken_back(policed: Site) -> None:
    """Whoever sets what is set already has not given the order; nobody writes the annotation by hand."""
    assert await patched(policed, "mallory", annotated(by="alice")) is None
    assert await patched(policed, "alice", {**FLAG, **annotated(by="bob")}) == "alice"
    assert await patched(policed, "bob", FLAG) == "alice"
    assert await patched(policed, "mallory", annotated(by="bob")) == "alice"
    assert await patched(policed, "mallory", annotated(by=None)) == "alice"
    assert await patched(policed, "mallory", {"metadata": {"annotations": None}}) == "alice"
    assert await patched(policed, "mallory", {"metadata": {"labels": {"zone": "a"}}}) == "alice"
    assert await patched(policed, "mallory", {"spec": {"leave": False}, **annotated(by="bob")}) is None
    assert await patched(policed, "bob", FLAG) == "bob"


async def test_policy_notes_who_sets_the_annotation_and_keeps_it_for_the_flag_that_follows(policed: Site) -> None:
    """`false` asks for nothing; a worker sets the flag once the member has left, and has not asked for that itself."""
    assert await patched(policed, "alice", annotated(asks="False")) is None
    assert await patched(policed, "alice", annotated(asks="true")) == "alice"
    assert await patched(policed, "bob", annotated(asks=" TRUE")) == "alice"
    assert await patched(policed, "bob", annotated(asks="8e9e05c52164694d")) == "bob"
    follows = {**FLAG, **annotated(asks=None)}
    assert await patched(policed, "worker", follows, manager="etcd-handoff") == "bob"
    assert await patched(policed, "alice", {"spec": {"leave": False}}) is None
    assert await patched(policed, "worker", FLAG, manager="etcd-handoff") == "worker"


async def test_policy_holds_for_an_etcdmember_that_is_created_and_for_a_real_account(policed: Site) -> None:
    """A file with the flag and a forged annotation; the account's own name, with no impersonation."""
    metadata = {"name": "another", "annotations": {REQUESTER_ANNOTATION: "mallory"}}
    for spec, by in (({"leave": True}, "alice"), ({"leave": False}, None), ({}, None)):
        made = {**MEMBER, "metadata": metadata, "spec": spec}
        status, text = await policed.ask("POST", MEMBERS, made, as_user("alice"))
        assert status == 201, text
        assert (json.loads(text)["metadata"].get("annotations") or {}).get(REQUESTER_ANNOTATION) == by
    made = {**MEMBER, "metadata": metadata, "spec": {"leave": True}}
    status, text = await policed.ask("POST", MEMBERS, made)
    assert status == 201, text
    assert json.loads(text)["metadata"]["annotations"][REQUESTER_ANNOTATION] == f"system:serviceaccount:{NAME}:{NAME}"


async def test_policy_refuses_nothing(policed: Site) -> None:
    """What the schema refuses is refused by the schema, with its words."""
    status, text = await policed.ask("PATCH", f"{MEMBERS}/{NODE}", {"spec": {"leave": "yes"}}, bearer())
    assert (status, "must be of type boolean" in text) == (422, True), text
    truth = {"status": {"memberID": "abc", "message": "Member joined"}}
    assert (await policed.ask("PATCH", f"{MEMBERS}/{NODE}/status", truth))[0] == 200


# --- the Pod ------------------------------------------------------------------------------------------------


async def test_worker_understands_its_options_and_finds_its_files(tmp_path: Path) -> None:
    """Each path in options, environment and configuration lies in a volume."""
    spec = the("Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    options = worker.parser().parse_args([text.replace("$(NODE_NAME)", "node7") for text in container["args"]])
    env = {item["name"]: item for item in container["env"]}
    assert (options.node, env["NODE_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]) == ("node7", "spec.nodeName")
    mounts = {PurePosixPath(m["mountPath"]): m for m in container["volumeMounts"]}
    assert {m["name"] for m in mounts.values()} == {volume["name"] for volume in spec["volumes"]}
    assert PurePosixPath(env[CONFIG_VARIABLE]["value"]) in mounts
    profile = configuration(tmp_path).cluster("prod")
    for path in (profile.etcd.ca_file, profile.etcd.cert_file, profile.etcd.key_file):
        assert PurePosixPath(str(path)).parent in mounts
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert spec["terminationGracePeriodSeconds"] > time_limits.WORKER.shutdown_grace.total_seconds()


async def test_probes_ask_what_the_worker_answers() -> None:
    """At its own port; without Temporal a worker is not ready and still alive, and a restart would not help."""
    (container,) = the("Deployment")["spec"]["template"]["spec"]["containers"]
    options = worker.parser().parse_args(container["args"])
    (port,) = container["ports"]
    assert parsed_address(options.probe_address) == (None, port["containerPort"])
    requests = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {get["port"] for get in requests.values()} == {port["name"]}
    paths = {probe: get["path"] for probe, get in requests.items()}
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}

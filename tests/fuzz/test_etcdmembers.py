"""Whatever an EtcdMember says, it is read without an error, keeps what is not ours, and never asks by accident."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.aio.client import ApiException

from activities.etcdmember_repairs import to_member_resource
from etcd_handoff.cluster_view import ClusterView, MemberView
from etcd_handoff.errors import KubernetesError
from etcd_handoff.etcdmember import (
    JOINED,
    DesiredStatus,
    differs,
    joined_condition,
    member_id_of,
    message_fields,
    status_for,
)
from etcd_handoff.etcdmember_events import EventSpec, event_for
from etcd_handoff.etcdmember_matching import desired_status
from etcd_handoff.etcdmember_messages import MESSAGE_REMOVED
from etcd_handoff.kubernetes.classify import classify
from etcd_handoff.reconciler import leave_orders
from etcd_handoff.reconciler.member_resources import WatchMembersResult
from etcd_handoff.reconciler.request_messages import standing_messages
from tests.fuzz.mutations import REPEATABLE, TEXTS, alike, mutated, texts, values

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW: Final = "2026-01-01T00:00:00Z"
GOOD: Final[dict[str, Any]] = {
    "apiVersion": "etcd.k0sproject.io/v1beta1",
    "kind": "EtcdMember",
    "metadata": {"name": "node0", "uid": "1-2-3", "generation": 2, "resourceVersion": "77", "labels": {"a": "b"}},
    "spec": {"leave": True},
    "status": {
        "peerAddress": "10.0.0.1",
        "memberID": "000000000000ab1f",
        "reconcileStatus": "Success",
        "message": "Member joined",
        "conditions": [{"type": JOINED, "status": "True", "lastTransitionTime": NOW, "message": "Member joined"}],
    },
}
MANAGED: Final[list[dict[str, Any]]] = [
    {"manager": "kubectl-patch", "time": NOW, "fieldsV1": {"f:spec": {"f:leave": {}}}},
    {"manager": "later", "time": "2026-02-01T00:00:00Z", "fieldsV1": {"f:spec": {".": {}, "f:leave": {}}}},
    {"manager": "etcd-handoff", "time": "2025-01-01T00:00:00Z", "fieldsV1": {"f:status": {"f:message": {}}}},
]
MEMBERS: Final = (
    MemberView(id="ab1f", name="node0", peer_urls=("https://10.0.0.1:2380",)),
    MemberView(id="ab20", name="NODE1", peer_urls=("https://[fd00::1]:2380",)),
    MemberView(id="1", name="", peer_urls=("nonsense",)),
)
VIEW: Final = ClusterView(cluster_id="1", members=MEMBERS)
truths = st.builds(
    DesiredStatus,
    st.sampled_from(["ab1f", "1", "f" * 16]),
    joined=st.booleans(),
    message=st.sampled_from([MESSAGE_REMOVED, *TEXTS]).filter(lambda text: text.isprintable()),
    failed=st.booleans(),
    peer_urls=st.sampled_from([(), ("https://10.0.0.1:2380",), ("nonsense",), ("",)]),
)

tried: dict[str, int] = {}


@pytest.fixture(scope="module", autouse=True)
def _counts() -> Iterator[None]:
    """How much was tried, for the record."""
    yield
    print(f"\netcdmembers: {sum(tried.values())} inputs: {tried}")  # noqa: T201


def merge(resource: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    """What an API server stores for a merge patch of the status."""
    old = resource.get("status")
    return {**resource, "status": {**(old if isinstance(old, dict) else {}), **status}}


def judge(resource: dict[str, Any], truth: DesiredStatus, kind: str) -> None:
    """All that is read from, and written to, an EtcdMember."""
    tried[kind] = tried.get(kind, 0) + 1
    before = copy.deepcopy(resource)
    seen = to_member_resource(resource)
    spec = resource.get("spec")
    assert seen.leave == (isinstance(spec, dict) and spec.get("leave") is True)
    orders = leave_orders.updated({}, [seen], VIEW)
    target = leave_orders.member_to_remove(orders[seen.uid], seen, VIEW)
    assert target is None or (seen.leave and target.label in ("node0", "1"))
    words = standing_messages(orders, {}, [seen], VIEW)
    assert not (words and target)
    assert WatchMembersResult(resources=(seen,)).digest == WatchMembersResult(resources=(seen,)).digest
    for members in ((), MEMBERS):
        assert re.fullmatch(r"([0-9a-f]{1,16})?", member_id_of(resource, members)), "neither an ID nor none"

    patch = status_for(resource, truth, NOW)
    patched = merge(resource, patch)
    assert status_for(patched, truth, "2027-01-01T00:00:00Z") == {}, "saying it once is not enough"
    assert joined_condition(patched) == str(truth.joined)
    assert not differs(patched, truth) or not truth.member_id
    kept = {k: v for k, v in before.items() if k != "status"}
    assert {k: v for k, v in patched.items() if k != "status"} == kept
    old, new = before.get("status"), patched["status"]
    ours = {"memberID", "peerAddress", "reconcileStatus", "message", "conditions"}
    assert {k: v for k, v in new.items() if k not in ours} == {
        k: v for k, v in (old if isinstance(old, dict) else {}).items() if k not in ours
    }

    found = desired_status(resource, MEMBERS)
    assert found is None or found.joined == (found.member_id in {m.id for m in MEMBERS})
    if found is not None:
        differs(resource, found)
    note = message_fields(resource, "words", failed=True)
    assert note == {} or joined_condition(merge(resource, note)) == joined_condition(resource)
    event = event_for(resource, EventSpec("Progress", truth.message), NOW)
    assert len(event["note"]) <= 1024
    assert resource == before, "what was read has been changed"


@settings(REPEATABLE, max_examples=250)
@given(
    status=st.dictionaries(st.sampled_from([*GOOD["status"], "extra"]), st.none() | texts)
    | st.dictionaries(texts, values, max_size=3).map(lambda extra: {**extra, **GOOD["status"]}),
    spec=st.none() | st.dictionaries(st.sampled_from(["leave", "Leave", "extra"]), values),
    conditions=st.none()
    | st.lists(st.dictionaries(st.sampled_from(["type", "status", "lastTransitionTime", "extra"]), st.none() | texts)),
    truth=truths,
)
def test_contents_of_the_right_shape(status: Any, spec: Any, conditions: Any, truth: DesiredStatus) -> None:
    """Objects and lists where the resource definition has them, and anything in them."""
    judge({**GOOD, "spec": spec, "status": {**status, "conditions": conditions}}, truth, "right shape")


@settings(REPEATABLE, max_examples=250)
@given(part=mutated({"spec": GOOD["spec"], "status": GOOD["status"]}), truth=truths)
def test_contents_of_any_shape(part: Any, truth: DesiredStatus) -> None:
    """What another definition of the resource lets through: texts for objects, numbers for texts, nothing at all."""
    judge({**GOOD, "spec": None, "status": None, **part}, truth, "any shape")


@settings(REPEATABLE, max_examples=150)
@given(fields=mutated({"managedFields": MANAGED}))
def test_managed_fields_of_any_shape(fields: Any) -> None:
    """When the flag was set is read where it stands, and is unknown otherwise; nothing else is."""
    tried["managed"] = tried.get("managed", 0) + 1
    metadata = {**GOOD["metadata"], **(fields if isinstance(fields, dict) else {})}
    seen = to_member_resource({**GOOD, "metadata": {**metadata, "name": "node0", "uid": "1-2-3", "generation": 2}})
    assert isinstance(seen.leave_since, str)
    good = {**GOOD["metadata"], "managedFields": MANAGED}
    assert to_member_resource({**GOOD, "metadata": good}).leave_since == NOW
    assert not to_member_resource({**GOOD, "metadata": good, "spec": {"leave": False}}).leave_since


@settings(REPEATABLE, max_examples=100)
@given(leave=alike("x") | values | st.sampled_from([1, 1.0, "true", "True", [True], {"leave": True}]))
def test_only_true_asks_to_leave(leave: Any) -> None:
    """Neither a text nor a number that looks like it."""
    tried["leave"] = tried.get("leave", 0) + 1
    seen = to_member_resource({**GOOD, "spec": {"leave": leave}})
    assert seen.leave is (leave is True)
    orders = leave_orders.updated({}, [seen], VIEW)
    assert bool(leave_orders.member_to_remove(orders[seen.uid], seen, VIEW)) is (leave is True)


@settings(REPEATABLE, max_examples=150)
@given(status=st.integers(0, 999) | st.none(), body=st.none() | st.text() | values.map(str) | st.sampled_from(TEXTS))
def test_answers_of_an_api_server(status: int | None, body: str | None) -> None:
    """Each refusal is an error of ours, with no more text than a log can carry."""
    tried["answers"] = tried.get("answers", 0) + 1
    refusal = ApiException(status=status, reason="why")
    refusal.body = body
    error = classify(refusal)
    assert isinstance(error, KubernetesError)
    assert len(str(error)) < 400

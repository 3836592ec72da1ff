"""What answers of API servers mean, alone and together."""

from __future__ import annotations

import json

import pytest
from kubernetes.aio.client import ApiException

from etcd_handoff.errors import (
    AdmissionError,
    ApiUnavailableError,
    ConfigError,
    ConflictError,
    HandoffError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
    UnauthenticatedError,
)
from etcd_handoff.kubernetes.classify import classify, definite, together

NAMED = {"name": "node2", "group": "etcd.k0sproject.io", "kind": "etcdmembers"}
RBAC = (
    'etcdmembers.etcd.k0sproject.io "node2" is forbidden: User "system:serviceaccount:etcd-handoff:etcd-handoff" cannot'
    ' patch resource "etcdmembers/status" in API group "etcd.k0sproject.io" at the cluster scope'
)
WEBHOOK = 'admission webhook "guard.example.com" denied the request: freeze until monday'
POLICY = (
    "etcdmembers.etcd.k0sproject.io \"node2\" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'all'"
    " denied request: freeze until monday"
)
QUOTA = 'etcdmembers.etcd.k0sproject.io "node2" is forbidden: exceeded quota: few, requested: count=1'
BROKEN_WEBHOOK = 'Internal error occurred: failed calling webhook "guard.example.com": failed to call webhook: EOF'


def answer(status: int, message: str = "text", details: object = None) -> KubernetesError:
    """Our error for a Status object."""
    error = ApiException(status=status, reason="because")
    error.body = json.dumps({"kind": "Status", "message": message, "details": details})
    return classify(error)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (403, RBAC, KubernetesPermissionError),
        (403, f"{RBAC}: RBAC: clusterrole.rbac.authorization.k8s.io not found", KubernetesPermissionError),
        (403, WEBHOOK, AdmissionError),
        (400, WEBHOOK, AdmissionError),
        (401, WEBHOOK, AdmissionError),
        (404, WEBHOOK, AdmissionError),
        (409, WEBHOOK, AdmissionError),
        (403, POLICY, AdmissionError),
        (422, POLICY, AdmissionError),
        (403, QUOTA, AdmissionError),
        (500, BROKEN_WEBHOOK, ApiUnavailableError),
        (401, "Unauthorized", UnauthenticatedError),
    ],
)
def test_refusal_is_told_in_the_words_of_whoever_refuses(
    status: int, message: str, kind: type[KubernetesError]
) -> None:
    """Rights are blamed for what the authorizer says alone; webhooks and policies choose their own status."""
    error = answer(status, message)
    assert type(error) is kind
    assert str(error) == f"{status}: {message}"
    assert ("rbac.yaml" in error.remedy) == (kind is KubernetesPermissionError)


def test_missing_object_is_told_from_a_missing_kind() -> None:
    """A Status that names an object is about it; anything else says that the kind is not served here."""
    assert type(answer(404, 'etcdmembers "node2" not found', NAMED)) is ObjectGoneError
    assert type(answer(404, "the server could not find the requested resource", {})) is KindGoneError
    assert type(answer(404, "the server could not find the requested resource", NAMED)) is KindGoneError
    page = ApiException(status=404, reason="Not Found")
    page.body = "404 page not found\n"
    assert type(classify(page)) is KindGoneError
    assert str(classify(page)) == "404: 404 page not found"


def test_what_speaks_of_the_object_alone_is_definite() -> None:
    """Other API servers would say the same of a conflict and of bad content, and of nothing else."""
    assert definite(answer(409))
    assert definite(answer(422))
    assert not any(definite(answer(status, "x", NAMED)) for status in (401, 403, 404, 429, 500, 503))
    assert definite(ConflictError("x"))
    assert definite(RejectedError("x"))


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize(
    "body", ["Client sent an HTTP request to an HTTPS server.\n", "", "{}", '{"kind": "Error"}', "[]"]
)
def test_answer_that_is_no_status_is_not_definite(status: int, body: str) -> None:
    """A proxy says so, or a server that cannot read what it is asked: the next one can."""
    error = ApiException(status=status, reason="Bad Request")
    error.body = body
    assert type(classify(error)) is ApiUnavailableError
    assert not definite(classify(error))


CALL = 'Internal error occurred: failed calling webhook "guard.example.com": failed to call webhook: '


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (f'{CALL}Post "https://u:p@guard.svc:443/check?timeout=10s": EOF', f'{CALL}Post "...": EOF'),
        (f"{CALL}dial tcp 10.96.7.7:443: connect: connection refused", "dial tcp ...: connect: connection refused"),
        (f"{CALL}dial tcp [fd00::7]:443: i/o timeout", "dial tcp ...: i/o timeout"),
        ("denied by guard.svc:8443", "denied by ..."),
        (f"{'x' * 290} https://guard.example.com:443/check", "x ..."),
    ],
)
def test_addresses_in_a_message_are_left_out(message: str, words: str) -> None:
    """Messages reach workflow histories; an address that the end of the text would cut is left out too."""
    text = str(answer(500, message))
    assert words in text
    assert not any(part in text for part in ("443", "guard.svc", "fd00", "10.96", "https", "u:p"))
    page = ApiException(status=502, reason="Bad Gateway")
    page.body = message
    assert words in str(classify(page))


GONE = answer(404, "not found", NAMED)
NO_KIND = answer(404, "404 page not found")
UNKNOWN = answer(401, "Unauthorized")
FORBIDDEN = answer(403, RBAC)
BROKEN = answer(500, "etcdserver: request timed out")
SILENT = ApiUnavailableError("no answer within 2 s")
UNUSABLE = ConfigError("there is no such context")


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([FORBIDDEN, FORBIDDEN], KubernetesPermissionError),
        ([FORBIDDEN, UNKNOWN], KubernetesPermissionError),
        ([UNKNOWN, UNKNOWN], UnauthenticatedError),
        ([UNKNOWN, SILENT, UNUSABLE], UnauthenticatedError),
        ([FORBIDDEN, BROKEN], ApiUnavailableError),
        ([FORBIDDEN, NO_KIND], ApiUnavailableError),
        ([NO_KIND, NO_KIND], KindGoneError),
        ([NO_KIND, SILENT], KindGoneError),
        ([NO_KIND, BROKEN], ApiUnavailableError),
        ([GONE, NO_KIND], ObjectGoneError),
        ([GONE, UNKNOWN], ObjectGoneError),
        ([answer(403, POLICY), SILENT], AdmissionError),
        ([answer(403, POLICY), FORBIDDEN], AdmissionError),
        ([SILENT, SILENT], ApiUnavailableError),
        ([SILENT, UNUSABLE], ApiUnavailableError),
        ([UNUSABLE, UNUSABLE], ConfigError),
    ],
)
def test_answers_together_are_what_all_that_answered_say(answers: list[HandoffError], kind: type[HandoffError]) -> None:
    """One server's refusal is no refusal while another one is only in trouble; each one's words are told."""
    named = {f"node{number}": error for number, error in enumerate(answers)}
    for order in (named, dict(reversed(named.items()))):
        error = together(order)
        assert type(error) is kind
        assert all(str(part) in str(error) for part in answers)
    if len({str(part) for part in answers}) > 1:
        assert all(f"{name}: " in str(error) for name in named)


@pytest.mark.parametrize(("other", "certain"), [(NO_KIND, True), (SILENT, False), (UNUSABLE, False)])
def test_missing_kind_is_certain_when_all_say_so(other: HandoffError, *, certain: bool) -> None:
    """Who is silent may serve it, unless it is the departing node's, which nobody waits for."""
    error = together({"node0": NO_KIND, "node1": other})
    assert isinstance(error, KindGoneError)
    assert error.certain is certain
    departing = together({"node0": NO_KIND, "node1": other}, {"node1"})
    assert isinstance(departing, KindGoneError)
    assert departing.certain


@pytest.mark.parametrize(("other", "certain"), [(GONE, True), (SILENT, False), (UNKNOWN, False), (NO_KIND, False)])
def test_missing_object_is_certain_when_all_say_so(other: HandoffError, *, certain: bool) -> None:
    """Who did not say so may know of it."""
    error = together({"node0": GONE, "node1": other})
    assert isinstance(error, ObjectGoneError)
    assert error.certain is certain

"""What etcd, gRPC and the Kubernetes API answer, in our words: which error, and may anything have changed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client import ApiException

from etcd_handoff import errors
from etcd_handoff.errors import (
    ApiUnavailableError,
    BadTransfereeError,
    CompactedError,
    ConflictError,
    CorruptClusterError,
    EtcdError,
    EtcdPermissionError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    LearnerEndpointError,
    MemberNotFoundError,
    NotEnoughStartedError,
    NotLeaderError,
    RejectedError,
    SpaceExceededError,
    TransferTimeoutError,
    UnauthenticatedError,
    UnhealthyClusterError,
    UnknownOutcomeError,
    UnreachableError,
)
from etcd_handoff.etcd.classify import (
    BY_MESSAGE,
    GRANT_ROOT,
    NO_ANSWER_REMEDY,
    classify,
    permission_remedy,
    readable,
    remedy_for,
)
from etcd_handoff.kubernetes import classify as kubernetes_errors

DEFINITE = [
    ("etcdserver: member not found", "NOT_FOUND", MemberNotFoundError),
    (
        "etcdserver: re-configuration failed due to not enough started members",
        "UNKNOWN",
        NotEnoughStartedError,
    ),
    (
        "etcdserver: re-configuration failed due to not enough started members",
        "FAILED_PRECONDITION",
        NotEnoughStartedError,
    ),
    ("etcdserver: unhealthy cluster", "UNAVAILABLE", UnhealthyClusterError),
    ("etcdserver: not leader", "FAILED_PRECONDITION", NotLeaderError),
    ("etcdserver: bad leader transferee", "FAILED_PRECONDITION", BadTransfereeError),
    ("etcdserver: request timed out, leader transfer took too long", "UNKNOWN", TransferTimeoutError),
    ("etcdserver: request timed out, leader transfer took too long", "UNAVAILABLE", TransferTimeoutError),
    ("etcdserver: rpc not supported for learner", "FAILED_PRECONDITION", LearnerEndpointError),
    ("etcdserver: rpc not supported for learner", "UNAVAILABLE", LearnerEndpointError),
    ("etcdserver: permission denied", "PERMISSION_DENIED", EtcdPermissionError),
    (
        "etcdserver: authentication failed, invalid user ID or password",
        "INVALID_ARGUMENT",
        EtcdPermissionError,
    ),
    ("etcdserver: invalid auth token", "UNAUTHENTICATED", EtcdPermissionError),
    ("etcdserver: user name is empty", "INVALID_ARGUMENT", EtcdPermissionError),
    ("etcdserver: authentication is not enabled", "FAILED_PRECONDITION", EtcdPermissionError),
    ("etcdserver: permission is not granted to the user", "FAILED_PRECONDITION", EtcdPermissionError),
    ("etcdserver: user name not found", "FAILED_PRECONDITION", EtcdPermissionError),
    ("etcdserver: corrupt cluster", "DATA_LOSS", CorruptClusterError),
    ("etcdserver: mvcc: database space exceeded", "RESOURCE_EXHAUSTED", SpaceExceededError),
    ("etcdserver: mvcc: required revision has been compacted", "OUT_OF_RANGE", CompactedError),
    ("etcdserver: mvcc: required revision is a future revision", "OUT_OF_RANGE", CompactedError),
]
AMBIGUOUS = [
    ("raft: stopped", "UNKNOWN"),
    ("raft proposal dropped", "UNKNOWN"),
    ("etcdserver: server stopped", "UNAVAILABLE"),
    ("etcdserver: leader changed", "UNAVAILABLE"),
    ("etcdserver: no leader", "UNAVAILABLE"),
    ("etcdserver: request timed out", "UNAVAILABLE"),
    ("etcdserver: request timed out, possibly due to previous leader failure", "UNAVAILABLE"),
    ("etcdserver: request timed out, possibly due to connection lost", "UNAVAILABLE"),
    ("etcdserver: request timed out, waiting for the applied index took too long", "UNAVAILABLE"),
    ("etcdserver: too many requests", "RESOURCE_EXHAUSTED"),
    ("Deadline Exceeded", "DEADLINE_EXCEEDED"),
    ("Socket closed", "UNAVAILABLE"),
    ("Channel closed!", "CANCELLED"),
    ("", "UNKNOWN"),
    ("", "INTERNAL"),
]
"""What leaves the effect of a change open: the state has to be read again."""


@pytest.mark.parametrize("change", [True, False])
@pytest.mark.parametrize(("message", "code", "error"), DEFINITE)
def test_known_words_have_one_class(message: str, code: str, error: type[EtcdError], *, change: bool) -> None:
    """Words decide, for changes and for reads, whatever the code says."""
    assert classify(message, code, change=change) is error


@pytest.mark.parametrize(("message", "error"), sorted({(m, e) for m, _, e in DEFINITE}, key=str))
@pytest.mark.parametrize("code", ["UNKNOWN", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "PERMISSION_DENIED"])
def test_code_never_overrules_the_words(message: str, error: type[EtcdError], code: str) -> None:
    """The wire code differs between releases of etcd and misleads; the words stay."""
    assert classify(message, code, change=True) is error


@pytest.mark.parametrize(("message", "code"), AMBIGUOUS)
def test_unlisted_answer_to_a_change_has_an_unknown_outcome(message: str, code: str) -> None:
    """A change that got no definite answer may have taken effect, and says so."""
    error = classify(message, code, change=True)
    assert error is UnknownOutcomeError
    assert error.may_have_changed


@pytest.mark.parametrize(("message", "code"), AMBIGUOUS)
def test_unlisted_answer_to_a_read_means_unreachable(message: str, code: str) -> None:
    """A read changes nothing, so its failure says only that this member gave no answer."""
    error = classify(message, code, change=False)
    assert error is UnreachableError
    assert not error.may_have_changed


@pytest.mark.parametrize("change", [True, False])
def test_permission_denied_needs_no_words(*, change: bool) -> None:
    """Authorisation by a proxy comes with words of its own; the code is enough."""
    assert classify("RBAC: access denied", "PERMISSION_DENIED", change=change) is EtcdPermissionError


@given(st.text(max_size=40), st.sampled_from(["UNKNOWN", "UNAVAILABLE", "ABORTED", "OK", ""]))
def test_no_other_words_make_a_failed_change_harmless(message: str, code: str) -> None:
    """Only etcd's own words can say that a failed change was without effect."""
    assert classify(message, code, change=True) is not UnreachableError


def test_errors_that_leave_the_effect_open_are_these() -> None:
    """Every other error of etcd means that nothing changed."""
    found = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, EtcdError)}
    assert {e for e in found if e.may_have_changed} == {UnknownOutcomeError, TransferTimeoutError}


# --- readable -----------------------------------------------------------------------------------------------

REFUSED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: "
    "Failed to connect to remote host: connect: Connection refused (111)"
)
SILENT = (
    "failed to connect to all addresses; last error: UNAVAILABLE: ipv6:%5Bfd00::1%5D:2379: "
    "connection attempt timed out before receiving SETTINGS frame"
)
UNTRUSTED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: Ssl handshake failed "
    "(TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:"
    "CERTIFICATE_VERIFY_FAILED"
)
PLAIN = "ipv4:10.0.0.1:2379: Ssl handshake failed: SSL_ERROR_SSL: OPENSSL_internal:WRONG_VERSION_NUMBER"
MISNAMED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: "
    "Peer name node0.example is not in peer certificate"
)
UNSUPPORTED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:21172: Tls handshake failed "
    "(TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:10000410:SSL routines:OPENSSL_internal:"
    "SSLV3_ALERT_HANDSHAKE_FAILURE: Invalid certificate verification context: OK"
)
RESET = "recvmsg:Connection reset by peer ipv4:10.0.0.1:2379"
MESSAGES = [
    (REFUSED, "UNAVAILABLE", "connection refused"),
    (SILENT, "UNAVAILABLE", "no connection in time"),
    (UNTRUSTED, "UNAVAILABLE", "TLS handshake failed (CERTIFICATE_VERIFY_FAILED)"),
    (PLAIN, "UNAVAILABLE", "TLS handshake failed (WRONG_VERSION_NUMBER)"),
    ("ipv4:10.0.0.1:2379: Peer handshake aborted", "UNAVAILABLE", "TLS handshake failed"),
    (RESET, "UNAVAILABLE", "connection reset"),
    (
        "last error: UNAVAILABLE: ipv4:10.0.0.1:2379: Unwrap failed (TSI_DATA_CORRUPTED)",
        "UNAVAILABLE",
        "TLS ended by the server (it may refuse the client certificate)",
    ),
    (
        UNSUPPORTED,
        "UNAVAILABLE",
        "TLS handshake failed (the server's key type may not be one of P-256, P-384 and RSA)",
    ),
    (MISNAMED, "UNAVAILABLE", "TLS handshake failed (the certificate is for another name)"),
    ("DNS resolution failed for node0.example:2379: ENOTFOUND", "UNAVAILABLE", "host name cannot be resolved"),
    ("dial tcp 10.0.0.1:2379: i/o timeout", "UNAVAILABLE", "unavailable"),
    ("lookup node0 on 10.0.0.10:53: no such host", "PERMISSION_DENIED", "permission denied"),
    ("", "UNAVAILABLE", "unavailable"),
]


@pytest.mark.parametrize(("message", "code", "text"), MESSAGES)
def test_grpc_speaks_in_a_few_words(message: str, code: str, text: str) -> None:
    """What gRPC goes on about for lines, and with addresses, is said in a few words without."""
    assert readable(message, code) == text


@pytest.mark.parametrize("message", sorted({m for m, _, _ in DEFINITE} | {m for m, _ in AMBIGUOUS if "raft" in m}))
def test_etcds_own_words_stay(message: str) -> None:
    """They are constants that operators search for."""
    assert readable(message, "UNKNOWN") == message


@pytest.mark.parametrize("words", [words for words, error in BY_MESSAGE if error is EtcdPermissionError])
def test_refused_permission_has_one_remedy_everywhere(words: str) -> None:
    """Workflows and the command line give the same one, made for these words; words of another etcd want the role."""
    message = f"etcdserver: {words}"
    assert permission_remedy(message) == remedy_for(message) != NO_ANSWER_REMEDY
    assert permission_remedy("etcdserver: something new") == GRANT_ROOT


def test_deadline_names_the_time() -> None:
    """No answer in time: how long was waited, where that is known."""
    assert readable("Deadline Exceeded", "DEADLINE_EXCEEDED", 1.0) == "no answer within 1 s"
    assert readable("ipv4:10.0.0.1:2379", "DEADLINE_EXCEEDED") == "no answer in time"


HOST = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.sampled_from(["etcd0", "etcd-0.etcd.svc", "node2.example.com", "kontroller", "10-0-0-1.lan", "UPPER"]),
)
WRITTEN = st.sampled_from(
    (
        *("{0}", "{0}:2379", "[{0}]:2379", "http://{0}:2379", "https://{0}/v3", "dns:///{0}:2379", "ipv4:{0}:2379"),
        *("ipv6:%5B{0}%5D:2379", "Peer name {0}", "lookup {0} on", "user@{0}", "<{0}>"),
    )
)
"""Ways in which gRPC, Go and proxies write a host."""
AROUND = st.sampled_from(
    (
        *("", "last error: ", "dial tcp ", "(", "to ", "UNAVAILABLE: ", "Ssl handshake failed: ", ": broken pipe"),
        *(" is down", ": Connection refused", ": Socket closed", ")", "CERTIFICATE_", " is not in peer certificate"),
    )
)


@given(before=AROUND, written=WRITTEN, host=HOST, after=AROUND, code=st.sampled_from(["UNAVAILABLE", "UNKNOWN"]))
def test_no_host_is_readable(before: str, written: str, host: str, after: str, code: str) -> None:
    """Messages reach workflow histories, which hold no endpoints: neither addresses nor names."""
    assert host not in readable(f"{before}{written.format(host)}{after}", code)


@given(written=WRITTEN, host=HOST.filter(lambda h: not h.isalpha()), after=AROUND)
def test_no_address_hides_behind_etcds_prefix(written: str, host: str, after: str) -> None:
    """Only words of letters count as etcd's own."""
    for prefix in ("etcdserver: ", "raft: ", "etcdserver: mvcc: "):
        assert host not in readable(f"{prefix}{written.format(host)}{after}", "UNKNOWN")


@given(st.text(max_size=2_000), st.sampled_from(["UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED"]))
def test_readable_says_something_and_is_short(message: str, code: str) -> None:
    """Never empty, never more than a line's worth."""
    assert 0 < len(readable(message, code)) <= 200
    assert "\n" not in readable(message, code)


# --- Kubernetes ---------------------------------------------------------------------------------------------


def answer(status: int, body: object = None, reason: str = "because") -> KubernetesError:
    """Our error for an HTTP answer with this body."""
    error = ApiException(status=status, reason=reason)
    error.body = body if body is None or isinstance(body, str) else json.dumps(body)
    return kubernetes_errors.classify(error)


@pytest.mark.parametrize(
    ("status", "kind", "definite"),
    [
        (400, RejectedError, True),
        (401, UnauthenticatedError, True),
        (403, KubernetesPermissionError, True),
        (404, KindGoneError, True),
        (409, ConflictError, True),
        (422, RejectedError, True),
        (408, ApiUnavailableError, False),
        (429, ApiUnavailableError, False),
        (500, ApiUnavailableError, False),
        (502, ApiUnavailableError, False),
        (503, ApiUnavailableError, False),
        (504, ApiUnavailableError, False),
        (0, ApiUnavailableError, False),
    ],
)
def test_http_status_decides(status: int, kind: type[KubernetesError], *, definite: bool) -> None:
    """The class follows the status, and whether anything may have changed follows the class."""
    found = answer(status, {"kind": "Status", "message": "said"})
    assert type(found) is kind
    assert found.may_have_changed is not definite
    assert str(found) == f"{status}: said"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "Status", "message": 'etcdmembers "a" not found'}, '500: etcdmembers "a" not found'),
        ({"kind": "Status"}, "500: because"),
        ({"message": ""}, "500: because"),
        ("etcdserver: request timed out", "500: etcdserver: request timed out"),
        ("[]", "500: []"),
        ("null", "500: null"),
        ('"text"', '500: "text"'),
        ("", "500: because"),
        (None, "500: because"),
    ],
)
def test_message_is_the_servers_own(body: object, message: str) -> None:
    """The `message` of a Status object, else the body, else the reason; a proxy's odd answer never raises."""
    assert str(answer(500, body)) == message


def test_message_is_cut() -> None:
    """A page of HTML from a proxy does not fill the history."""
    assert len(str(answer(502, "<html>" * 1_000))) < 320

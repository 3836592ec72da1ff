"""Map errors of etcd and gRPC to our classes, to a text without addresses, and to a remedy. Pure.

The text decides before the code.
"""

from __future__ import annotations

import re
from typing import Final

from etcd_handoff.errors import (
    BadTransfereeError,
    ChangeRefusedError,
    CompactedError,
    CorruptClusterError,
    EtcdError,
    EtcdPermissionError,
    LearnerEndpointError,
    MemberNotFoundError,
    NotEnoughStartedError,
    NotLeaderError,
    SpaceExceededError,
    TransferTimeoutError,
    UnhealthyClusterError,
    UnknownOutcomeError,
    UnreachableError,
)

BY_MESSAGE: Final[tuple[tuple[str, type[EtcdError]], ...]] = (
    ("not leader", NotLeaderError),
    ("bad leader transferee", BadTransfereeError),
    ("leader transfer took too long", TransferTimeoutError),
    ("unhealthy cluster", UnhealthyClusterError),
    ("not enough started members", NotEnoughStartedError),
    ("can only promote a learner member", ChangeRefusedError),
    ("too many learner members", ChangeRefusedError),
    ("Peer URLs already exists", ChangeRefusedError),
    ("member ID already exist", ChangeRefusedError),
    ("member not found", MemberNotFoundError),
    ("not supported for learner", LearnerEndpointError),
    ("required revision has been compacted", CompactedError),
    ("required revision is a future revision", CompactedError),
    ("corrupt cluster", CorruptClusterError),
    ("database space exceeded", SpaceExceededError),
    ("permission denied", EtcdPermissionError),
    ("permission is not granted", EtcdPermissionError),
    ("authentication failed", EtcdPermissionError),
    ("user name is empty", EtcdPermissionError),
    ("user name not found", EtcdPermissionError),
    ("authentication is not enabled", EtcdPermissionError),
    ("invalid auth token", EtcdPermissionError),
)
"""etcd's messages, without their `etcdserver: ` prefix, and our class.

The message decides before the code, because codes mislead. A refusal by etcd's health guard arrives as Unavailable,
like a broken connection. Several errors that clients know by name arrive as Unknown (etcd
`api/v3rpc/rpctypes/error.go`). A change whose error is not listed here has an unknown outcome."""

GRANT_ROOT: Final = EtcdPermissionError.remedy
REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("authentication is not enabled", "remove username and password_file from the profile, or enable auth in etcd"),
    ("authentication failed", "correct username, and the password in the first line of password_file"),
    (
        "user name not found",
        "add an etcd user with the client certificate's common name and the root role, or use another certificate",
    ),
    ("user name is empty", "auth is on: give the profile username and password_file of a user with the root role"),
    ("invalid auth token", "look at etcd's log: it does not accept tokens that it gave"),
    ("permission denied", GRANT_ROOT),
    ("permission is not granted", GRANT_ROOT),
    ("for another name", "set tls_server_name to a name in the members' certificates"),
    ("CERTIFICATE_VERIFY_FAILED", "ca_file must hold the authority that signed the members' certificates"),
    ("WRONG_VERSION_NUMBER", "the member seems to serve plain http: write http://, and name no certificates"),
    ("ALERT", "the member refuses the client certificate: cert_file must be signed by an authority that it trusts"),
    ("HANDSHAKE", "the member refuses the client certificate: cert_file must be signed by an authority that it trusts"),
    (
        "it may refuse the client certificate",
        "name cert_file and key_file in the profile, signed by the authority in the member's --trusted-ca-file",
    ),
    ("TLS handshake failed", "check ca_file, cert_file and key_file, and that the member serves https"),
    ("cannot be read", "correct the path or its permissions"),
    ("no leader", "start enough members for a majority"),
    ("request timed out", "start enough members for a majority"),
    ("cannot be resolved", "correct the host name, or the resolver of this machine"),
    ("connection closed", "check that a member runs there; if it serves https, write https://"),
    ("connection reset", "check that a member runs there; if it serves https, write https://"),
)
"""The remedy for an error, by a part of its text as `readable` returns it. The first match counts."""
NO_ANSWER_REMEDY: Final = (
    "start the member there, or make it reachable from here; if it has left for good, remove the endpoint from the"
    " profile"
)
SERVER_WORDS: Final = re.compile(r"(?:etcdserver: |raft[: ] ?)(?:mvcc: |auth: )?[A-Za-z ,'-]{1,120}")
"""A message of etcd itself: constant words without a digit, dot or slash, so without an address."""
GRPC_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("onnection refused", "connection refused"),
    ("connection attempt timed out", "no connection in time"),
    ("onnection reset", "connection reset"),
    ("ocket closed", "connection closed"),
    ("roken pipe", "connection closed"),
    ("o route to host", "no route to the host"),
    ("etwork is unreachable", "network is unreachable"),
    ("name resolution", "host name cannot be resolved"),
    ("DNS resolution failed", "host name cannot be resolved"),
    ("in peer certificate", "TLS handshake failed (the certificate is for another name)"),
    ("Hostname Verification Check failed", "TLS handshake failed (the certificate is for another name)"),
    # With TLS 1.3 a server checks the client's certificate after the handshake, and ends the connection with an alert.
    ("Unwrap failed", "TLS ended by the server (it may refuse the client certificate)"),
    # The server has no signature algorithm that the client offers: gRPC's TLS takes P-256, P-384 and RSA keys.
    ("ALERT_HANDSHAKE_FAILURE", "TLS handshake failed (the server's key type may not be one of P-256, P-384 and RSA)"),
)
"""Parts of gRPC's messages, which otherwise name hosts and addresses, and our text."""
TLS_CAUSE: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|[A-Z]+_ALERT_[A-Z_]+|ALERT_[A-Z_]+")


def remedy_for(text: str) -> str:
    """Return the remedy for an error of etcd, or of a connection to it, with this text."""
    return _remedy(text, NO_ANSWER_REMEDY)


def permission_remedy(text: str) -> str:
    """Return the remedy for an `EtcdPermissionError` with this text."""
    return _remedy(text, GRANT_ROOT)


def _remedy(text: str, otherwise: str) -> str:
    return next((remedy for part, remedy in REMEDIES if part in text), otherwise)


def classify(message: str, code: str, *, change: bool) -> type[EtcdError]:
    """Return our class for an answer of etcd or gRPC.

    Args:
        message: The server's message, or gRPC's if no server answered.
        code: The name of the gRPC status code, such as `UNAVAILABLE`.
        change: Whether the call was to change something. Then an unlisted answer leaves its effect unknown.
    """
    for words, error in BY_MESSAGE:
        if words in message:
            return error
    if code == "PERMISSION_DENIED":
        return EtcdPermissionError
    return UnknownOutcomeError if change else UnreachableError


def readable(server_text: str, code: str, timeout_seconds: float | None = None) -> str:
    """Return `server_text` if it is known to contain no host and no address, else the code's name."""
    if code == "DEADLINE_EXCEEDED":
        return f"no answer within {timeout_seconds:g} s" if timeout_seconds else "no answer in time"
    if SERVER_WORDS.fullmatch(server_text):
        return server_text
    for words, ours in GRPC_WORDS:
        if words in server_text:
            return ours
    if "handshake" in server_text or "SSL" in server_text:
        cause = TLS_CAUSE.search(server_text)
        return f"TLS handshake failed{f' ({cause[0]})' if cause else ''}"
    return code.lower().replace("_", " ")

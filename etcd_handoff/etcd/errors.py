"""What an error of etcd's or gRPC's means to us, and what of its words may be shown. Pure; words come before codes."""

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
"""etcd's words, without their `etcdserver: ` prefix, and our class.

Words come before codes, because codes mislead: a refusal by etcd's health guard arrives as Unavailable, like a broken
connection, and several errors that clients know by name arrive as Unknown (etcd `api/v3rpc/rpctypes/error.go`).
Everything that is not listed has an unknown outcome when it was a change.
"""

REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("authentication is not enabled", "take username and password_file out of the profile, or enable authentication"),
    ("authentication failed", "correct username and password_file of the profile"),
    ("user name is empty", "give the profile username and password_file of a user with the root role"),
    ("user name not found", "give the profile a user that etcd has; a client certificate's common name counts as one"),
    ("invalid auth token", "look at etcd's log: it does not accept tokens that it gave"),
)
"""What to do about each refusal of a permission; otherwise the user lacks a role."""
ROOT_REMEDY: Final = "give the profile a user with the root role"
SERVER_WORDS: Final = re.compile(r"(?:etcdserver: |raft[: ] ?)(?:mvcc: |auth: )?[A-Za-z ,'-]{1,120}")
"""A text of etcd's own: constant words, no digit, dot or slash, and so no address."""
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
    # The server has no signature algorithm that the client offers: gRPC's TLS takes P-256, P-384 and RSA keys.
    ("ALERT_HANDSHAKE_FAILURE", "TLS handshake failed (the server's key type may not be one of P-256, P-384 and RSA)"),
)
"""Words of gRPC's, which otherwise names hosts and addresses, and ours."""
TLS_CAUSE: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|[A-Z]+_ALERT_[A-Z_]+|ALERT_[A-Z_]+")


def permission_remedy(words: str) -> str:
    """What an operator can do about a refusal that reads like this."""
    return next((remedy for server_text, remedy in REMEDIES if server_text in words), ROOT_REMEDY)


def classify(message: str, code: str, *, change: bool) -> type[EtcdError]:
    """Our class for what etcd or gRPC answered; `code` is gRPC's name, such as `UNAVAILABLE`.

    Args:
        message: The server's words, or gRPC's where no server spoke.
        code: gRPC status code by name.
        change: Whether the call was to change something: then an unlisted answer leaves its effect unknown.
    """
    for words, error in BY_MESSAGE:
        if words in message:
            return error
    if code == "PERMISSION_DENIED":
        return EtcdPermissionError
    return UnknownOutcomeError if change else UnreachableError


def readable(server_text: str, code: str, timeout_seconds: float | None = None) -> str:
    """`server_text` in words that are known to hold no host and no address, else no more than the code's name."""
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

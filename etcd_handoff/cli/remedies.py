"""What to do about an error of etcd's or of a connection to it, by its words. Pure."""

from __future__ import annotations

from typing import Final

BY_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("authentication is not enabled", "take username and password_file out of the profile, or enable auth in etcd"),
    ("invalid user ID or password", "correct username, and the password in the first line of password_file"),
    ("authentication failed", "correct username, and the password in the first line of password_file"),
    (
        "user name not found",
        "etcd has no user named like the client certificate's common name: add it with the role root, or use another",
    ),
    ("user name is empty", "auth is on: give username and password_file of a user with the role root"),
    ("permission denied", "grant the role root: `etcdctl user grant-role NAME root`"),
    ("permission is not granted", "grant the role root: `etcdctl user grant-role NAME root`"),
    ("for another name", "set tls_server_name to a name that stands in the members' certificates"),
    ("CERTIFICATE_VERIFY_FAILED", "ca_file must hold the authority that signed the members' certificates"),
    ("WRONG_VERSION_NUMBER", "the member seems to serve plain http there: write http://, without certificates"),
    ("ALERT", "the member does not take the client certificate: its authority must have signed cert_file"),
    ("HANDSHAKE", "the member does not take the client certificate: its authority must have signed cert_file"),
    ("TLS handshake failed", "check ca_file, cert_file and key_file, and that the member serves https there"),
    ("cannot be read", "correct the path or its permissions"),
    ("no leader", "bring a majority of the members back"),
    ("request timed out", "bring a majority of the members back"),
    ("cannot be resolved", "correct the host name, or the resolver of this machine"),
    ("connection closed", "is a member running there, and does it serve https? then write https://"),
    ("connection reset", "is a member running there, and does it serve https? then write https://"),
)
NOBODY: Final = (
    "start the member there, or make it reachable from here; take the endpoint out when it has left for good"
)


def remedy_for(text: str) -> str:
    """The remedy for the first cause that the text names."""
    return next((remedy for words, remedy in BY_WORDS if words in text), NOBODY)

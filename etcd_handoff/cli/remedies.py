"""What to do about an error of etcd or of a connection to it, by its text. Pure."""

from __future__ import annotations

from typing import Final

REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("authentication is not enabled", "take username and password_file out of the profile, or enable auth in etcd"),
    ("invalid user ID or password", "correct username, and the password in the first line of password_file"),
    ("authentication failed", "correct username, and the password in the first line of password_file"),
    (
        "user name not found",
        "add an etcd user with the client certificate's common name and the role root, or use another certificate",
    ),
    ("user name is empty", "auth is on: give username and password_file of a user with the role root"),
    ("permission denied", "grant the role root: `etcdctl user grant-role NAME root`"),
    ("permission is not granted", "grant the role root: `etcdctl user grant-role NAME root`"),
    ("for another name", "set tls_server_name to a name in the members' certificates"),
    ("CERTIFICATE_VERIFY_FAILED", "ca_file must hold the authority that signed the members' certificates"),
    ("WRONG_VERSION_NUMBER", "the member seems to serve plain http: write http://, and name no certificates"),
    ("ALERT", "the member refuses the client certificate: cert_file must be signed by an authority that it trusts"),
    ("HANDSHAKE", "the member refuses the client certificate: cert_file must be signed by an authority that it trusts"),
    ("TLS handshake failed", "check ca_file, cert_file and key_file, and that the member serves https"),
    ("cannot be read", "correct the path or its permissions"),
    ("no leader", "start enough members for a majority"),
    ("request timed out", "start enough members for a majority"),
    ("cannot be resolved", "correct the host name, or the resolver of this machine"),
    ("connection closed", "check that a member runs there; if it serves https, write https://"),
    ("connection reset", "check that a member runs there; if it serves https, write https://"),
)
NO_ANSWER: Final = (
    "start the member there, or make it reachable from here; if it has left for good, take the endpoint out of the"
    " profile"
)


def remedy_for(text: str) -> str:
    """Return the remedy for the first cause that the text names."""
    return next((remedy for cause, remedy in REMEDIES if cause in text), NO_ANSWER)

"""The certificate that API servers show if nothing verifies it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY: Final = "apiserver-ca.crt"
"""File with the authority beside the certificate, for programs that verify it anyway."""


def flags(folder: Path) -> list[str]:
    """Write a certificate into `folder`, and return API servers' flags for it; none without trustme.

    Without one, an API server creates an RSA key and an authority, which takes a quarter of its start.
    """
    pems = _pems()
    if pems is None:
        return []
    pem, authority = pems
    file = folder / "apiserver.pem"
    file.write_bytes(pem)
    (folder / AUTHORITY).write_bytes(authority)
    return [f"--tls-cert-file={file}", f"--tls-private-key-file={file}"]


@cache
def _pems() -> tuple[bytes, bytes] | None:
    """Return a certificate with its key, and its authority's certificate; the same for all labs of this process."""
    try:
        import trustme  # noqa: PLC0415  # a plain lab needs no trustme
    except ModuleNotFoundError:
        return None
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    own = b"".join([*(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()])
    return own, authority.cert_pem.bytes()

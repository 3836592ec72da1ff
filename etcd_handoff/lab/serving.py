"""The certificate that API servers show where nobody has to check it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY: Final = "apiserver-ca.crt"
"""File beside the certificate, for who checks it all the same."""


def flags(folder: Path) -> list[str]:
    """Flags of API servers that name a certificate in `folder`, which is written; none where trustme lacks.

    An API server without one makes an RSA key and an authority, which takes a quarter of its start.
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
    """A certificate with its key, and its authority's certificate: the same for all labs of this process."""
    try:
        import trustme  # noqa: PLC0415  # a plain lab needs no trustme
    except ModuleNotFoundError:
        return None
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    own = b"".join([*(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()])
    return own, authority.cert_pem.bytes()

"""The certificate that API servers show in a lab without TLS between its other parts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY = "ca.crt"
"""Name of the authority's file, for who wants to check the certificate."""


def flags(folder: Path) -> list[str]:
    """Flags of API servers that name a certificate in `folder`, which is written; none where trustme lacks.

    An API server without one makes an RSA key and an authority, which takes a quarter of its start.
    """
    issued = _issued()
    if issued is None:
        return []
    authority, pair = issued
    (folder / AUTHORITY).write_bytes(authority)
    file = folder / "apiserver.pem"
    file.write_bytes(pair)
    return [f"--tls-cert-file={file}", f"--tls-private-key-file={file}"]


@cache
def _issued() -> tuple[bytes, bytes] | None:
    """An authority's certificate, and one with its key, the same for all labs of this process."""
    try:
        import trustme  # noqa: PLC0415  # a plain lab needs no trustme
    except ModuleNotFoundError:
        return None
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    return authority.cert_pem.bytes(), chain + leaf.private_key_pem.bytes()

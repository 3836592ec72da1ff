"""The certificate that API servers show where nobody checks it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def flags(folder: Path) -> list[str]:
    """Flags of API servers that name a certificate in `folder`, which is written; none where trustme lacks.

    An API server without one makes an RSA key and an authority, which takes a quarter of its start.
    """
    pem = _pem()
    if pem is None:
        return []
    file = folder / "apiserver.pem"
    file.write_bytes(pem)
    return [f"--tls-cert-file={file}", f"--tls-private-key-file={file}"]


@cache
def _pem() -> bytes | None:
    """A certificate with its key, the same for all labs of this process."""
    try:
        import trustme  # noqa: PLC0415  # a plain lab needs no trustme
    except ModuleNotFoundError:
        return None
    issued = trustme.CA().issue_cert("127.0.0.1", "localhost")
    return b"".join([*(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()])

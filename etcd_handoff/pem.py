"""Read PEM files: whether a certificate or key can be used, and when a certificate ends. No gRPC, no network."""

from __future__ import annotations

import base64
import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from etcd_handoff.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
KEY: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----")
ENCRYPTED: Final = ("BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED")
VERSION, UTC_TIME = 0xA0, 0x17
"""Tags of DER (X.690)."""
VALIDITY: Final = 3
"""Its place in a certificate after the version (RFC 5280, 4.1)."""


def expiries(text: str) -> list[datetime]:
    """Return until when each certificate in a PEM text is valid, in its order.

    Raises:
        ConfigError: One of them is broken.
    """
    try:
        return [_expiry(base64.b64decode(block, validate=False)) for block in CERTIFICATE.findall(text)]
    except (ValueError, IndexError):
        msg = "has a broken certificate"
        raise ConfigError(msg) from None


def check_authorities(path: Path) -> None:
    """Check that the file holds certificates of authorities.

    Raises:
        ConfigError: It does not; the message says what it holds instead.
    """
    text = read(path)
    _require_certificates(text)
    bare = "\n".join(block.group() for block in CERTIFICATE.finditer(text))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bare)
    except (ssl.SSLError, ValueError):
        msg = "has a broken certificate"
        raise ConfigError(msg) from None


def check_certificate(path: Path) -> None:
    """Check that the file holds a certificate.

    Raises:
        ConfigError: It does not; the message says what it holds instead.
    """
    text = read(path)
    _require_certificates(text)
    expiries(text)


def check_key(path: Path, certificate: Path) -> None:
    """Check that the file holds the private key of this certificate.

    Raises:
        ConfigError: It does not; the message says why.
    """
    text = read(path)
    if any(words in text for words in ENCRYPTED):
        msg = "has an encrypted key; store it without a passphrase, readable for the worker alone"
        raise ConfigError(msg)
    if not KEY.search(text):
        msg = f"holds no private key{_instead(text)}"
        raise ConfigError(msg)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, path, password="")
    except ssl.SSLError as error:
        other = error.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
        msg = f"is not the key of the certificate in {certificate}" if other else "has a broken key"
        raise ConfigError(msg) from None


def read(path: Path) -> str:
    """Return the text of a PEM file.

    Raises:
        ConfigError: It cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        msg = f"cannot be read: {error.strerror}; correct the path or its permissions"
        raise ConfigError(msg) from None


def _require_certificates(text: str) -> None:
    if not CERTIFICATE.search(text):
        msg = f"holds no certificate{_instead(text)}"
        raise ConfigError(msg)


def _instead(text: str) -> str:
    """Return what a PEM text holds in place of what it should."""
    if not text.strip():
        return ": it is empty"
    kinds = sorted(set(re.findall(r"-----BEGIN ([A-Z0-9 ]+)-----", text)))
    return f", but: {', '.join(kind.lower() for kind in kinds)}" if kinds else ": it is no PEM file"


def _expiry(der: bytes) -> datetime:
    """Return until when a certificate is valid (RFC 5280, 4.1)."""
    ((_, whole),) = _parts(der)
    body = next(_parts(whole))[1]
    fields = [(tag, value) for tag, value in _parts(body) if tag != VERSION]
    _, (tag, value) = _parts(fields[VALIDITY][1])
    return _time(tag, value.decode("ascii"))


def _time(tag: int, text: str) -> datetime:
    """Return the time of a UTCTime or a GeneralizedTime.

    UTCTime has two digits for the year, 1950 to 2049 (RFC 5280, 4.1.2.5.1). GeneralizedTime has four.
    """
    if tag == UTC_TIME:
        text = f"{'19' if int(text[:2]) >= 50 else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each of the consecutive values in DER."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length >= 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            msg = "cut off"
            raise ValueError(msg)
        yield tag, data[at : at + length]
        at += length

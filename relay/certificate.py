"""The certificate of a relay's WebSocket port: given, or made by itself.

A made one is trusted by nobody but those who know its pin, the SHA-256 of the
certificate, which stands in the relay's address: ``wss://HOST:PORT#sha256=HEX``.

Rule: ``cryptography`` is imported here, when a certificate has to be made, and
nowhere else in a relay, which runs without it where a certificate is given.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import ssl
import tempfile
from pathlib import Path

from vc_core.errors import VchatError, reason

# Implementation
FILE = "relay.pem"
"""Name of what was made, in the folder of state: certificate and key."""
YEARS = 10
_END = "-----END CERTIFICATE-----"


class CertificateError(VchatError):
    """There is no certificate to be used."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint


class NoMakerError(CertificateError):
    """None was given, and the library that makes one is not there."""


class Certificate:
    """What TLS shows; ``context`` stays the same when it is loaded anew."""

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self.context = _context()
        self.pin = ""
        """``sha256=HEX`` of the certificate."""
        self.load()

    def load(self) -> None:
        """Read the files; new connections see what stands in them."""
        try:
            text = self._certificate.read_text("ascii")
            for context in (_context(), self.context):  # one that took half a pair serves nobody
                context.load_cert_chain(self._certificate, self._key, password=_no_password)
            self.pin = _pin_of(text)
        except (OSError, ssl.SSLError, ValueError) as error:
            why = reason(error)
            raise CertificateError(
                f"the certificate {self._certificate} or its key cannot be used: {why}",
                "both are PEM files; the key has no passphrase",
            ) from error


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def own_certificate(folder: Path | None) -> Certificate:
    """A certificate of our own making: the one in ``folder``, or a new one.

    Without a folder it lives as long as the process. Raises ``CertificateError``.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="vchat-relay-") as place:
            return _made_in(Path(place))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Certificate(folder / FILE, None) if (folder / FILE).exists() else _made_in(folder)
    except OSError as error:
        raise CertificateError(
            f"cannot write to {folder}: {reason(error)}", "it keeps the certificate (--state)"
        ) from error


def _made_in(folder: Path) -> Certificate:
    fresh = folder / f"{FILE}.new"
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_make())
    fresh.replace(folder / FILE)
    return Certificate(folder / FILE, None)


def _make() -> bytes:
    """Certificate and key in PEM."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise NoMakerError("no certificate, and none can be made without cryptography") from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "vchat relay")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("relay.invalid")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(pem) + private


def _pin_of(text: str) -> str:
    first, end, _ = text[text.index("-----BEGIN CERTIFICATE") :].partition(_END)
    return f"sha256={hashlib.sha256(ssl.PEM_cert_to_DER_cert(first + end)).hexdigest()}"


def _no_password() -> str:
    """Instead of asking at the terminal in the middle of a server."""
    raise ValueError("the key has a passphrase")

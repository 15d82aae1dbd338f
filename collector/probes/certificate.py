"""What a TLS session shows of itself: version, cipher and the chain that was presented."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography import x509

from collector.model.observation import CertificateFacts, ProbeFailure, TlsFacts
from common.duration import format_duration

SHOWN_NAMES = 5


def tls_facts(session: ssl.SSLObject, *, problem: str | None) -> TlsFacts:
    """Facts of a finished handshake; `problem` is why verification failed, None when it did not.

    Raises ProbeFailure("certificate") when the certificate is malformed.
    """
    cipher = session.cipher()
    verified = () if problem else _chain(session, "get_verified_chain")
    presented = _chain(session, "get_unverified_chain")
    try:
        certificate = _certificate_facts(presented, verified, problem)
    except ValueError as error:
        # OpenSSL takes some certificates that break the rules of X.509.
        raise ProbeFailure("certificate", f"the certificate cannot be read: {error}") from None
    return TlsFacts(
        version=session.version() or "",
        cipher=cipher[0] if cipher else "",
        certificate=certificate,
    )


def _chain(session: ssl.SSLObject, method: str) -> tuple[bytes, ...]:
    """DER certificates, the target's own first; public only since Python 3.13."""
    if hasattr(session, method):
        return tuple(getattr(session, method)() or ())
    inner: Any = session._sslobj  # type: ignore[attr-defined]
    der = ssl._ssl.ENCODING_DER  # type: ignore[attr-defined]
    return tuple(certificate.public_bytes(der) for certificate in getattr(inner, method)() or ())


# Probes meet the same chain at every run: it is taken apart once.
@lru_cache(maxsize=4096)
def _certificate_facts(
    presented: tuple[bytes, ...], verified: tuple[bytes, ...], problem: str | None
) -> CertificateFacts:
    chain = [x509.load_der_x509_certificate(der) for der in presented]
    own = chain[0]
    return CertificateFacts(
        earliest_expiry_at=min(certificate.not_valid_after_utc for certificate in chain),
        chain_expiry_at=_earliest_expiry(verified),
        problem=problem,
        subject=own.subject.rfc4514_string(),
        issuer=own.issuer.rfc4514_string(),
        alternative_names=_alternative_names(own),
        serial=f"{own.serial_number:x}",
        fingerprint_sha256=sha256(presented[0]).hexdigest(),
        chain_length=len(chain),
    )


def _earliest_expiry(verified: tuple[bytes, ...]) -> datetime | None:
    ends = [x509.load_der_x509_certificate(der).not_valid_after_utc for der in verified]
    return min(ends, default=None)


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(str(name.value) for name in names)


def refusal(problem: str, facts: TlsFacts | None) -> str:
    """The sentence for a certificate that was refused for `problem`."""
    if facts is None:
        return problem
    if "expired" in problem:
        return f"{problem} (valid until {_instant(facts.certificate.earliest_expiry_at)})"
    if "mismatch" in problem:
        names = ", ".join(facts.certificate.alternative_names[:SHOWN_NAMES]) or "no name"
        return f"{problem} (it is for {names})"
    return f"{problem} (issued by {facts.certificate.issuer})"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def check_lifetime(facts: TlsFacts, wanted_seconds: float | None) -> None:
    """Raises ProbeFailure("certificate") when less than `wanted_seconds` are left."""
    if wanted_seconds is None:
        return
    end = facts.certificate.earliest_expiry_at
    if end - datetime.now(UTC) < timedelta(seconds=wanted_seconds):
        raise ProbeFailure(
            "certificate",
            f"expected the certificate to be valid for {format_duration(wanted_seconds)} more,"
            f" it ends at {_instant(end)}",
        )

"""Certificates of every kind that a probe meets, from an authority made for the test."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pair:
    """Files in PEM: the chain, and its key."""

    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """`ca` is trusted by the probes of a test, and so are `good` and `chained`, whose intermediate
    ends before the target's own; the other pairs are each wrong in one way."""

    ca: Path
    good: Pair
    good_until: datetime
    chained: Pair
    chained_until: datetime
    wrong_host: Pair
    expired: Pair
    expired_at: datetime
    self_signed: Pair
    unknown_ca: Pair


def make_certificates(folder: Path) -> Certificates:
    authority, stranger = trustme.CA(), trustme.CA()
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=20)
    sooner = until - timedelta(days=10)
    expired_at = LONG_AGO + timedelta(days=1)
    return Certificates(
        ca=ca,
        good=_issue(folder, "good", authority, until, "localhost", "127.0.0.1", "::1"),
        good_until=until,
        chained=_chained(folder, authority, until, sooner),
        chained_until=sooner,
        wrong_host=_issue(folder, "wrong", authority, until, "elsewhere.example"),
        expired=_issue(folder, "expired", authority, expired_at, "localhost"),
        expired_at=expired_at,
        self_signed=_self_signed(folder, until),
        unknown_ca=_issue(folder, "stranger", stranger, until, "localhost"),
    )


def _issue(folder: Path, name: str, ca: trustme.CA, until: datetime, *hosts: str) -> Pair:
    leaf = ca.issue_cert(*hosts, not_before=LONG_AGO, not_after=until)
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    for number, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(str(pair.chain), append=number > 0)
    leaf.private_key_pem.write_to_path(str(pair.key))
    return pair


def _chained(folder: Path, root: trustme.CA, until: datetime, sooner: datetime) -> Pair:
    """A chain of two whose second ends first."""
    root_key = serialization.load_pem_private_key(root.private_key_pem.bytes(), None)
    assert isinstance(root_key, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(root.cert_pem.bytes()).subject
    middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    middle = (
        _builder("middle", middle_key, issuer, sooner)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = _builder("localhost", key, middle.subject, until).sign(middle_key, hashes.SHA256())
    return _write(folder, "chained", key, leaf, middle)


def _self_signed(folder: Path, until: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = _builder("localhost", key, issuer, until).sign(key, hashes.SHA256())
    return _write(folder, "self", key, certificate)


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(0x1F)
        .not_valid_before(LONG_AGO)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )


def _write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate
) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pem = serialization.Encoding.PEM
    pair.chain.write_bytes(b"".join(certificate.public_bytes(pem) for certificate in chain))
    pair.key.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair

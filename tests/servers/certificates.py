"""Certificates of every kind that a probe meets, from an authority made for the test."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """`ca` is trusted by the probes of a test; the other pairs are each wrong in one way."""

    ca: Path
    good: Pair
    good_until: datetime
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
    expired_at = LONG_AGO + timedelta(days=1)
    return Certificates(
        ca=ca,
        good=_issue(folder, "good", authority, until, "localhost", "127.0.0.1"),
        good_until=until,
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


def _self_signed(folder: Path, until: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x1F)
        .not_valid_before(LONG_AGO)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / "self.pem", folder / "self.key")
    pair.chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair

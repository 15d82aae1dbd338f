"""Certificates as HTTP, TCP and TLS probes meet them, from a real nginx."""

import shutil
from pathlib import Path

import pytest

from common.errors import DhmonError
from tests.collector.probes.conftest import LookAt
from tests.servers.certificates import Certificates
from tests.servers.nginx import Nginx
from tests.servers.raw import raw_server, resetting, saying

KINDS = ["http", "tcp", "tls"]


def target(kind: str, port: int, host: str = "localhost") -> str:
    return f"https://{host}:{port}/" if kind == "http" else f"{host}:{port}"


def tls(kind: str, **options: object) -> dict[str, object]:
    return {"tls": options, **({"use_tls": True} if kind == "tcp" else {})}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_certificate_is_described(
    nginx: Nginx, certificates: Certificates, look: LookAt, kind: str
) -> None:
    outcome = await look(kind, target(kind, nginx.good), **tls(kind, ca=certificates.ca))

    assert outcome.failure is None
    session = outcome.seen.tls
    assert session is not None
    assert session.version == "TLSv1.3"
    assert session.cipher.startswith("TLS_")
    assert session.certificate.earliest_expiry_at == certificates.good_until
    assert session.certificate.chain_expiry_at == certificates.good_until
    assert session.certificate.problem is None
    assert session.certificate.alternative_names == ("localhost", "127.0.0.1", "::1")
    assert len(session.certificate.fingerprint_sha256) == 64
    assert outcome.seen.phases.tls is not None
    assert outcome.seen.phases.tls > 0


async def test_the_end_of_a_chain_is_that_of_its_first_certificate_to_end(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look("tls", f"localhost:{nginx.chained}", tls={"ca": certificates.ca})

    assert outcome.failure is None
    assert outcome.seen.tls is not None
    certificate = outcome.seen.tls.certificate
    assert certificate.earliest_expiry_at == certificates.chained_until
    assert certificate.chain_expiry_at == certificates.chained_until
    assert certificate.chain_length == 2
    assert (certificate.subject, certificate.issuer) == ("CN=localhost", "CN=middle")
    assert certificate.serial == "1f"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("site", "detail"),
    [
        ("expired", "certificate has expired (valid until 2020-01-02T00:00:00Z)"),
        (
            "wrong_host",
            "Hostname mismatch, certificate is not valid for 'localhost'"
            " (it is for elsewhere.example)",
        ),
        ("self_signed", "self-signed certificate (issued by CN=localhost)"),
        ("unknown_ca", "unable to get local issuer certificate (issued by "),
    ],
)
async def test_a_certificate_that_is_refused_is_described_all_the_same(
    nginx: Nginx, certificates: Certificates, look: LookAt, kind: str, site: str, detail: str
) -> None:
    expected_end = certificates.expired_at if site == "expired" else certificates.good_until

    outcome = await look(kind, target(kind, getattr(nginx, site)), **tls(kind, ca=certificates.ca))

    assert outcome.reason == "certificate"
    assert outcome.detail.startswith(detail)
    assert outcome.seen.tls is not None
    certificate = outcome.seen.tls.certificate
    assert certificate.earliest_expiry_at == expected_end
    assert certificate.chain_expiry_at is None
    assert certificate.problem is not None
    assert detail.startswith(certificate.problem)
    assert outcome.seen.phases.tls is not None
    assert outcome.seen.phases.processing is None


async def test_a_certificate_of_the_systems_authorities_is_wanted_unless_told_otherwise(
    nginx: Nginx, look: LookAt
) -> None:
    outcome = await look("tls", f"localhost:{nginx.good}")

    assert outcome.reason == "certificate"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_certificate_need_not_be_verified(nginx: Nginx, look: LookAt, kind: str) -> None:
    outcome = await look(kind, target(kind, nginx.self_signed), **tls(kind, verify=False))

    assert outcome.failure is None
    assert outcome.seen.tls is not None
    assert outcome.seen.tls.certificate.serial == "1f"
    assert outcome.seen.tls.certificate.chain_expiry_at is None


async def test_an_address_can_be_what_the_certificate_is_for(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look("tls", f"127.0.0.1:{nginx.good}", tls={"ca": certificates.ca})

    assert outcome.failure is None


async def test_an_address_that_the_certificate_is_not_for_is_refused(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look("tls", f"127.0.0.1:{nginx.chained}", tls={"ca": certificates.ca})

    assert outcome.detail == (
        "IP address mismatch, certificate is not valid for '127.0.0.1' (it is for localhost)"
    )


@pytest.mark.parametrize("path", ["/", "/again"])
async def test_the_name_on_the_certificate_can_be_another_and_stays_so_after_a_redirect(
    nginx: Nginx, certificates: Certificates, look: LookAt, path: str
) -> None:
    outcome = await look(
        "http",
        f"https://127.0.0.1:{nginx.wrong_host}{path}",
        tls={"ca": certificates.ca, "server_name": "elsewhere.example"},
    )

    assert outcome.failure is None


async def test_another_name_is_not_asked_of_the_host_that_a_redirect_leads_to(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look(
        "http",
        nginx.url("/secure"),
        tls={"ca": certificates.ca, "server_name": "elsewhere.example"},
    )

    assert outcome.failure is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("wanted", "reason"), [("19d", None), ("21d", "certificate")])
async def test_a_certificate_must_be_valid_for_long_enough(
    nginx: Nginx,
    certificates: Certificates,
    look: LookAt,
    kind: str,
    wanted: str,
    reason: str | None,
) -> None:
    outcome = await look(
        kind,
        target(kind, nginx.good),
        expect={"certificate": wanted},
        **tls(kind, ca=certificates.ca),
    )

    assert outcome.reason == reason
    assert outcome.seen.tls is not None


async def test_an_old_version_of_tls_is_refused_but_looked_at_when_nothing_is_verified(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    verified = await look("tls", f"localhost:{nginx.old}", tls={"ca": certificates.ca})
    unverified = await look("tls", f"localhost:{nginx.old}", tls={"verify": False})

    assert verified.reason == "tls"
    assert unverified.failure is None
    assert unverified.seen.tls is not None
    assert unverified.seen.tls.version == "TLSv1.1"


@pytest.mark.parametrize("talk", [resetting(), saying(b""), saying(b"220 mail.example\r\n")])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_without_tls_fails_in_the_handshake(
    look: LookAt, kind: str, talk: object
) -> None:
    async with raw_server(talk) as port:  # type: ignore[arg-type]
        outcome = await look(kind, target(kind, port, "127.0.0.1"), **tls(kind))

    assert outcome.reason == "tls"
    assert outcome.detail.startswith("the TLS handshake failed: ")
    assert outcome.seen.phases.connect is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_authorities_that_cannot_be_read_are_our_fault_not_the_targets(
    nginx: Nginx, look: LookAt, tmp_path: Path, kind: str
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()

    with pytest.raises(DhmonError, match=r"empty\.pem: no certificate can be read from it"):
        await look(kind, target(kind, nginx.good), **tls(kind, ca=empty))


async def test_authorities_that_were_renewed_count_at_the_next_look(
    nginx: Nginx, certificates: Certificates, look: LookAt, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(certificates.self_signed.chain, ca)
    before = await look("tls", f"localhost:{nginx.good}", tls={"ca": ca})

    shutil.copy(certificates.ca, ca)
    after = await look("tls", f"localhost:{nginx.good}", tls={"ca": ca})

    assert before.reason == "certificate"
    assert after.failure is None

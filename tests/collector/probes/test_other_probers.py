"""TCP, TLS, DNS and ICMP probes against real servers on loopback."""

import asyncio

import pytest

from tests.collector.probes.conftest import LookAt
from tests.servers.certificates import Certificates
from tests.servers.dns import dns_server
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.servers.raw import Talk, answering, raw_server

BANNER = b"220 mail.example ESMTP ready\r\n"


def saying(banner: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        await writer.drain()

    return talk


async def test_a_port_that_accepts_is_up(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("tcp", f"localhost:{nginx.plain}")

    assert outcome.failure is None
    assert outcome.seen.phases.connect is not None
    assert outcome.seen.ip in {"127.0.0.1", "::1"}


async def test_a_port_that_refuses_is_down(look: LookAt) -> None:
    [port] = free_ports(1)

    outcome = await look("tcp", f"127.0.0.1:{port}")

    assert outcome.reason == "refused"


async def test_a_banner_that_matches_is_up(look: LookAt) -> None:
    async with raw_server(saying(BANNER)) as port:
        outcome = await look("tcp", f"127.0.0.1:{port}", expect={"banner": "^220 .*ESMTP"})

    assert outcome.failure is None
    assert outcome.seen.banner == BANNER.decode()
    assert outcome.seen.phases.processing is not None


@pytest.mark.parametrize("said", [b"", b"554 go away\r\n", b"\xff" * 9000])
async def test_another_banner_is_down(look: LookAt, said: bytes) -> None:
    async with raw_server(saying(said)) as port:
        outcome = await look("tcp", f"127.0.0.1:{port}", expect={"banner": "^220 "})

    assert outcome.reason == "banner"
    assert outcome.seen.failed_due_to_regex


async def test_what_is_sent_reaches_the_server(look: LookAt) -> None:
    async with raw_server(answering(b"+PONG\r\n")) as port:
        outcome = await look(
            "tcp", f"127.0.0.1:{port}", send="PING\r\n\r\n", expect={"banner": "PONG"}
        )

    assert outcome.failure is None


async def test_a_tcp_probe_speaks_tls_when_told(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look(
        "tcp",
        f"localhost:{nginx.good}",
        use_tls=True,
        send="GET / HTTP/1.0\r\n\r\n",
        tls={"ca": certificates.ca},
        expect={"banner": "open for business"},
    )

    assert outcome.failure is None
    assert outcome.seen.tls is not None


async def test_a_tls_probe_reports_the_chain_and_its_end(
    nginx: Nginx, certificates: Certificates, look: LookAt
) -> None:
    outcome = await look("tls", f"localhost:{nginx.good}", tls={"ca": certificates.ca})

    assert outcome.failure is None
    assert outcome.seen.tls is not None
    assert outcome.seen.tls.certificate.earliest_expiry_at == certificates.good_until
    assert outcome.seen.tls.certificate.chain_length >= 1


@pytest.mark.parametrize("site", ["expired", "wrong_host", "self_signed", "unknown_ca"])
async def test_a_tls_probe_reports_a_certificate_that_it_refuses(
    nginx: Nginx, certificates: Certificates, look: LookAt, site: str
) -> None:
    outcome = await look("tls", f"localhost:{getattr(nginx, site)}", tls={"ca": certificates.ca})

    assert outcome.reason == "certificate"
    assert outcome.seen.tls is not None
    assert outcome.seen.tls.certificate.problem


@pytest.mark.parametrize(
    ("name", "record", "answers"),
    [
        ("shop.example", "A", ["192.0.2.1", "192.0.2.2"]),
        ("SHOP.example.", "AAAA", ["2001:db8::1"]),
        ("www.shop.example", "CNAME", ["shop.example"]),
        ("shop.example", "MX", ["10 mail.shop.example"]),
        ("shop.example", "TXT", ["v=spf1 -all"]),
        ("shop.example", "NS", ["ns2.shop.example.", "NS1.shop.example"]),
    ],
)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_a_name_with_the_expected_answers_is_up(
    look: LookAt, name: str, record: str, answers: list[str], protocol: str
) -> None:
    async with dns_server() as server:
        outcome = await look(
            "dns",
            name,
            record=record,
            server=server,
            protocol=protocol,
            expect={"answer": answers},
        )

    assert outcome.failure is None
    assert outcome.seen.dns is not None
    assert outcome.seen.dns.answer_count == len(outcome.seen.dns.answers)
    assert outcome.seen.phases.processing is not None


@pytest.mark.parametrize(
    ("name", "record", "expect", "reason", "detail"),
    [
        ("nowhere.example", "A", {}, "dns", "expected NOERROR, got NXDOMAIN"),
        ("refused.example", "A", {}, "dns", "expected NOERROR, got REFUSED"),
        ("www.shop.example", "MX", {}, "answer", "www.shop.example has no MX record"),
        ("shop.example", "A", {"answer": ["192.0.2.9"]}, "answer", "got 192.0.2.1, 192.0.2.2"),
        ("garbage.example", "A", {}, "dns", "gave no valid answer"),
    ],
)
async def test_a_name_with_another_answer_is_down(
    look: LookAt, name: str, record: str, expect: dict[str, object], reason: str, detail: str
) -> None:
    async with dns_server() as server:
        outcome = await look("dns", name, record=record, server=server, expect=expect, timeout="2s")

    assert outcome.reason == reason
    assert detail in outcome.detail


async def test_a_name_may_be_expected_not_to_exist(look: LookAt) -> None:
    async with dns_server() as server:
        outcome = await look("dns", "nowhere.example", server=server, expect={"rcode": "NXDOMAIN"})

    assert outcome.failure is None


async def test_an_answer_that_does_not_fit_into_a_datagram_is_fetched_over_tcp(
    look: LookAt,
) -> None:
    async with dns_server() as server:
        outcome = await look("dns", "long.example", record="TXT", server=server)

    assert outcome.failure is None
    assert outcome.seen.dns is not None
    assert outcome.seen.dns.answer_count == 9


async def test_a_server_that_says_nothing_ends_with_the_timeout(look: LookAt) -> None:
    async with dns_server() as server:
        with pytest.raises(TimeoutError):
            await look("dns", "silent.example", server=server, timeout="200ms")


async def test_a_server_that_is_not_there_is_told_apart(look: LookAt) -> None:
    [port] = free_ports(1)

    outcome = await look("dns", "shop.example", server=f"127.0.0.1:{port}", protocol="tcp")

    assert outcome.reason == "refused"


async def test_a_name_of_this_machine_is_found_as_the_machine_finds_it(look: LookAt) -> None:
    outcome = await look("dns", "localhost", expect={"answer": ["127.0.0.1"]})

    assert outcome.failure is None
    assert outcome.seen.phases.resolve is not None


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost"])
async def test_an_echo_comes_back_from_loopback(look: LookAt, target: str) -> None:
    outcome = await look("icmp", target)

    assert outcome.failure is None
    assert outcome.seen.phases.processing is not None
    assert outcome.seen.phases.processing > 0

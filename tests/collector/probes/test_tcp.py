"""TCP probes: ports that accept, refuse, say something, listen."""

import asyncio

import pytest

from tests.collector.probes.conftest import LookAt
from tests.servers.certificates import Certificates
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports, loopback_addresses, port_without_answer
from tests.servers.raw import answering, raw_server, saying

BANNER = b"220 mail.example ESMTP ready\r\n"


async def test_a_port_that_accepts_is_up(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("tcp", f"localhost:{nginx.plain}")

    assert outcome.failure is None
    assert outcome.seen.phases.resolve is not None
    assert outcome.seen.phases.connect is not None
    assert outcome.seen.ip == "127.0.0.1"


@pytest.mark.parametrize("host", loopback_addresses())
async def test_a_port_that_refuses_is_down(look: LookAt, host: str) -> None:
    [port] = free_ports(1)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    outcome = await look("tcp", address)

    assert (outcome.reason, outcome.detail) == ("refused", f"{address} refused the connection")


async def test_a_port_that_does_not_answer_ends_with_the_timeout(look: LookAt) -> None:
    with port_without_answer() as port:
        outcome = await look("tcp", f"127.0.0.1:{port}", timeout="200ms")

    assert outcome.reason == "timeout"
    assert outcome.seen.phases.connect is None


async def test_an_address_to_which_nothing_leads_is_unreachable(look: LookAt) -> None:
    # TCP has no multicast: the kernel says so without sending anything.
    outcome = await look("tcp", "224.0.0.1:80")

    assert outcome.reason == "unreachable"


async def test_a_banner_that_matches_is_up(look: LookAt) -> None:
    async with raw_server(saying(BANNER)) as port:
        outcome = await look("tcp", f"127.0.0.1:{port}", expect={"banner": "^220 .*ESMTP"})

    assert outcome.failure is None
    assert outcome.seen.banner == BANNER.decode()
    assert outcome.seen.phases.processing is not None


async def test_a_banner_may_come_in_pieces(look: LookAt) -> None:
    async with raw_server(answering(b"+PO", 0.05, b"NG\r\n")) as port:
        outcome = await look(
            "tcp", f"127.0.0.1:{port}", send="PING\r\n\r\n", expect={"banner": "PONG"}
        )

    assert outcome.failure is None
    assert outcome.seen.phases.processing is not None
    assert outcome.seen.phases.processing >= 0.04


@pytest.mark.parametrize("said", [b"", b"554 go away\r\n", b"\xff" * 9000])
async def test_another_banner_is_down(look: LookAt, said: bytes) -> None:
    async with raw_server(saying(said)) as port:
        outcome = await look("tcp", f"127.0.0.1:{port}", expect={"banner": "^220 "})

    assert outcome.reason == "banner"
    assert outcome.detail.startswith("expected a banner like '^220 ', got ")
    assert outcome.seen.failed_due_to_regex


async def test_a_banner_that_does_not_come_ends_with_the_timeout(look: LookAt) -> None:
    async with raw_server(answering(60.0)) as port:
        outcome = await look("tcp", f"127.0.0.1:{port}", expect={"banner": "."}, timeout="200ms")

    assert outcome.reason == "timeout"
    assert outcome.seen.phases.connect is not None


@pytest.mark.parametrize("use_tls", [False, True])
async def test_what_is_sent_arrives_even_when_no_banner_is_awaited(
    certificates: Certificates, look: LookAt, use_tls: bool
) -> None:
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set_result(await reader.readline())

    context = certificates.good.server_context() if use_tls else None
    async with raw_server(talk, context=context) as port:
        outcome = await look(
            "tcp",
            f"127.0.0.1:{port}",
            send="QUIT\r\n",
            use_tls=use_tls,
            tls={"ca": certificates.ca},
        )
        received = await arrived

    assert outcome.failure is None
    assert received == b"QUIT\r\n"


async def test_a_banner_may_come_through_tls(
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


async def test_a_port_that_takes_too_long_is_told_apart(look: LookAt) -> None:
    async with raw_server(answering(0.1, BANNER)) as port:
        outcome = await look(
            "tcp",
            f"127.0.0.1:{port}",
            send="\r\n\r\n",
            expect={"banner": "220", "latency": "50ms"},
        )

    assert outcome.reason == "latency"
    assert outcome.detail.startswith("expected an answer within 50ms, took 0.1")

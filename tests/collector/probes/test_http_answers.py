"""HTTP probes against servers that are slow, break off, or speak something else."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.model.observation import Phases
from tests.collector.probes.conftest import LookAt
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports, port_without_answer
from tests.servers.raw import answering, forwarding, raw_server, resetting

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_refused_connection_says_so(look: LookAt) -> None:
    [port] = free_ports(1)

    outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert (outcome.reason, outcome.detail) == (
        "refused",
        f"127.0.0.1:{port} refused the connection",
    )
    assert outcome.seen.phases.connect is not None
    assert outcome.seen.phases.processing is None


async def test_a_name_that_does_not_exist_says_so(look: LookAt) -> None:
    outcome = await look("http", "http://no-such-host.invalid/")

    assert outcome.reason == "resolve"
    assert "no-such-host.invalid" in outcome.detail
    assert outcome.seen.phases.resolve is None


async def test_plain_http_on_a_tls_probe_fails_in_the_handshake(nginx: Nginx, look: LookAt) -> None:
    outcome = await look("http", f"https://127.0.0.1:{nginx.plain}/")

    assert (outcome.reason, outcome.detail) == (
        "tls",
        "the TLS handshake failed: wrong version number",
    )


async def test_a_timeout_while_connecting_leaves_the_lookup(look: LookAt) -> None:
    with port_without_answer() as port:
        outcome = await look("http", f"http://localhost:{port}/", ip="4", timeout="200ms")

    assert outcome.reason == "timeout"
    assert reached(outcome.seen.phases) == {"resolve"}
    assert outcome.seen.ip == "127.0.0.1"


async def test_a_timeout_in_the_handshake_leaves_the_connection(look: LookAt) -> None:
    async with raw_server(answering(60.0)) as port:
        outcome = await look("http", f"https://127.0.0.1:{port}/", timeout="200ms")

    assert outcome.reason == "timeout"
    assert reached(outcome.seen.phases) == {"resolve", "connect"}


async def test_a_timeout_before_the_answer_leaves_the_connection(look: LookAt) -> None:
    async with raw_server(answering(60.0)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", timeout="200ms")

    assert outcome.reason == "timeout"
    assert reached(outcome.seen.phases) == {"resolve", "connect"}


async def test_a_timeout_in_the_body_leaves_what_came(look: LookAt) -> None:
    async with raw_server(answering(OK[:-1], 60.0)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", timeout="300ms")

    assert outcome.reason == "timeout"
    assert reached(outcome.seen.phases) == {"resolve", "connect", "processing"}
    assert outcome.seen.http is not None
    assert (outcome.seen.http.status, outcome.seen.http.body_length) == (200, 1)


def reached(phases: Phases) -> set[str]:
    return {name for name in Phases.__slots__ if getattr(phases, name) is not None}


@pytest.mark.parametrize(
    ("parts", "slow"),
    [((0.3, OK), "processing"), ((OK[:-2], 0.3, OK[-2:]), "transfer")],
)
async def test_a_pause_counts_in_the_phase_in_which_it_is_made(
    look: LookAt, parts: tuple[bytes | float, ...], slow: str
) -> None:
    async with raw_server(answering(*parts)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert outcome.failure is None
    assert getattr(outcome.seen.phases, slow) >= 0.29
    assert others(outcome.seen.phases, slow) < getattr(outcome.seen.phases, slow)


async def test_a_pause_in_the_handshake_counts_as_tls(nginx: Nginx, look: LookAt) -> None:
    async with raw_server(forwarding(nginx.self_signed, after_seconds=0.3)) as port:
        outcome = await look("http", f"https://localhost:{port}/", tls={"verify": False})

    assert outcome.failure is None
    assert outcome.seen.phases.tls is not None
    assert outcome.seen.phases.tls >= 0.29
    assert others(outcome.seen.phases, "tls") < outcome.seen.phases.tls


async def test_pauses_add_up_over_redirects_but_an_unread_body_is_no_transfer(
    look: LookAt,
) -> None:
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        found = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 2\r\n\r\n"
        await answering(0.2, found if asked == 1 else OK)(reader, writer)

    async with raw_server(talk) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert outcome.failure is None
    assert outcome.seen.phases.processing is not None
    assert outcome.seen.phases.processing >= 0.39
    assert outcome.seen.phases.transfer is not None
    assert outcome.seen.phases.transfer < 0.2


def others(phases: Phases, slow: str) -> float:
    return sum(getattr(phases, name) or 0.0 for name in Phases.__slots__ if name != slow)


async def test_a_lost_connection_is_not_hidden_by_a_second_try(look: LookAt) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(*(() if connections == 1 else (OK,)))(reader, writer)

    async with raw_server(talk) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert (outcome.reason, outcome.detail) == (
        "http",
        "the connection was closed without a whole answer",
    )
    assert connections == 1


async def test_a_server_that_does_not_say_goodbye_is_not_waited_for(
    nginx: Nginx, look: LookAt
) -> None:
    is_done = asyncio.Event()
    has_hung_up = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.ensure_future(forwarding(nginx.self_signed)(reader, writer))
        await is_done.wait()
        relay.cancel()
        await reader.read()
        has_hung_up.set()

    async with raw_server(talk) as port:
        outcome = await look("http", f"https://127.0.0.1:{port}/", tls={"verify": False})
        is_done.set()
        async with asyncio.timeout(10):
            await has_hung_up.wait()

    assert outcome.failure is None


async def test_a_connection_that_breaks_off_says_so(look: LookAt) -> None:
    async with raw_server(resetting()) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert outcome.reason == "reset"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"", "closed without a whole answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not valid HTTP: Bad status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "the body is not whole"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "not"),
        (b"HTTP/1.1 999999 No\r\n\r\n", "the answer is not valid HTTP: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "is not valid HTTP: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "the answer is not valid HTTP: "),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
            "the body is not whole or not valid: ",
        ),
    ],
)
async def test_an_answer_that_is_no_http_fails_clearly(
    look: LookAt, answer: bytes, detail: str
) -> None:
    async with raw_server(answering(answer)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert outcome.reason == "http"
    assert detail in outcome.detail
    assert "\n" not in outcome.detail
    assert outcome.seen.phases.connect is not None


async def test_an_answer_that_ends_with_the_connection_is_whole(look: LookAt) -> None:
    async with raw_server(answering(b"HTTP/1.0 200 OK\r\n\r\nall of it")) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/", expect={"body": "^all of it$"})

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert (outcome.seen.http.version, outcome.seen.http.content_length) == (1.0, None)


@pytest.mark.parametrize(
    "date", ["yesterday", "Mon, 01 Jan 2020 00:00:00 +99999999999999", "Mon, 99 Jan 2020"]
)
async def test_a_date_that_is_none_is_not_told(look: LookAt, date: str) -> None:
    head = f"HTTP/1.1 204 No Content\r\nLast-Modified: {date}\r\n\r\n".encode()
    async with raw_server(answering(head)) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}/")

    assert outcome.failure is None
    assert outcome.seen.http is not None
    assert outcome.seen.http.last_modified_at is None


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    head=st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", OK[:-2]]),
    noise=st.binary(max_size=200),
)
async def test_no_answer_makes_the_prober_stumble(look: LookAt, head: bytes, noise: bytes) -> None:
    """Whatever a server says, the outcome is up or a reason, never a fault of ours."""
    async with raw_server(answering(head + noise)) as port:
        outcome = await look(
            "http",
            f"http://127.0.0.1:{port}/",
            follow_redirects=False,
            expect={"header": {"Server": "."}, "json": {"a": 1}},
        )

    assert outcome.reason in {"http", "reset", "status", "header", "json"}
